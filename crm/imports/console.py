"""Imports for staff: choose file and purpose, watch it being worked through, read the report."""

from __future__ import annotations

import csv
import io
from collections.abc import AsyncIterator, Iterable
from functools import partial
from typing import Any
from uuid import UUID

from litestar import Request, Response, get, post
from litestar.datastructures import UploadFile
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery
from litestar.response import Stream
from msgspec import Struct

from crm import consent, imports
from crm.businesses import Business
from crm.consent import EvidenceKind, NoNotice, Notice
from crm.db import Db, ReadDb
from crm.errors import Refused
from crm.imports import TITLES, Import, Place, PurposeOutOfUse, State, Tool, mappings, quarantine
from crm.imports.encoding import ENCODINGS
from crm.imports.mapping import Reading, Separator
from crm.settings import Settings
from crm.staff import Member, Right
from crm.staff.auth import may
from crm.web.forms import Form, read_form
from crm.web.pages import page, redirect
from crm.web.paging import DEFAULT_LIMIT, Cursors
from crm.web.transaction import reading

_PATH = "/staff/imports"
# The operator's own limit is checked where the file is read; this one only ends the absurd.
_BODY = 1_010_000_000

_ACCEPTS: dict[EvidenceKind, str] = {
    EvidenceKind.former_double_opt_in: "a sign-up confirmed by mail at the former tool",
    EvidenceKind.former_single_opt_in: "a sign-up at the former tool, even if never confirmed",
    EvidenceKind.signed_form: "a signed form",
}
_STATES: dict[State, tuple[str, str]] = {
    State.waiting: ("waiting", "wait"),
    State.running: ("being worked through", "live"),
    State.tried: ("only tried", ""),
    State.done: ("imported", "yes"),
    State.undoing: ("being undone", "live"),
    State.undone: ("undone", ""),
    State.failed: ("nothing kept", "stop"),
}
_STEP = {
    State.waiting: 2,
    State.running: 2,
    State.tried: 3,
    State.done: 4,
    State.undoing: 4,
    State.undone: 4,
    State.failed: 2,
}


class Offer(Struct, frozen=True):
    """A purpose to choose, with what its text makes of evidence from elsewhere."""

    slug: str
    name: str
    said: str
    locale: str
    accepts: str


class Line(Struct, frozen=True):
    """A line of what adds up."""

    label: str
    count: int
    why: str = ""
    href: str = ""
    swatch: str = ""


class Before(Struct, frozen=True):
    """The last import of a page."""

    id: UUID


@get("/imports", guards=[may(Right.import_customers)])
async def get_imports(
    db: NamedDependency[ReadDb],
    business: NamedDependency[Business],
    after: FromQuery[str | None] = None,
) -> Response[Any]:
    """List imports beside the form for the next."""
    return await _list(db, business, Form(), after=after)


@post(
    "/imports",
    opt={"right": Right.import_customers},
    request_max_body_size=_BODY,
    status_code=303,
)
async def post_import(
    request: Request[Any, Any, Any],
    db: NamedDependency[Db],
    who: NamedDependency[Member],
    business: NamedDependency[Business],
) -> Response[Any]:
    """Receive a file, or say what is wrong with it."""
    form = await read_form(request)
    offers = await _offers(db, business)
    slug = form.choice("purpose", [offer.slug for offer in offers])
    settings: Settings = request.app.state.settings
    file = form.file("file")
    content = await _content(form, file, settings.imports.max_bytes) if file else b""
    reading = await _reading(db, form)
    if not form.problems and file and slug:
        try:
            purpose = await consent.purpose_by_slug(db, slug)
            received = await imports.receive(
                db,
                who.actor,
                purpose.id,
                file.filename,
                content,
                only_try=form.typed("only_try") == "yes",
                reading=reading,
            )
            return redirect(f"{_PATH}/{received.id}")
        except (NoNotice, PurposeOutOfUse) as refusal:
            form.wrong("purpose", refusal.message)
        except Refused as refusal:
            form.wrong("file", refusal.message)
    return await _list(db, business, form)


@get("/imports/{import_id:uuid}", guards=[may(Right.import_customers)])
async def get_import(
    db: NamedDependency[ReadDb],
    import_id: FromPath[UUID],
    after: FromQuery[str | None] = None,
) -> Response[Any]:
    """Show how far an import is, or its books and its report."""
    found = await imports.get(db, import_id)
    path = f"{_PATH}/{found.id}"
    cursors = Cursors(db.keys, db.business_id, f"import/{found.id}")
    begun = cursors.open(after, Place)
    lines = await imports.report(db, found.id, after=begun, limit=DEFAULT_LIMIT + 1)
    cut = cursors.cut(lines, DEFAULT_LIMIT, lambda line: Place(line.part, line.line, line.number))
    expected = await imports.expected(db, found.id) if found.open else None
    return page(
        "imports/pages/import.html",
        found=found,
        read_as=TITLES[Tool(found.format)],
        purpose=await consent.purpose(db, found.purpose_id),
        accepts=_accepts(await consent.notice(db, found.notice_id)),
        step=_STEP[found.state],
        sum=_sum(found, path),
        quarantined=await quarantine.count(db, found.id),
        progress=_progress(found, expected),
        expected=max(expected or 0, found.rows_read),
        lines=cut.rows,
        reasons=[] if begun else await imports.reasons(db, found.id),
        older=f"{path}?after={cut.after}#report" if cut.after else "",
        first=f"{path}#report" if begun else "",
        download=f"{path}/report.csv",
    )


@post("/imports/{import_id:uuid}/start", guards=[may(Right.import_customers)], status_code=303)
async def post_import_start(
    db: NamedDependency[Db], who: NamedDependency[Member], import_id: FromPath[UUID]
) -> Response[Any]:
    """Import for good what was tried."""
    started = await imports.start(db, who.actor, import_id)
    return redirect(f"{_PATH}/{started.id}")


@post("/imports/{import_id:uuid}/undo", guards=[may(Right.import_customers)], status_code=303)
async def post_import_undo(
    db: NamedDependency[Db], who: NamedDependency[Member], import_id: FromPath[UUID]
) -> Response[Any]:
    """Have a whole import undone."""
    undoing = await imports.undo(db, who.actor, import_id)
    return redirect(f"{_PATH}/{undoing.id}")


@get("/imports/{import_id:uuid}/report.csv", guards=[may(Right.import_customers)])
async def get_import_report(
    request: Request[Any, Any, Any], db: NamedDependency[ReadDb], import_id: FromPath[UUID]
) -> Stream:
    """Send the whole report as a file."""
    found = await imports.get(db, import_id)
    return Stream(
        _csv(request, found.id),
        media_type="text/csv",
        headers={"content-disposition": f'attachment; filename="import-{found.id}.csv"'},
    )


async def _list(
    db: ReadDb, business: Business, form: Form, *, after: str | None = None
) -> Response[Any]:
    cursors = Cursors(db.keys, db.business_id, "imports")
    begun = cursors.open(after, Before)
    found = await imports.page(db, before=begun.id if begun else None, limit=DEFAULT_LIMIT + 1)
    cut = cursors.cut(found, DEFAULT_LIMIT, lambda each: Before(each.id))
    return page(
        "imports/pages/imports.html",
        status=422 if form.problems else 200,
        form=form,
        offers=await _offers(db, business),
        imports=cut.rows,
        saved=[(each.name, each.name) for each in await mappings.saved(db)],
        encodings=[(each, each) for each in ENCODINGS],
        separators=[(each.value, each.value) for each in Separator],
        states=_STATES,
        older=f"{_PATH}?after={cut.after}" if cut.after else "",
        newest=_PATH if begun else "",
    )


async def _reading(db: ReadDb, form: Form) -> Reading:
    """Read how the file is to be read, as far as somebody said so."""
    saved = [each.name for each in await mappings.saved(db)]
    return await mappings.reading(
        db,
        mapping=form.choice("mapping", saved, required=False) or "",
        encoding=form.choice("encoding", ENCODINGS, required=False) or "",
        separator=form.choice("separator", Separator, required=False),
    )


async def _offers(db: ReadDb, business: Business) -> list[Offer]:
    texts = await consent.current_notices(db, business.locale)
    return [
        Offer(each.slug, each.name, text.text, text.locale, _accepts(text))
        for each in await consent.purposes(db)
        if (text := texts.get(each.id)) is not None
    ]


def _accepts(notice: Notice) -> str:
    words = [said for kind, said in _ACCEPTS.items() if kind in notice.accepts]
    if not words:
        return (
            "This text accepts no evidence from elsewhere: everybody waits in quarantine, "
            "and nobody becomes mailable by an import."
        )
    return f"Mailable by an import: {' or '.join(words)}. Everybody else waits in quarantine."


async def _content(form: Form, file: UploadFile, most: int) -> bytes:
    content = await file.read(most + 1)
    if len(content) > most:
        form.wrong("file", f"This file is larger than {most / 1e6:,.1f} MB. Split it in parts.")
    elif not content:
        form.wrong("file", "This file is empty. Choose the one you exported.")
    return content


def _sum(found: Import, path: str) -> list[Line]:
    report = f"{path}#report"
    return [
        Line("New customers", found.added, "Added, each with what the file proves about them."),
        Line("Known customers, changed", found.changed, "Only what was empty, or an opt-out."),
        Line("Nothing new", found.unchanged, "Known already, or named twice in the file."),
        Line("Not taken in", found.rejected, "Not usable, or not to be contacted.", report),
    ]


def _progress(found: Import, expected: int | None) -> list[Line]:
    to_come = max((expected or 0) - found.rows_read, 0)
    return [
        Line("Rows read", found.rows_read, swatch="sent"),
        Line("About to come", to_come, swatch="waiting"),
    ]


async def _csv(request: Request[Any, Any, Any], import_id: UUID) -> AsyncIterator[bytes]:
    # Whose session ends meanwhile has the answer cut: what the guard asked is asked each time.
    yield _written([("file", "line", "outcome", "reason")])
    async for lines in imports.whole_report(partial(reading, request), import_id):
        yield _written([(each.part, each.line, each.outcome.value, each.reason) for each in lines])


def _written(rows: Iterable[Iterable[object]]) -> bytes:
    text = io.StringIO()
    csv.writer(text).writerows(rows)
    return text.getvalue().encode()


handlers = [
    get_imports,
    post_import,
    post_import_start,
    post_import_undo,
    get_import,
    get_import_report,
]
