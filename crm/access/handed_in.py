"""Sign-ups that a program hands in: what its form said, looked through, as a sign-up of ours.

The program is believed in what it showed, where and when. Whose the mailbox is, only that says.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Annotated
from urllib.parse import urlsplit
from uuid import UUID

from msgspec import Meta, Struct

from crm import consent, customers, staff
from crm.access.form import Ages
from crm.access.model import (
    SIGNUPS_PER_NETWORK,
    Choice,
    Elsewhere,
    NewSignup,
    Offer,
    TooManySignUps,
    offered,
)
from crm.consent import Network, Notice, UnknownNotice
from crm.consent.terms import Country, Locale
from crm.customers import Address
from crm.customers.text import cleaned
from crm.db import Db, ReadDb
from crm.errors import Invalid, Problem, Refused
from crm.staff import Caller
from crm.visitors import located

# Who has been asked and hears of it much later takes the mail for somebody else's.
_LATEST = timedelta(days=1)
# Two honest clocks differ by so much.
_SKEW = timedelta(seconds=5)


FirstName = Annotated[str, Meta(max_length=100)]


class SeenFrom(Struct, kw_only=True, forbid_unknown_fields=True):
    """From where and with what she ticked, as the program saw it."""

    address: Annotated[str, Meta(max_length=45, examples=["203.0.113.9"])]
    agent: Annotated[str, Meta(max_length=500)] = ""


class HandedIn(Struct, kw_only=True, forbid_unknown_fields=True):
    """What somebody entered on a form of the program's; nothing of it is known to be true yet."""

    address: Annotated[str, Meta(min_length=3, max_length=1000)]
    # The texts whose boxes she ticked, each as its id: one for each purpose.
    notices: Annotated[list[UUID], Meta(min_length=1, max_length=20)]
    # Where the form stood; what follows a question mark is not kept.
    page: Annotated[str, Meta(min_length=8, max_length=500)]
    # The program's own name for the form.
    form: Annotated[str, Meta(max_length=100)] = ""
    name: FirstName = ""
    # When she ticked, with a zone; absent means now.
    asked_at: Annotated[datetime, Meta(tz=True)] | None = None
    # In which language she is written to; absent means that of the first text.
    locale: Locale | None = None
    # Where she says she lives, and that she is old enough there to decide this herself.
    country: Country | None = None
    old_enough: bool = False
    seen_from: SeenFrom | None = None


async def read(db: ReadDb, by: Caller, said: HandedIn) -> NewSignup:
    """Make a sign-up of it, or refuse with every value that is wrong; nobody is looked up."""
    wrong: list[Problem] = []
    address, name = _address(said.address, wrong), _name(said.name, wrong)
    asked_at = _asked_at(said.asked_at, db.now, wrong)
    chosen = await _chosen(db, by, said.notices, asked_at, wrong)
    age = _age(said, chosen, wrong)
    page, network = _page(said.page, wrong), _network(said.seen_from, wrong)
    if wrong or address is None:
        raise Invalid(wrong[0].message if len(wrong) == 1 else "", wrong)
    return NewSignup(
        address=address,
        name=name,
        locale=said.locale or chosen[0].notice.locale,
        choices=tuple(Choice(each.purpose.id, each.notice.id) for each in chosen),
        page=page,
        jurisdiction=said.country or "",
        of_age=age,
        network=network,
        elsewhere=Elsewhere(
            form=said.form.strip(), asked_at=asked_at, key_id=by.id, key_name=by.name
        ),
    )


async def count(db: Db, asker: str) -> None:
    """Count a sign-up from a network, or from a program that names none; TooManySignUps."""
    subject = db.keys.address_hash(db.business_id, f"\0network {asker}")
    wait = await staff.count_attempt(db, "sign_up_network", subject, most=SIGNUPS_PER_NETWORK)
    if wait:
        raise TooManySignUps(retry_after=wait)


def _address(typed: str, wrong: list[Problem]) -> Address | None:
    try:
        return customers.parse(typed)
    except Refused as refusal:
        wrong.append(Problem("address", refusal.message))
        return None


def _name(typed: str, wrong: list[Problem]) -> str:
    """Read it as it is kept once she confirms: what is refused then would keep her out."""
    try:
        return cleaned(typed, "name", FirstName)
    except Invalid as refusal:
        wrong += refusal.problems
        return ""


def _asked_at(said: datetime | None, now: datetime, wrong: list[Problem]) -> datetime:
    if said is not None and not now - _LATEST <= said <= now + _SKEW:
        words = "Hand a sign-up in within a day: later she takes the mail for somebody else's."
        wrong.append(Problem("asked_at", words))
    return min(said or now, now)


async def _chosen(
    db: ReadDb, by: Caller, notice_ids: Sequence[UUID], at: datetime, wrong: list[Problem]
) -> list[Offer]:
    """Find what was offered with these texts, each the present one when she ticked."""
    versions = await consent.current_versions(db)
    offers = {each.id: each for each in await consent.purposes(db) if offered(each)}
    chosen: dict[UUID, Offer] = {}
    for place, notice_id in enumerate(notice_ids):
        try:
            notice = await consent.notice(db, notice_id)
        except UnknownNotice as refusal:
            wrong.append(Problem(f"notices/{place}", refusal.message))
            continue
        by.check_purpose(notice.purpose_id)
        words = ""
        if notice.purpose_id not in offers:
            words = "Nobody can sign up for this purpose by mail."
        elif notice.purpose_id in chosen:
            words = "This is a second text for one purpose; name the one that she ticked."
        elif notice.id != await _present(db, notice, at):
            words = "These words were not the present ones when she ticked. Ask with those."
        if words:
            wrong.append(Problem(f"notices/{place}", words))
            continue
        ages = versions[notice.purpose_id].entered.ages
        chosen[notice.purpose_id] = Offer(offers[notice.purpose_id], notice, ages)
    return list(chosen.values())


async def _present(db: ReadDb, notice: Notice, at: datetime) -> UUID | None:
    """Find which text of this language was shown then; the next may have come meanwhile."""
    stale = (await consent.version(db, notice.purpose_id, notice.purpose_version)).stale_at
    if stale is not None and stale <= at:
        return None
    every = await consent.notices(db, notice.purpose_id)
    shown = [each for each in every if each.locale == notice.locale and each.published_at <= at]
    newest = max(shown, key=lambda each: (each.published_at, each.version), default=None)
    return newest.id if newest else None


def _age(said: HandedIn, chosen: Sequence[Offer], wrong: list[Problem]) -> int | None:
    """Read that she is old enough, where what she ticked asks for it."""
    ages = Ages.of(offer.ages for offer in chosen)
    if not ages.by_country:
        return None
    if said.country is None:
        wrong.append(Problem("country", "Say where she lives: this is decided from some age only."))
    if not said.old_enough:
        words = "Only who says that she is old enough where she lives can sign up for this."
        wrong.append(Problem("old_enough", words))
    return ages.at(said.country or "")


def _page(said: str, wrong: list[Problem]) -> str:
    try:
        parts = urlsplit(said)
    except ValueError:
        parts = urlsplit("")
    if parts.scheme in {"http", "https"} and parts.hostname:
        # Without a name and password, and without what a query may say of her.
        return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"
    words = "The full address of the page, such as https://shop.example/checkout."
    wrong.append(Problem("page", words))
    return ""


def _network(said: SeenFrom | None, wrong: list[Problem]) -> Network | None:
    if said is None:
        return None
    try:
        host = str(located(said.address))
    except ValueError:
        words = "An address of a network by itself, such as 203.0.113.9 or 2001:db8::9."
        wrong.append(Problem("seen_from/address", words))
        return None
    return Network(host, said.agent)
