"""Rows in quarantine for programs: listed, released by evidence, let go."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from litestar import Request, Response, delete, get, post
from litestar.di import NamedDependency
from litestar.openapi.datastructures import ResponseSpec
from litestar.params import FromPath, FromQuery, JSONBody
from msgspec import Meta, Struct

from crm import consent, customers, imports
from crm.consent import ConsentEvent, Form
from crm.db import Db, ReadDb
from crm.imports import quarantine
from crm.imports.quarantine import After, Kept
from crm.privacy.quarantine import actions
from crm.privacy.quarantine.actions import Shown
from crm.staff import Caller
from crm.staff.auth import Looks, needs
from crm.web.idempotency import once
from crm.web.paging import Cursors, capped, link

_READ = [needs("imports:write")]
_TAGS = ["Imports"]
_BODY = 128 * 1024


class QuarantinedRow(Struct, frozen=True, kw_only=True):
    """A row without evidence, and whom it keeps apart until when; the address is masked.

    `silenced` where mail to the address is suppressed: then no evidence releases it.
    """

    customer_id: UUID
    purpose_id: UUID
    address: str
    file: str
    line: int
    why: str
    since: datetime
    ends_at: datetime
    silenced: bool


class Release(Struct, kw_only=True, forbid_unknown_fields=True):
    """The evidence that the row lacked: the text she was shown, and when she agreed."""

    notice: UUID
    # With a zone.
    at: Annotated[datetime, Meta(tz=True)]
    # With the `kind` that the notice accepts; names are plain, texts short.
    evidence: dict[str, str | int | bool]
    # Where she decided: the caller's name for the form, and its page.
    form: Annotated[str, Meta(max_length=100)] = ""
    page: Annotated[str, Meta(max_length=500)] = ""


class LetGo(Struct, frozen=True):
    """How many rows are let go; a worker deletes them one by one."""

    rows: int


@get(
    "/imports/{import_id:uuid}/quarantine",
    guards=_READ,
    tags=_TAGS,
    summary="List the rows without evidence",
    description="Rows that ask for a consent and have no evidence that its text accepts, in the "
    "order of the file: kept apart, never mailable, and deleted at `ends_at`. Once evidence is "
    "recorded, by a later import, by a release or by the customer herself, the row is not here any "
    "more. Each customer can see that this key looked.",
)
async def get_quarantine(
    db: NamedDependency[ReadDb],
    looks: NamedDependency[Looks],
    import_id: FromPath[UUID],
    *,
    limit: FromQuery[int | None] = None,
    after: FromQuery[str | None] = None,
) -> Response[list[QuarantinedRow]]:
    """List the rows without evidence."""
    found = await imports.get(db, import_id)
    size = capped(limit)
    cursors = Cursors(db.keys, db.business_id, f"quarantine/{found.id}")
    begun = cursors.open(after, After)
    rows = await quarantine.quarantined(db, found.id, after=begun, limit=size + 1)
    cut = cursors.cut(rows, size, lambda row: After(row.part, row.line, row.customer_id))
    await looks.listed([row.customer_id for row in cut.rows])
    path = f"/v1/imports/{found.id}/quarantine"
    return Response([_shown(row) for row in cut.rows], headers=link(path, cut.after, limit=size))


@post(
    "/imports/{import_id:uuid}/quarantine/{customer_id:uuid}/release",
    guards=[needs("consents:write")],
    request_max_body_size=_BODY,
    opt={
        "example": {
            "notice": "NOTICE_ID",
            "at": "2026-05-03T10:00:00Z",
            "evidence": {"kind": "former_double_opt_in", "source": "Log of the former tool"},
        }
    },
    tags=_TAGS,
    summary="Release a row by its evidence",
    description="Records the yes that the row asked for: `notice` is the text she was shown, `at` "
    "when she agreed, `evidence` with a `kind` that the text accepts (409 "
    "`evidence_not_accepted`). It lifts no earlier no (409 `opt_out_stands`) and no suppression "
    "(409 `silenced`). With an Idempotency-Key a repeated request does nothing twice.",
    responses={201: ResponseSpec(ConsentEvent, generate_examples=False, description="Recorded")},
)
async def post_release(
    *,
    request: Request[Any, Any, Any],
    db: NamedDependency[Db],
    caller: NamedDependency[Caller],
    import_id: FromPath[UUID],
    customer_id: FromPath[UUID],
    data: JSONBody[Release],
) -> Response[bytes]:
    """Release a row by its evidence."""
    shown = Shown(
        notice_id=data.notice,
        at=consent.check_instant(data.at, db.now),
        evidence=consent.checked_evidence(data.evidence),
        # Without what a query may say of her.
        form=Form(data.form, data.page.partition("?")[0]) if data.form or data.page else None,
    )

    async def act() -> ConsentEvent:
        return await actions.release(db, caller.actor, import_id, customer_id, shown)

    return await once(request, db, str(caller.id), act, status=201)


@delete(
    "/imports/{import_id:uuid}/quarantine/{customer_id:uuid}",
    guards=_READ,
    status_code=204,
    tags=_TAGS,
    summary="Let a row without evidence go",
    description="The row is deleted at once, and with it the record of a customer whom nothing but "
    "such rows brought. No mark stays, so a list with evidence may bring her again; a suppression "
    "stays. 409 `record_frozen` while her record is frozen.",
)
async def delete_row(
    db: NamedDependency[Db],
    caller: NamedDependency[Caller],
    import_id: FromPath[UUID],
    customer_id: FromPath[UUID],
) -> None:
    """Let a row without evidence go."""
    await actions.let_go(db, caller.actor, import_id, customer_id)


@delete(
    "/imports/{import_id:uuid}/quarantine",
    guards=_READ,
    status_code=202,
    tags=_TAGS,
    summary="Let all rows without evidence go",
    description="The same for all rows of an import that are in quarantine, by a worker.",
)
async def delete_quarantine(
    db: NamedDependency[Db], caller: NamedDependency[Caller], import_id: FromPath[UUID]
) -> LetGo:
    """Let all rows without evidence go."""
    return LetGo(await actions.let_all_go(db, caller.actor, import_id))


def _shown(row: Kept) -> QuarantinedRow:
    return QuarantinedRow(
        customer_id=row.customer_id,
        purpose_id=row.purpose_id,
        address=customers.masked(row.address),
        file=row.part,
        line=row.line,
        why=row.why,
        since=row.since,
        ends_at=row.ends_at,
        silenced=row.silenced,
    )


handlers = [get_quarantine, post_release, delete_row, delete_quarantine]
