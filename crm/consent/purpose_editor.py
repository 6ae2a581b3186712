"""The editor of purposes: a next version is shown with what it would mean, and then published."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from uuid import UUID

from litestar import Request, Response, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath
from msgspec import Struct

from crm import consent
from crm.businesses import Business
from crm.consent import EvidenceKind, NewVersion, Notice
from crm.consent.changes import Piece, Work, by_words
from crm.consent.particulars import particulars
from crm.consent.states import Basis
from crm.consent.terms import DataKind, Terms, check_terms
from crm.consent.terms_form import (
    CHANNELS,
    Text,
    form_of,
    locales_of,
    read_notices,
    read_terms,
    read_texts,
)
from crm.db import Db, ReadDb
from crm.errors import Refused
from crm.staff import Member, Right
from crm.staff.auth import may
from crm.web.forms import Form, read_form
from crm.web.pages import page, redirect

_BODY = 512 * 1024
_PURPOSES = "/staff/purposes"
_LONGEST_GRACE = 3650
_STEPS = ("preview", "publish", "edit")


class Compared(Struct, frozen=True):
    """One language of the next version beside the one in use, word by word."""

    locale: str
    name: list[Piece]
    text: list[Piece]
    control_label: list[Piece]
    # What the law asks to be said besides, as it will be; empty where staff have to write it.
    particulars: str

    @property
    def differs(self) -> bool:
        """Whether any of these words is gone or come."""
        pieces = (*self.name, *self.text, *self.control_label)
        return any(each.kind != "same" for each in pieces)


class Next(Struct, frozen=True):
    """What was entered for the next version."""

    terms: Terms
    texts: list[Text]


@get("/purposes/{purpose_id:uuid}/version", guards=[may(Right.edit_purposes)])
async def get_version(db: NamedDependency[ReadDb], purpose_id: FromPath[UUID]) -> Response[Any]:
    """Show the form for the next version, filled with the one in use."""
    purpose = await consent.purpose(db, purpose_id)
    version = await consent.version(db, purpose_id, purpose.version)
    form = form_of(version.entered, await _texts_in_use(db, purpose_id))
    return await _edit_page(db, purpose_id, form)


@post(
    "/purposes/{purpose_id:uuid}/version",
    guards=[may(Right.edit_purposes)],
    request_max_body_size=_BODY,
)
async def post_version(
    request: Request[Any, Any, Any],
    db: NamedDependency[Db],
    business: NamedDependency[Business],
    who: NamedDependency[Member],
    purpose_id: FromPath[UUID],
) -> Response[Any]:
    """Show what the next version would mean, or publish it; what is wrong is said in the form."""
    form = await read_form(request)
    step = form.choice("step", _STEPS)
    texts = read_texts(form)
    terms = read_terms(form, texts)
    notices = read_notices(form, texts)
    grace = form.integer("grace_days", min=1, max=_LONGEST_GRACE)
    if terms is not None and not form.problems:
        try:
            check_terms(terms, soft_opt_in=business.soft_opt_in)
        except Refused as refusal:
            form.take(refusal)
    if form.problems or terms is None or step == "edit":
        return await _edit_page(db, purpose_id, form, status=422 if form.problems else 200)
    new = NewVersion(
        terms=terms,
        notices=notices,
        replaces=form.integer("replaces", required=False) or 0,
        is_substance=form.boolean("is_substance"),
        grace=timedelta(days=grace or 1),
    )
    if step == "preview":
        compared = await _compared(db, business, purpose_id, Next(terms, texts))
        return await _preview_page(db, purpose_id, form, new, compared)
    try:
        published = await consent.publish_version(db, who.actor, purpose_id, new)
    except Refused as refusal:
        form.take(refusal)
        return await _edit_page(db, purpose_id, form, status=409)
    return redirect(f"{_PURPOSES}/{purpose_id}", say=f"Version {published.version} is published.")


@get("/purposes/{purpose_id:uuid}/retirement", guards=[may(Right.edit_purposes)])
async def get_retirement(db: NamedDependency[ReadDb], purpose_id: FromPath[UUID]) -> Response[Any]:
    """Say what taking a purpose out of use would mean."""
    purpose = await consent.purpose(db, purpose_id)
    version = await consent.version(db, purpose_id, purpose.version)
    return page(
        "consent/pages/retire.html",
        purpose=purpose,
        means=await consent.consequences(db, purpose_id, version.entered),
    )


@post(
    "/purposes/{purpose_id:uuid}/retirement",
    guards=[may(Right.edit_purposes)],
    request_max_body_size=_BODY,
)
async def post_retirement(
    db: NamedDependency[Db], who: NamedDependency[Member], purpose_id: FromPath[UUID]
) -> Response[Any]:
    """Take a purpose out of use."""
    retired = await consent.retire(db, who.actor, purpose_id)
    return redirect(
        f"{_PURPOSES}/{purpose_id}",
        say=f"{retired.name} is out of use. Nobody is asked or mailed for it any more.",
    )


async def _edit_page(
    db: ReadDb, purpose_id: UUID, form: Form, *, status: int = 200
) -> Response[Any]:
    purpose = await consent.purpose(db, purpose_id)
    form.values["locales"] = [" ".join(locales_of(form))]
    form.values["another"] = [""]
    return page(
        "consent/pages/version.html",
        status=status,
        purpose=purpose,
        form=form,
        locales=locales_of(form),
        bases=list(Basis),
        channels=CHANNELS,
        data_kinds=list(DataKind),
        evidence_kinds=list(EvidenceKind),
    )


async def _preview_page(
    db: ReadDb, purpose_id: UUID, form: Form, new: NewVersion, compared: list[Compared]
) -> Response[Any]:
    hidden = {name: values for name, values in form.values.items() if name not in _AGAIN}
    return page(
        "consent/pages/version_preview.html",
        purpose=await consent.purpose(db, purpose_id),
        means=await consent.consequences(db, purpose_id, new.terms),
        anything_new=await consent.anything_new(db, purpose_id, new),
        worded=any(each.differs for each in compared),
        is_substance=new.is_substance,
        grace_days=form.typed("grace_days"),
        compared=compared,
        hidden=[(name, value) for name, values in hidden.items() for value in values],
    )


_AGAIN = frozenset({"step", "csrf", "replaces"})


async def _compared(db: ReadDb, business: Business, purpose_id: UUID, new: Next) -> list[Compared]:
    purpose = await consent.purpose(db, purpose_id)
    before = (await consent.version(db, purpose_id, purpose.version)).entered.wording
    in_use = await _texts_in_use(db, purpose_id)
    found, work = [], Work()
    for each in new.texts:
        wording, notice = before.get(each.locale), in_use.get(each.locale)
        found.append(
            Compared(
                each.locale,
                by_words(wording.name if wording else "", each.name, work),
                by_words(notice.text if notice else "", each.text, work),
                by_words(notice.control_label if notice else "", each.control_label, work),
                particulars(new.terms, business, each.locale),
            )
        )
    return found


async def _texts_in_use(db: ReadDb, purpose_id: UUID) -> dict[str, Notice]:
    """Return the newest text of each language, as those are who are asked now."""
    found: dict[str, Notice] = {}
    for each in await consent.notices(db, purpose_id):
        found.setdefault(each.locale, each)
    return found


handlers = [get_version, post_version, get_retirement, post_retirement]
