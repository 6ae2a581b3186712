"""A customer's consent for staff: the proof of each decision, and a no to record; never a yes.

Except for what she signed by hand, which is recorded as that, with the file that shows it.
"""

from __future__ import annotations

from datetime import UTC, date, datetime
from functools import partial
from typing import Any
from urllib.parse import quote
from uuid import UUID
from zoneinfo import ZoneInfo

from litestar import Request, Response, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath
from msgspec import Struct

from crm import consent, customers
from crm.businesses import Business
from crm.consent import MAX_FILE, BadFile, Circumstances, EvidenceKind, Method, Notice, Purpose
from crm.db import Db, ReadDb
from crm.errors import Invalid, Refused
from crm.events import Actor
from crm.staff import Member, NotYourRole, ReasonMissing, Right
from crm.staff.auth import Looks, may
from crm.web.forms import Form, read_form
from crm.web.headers import DOWNLOAD
from crm.web.pages import page, redirect
from crm.web.transaction import attempt

_BODY = 16 * 1024
_FILE_BODY = MAX_FILE + 64 * 1024


class Looking(Struct, frozen=True):
    """A member who looks at a customer's consent; special categories are not for every role."""

    who: Member
    looks: Looks

    def may_see(self, purpose: Purpose) -> bool:
        """Say whether decisions about this purpose may be shown to the member (Art. 9 GDPR)."""
        return not purpose.special_category or self.who.may(Right.see_special)


@get("/customers/{id:uuid}/consent", guards=[may(Right.see_customers)])
async def get_customer_consent(
    db: NamedDependency[ReadDb],
    business: NamedDependency[Business],
    looks: NamedDependency[Looks],
    who: NamedDependency[Member],
    id: FromPath[UUID],
) -> Response[Any]:
    """Show what a customer allows and the proof of it; this is a look."""
    return await _customer_page(db, business, Looking(who, looks), id, Form())


@post(
    "/customers/{id:uuid}/consent/{purpose_id:uuid}/withdrawal",
    guards=[may(Right.change_customers)],
    request_max_body_size=_BODY,
)
async def post_withdrawal(
    request: Request[Any, Any, Any],
    db: NamedDependency[Db],
    who: NamedDependency[Member],
    id: FromPath[UUID],
    purpose_id: FromPath[UUID],
) -> Response[Any]:
    """Record that the customer said no; it counts at once, and only she can lift it."""
    no = partial(_withdraw, who=who, id=id, purpose_id=purpose_id, method=Method.staff)
    name = await attempt(request, db, no)
    return redirect(_tab(id), say=f"{name} is off. It counted at once.")


@post(
    "/customers/{id:uuid}/consent/withdrawal",
    guards=[may(Right.change_customers)],
    request_max_body_size=_BODY,
)
async def post_withdrawal_of_all(
    request: Request[Any, Any, Any],
    db: NamedDependency[Db],
    who: NamedDependency[Member],
    id: FromPath[UUID],
) -> Response[Any]:
    """Record a no to everything the customer has not said no to already."""
    await attempt(request, db, partial(_withdraw_all, who=who, id=id))
    return redirect(_tab(id), say="All of it is off. It counted at once.")


@get("/customers/{id:uuid}/consent/record", guards=[may(Right.see_customers)])
async def get_record(
    db: NamedDependency[ReadDb],
    looks: NamedDependency[Looks],
    who: NamedDependency[Member],
    id: FromPath[UUID],
) -> Response[Any]:
    """Show every decision with its text and proof on one page, to be printed; this is a look."""
    customer = await customers.get(db, id)
    if not await _seen(looks, id):
        return redirect(f"/staff/customers/{id}")
    purposes = {each.id: each for each in await consent.purposes_for(db, id)}
    looking = Looking(who, looks)
    return page(
        "consent/pages/record.html",
        customer=customer,
        exhibits=[
            each
            for each in await consent.exhibits(db, id)
            if looking.may_see(purposes[each.event.purpose_id])
        ],
        now=db.now,
        purposes=purposes,
    )


@get("/customers/{id:uuid}/consent/events/{event_id:uuid}", guards=[may(Right.see_customers)])
async def get_exhibit(
    db: NamedDependency[ReadDb],
    looks: NamedDependency[Looks],
    who: NamedDependency[Member],
    id: FromPath[UUID],
    event_id: FromPath[UUID],
) -> Response[Any]:
    """Show one decision with everything that proves it, checked now; this is a look."""
    customer = await customers.get(db, id)
    found = await consent.exhibit(db, id, event_id)
    purpose = await consent.purpose(db, found.event.purpose_id)
    _check_may_see(Looking(who, looks), purpose)
    if not await _seen(looks, id):
        return redirect(f"/staff/customers/{id}")
    return page(
        "consent/pages/exhibit.html",
        customer=customer,
        exhibit=found,
        purpose=purpose,
    )


@get("/customers/{id:uuid}/consent/files/{file_id:uuid}", guards=[may(Right.see_customers)])
async def get_file(
    db: NamedDependency[ReadDb],
    looks: NamedDependency[Looks],
    who: NamedDependency[Member],
    id: FromPath[UUID],
    file_id: FromPath[UUID],
) -> Response[Any]:
    """Hand a file of evidence out as it came, for no browser to open; this is a look."""
    await customers.get(db, id)
    about = {each.id: each for each in await consent.purposes_for(db, id)}
    for event in await consent.history(db, id):
        if event.evidence.get("file") == str(file_id):
            _check_may_see(Looking(who, looks), about[event.purpose_id])
    name, content = await consent.file_content(db, id, file_id)
    if not await _seen(looks, id):
        return redirect(f"/staff/customers/{id}")
    told = f"attachment; filename*=UTF-8''{quote(name, safe='')}"
    headers = DOWNLOAD | {"content-disposition": told}
    return Response(content, media_type="application/octet-stream", headers=headers)


@post(
    "/customers/{id:uuid}/consent/{purpose_id:uuid}/complaint",
    guards=[may(Right.change_customers)],
    request_max_body_size=_BODY,
)
async def post_complaint(
    request: Request[Any, Any, Any],
    db: NamedDependency[Db],
    who: NamedDependency[Member],
    id: FromPath[UUID],
    purpose_id: FromPath[UUID],
) -> Response[Any]:
    """Record that she complained of a mail, which is a no; it counts at once."""
    no = partial(_withdraw, who=who, id=id, purpose_id=purpose_id, method=Method.complaint)
    name = await attempt(request, db, no)
    return redirect(_tab(id), say=f"{name} is off, because she complained.")


async def _withdraw_all(db: Db, *, who: Member, id: UUID) -> None:
    # Held: a record that was merged into another this moment has nothing left to say no to.
    held = await consent.hold_many(db, [id])
    customer = await customers.get(db, held.merged.get(id, id))
    await consent.withdraw_all(db, who.actor, customer.id, method=Method.staff)


async def _withdraw(db: Db, *, who: Member, id: UUID, purpose_id: UUID, method: Method) -> str:
    await customers.get(db, id)
    purpose = await consent.purpose(db, purpose_id)
    await consent.withdraw(db, who.actor, id, purpose_id, method=method)
    return purpose.name


@post(
    "/customers/{id:uuid}/consent/{purpose_id:uuid}/invalidation",
    guards=[may(Right.change_customers)],
    request_max_body_size=_BODY,
)
async def post_invalidation(
    *,
    request: Request[Any, Any, Any],
    db: NamedDependency[Db],
    business: NamedDependency[Business],
    looks: NamedDependency[Looks],
    who: NamedDependency[Member],
    id: FromPath[UUID],
    purpose_id: FromPath[UUID],
) -> Response[Any]:
    """End a consent that was found not to hold, and say why; only she can give another."""
    await customers.get(db, id)
    purpose = await consent.purpose(db, purpose_id)
    form = await read_form(request)
    why = form.text("why", max=500)
    if form.problems:
        return await _customer_page(db, business, Looking(who, looks), id, form, asked=purpose_id)
    await consent.invalidate(db, who.actor, id, purpose_id, why=why)
    return redirect(_tab(id), say=f"The consent to {purpose.name} is ended. She can read why.")


@post(
    "/customers/{id:uuid}/consent/{purpose_id:uuid}/signed-form",
    opt={"right": Right.change_customers},
    request_max_body_size=_FILE_BODY,
)
async def post_signed_form(
    *,
    request: Request[Any, Any, Any],
    db: NamedDependency[Db],
    business: NamedDependency[Business],
    looks: NamedDependency[Looks],
    who: NamedDependency[Member],
    id: FromPath[UUID],
    purpose_id: FromPath[UUID],
) -> Response[Any]:
    """Record a form signed by hand, where the version that was printed accepts one."""
    await customers.get(db, id)
    form = await read_form(request)
    notice = await _printed(db, form, purpose_id)
    signed_on = form.parsed("signed_on", lambda text: _past_day(text, db.now, business))
    kept_at = form.text("kept_at", max=300)
    if form.problems or notice is None or signed_on is None:
        return await _customer_page(db, business, Looking(who, looks), id, form, asked=purpose_id)
    day, at = signed_on
    evidence = {
        "kind": EvidenceKind.signed_form.value,
        "signed_on": day.isoformat(),
        "kept_at": kept_at,
        **await _filed(db, who.actor, id, form),
    }
    if form.problems:
        return await _customer_page(db, business, Looking(who, looks), id, form, asked=purpose_id)
    how = Circumstances(Method.staff, at=at, evidence=evidence)
    await consent.give(db, who.actor, id, notice.question, how)
    return redirect(_tab(id), say="The signed form is recorded.")


async def _customer_page(
    db: ReadDb,
    business: Business,
    looking: Looking,
    customer_id: UUID,
    form: Form,
    *,
    asked: UUID | None = None,
) -> Response[Any]:
    customer = await customers.get(db, customer_id)
    if not await _seen(looking.looks, customer_id):
        return redirect(f"/staff/customers/{customer_id}")
    every = await consent.standings(db, customer_id, customer.locale or business.locale)
    standings = [each for each in every if looking.may_see(each.purpose)]
    return page(
        "consent/pages/customer.html",
        status=422 if form.problems else 200,
        customer=customer,
        standings=standings,
        apart={each.purpose_id: each for each in await consent.unproven(db, customer_id)},
        may_import=looking.who.may(Right.import_customers),
        hidden=len(every) - len(standings),
        printed={each.purpose.id: await _accepting(db, each.purpose.id) for each in standings},
        form=form,
        asked=asked,
    )


def _check_may_see(looking: Looking, purpose: Purpose) -> None:
    if not looking.may_see(purpose):
        raise NotYourRole


async def _seen(looks: Looks, customer_id: UUID) -> bool:
    """Record the look; without a reason nothing is shown, and her own page asks for it."""
    try:
        await looks.record([customer_id])
    except ReasonMissing:
        return False
    return True


async def _filed(db: Db, by: Actor, customer_id: UUID, form: Form) -> dict[str, str]:
    """Keep the file that came with the form, if one did; the record cites it by its content."""
    sent = form.file("file", required=False)
    if sent is None:
        return {}
    try:
        kept = await consent.add_file(db, by, customer_id, sent.filename, await sent.read())
    except BadFile as refusal:
        form.take(refusal)
        return {}
    return {"file": str(kept.id), "file_name": kept.name, "file_sha256": kept.sha256.hex()}


async def _accepting(db: ReadDb, purpose_id: UUID) -> list[Notice]:
    found = await consent.notices(db, purpose_id)
    return [each for each in found if EvidenceKind.signed_form in each.accepts]


async def _printed(db: ReadDb, form: Form, purpose_id: UUID) -> Notice | None:
    by_id = {str(each.id): each for each in await _accepting(db, purpose_id)}
    chosen = form.choice("notice", list(by_id))
    return by_id[chosen] if chosen else None


def _past_day(text: str, now: datetime, business: Business) -> tuple[date, datetime]:
    try:
        day = date.fromisoformat(text)
        at = datetime(day.year, day.month, day.day, tzinfo=ZoneInfo(business.time_zone))
        return day, consent.check_instant(at.astimezone(UTC), now)
    except (ValueError, OverflowError, Refused):
        sentence = "This is the day on the form, such as 2026-05-03, and not one to come."
        raise Invalid(sentence) from None


def _tab(customer_id: UUID) -> str:
    return f"/staff/customers/{customer_id}/consent"


handlers = [
    get_customer_consent,
    get_record,
    get_exhibit,
    get_file,
    post_withdrawal,
    post_withdrawal_of_all,
    post_complaint,
    post_invalidation,
    post_signed_form,
]
