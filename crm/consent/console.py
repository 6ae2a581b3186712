"""Purposes and their texts, for staff."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import msgspec
from litestar import Request, Response, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath

from crm import consent
from crm.businesses import Business
from crm.consent import EvidenceKind, NewNotice, NewPurpose
from crm.db import Db, ReadDb
from crm.staff import Member, Right
from crm.staff.auth import may
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


@get("/consents", guards=[may(Right.see_campaigns)])
async def get_consents(db: NamedDependency[ReadDb]) -> Response[Any]:
    """Show how the consents to each purpose age: how many end when, and how many ended."""
    months = await consent.ending_by_month(db)
    return page(
        "consent/pages/ageing.html",
        purposes={each.id: each for each in await consent.purposes(db)},
        ages=await consent.ages(db),
        months={
            purpose_id: [each for each in months if each.purpose_id == purpose_id]
            for purpose_id in {each.purpose_id for each in months}
        },
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
        except (consent.SlugTaken, consent.SlugNeedsNoConsent) as refusal:
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


handlers = [get_purposes, get_consents, get_new_purpose, post_purpose, get_purpose, post_notice]
