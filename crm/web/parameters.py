"""Query parameters: those that nobody reads are refused."""

from __future__ import annotations

import functools
from typing import Any

from litestar.connection import ASGIConnection
from litestar.handlers import BaseRouteHandler
from litestar.params import QueryParameter

from crm.errors import Invalid, Problem


async def only_known(
    connection: ASGIConnection[Any, Any, Any, Any], handler: BaseRouteHandler
) -> None:
    """Guard an API: a misspelt filter must not look like one."""
    if not connection.scope["query_string"]:
        return
    known = parameters(handler)
    unknown = sorted(set(connection.query_params) - known)
    if not unknown:
        return
    sentence = "This takes no parameter in its address."
    if known:
        sentence = f"This takes only the parameters {', '.join(sorted(known))}."
    raise Invalid(sentence, [Problem(name[:100], sentence) for name in unknown])


@functools.cache
def parameters(handler: BaseRouteHandler) -> frozenset[str]:
    """Name the query parameters that a handler reads."""
    found = handler.parsed_fn_signature.parameters.items()
    return frozenset(
        field.kwarg_definition.query or field.kwarg_definition.name or name
        for name, field in found
        if isinstance(field.kwarg_definition, QueryParameter)
    )
