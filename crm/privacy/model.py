"""What a customer is shown of herself, what she takes with her, and what an erasure leaves."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from enum import StrEnum
from uuid import UUID

from msgspec import Struct

from crm import events
from crm.businesses import Business
from crm.campaigns import Grounded
from crm.consent import ConsentEvent, ConsentTold, Notice, Silence
from crm.consent.terms import Party
from crm.customers import Held
from crm.errors import Forbidden
from crm.events import Actor, ActorKind, Kind
from crm.languages import gettext, listed, ngettext


class NotHerChoice(Forbidden):
    """Only the customer herself may have the fingerprint of her address deleted as well."""


class Fingerprint(StrEnum):
    """Whether we recognise an erased address when an old list brings it again."""

    keep = "keep"
    drop = "drop"


class Wish(Struct, frozen=True, kw_only=True):
    """A deletion that waits, and can be called off until then."""

    customer_id: UUID
    asked_at: datetime
    due_at: datetime
    fingerprint: Fingerprint
    # Her record was frozen before, and stays so where she calls it off.
    was_frozen: bool


class Before(Struct, frozen=True):
    """When an erasure was done that a restored database has lost, and who had it done."""

    at: datetime
    by: ActorKind


class Erased(Struct, frozen=True, kw_only=True):
    """Whose record is gone, and since when."""

    customer_id: UUID
    erased_at: datetime


class Controller(Struct, frozen=True):
    """Whose copy it is: the business that holds the data."""

    name: str
    legal_name: str
    postal_address: str
    privacy_contact: str
    origin: str

    @classmethod
    def of(cls, business: Business) -> Controller:
        """Name a business as the law wants it named."""
        return cls(
            business.name,
            business.legal_name,
            business.postal_address,
            business.privacy_contact,
            business.origin,
        )


class Shown(Struct, frozen=True, kw_only=True):
    """The exact words a decision was about, with the digest they can be checked by."""

    version: int
    locale: str
    text: str
    particulars: str
    control_label: str
    sha256: str
    published_at: datetime

    @classmethod
    def of(cls, notice: Notice) -> Shown:
        """Write a notice out, its digest in hexadecimal."""
        return cls(
            version=notice.version,
            locale=notice.locale,
            text=notice.text,
            particulars=notice.particulars,
            control_label=notice.control_label,
            sha256=notice.sha256.hex(),
            published_at=notice.published_at,
        )


class Decision(Struct, frozen=True, kw_only=True):
    """One consent event with its purpose by name and the words that were shown, if any."""

    purpose: str
    event: ConsentEvent
    notice: Shown | None


class Look(Struct, frozen=True, kw_only=True):
    """Somebody opened or copied the record: who, in which role, when and why."""

    at: datetime
    who: ActorKind
    role: str
    name: str
    did: Kind
    reason: str


class Inventory(Struct, frozen=True, kw_only=True):
    """How much we hold of one customer, by kind of thing."""

    details: int
    interactions: dict[str, int]
    mails: int
    decisions: int
    # Newsletters that went to her or left her out: what stays of them is a count.
    deliveries: int = 0

    @property
    def happened(self) -> int:
        """How many interactions of all kinds."""
        return sum(self.interactions.values())

    def sentence(self) -> str:
        """Say it in one sentence, such as: 5 details, 11 purchases, 14 mails."""
        rest = dict(self.interactions)
        bought, noted = rest.pop("purchase", 0), rest.pop("note", 0)
        others = sum(rest.values())
        parts = [ngettext("%(number)s detail", "%(number)s details", self.details)]
        if bought:
            parts.append(ngettext("%(number)s purchase", "%(number)s purchases", bought))
        if noted:
            parts.append(ngettext("%(number)s note", "%(number)s notes", noted))
        if others:
            parts.append(ngettext("%(number)s other entry", "%(number)s other entries", others))
        parts.append(ngettext("%(number)s mail", "%(number)s mails", self.mails))
        return gettext("We hold: %(things)s.", things=listed(parts))


class MergedRecord(Struct, frozen=True, kw_only=True):
    """A record that was merged into hers, as she is told: since when, by whom in which role."""

    customer_id: UUID
    begun_at: datetime
    merged_at: datetime
    # None where nobody knows any more: that goes with the line in the books, after three years.
    who: ActorKind | None
    role: str
    name: str


class Home(Struct, frozen=True, kw_only=True):
    """What her home page shows, the newest of each."""

    held: Held
    inventory: Inventory
    mails: list[Grounded]
    looks: list[Look]
    more_looks: bool
    # A deletion that she can still call off.
    deletion: Wish | None
    # Why nothing is sent to her, though something is on or could be.
    silence: Silence | None
    # Who else receives her data, for what is on.
    recipients: list[Party]
    # Records that were merged into hers.
    merged: list[MergedRecord]


def check_fingerprint(by: Actor, fingerprint: Fingerprint) -> None:
    """Refuse to let anybody but her decide that an old list may bring her address again."""
    if fingerprint is Fingerprint.drop and by.kind is not ActorKind.customer:
        raise NotHerChoice


def decisions(held: ConsentTold) -> list[Decision]:
    """Put each decision beside the words it was about, newest first."""
    names = {purpose.id: purpose.name for purpose in held.purposes}
    texts = {notice.id: Shown.of(notice) for notice in held.notices}
    return [
        Decision(
            purpose=names.get(event.purpose_id, ""),
            event=event,
            notice=texts[event.notice_id] if event.notice_id else None,
        )
        for event in held.events
    ]


def looks(found: Iterable[events.Look]) -> list[Look]:
    """Name the looks as a copy does."""
    return [
        Look(
            at=each.at,
            who=each.actor_kind,
            role=each.role,
            name=each.actor_name,
            did=each.kind,
            reason=each.reason,
        )
        for each in found
    ]


def details(held: Held) -> int:
    """Count what we know of her: the address, and whatever else is filled in."""
    her = held.customer
    known = (her.name, her.locale, her.time_zone, her.external_id)
    return 1 + sum(bool(each) for each in known) + len(held.attributes) + len(held.tags)
