"""Purposes and their texts; a customer's consent tab, where staff can record a no, never a yes."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

import msgspec
from litestar import Request, Response, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath

from crm import consent, customers
from crm.businesses import Business
from crm.consent import Circumstances, EvidenceKind, Method, NewNotice, NewPurpose, Notice
from crm.db import Db, ReadDb
from crm.errors import Invalid, Refused
from crm.staff import Member, ReasonMissing, Right
from crm.staff.auth import Looks, may
from crm.web.forms import Form, read_form
from crm.web.pages import page, redirect

# A text of 5,000 characters, each written as %XX of up to four bytes.
_BODY = 128 * 1024
_PURPOSES = "/staff/purposes"
_CHANNELS = ("email", "none")


@get("/purposes", guards=[may(Right.see_campaigns)])
async def get_purposes(db: NamedDependency[ReadDb], business: NamedDependency[Business]) -> Any:
    """List the purposes, with the text each asks with now."""
    return page(
        "consent/pages/purposes.html",
        purposes=await consent.purposes(db),
        current=await consent.current_notices(db, business.locale),
    )


@get("/purposes/new", guards=[may(Right.edit_purposes)], sync_to_thread=False)
def get_new_purpose() -> Response[Any]:
    """Show the form for a purpose."""
    return page("consent/pages/new_purpose.html", form=Form.of(channel="email", double_opt_in="on"))


@post("/purposes", guards=[may(Right.edit_purposes)], request_max_body_size=_BODY)
async def post_purpose(
    request: Request[Any, Any, Any], db: NamedDependency[Db], who: NamedDependency[Member]
) -> Response[Any]:
    """Add a purpose and lead on to its text, or show the form again."""
    form = await read_form(request)
    entered = {
        "name": form.text("name"),
        "slug": form.text("slug", max=63),
        "description": form.text("description", required=False, max=1000),
        "channel": form.choice("channel", _CHANNELS),
        "double_opt_in": form.boolean("double_opt_in"),
    }
    new = _checked(form, entered, NewPurpose, {"slug": _BAD_SLUG})
    if new is not None:
        try:
            purpose = await consent.add_purpose(db, who.actor, new)
            return redirect(
                f"{_PURPOSES}/{purpose.id}", say=f"{purpose.name} is added. Publish its text next."
            )
        except consent.SlugTaken as refusal:
            form.wrong("slug", refusal.message)
    return page("consent/pages/new_purpose.html", status=422, form=form)


@get("/purposes/{purpose_id:uuid}", guards=[may(Right.see_campaigns)])
async def get_purpose(
    db: NamedDependency[ReadDb], business: NamedDependency[Business], purpose_id: FromPath[UUID]
) -> Response[Any]:
    """Show a purpose with every version of its text, and the form for the next."""
    return await _purpose_page(db, purpose_id, Form.of(locale=business.locale))


@post(
    "/purposes/{purpose_id:uuid}/notices",
    guards=[may(Right.edit_purposes)],
    request_max_body_size=_BODY,
)
async def post_notice(
    request: Request[Any, Any, Any],
    db: NamedDependency[Db],
    who: NamedDependency[Member],
    purpose_id: FromPath[UUID],
) -> Response[Any]:
    """Publish the next version of a purpose's text, or show the form again."""
    form = await read_form(request)
    entered = {
        "locale": form.text("locale", max=35),
        "text": form.text("text", max=5000, lines=True),
        "control_label": form.text("control_label", max=300),
        "accepts": form.choices("accepts", list(EvidenceKind)),
    }
    new = _checked(form, entered, NewNotice, {"locale": _BAD_LOCALE, "text": _BAD_TEXT})
    if new is None:
        return await _purpose_page(db, purpose_id, form, status=422)
    notice = await consent.publish_notice(db, who.actor, purpose_id, new)
    return redirect(
        f"{_PURPOSES}/{purpose_id}",
        say=f"Version {notice.version} is published. Whoever is asked from now on reads it.",
    )


@get("/customers/{id:uuid}/consent", guards=[may(Right.see_customers)])
async def get_customer_consent(
    db: NamedDependency[ReadDb],
    business: NamedDependency[Business],
    looks: NamedDependency[Looks],
    id: FromPath[UUID],
) -> Response[Any]:
    """Show what a customer allows and the proof of it; this is a look."""
    return await _customer_page(db, business, looks, id, Form())


@post(
    "/customers/{id:uuid}/consent/{purpose_id:uuid}/withdrawal",
    guards=[may(Right.change_customers)],
    request_max_body_size=_BODY,
)
async def post_withdrawal(
    db: NamedDependency[Db],
    who: NamedDependency[Member],
    id: FromPath[UUID],
    purpose_id: FromPath[UUID],
) -> Response[Any]:
    """Record that the customer said no; it counts at once, and only she can lift it."""
    await customers.get(db, id)
    purpose = await consent.purpose(db, purpose_id)
    await consent.withdraw(db, who.actor, id, purpose_id, method=Method.staff)
    return redirect(_tab(id), say=f"{purpose.name} is off. It counted at once.")


@post(
    "/customers/{id:uuid}/consent/withdrawal",
    guards=[may(Right.change_customers)],
    request_max_body_size=_BODY,
)
async def post_withdrawal_of_all(
    db: NamedDependency[Db], who: NamedDependency[Member], id: FromPath[UUID]
) -> Response[Any]:
    """Record a no to everything the customer has not said no to already."""
    await customers.get(db, id)
    await consent.withdraw_all(db, who.actor, id, method=Method.staff)
    return redirect(_tab(id), say="All of it is off. It counted at once.")


@post(
    "/customers/{id:uuid}/consent/{purpose_id:uuid}/signed-form",
    guards=[may(Right.change_customers)],
    request_max_body_size=_BODY,
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
        return await _customer_page(db, business, looks, id, form, asked=purpose_id)
    day, at = signed_on
    evidence = {
        "kind": EvidenceKind.signed_form.value,
        "signed_on": day.isoformat(),
        "kept_at": kept_at,
    }
    how = Circumstances(Method.staff, at=at, evidence=evidence)
    await consent.give(db, who.actor, id, notice.question, how)
    return redirect(_tab(id), say="The signed form is recorded.")


_BAD_SLUG = "Small letters and digits, joined by single hyphens, such as corner-letter."
_BAD_LOCALE = "A language as in en, en-GB or ar."
_BAD_TEXT = "At least 10 characters, so that a person knows what she agrees to."


def _checked(form: Form, entered: dict[str, Any], to: type[Any], sentences: dict[str, str]) -> Any:
    """Turn what was entered into `to` by its own rules, or note what they refuse."""
    if form.problems:
        return None
    for name, sentence in sentences.items():
        try:
            msgspec.convert({**_PLAIN[to], name: entered[name]}, to)
        except msgspec.ValidationError:
            form.wrong(name, sentence)
    return None if form.problems else msgspec.convert(entered, to)


# What passes the rules of each, so that one value at a time can be tried.
_PLAIN: dict[type[Any], dict[str, Any]] = {
    NewPurpose: {"slug": "letter", "name": "Letter"},
    NewNotice: {"locale": "en", "text": "Yes, write to me.", "control_label": "Yes"},
}


async def _purpose_page(
    db: ReadDb, purpose_id: UUID, form: Form, *, status: int = 200
) -> Response[Any]:
    return page(
        "consent/pages/purpose.html",
        status=status,
        purpose=await consent.purpose(db, purpose_id),
        notices=await consent.notices(db, purpose_id),
        kinds=list(EvidenceKind),
        form=form,
    )


async def _customer_page(
    db: ReadDb,
    business: Business,
    looks: Looks,
    customer_id: UUID,
    form: Form,
    *,
    asked: UUID | None = None,
) -> Response[Any]:
    customer = await customers.get(db, customer_id)
    try:
        await looks.record([customer_id])
    except ReasonMissing:
        # The record's own page asks for it.
        return redirect(f"/staff/customers/{customer_id}")
    standings = await consent.standings(db, customer_id, customer.locale or business.locale)
    return page(
        "consent/pages/customer.html",
        status=422 if form.problems else 200,
        customer=customer,
        standings=standings,
        printed={each.purpose.id: await _accepting(db, each.purpose.id) for each in standings},
        form=form,
        asked=asked,
    )


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
    get_purposes,
    get_new_purpose,
    post_purpose,
    get_purpose,
    post_notice,
    get_customer_consent,
    post_withdrawal,
    post_withdrawal_of_all,
    post_signed_form,
]
