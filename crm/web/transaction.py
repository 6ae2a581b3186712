"""One transaction per request: a GET reads, everything else writes."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

from litestar import Request
from litestar.datastructures import State

from crm.db import Database, ReadDb
from crm.errors import NotFound

SAFE = frozenset({"GET", "HEAD", "OPTIONS"})


class NoBusiness(NotFound):
    """No business answers at this address."""


async def transaction(request: Request[Any, Any, Any], state: State) -> AsyncIterator[ReadDb]:
    """Open what the method allows, for the business in `request.state.business_id`.

    The host or a guard has put that id there before dependencies run. The commit happens before
    the answer leaves. This is the only generator dependency: Litestar cleans up several of them
    at once and wraps what they raise in an ExceptionGroup.
    """
    business_id = request.scope["state"].get("business_id")
    if business_id is None:
        raise NoBusiness
    database: Database = state.database
    if request.method in SAFE:
        async with database.read(business_id) as read:
            yield read
    else:
        async with database.write(business_id) as db:
            yield db
