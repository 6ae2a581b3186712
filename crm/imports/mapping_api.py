"""Saved mappings for programs: what the columns of some other tool's list mean, by name."""

from __future__ import annotations

from litestar import delete, get, put
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody

from crm.db import Db, ReadDb
from crm.imports import mappings
from crm.imports.mapping import Mapping, NewMapping
from crm.staff import Caller
from crm.staff.auth import needs

_GUARDS = [needs("imports:write")]
_TAGS = ["Imports"]
_BODY = 128 * 1024
_EXAMPLE = {
    "columns": [
        {"header": "Kundenmail", "means": "address"},
        {"header": "Anmeldung", "means": "opted_in_at"},
        {"header": "Bestätigung", "means": "confirmed_at"},
        {"header": "Filiale", "means": "attribute", "attribute": "usual_shop"},
        {"header": "Nr", "means": "leave"},
    ],
    "otherwise": "subscribed",
}


@get(
    "/import-mappings",
    guards=_GUARDS,
    tags=_TAGS,
    summary="List the saved mappings",
    description="What the columns of lists of other tools mean, as somebody saved it.",
)
async def get_mappings(db: NamedDependency[ReadDb]) -> list[Mapping]:
    """List the saved mappings."""
    return await mappings.saved(db)


@get(
    "/import-mappings/{name:str}",
    guards=_GUARDS,
    tags=_TAGS,
    summary="Read a saved mapping",
)
async def get_mapping(db: NamedDependency[ReadDb], name: FromPath[str]) -> Mapping:
    """Read a saved mapping."""
    return await mappings.get(db, name)


@put(
    "/import-mappings/{name:str}",
    guards=_GUARDS,
    request_max_body_size=_BODY,
    opt={"example": _EXAMPLE},
    tags=_TAGS,
    summary="Save a mapping",
    description="Says of each column of a list what it means, in place of what was saved under "
    "this name. A list with exactly these headers, in whatever order, is read by it from then on, "
    "unless another is named (`POST /v1/imports?mapping=`). `otherwise` is what the list says of a "
    "row of which no column says more. One column holds the address; an `attribute` has to be "
    "declared; `leave` leaves a column behind. Times are evidence only as far as the text of the "
    "purpose accepts it. 422 `bad_mapping` names what does not hold together. A business saves "
    "200 at most (409 `too_many_mappings`).",
)
async def put_mapping(
    db: NamedDependency[Db],
    caller: NamedDependency[Caller],
    name: FromPath[str],
    data: JSONBody[NewMapping],
) -> Mapping:
    """Save a mapping."""
    return await mappings.save(db, caller.actor, name, data)


@delete(
    "/import-mappings/{name:str}",
    guards=_GUARDS,
    status_code=204,
    tags=_TAGS,
    summary="Remove a saved mapping",
    description="What was imported by it stays as it is.",
)
async def delete_mapping(
    db: NamedDependency[Db], caller: NamedDependency[Caller], name: FromPath[str]
) -> None:
    """Remove a saved mapping."""
    await mappings.remove(db, caller.actor, name)


handlers = [get_mappings, get_mapping, put_mapping, delete_mapping]
