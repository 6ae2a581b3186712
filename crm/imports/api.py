"""Imports for programs: /v1/imports takes a file, says how far it is, and reports its lines."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from datetime import datetime
from functools import partial
from typing import Annotated, Any
from uuid import UUID

import msgspec
from litestar import Request, Response, get, post
from litestar.connection import ASGIConnection
from litestar.di import NamedDependency
from litestar.exceptions import HTTPException
from litestar.handlers import BaseRouteHandler
from litestar.openapi.datastructures import ResponseSpec
from litestar.params import FromPath, FromQuery, QueryParameter
from litestar.response import Stream
from msgspec import Struct

from crm import consent, imports
from crm.db import Db, ReadDb
from crm.imports import Import, Reason, RowReport, State, mappings, quarantine
from crm.imports.mapping import Separator
from crm.settings import Settings
from crm.staff import Caller
from crm.staff.auth import needs
from crm.web.paging import Cursors, Slice, capped, link
from crm.web.transaction import let_go, reading

# The operator's own limit is checked while the body comes in; this one only ends the absurd.
_BODY = 1_000_000_000
_NDJSON = "application/x-ndjson"


class ImportShown(Struct, frozen=True, kw_only=True):
    """An import; `rows` is the sum of the four outcomes once it is done.

    `reasons` says what the report says, with of how many lines: the fifty most frequent.
    `quarantined` rows are in quarantine now. `encoding` and `separator` are as found out or said,
    `mapping` names the saved one by which it was read, if it was.
    """

    id: UUID
    purpose_id: UUID
    notice_id: UUID
    file_name: str
    sha256: str
    format: str
    state: State
    only_try: bool
    problem: str
    encoding: str
    separator: str
    mapping: str
    created_at: datetime
    done_at: datetime | None
    undone_at: datetime | None
    removed: int
    rows_read: int
    rows: int
    added: int
    changed: int
    unchanged: int
    rejected: int
    given: int
    withdrawn: int
    unproven: int
    suppressed: int
    quarantined: int = 0
    reasons: list[Reason] = []


class After(Struct, frozen=True):
    """The last import of a page."""

    id: UUID


async def received(connection: ASGIConnection[Any, Any, Any, Any], _: BaseRouteHandler) -> None:
    """Guard an upload: read it, as far as settings allow, while no transaction is open."""
    if not isinstance(connection, Request):
        raise TypeError(type(connection).__name__)
    await let_go(connection)
    settings: Settings = connection.app.state.settings
    content = await _body(connection, settings.imports.max_bytes)
    connection.scope["state"]["content"] = content


@post(
    "/imports",
    guards=[needs("imports:write"), received],
    request_max_body_size=_BODY,
    status_code=202,
    opt={"body": ("text/csv", "application/x-ndjson")},
    tags=["Imports"],
    summary="Import a list of customers",
    description="The body is the file: CSV as Mailchimp, listmonk, Keila, Ghost, Substack, beehiiv "
    "and others export it, the ZIP with all files of one export, or a JSON object a line as GET "
    "/v1/customers.ndjson gives them. `format` names the tool whose "
    "columns were recognised, or `table`. It is read at once and refused if it cannot be, and then "
    "worked through by a worker; `Location` says where to look. With `only_try=true` it is worked "
    "through in the same way and then undone: it ends as `tried`, with the counts and the report "
    "of what would have come of it, and nothing else remains. An import mails nobody and never "
    "undoes an opt-out; the same file a second time changes nothing. `encoding` and `separator` "
    "say otherwise than what would be found out; `mapping` names a saved mapping, which every list "
    "has to fit. Without it a saved one is taken whose headers the list has.",
    responses={202: ResponseSpec(ImportShown, generate_examples=False, description="Received")},
)
async def post_import(
    request: Request[Any, Any, Any],
    db: NamedDependency[Db],
    caller: NamedDependency[Caller],
    purpose: Annotated[str, QueryParameter(description="The short name of the purpose.")],
    file_name: FromQuery[str] = "list.csv",
    *,
    only_try: FromQuery[bool] = False,
    mapping: FromQuery[str] = "",
    encoding: FromQuery[str] = "",
    separator: FromQuery[Separator | None] = None,
) -> Response[bytes]:
    """Receive a list of customers."""
    wanted = await consent.purpose_by_slug(db, purpose)
    content: bytes = request.scope["state"]["content"]
    reading = await mappings.reading(db, mapping=mapping, encoding=encoding, separator=separator)
    taken = await imports.receive(
        db, caller.actor, wanted.id, file_name, content, only_try=only_try, reading=reading
    )
    return _accepted(taken)


@post(
    "/imports/{import_id:uuid}/start",
    guards=[needs("imports:write")],
    status_code=202,
    tags=["Imports"],
    summary="Import what was tried",
    description="For an import that was sent with `only_try=true` and is `tried`: its list is "
    "worked through once more, for good. It is kept for that for seven days.",
    responses={202: ResponseSpec(ImportShown, generate_examples=False, description="Received")},
)
async def post_import_start(
    db: NamedDependency[Db], caller: NamedDependency[Caller], import_id: FromPath[UUID]
) -> Response[bytes]:
    """Import for good what was only tried."""
    return _accepted(await imports.start(db, caller.actor, import_id))


@post(
    "/imports/{import_id:uuid}/undo",
    guards=[needs("imports:write")],
    status_code=202,
    tags=["Imports"],
    summary="Undo a whole import",
    description="For an import that is `done`: it is `undoing`, and `undone` when a worker is "
    "through. Whom it added and nobody touched since is removed, and counted. Who was decided "
    "about, written to or changed since stays, and so does every withdrawal and suppression. A "
    "consent that nothing but this import speaks for ends; only the customer can give it again.",
    responses={202: ResponseSpec(ImportShown, generate_examples=False, description="Received")},
)
async def post_import_undo(
    db: NamedDependency[Db], caller: NamedDependency[Caller], import_id: FromPath[UUID]
) -> Response[bytes]:
    """Have a whole import undone."""
    return _accepted(await imports.undo(db, caller.actor, import_id))


@get(
    "/imports",
    guards=[needs("imports:write")],
    tags=["Imports"],
    summary="Page through the imports",
    description="The newest first, by whomever, also those that were only tried, failed or undone; "
    "the Link header leads on. Without `reasons`: each import has its own.",
)
async def get_imports(
    db: NamedDependency[ReadDb],
    *,
    limit: FromQuery[int | None] = None,
    after: FromQuery[str | None] = None,
) -> Response[Slice[ImportShown]]:
    """Page through the imports."""
    size = capped(limit)
    cursors = Cursors(db.keys, db.business_id, "imports")
    begun = cursors.open(after, After)
    found = await imports.page(db, before=begun.id if begun else None, limit=size + 1)
    cut = cursors.cut(found, size, lambda each: After(each.id))
    told = Slice([shown(each) for each in cut.rows], cut.after)
    return Response(told, headers=link("/v1/imports", cut.after, limit=size))


@get(
    "/imports/{import_id:uuid}",
    guards=[needs("imports:write")],
    tags=["Imports"],
    summary="Look how far an import is",
    description="`waiting`, `running`, `done`, `tried` where it was only to be tried, `undoing`, "
    "`undone`, or `failed` with the problem in words; of a failed one nothing was kept.",
)
async def get_import(db: NamedDependency[ReadDb], import_id: FromPath[UUID]) -> ImportShown:
    """Show one import."""
    found = await imports.get(db, import_id)
    kept_apart = await quarantine.count(db, import_id)
    return shown(found, await imports.reasons(db, import_id), quarantined=kept_apart)


@get(
    "/imports/{import_id:uuid}/report",
    guards=[needs("imports:write")],
    media_type=_NDJSON,
    tags=["Imports"],
    summary="Read the report of an import",
    description="One JSON object a line, in the order of the file: every line that was rejected, "
    "and every one taken otherwise than it says, with the reason. It holds no address.",
)
async def get_import_report(
    request: Request[Any, Any, Any],
    db: NamedDependency[ReadDb],
    import_id: FromPath[UUID],
) -> Stream:
    """Stream the report."""
    found = await imports.get(db, import_id)
    return Stream(_lines(request, found.id), media_type=_NDJSON)


def shown(found: Import, reasons: Sequence[Reason] = (), *, quarantined: int = 0) -> ImportShown:
    """Put an import into the shape that programs read."""
    values = {name: getattr(found, name) for name in found.__struct_fields__}
    values["rows"] = found.added + found.changed + found.unchanged + found.rejected
    return msgspec.convert(
        values | {"reasons": list(reasons), "quarantined": quarantined}, ImportShown
    )


def _accepted(taken: Import) -> Response[bytes]:
    return Response(
        msgspec.json.encode(shown(taken)),
        status_code=202,
        headers={"location": f"/v1/imports/{taken.id}"},
        media_type="application/json",
    )


async def _lines(request: Request[Any, Any, Any], import_id: UUID) -> AsyncIterator[bytes]:
    # Of a key that is revoked meanwhile the answer is cut: what the guard asked is asked each time.
    async for lines in imports.whole_report(partial(reading, request), import_id):
        yield b"".join([msgspec.json.encode(_line(each)) + b"\n" for each in lines])


def _line(line: RowReport) -> dict[str, Any]:
    return {"file": line.part, "line": line.line, "outcome": line.outcome, "reason": line.reason}


async def _body(request: Request[Any, Any, Any], most: int) -> bytes:
    announced = request.headers.get("content-length", "")
    if announced.isdigit() and int(announced) > most:
        raise HTTPException(status_code=413)
    content = bytearray()
    async for piece in request.stream():
        content += piece
        if len(content) > most:
            raise HTTPException(status_code=413)
    return bytes(content)


handlers = [
    get_imports,
    post_import,
    post_import_start,
    post_import_undo,
    get_import,
    get_import_report,
]
