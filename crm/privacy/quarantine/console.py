"""Rows in quarantine for staff: what each lacks, the way to add it, and to let rows go."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from litestar import Response, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery

from crm import consent, imports
from crm.db import Db, ReadDb
from crm.imports import quarantine
from crm.imports.quarantine import QUARANTINED, After
from crm.privacy.quarantine import actions
from crm.staff import Member, Right
from crm.staff.auth import Looks, may
from crm.web.pages import page, redirect
from crm.web.paging import DEFAULT_LIMIT, Cursors

_IMPORTS = [may(Right.import_customers)]


@get("/imports/{import_id:uuid}/quarantine", guards=_IMPORTS)
async def get_quarantine(
    db: NamedDependency[ReadDb],
    looks: NamedDependency[Looks],
    who: NamedDependency[Member],
    import_id: FromPath[UUID],
    after: FromQuery[str | None] = None,
) -> Response[Any]:
    """List the rows without evidence; a look at each of them, as any list."""
    found = await imports.get(db, import_id)
    path = _path(found.id)
    cursors = Cursors(db.keys, db.business_id, f"quarantine/{found.id}")
    begun = cursors.open(after, After)
    rows = await quarantine.quarantined(db, found.id, after=begun, limit=DEFAULT_LIMIT + 1)
    cut = cursors.cut(rows, DEFAULT_LIMIT, lambda row: After(row.part, row.line, row.customer_id))
    await looks.listed([row.customer_id for row in cut.rows])
    return page(
        "privacy/pages/quarantine.html",
        found=found,
        purpose=await consent.purpose(db, found.purpose_id),
        rows=cut.rows,
        count=await quarantine.count(db, found.id),
        days=QUARANTINED.days,
        may_add=who.may(Right.change_customers),
        older=f"{path}?after={cut.after}" if cut.after else "",
        first=path if begun else "",
        path=path,
    )


@post(
    "/imports/{import_id:uuid}/quarantine/{customer_id:uuid}/let-go",
    guards=_IMPORTS,
    status_code=303,
)
async def post_let_go(
    db: NamedDependency[Db],
    who: NamedDependency[Member],
    import_id: FromPath[UUID],
    customer_id: FromPath[UUID],
) -> Response[Any]:
    """Let one row go."""
    await actions.let_go(db, who.actor, import_id, customer_id)
    return redirect(_path(import_id), say="The row is deleted.")


@post("/imports/{import_id:uuid}/quarantine/let-go", guards=_IMPORTS, status_code=303)
async def post_let_all_go(
    db: NamedDependency[Db], who: NamedDependency[Member], import_id: FromPath[UUID]
) -> Response[Any]:
    """Let all rows of an import go."""
    ended = await actions.let_all_go(db, who.actor, import_id)
    say = "One row is being deleted." if ended == 1 else f"{ended} rows are being deleted."
    return redirect(_path(import_id), say=say)


def _path(import_id: UUID) -> str:
    return f"/staff/imports/{import_id}/quarantine"


handlers = [get_quarantine, post_let_go, post_let_all_go]
