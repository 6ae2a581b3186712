"""The sign-up form as a page and as an answer: what it offered, what was entered, what is wrong."""

from __future__ import annotations

from typing import Any

import msgspec
from litestar import Response
from msgspec import Struct

from crm import access, consent, customers
from crm.access.form import Ages, Shown
from crm.access.model import Choice, NewSignup, Offer, too_fast
from crm.consent import Network
from crm.db import ReadDb
from crm.languages import gettext, listed, marked
from crm.web.forms import Form
from crm.web.pages import page

# A field that people do not see; programs fill in whatever there is.
TRAP = "extra"

# What the form says where a purpose can be decided from some age only, and the choice of a country
# that it does not name.
OLD_ENOUGH = marked("I am old enough to decide this myself where I live.")
ELSEWHERE = "other"

_LONGEST_NAME = 100


class Asked(Struct, frozen=True):
    """What came in: the form to show again, or, if nothing is wrong with it, a new sign-up."""

    form: Form
    offers: list[Offer]
    locale: str
    # The hidden field to show again; empty for a new one.
    sealed: str = ""
    new: NewSignup | None = None
    trapped: bool = False

    def from_page(self, where: str, network: Network) -> NewSignup | None:
        """The sign-up with the place its form stood at, and from where it came."""
        if self.new is None:
            return None
        return msgspec.structs.replace(self.new, page=where, network=network)


def offered(
    db: ReadDb, wish: Asked, *, status: int = 200, headers: dict[str, str] | None = None
) -> Response[Any]:
    """Show the form with what can be signed up for, or say that there is nothing."""
    if not wish.offers:
        return page("access/pages/nothing_to_sign_up.html", status=404)
    return page(
        "access/pages/sign_up.html",
        status=status,
        headers=headers,
        form=wish.form,
        offers=wish.offers,
        trap=TRAP,
        ages=Ages.of(offer.ages for offer in wish.offers).by_country,
        old_enough=gettext(OLD_ENOUGH),
        sealed=wish.sealed or access.seal_form(db, wish.offers, wish.locale),
    )


async def asked(db: ReadDb, form: Form) -> Asked:
    """Read a posted form; NotOurForm or UnknownNotice if its hidden field is not one of ours.

    A form whose texts are no longer the present ones is answered with the present ones, and only
    boxes beside an unchanged text stay ticked.
    """
    sealed = form.typed("form")
    shown = access.unseal_form(db, sealed)
    now = {offer.notice.id: offer for offer in await access.offers(db, shown.locale)}
    if any(notice_id not in now for notice_id in shown.notice_ids):
        offers, changed = await _anew(db, form, shown, shown.locale)
        form.wrong("purpose", _changed(changed))
        return Asked(form, offers, shown.locale)
    offers = [now[notice_id] for notice_id in shown.notice_ids]
    address = form.parsed("email", customers.parse, max=1000)
    name = form.text("name", required=False, max=_LONGEST_NAME)
    ticked = form.choices("purpose", [each.purpose.slug for each in offers], required=True)
    if not form.problems and too_fast(shown.made_at, db.now):
        form.wrong("", gettext("That came faster than a person reads. Press the button once more."))
    country, of_age = _age(form, [each for each in offers if each.purpose.slug in ticked])
    wish = Asked(form, offers, shown.locale, sealed)
    if form.problems or address is None:
        return wish
    new = NewSignup(
        address=address,
        name=name,
        locale=shown.locale,
        choices=tuple(
            Choice(offer.purpose.id, offer.notice.id)
            for offer in offers
            if offer.purpose.slug in ticked
        ),
        page="",
        jurisdiction=country,
        of_age=of_age,
    )
    return msgspec.structs.replace(wish, new=new, trapped=bool(form.typed(TRAP)))


def as_shown(offers: list[Offer]) -> str:
    """Write the words of the form, in their order; no box of it is ticked beforehand."""
    lines = [gettext("E-mail address"), gettext("First name"), gettext("What may we send you?")]
    for offer in offers:
        lines += [f"[ ] {offer.notice.control_label}", offer.notice.text]
        lines += offer.notice.particulars.splitlines()
    if Ages.of(offer.ages for offer in offers).by_country:
        lines += [gettext("Where do you live?"), f"[ ] {gettext(OLD_ENOUGH)}"]
    return "\n".join([*lines, gettext("Send me the confirmation")])


def _age(form: Form, ticked: list[Offer]) -> tuple[str, int | None]:
    """Read where she lives and that she is old enough, where what she ticked asks for it."""
    ages = Ages.of(offer.ages for offer in ticked)
    if not ages.by_country:
        return "", None
    country = form.choice("country", [*ages.by_country, ELSEWHERE])
    needed = ages.at(country or "")
    if country and not form.boolean("old_enough"):
        form.wrong(
            "old_enough",
            gettext(
                "Somebody who lives there can decide this from the age of %(age)s. "
                "Nothing of what you entered was kept.",
                age=needed,
            ),
        )
    return ("" if country in {None, ELSEWHERE} else str(country)), needed


async def in_another_language(db: ReadDb, form: Form, locale: str) -> Asked:
    """Offer the same purposes in another language, with what was typed; NotOurForm as above."""
    shown = access.unseal_form(db, form.typed("form"))
    ticked = set(form.values.get("purpose", ()))
    offers, _ = await _anew(db, form, shown, locale)
    if ticked - set(form.values.get("purpose", ())):
        words = gettext("In this language the words are these. Read them and tick anew.")
        form.wrong("purpose", words)
    return Asked(form, offers, locale)


async def _anew(db: ReadDb, form: Form, shown: Shown, locale: str) -> tuple[list[Offer], list[str]]:
    """Find the present texts of the same purposes, and the names of those that have changed.

    Beside these nothing stays ticked.
    """
    before = [await consent.notice(db, notice_id) for notice_id in shown.notice_ids]
    purposes = {notice.purpose_id for notice in before}
    offers = [each for each in await access.offers(db, locale) if each.purpose.id in purposes]
    changed = [each for each in offers if each.notice.id not in shown.notice_ids]
    slugs = {each.purpose.slug for each in changed}
    form.values["purpose"] = [each for each in form.values.get("purpose", []) if each not in slugs]
    return offers, [each.purpose.name for each in changed]


def _changed(names: list[str]) -> str:
    if not names:
        return gettext(
            "Something on this form is not offered any more. Look at what is, and send it again."
        )
    return gettext(
        "The words for %(names)s have changed since this form was made. Read them and tick anew.",
        names=listed(names),
    )
