"""A body of the API is what the document says it is, in its Content-Type and in its types.

Litestar reads JSON whatever the Content-Type, and takes 0 for `false` and a number for an instant,
as the query of a URL needs it. In JSON that hides the mistake of whoever sent it.
"""

from __future__ import annotations

import re
from typing import Any, TypeAlias

import msgspec
from litestar import Litestar
from litestar.connection import ASGIConnection
from litestar.exceptions import HTTPException, ValidationException
from litestar.handlers import HTTPRouteHandler
from litestar.params import BodyKwarg
from litestar.routes import HTTPRoute
from litestar.types import Empty

BODY = "data"
_JSON = "application/json"
_SUFFIX = "+json"
# RFC 7396: what is absent stays as it is, null takes away.
MERGE_PATCH = "application/merge-patch+json"
_UNSUPPORTED = 415
# Where a value is wrong, as msgspec says it: `$.terms.data[0].kind`, or a key in `$.wording`.
_WHERE = re.compile(r" - at (?:`key` in )?`\$\.?(?P<path>.*?)`$", re.DOTALL)
_STEP = re.compile(r"\[(\d+)\]")
# msgspec does not say which key of a mapping it means; what holds the mapping it does.
_SOME_KEY = "[...]"


Connection: TypeAlias = ASGIConnection[Any, Any, Any, Any]


def read_strictly(app: Litestar) -> Litestar:
    """Read the bodies of every route of an application that is put together so."""
    for route in app.routes:
        if not isinstance(route, HTTPRoute):
            continue
        for handler, model in route.route_handler_map.values():
            if isinstance(media := media_of(handler), str):
                model.extractors.insert(0, _Typed(media))
                model.extractors.append(_Converted(handler))
    return app


def media_of(handler: HTTPRouteHandler) -> str | None:
    """Name the Content-Type of the body that a handler is given; None where it is given none."""
    field = handler.parsed_fn_signature.parameters.get(BODY)
    if field is None or not isinstance(field.kwarg_definition, BodyKwarg):
        return None
    return str(
        getattr(field.kwarg_definition.media_type, "value", field.kwarg_definition.media_type)
    )


class _Typed:
    """Refuse a body that says it is something else."""

    def __init__(self, media: str) -> None:
        self._media = media

    async def __call__(self, _: dict[str, Any], connection: Connection) -> None:
        given = connection.headers.get("content-type", "").partition(";")[0].strip().lower()
        fits = given == self._media
        if self._media == _JSON:
            # A merge patch has to say that it is one: as plain JSON it could mean the whole.
            fits = not given or fits or given.endswith(_SUFFIX)
        if not fits:
            # RFC 9110 §15.5.16 and, for PATCH, RFC 5789 §2.2.
            told = "accept-patch" if self._media == MERGE_PATCH else "accept"
            raise HTTPException(status_code=_UNSUPPORTED, headers={told: self._media})


class _Converted:
    """Convert the body as JSON, before Litestar converts all arguments as text."""

    def __init__(self, handler: HTTPRouteHandler) -> None:
        fields = msgspec.structs.fields(handler.signature_model)
        self._wanted = next(field.type for field in fields if field.name == BODY)

    async def __call__(self, values: dict[str, Any], _: Connection) -> None:
        given = values[BODY]
        if given is Empty:
            return
        try:
            values[BODY] = self._read(given)
        except msgspec.ValidationError as error:
            raise ValidationException(extra=[_wrong(str(error))]) from error

    def _read(self, given: Any) -> Any:
        try:
            return msgspec.convert(given, self._wanted, str_keys=True)
        except msgspec.ValidationError as error:
            if "`float`" not in str(error):
                raise
        # Of a number without a fraction JSON Schema says that it is an integer: 170.0.
        return msgspec.convert(_whole(given), self._wanted, str_keys=True)


def _whole(given: Any) -> Any:
    if isinstance(given, dict):
        return {name: _whole(each) for name, each in given.items()}
    if isinstance(given, list):
        return [_whole(each) for each in given]
    return int(given) if isinstance(given, float) and given.is_integer() else given


def _wrong(said: str) -> dict[str, str]:
    where = _WHERE.search(said)
    path = where["path"].partition(_SOME_KEY)[0] if where else ""
    return {
        "key": _STEP.sub(r".\1", path) or BODY,
        "message": _WHERE.sub("", said),
    }
