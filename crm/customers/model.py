"""A customer, her declared attributes, and what happened between her and the business."""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from decimal import Decimal
from enum import StrEnum
from typing import Annotated
from uuid import UUID

from msgspec import UNSET, Meta, Struct, UnsetType

from crm.customers.address import Address
from crm.customers.retention import ends, retention
from crm.customers.value import AttributeType, Read, UnusableText, clean, read
from crm.errors import Conflict, Invalid, NotFound, Problem, Refused
from crm.events import ActorKind

Name = Annotated[str, Meta(max_length=200)]
# Empty where nobody has said: then the business's own is meant.
Locale = Annotated[str, Meta(max_length=35, pattern=r"^([a-z]{2,3}(-[A-Za-z0-9]{2,8})*)?$")]
ExternalId = Annotated[str, Meta(min_length=1, max_length=200)]
Label = Annotated[str, Meta(min_length=1, max_length=200)]
Sentence = Annotated[str, Meta(min_length=3, max_length=500)]
Duration = Annotated[str, Meta(max_length=20, examples=["P24M"])]
Word = Annotated[str, Meta(pattern=r"^[a-z][a-z0-9_]{0,62}$")]

# A clock elsewhere may be a little ahead of ours.
_CLOCKS_DIFFER = timedelta(minutes=5)
_LARGEST_AMOUNT = Decimal(10) ** 12
_AMOUNT_DECIMALS = 4

NOTE = "note"

_NAME = re.compile(r"[a-z][a-z0-9_]{0,62}")


class Source(StrEnum):
    """Where a customer came from."""

    sign_up = "sign_up"
    imported = "import"
    api = "api"
    staff = "staff"


class UnknownCustomer(NotFound):
    """There is no such customer here."""


class AddressTaken(Conflict):
    """There is a customer with this address already."""


class ExternalIdTaken(Conflict):
    """There is a customer with this external id already."""


class NotChangeable(Conflict):
    """Consent was given for this address alone. Sign up with the new address; this one stays."""


class Stale(Conflict):
    """Somebody has changed this since you read it. Read it again and decide anew."""


class UnknownAttribute(Invalid):
    """There is no attribute of that name; declare it first, with its purpose and retention."""


class TypeFixed(Conflict):
    """An attribute keeps its type, because its values are of it. Declare another attribute."""


class UnknownKind(Invalid):
    """There is no such kind of interaction; declare it first, with its purpose and retention."""


class NotAnInstant(Invalid):
    """This instant has no time zone, or is not one at which something can have happened."""


class NotAnAmount(Invalid):
    """An amount is a number such as 9.40 with its currency, and both or neither are given."""


class UnusableName(Invalid):
    """A name has lower-case letters, digits and _, begins with a letter, and at most 63 of them."""


class NewCustomer(Struct, kw_only=True, forbid_unknown_fields=True):
    """What is entered for a customer; consent is not part of it and is asked for on its own."""

    address: Annotated[str, Meta(max_length=1000, examples=["nora@example.com"])]
    name: Name = ""
    locale: Locale = ""
    external_id: ExternalId | None = None


class Wanted(Struct, kw_only=True, forbid_unknown_fields=True):
    """Whom to look for, in the body because an address belongs in no URL; one of the two."""

    address: Annotated[str, Meta(max_length=1000)] | None = None
    external_id: ExternalId | None = None


class Changes(Struct, kw_only=True, forbid_unknown_fields=True):
    """What to change, as a merge patch (RFC 7396): what is absent stays, null takes away."""

    name: Name | UnsetType | None = UNSET
    locale: Locale | UnsetType | None = UNSET
    external_id: ExternalId | UnsetType | None = UNSET
    # Only here so that the refusal can say what to do instead.
    address: Annotated[str, Meta(max_length=1000)] | UnsetType | None = UNSET


class Customer(Struct, frozen=True, kw_only=True):
    """A person with a direct relationship to the business; after erasure an empty tombstone."""

    id: UUID
    address: str
    name: str
    locale: str
    external_id: str | None
    source: Source
    version: int
    created_at: datetime
    changed_at: datetime
    # Art. 18 GDPR: kept, and used for nothing.
    restricted_at: datetime | None
    erased_at: datetime | None

    @property
    def called(self) -> str:
        """The name to show, or the address where there is none."""
        return self.name or self.address


class Place(Struct, frozen=True):
    """Where a page of customers ends: the key of its last row."""

    created_at: datetime
    id: UUID


class Arrival(Struct, frozen=True):
    """A customer that an import brings, its address parsed already."""

    address: Address
    name: str = ""
    locale: str = ""


class Known(Struct, frozen=True):
    """A customer that an import finds already here."""

    id: UUID
    folded: str
    name: str
    locale: str
    restricted_at: datetime | None


class Fill(Struct, frozen=True):
    """What an import knows of a customer; it fills what is empty and overwrites nothing."""

    id: UUID
    name: str = ""
    locale: str = ""


class NewAttribute(Struct, kw_only=True, forbid_unknown_fields=True):
    """A declaration: what the field is, what for, and how long each value is kept."""

    label: Label
    type: AttributeType
    purpose: Sentence
    retention: Duration


class Attribute(Struct, frozen=True, kw_only=True):
    """A declared field on customers (promise 13)."""

    name: str
    label: str
    type: AttributeType
    purpose: str
    retention: str
    declared_at: datetime

    @property
    def kept_for(self) -> str:
        """The retention in words."""
        return retention(self.retention).words()


class NewValue(Struct, frozen=True):
    """A value for one customer, for setting many at once."""

    customer_id: UUID
    name: str
    value: str


class ValueRow(Struct, frozen=True, kw_only=True):
    """A value as the database keeps it, beside its declaration."""

    name: str
    label: str
    type: AttributeType
    text_value: str
    purpose: str
    retention: str
    set_at: datetime

    def held(self) -> AttributeValue:
        """Read the value as its type, and compute its end."""
        return AttributeValue(
            name=self.name,
            label=self.label,
            type=self.type,
            value=read(self.type, self.text_value),
            purpose=self.purpose,
            retention=self.retention,
            set_at=self.set_at,
            ends_at=ends(self.set_at, self.retention),
        )


class AttributeValue(Struct, frozen=True, kw_only=True):
    """One detail we hold of a customer, with what for and until when."""

    name: str
    label: str
    type: AttributeType
    value: Read
    purpose: str
    retention: str
    set_at: datetime
    ends_at: datetime


class NewKind(Struct, kw_only=True, forbid_unknown_fields=True):
    """A declaration of a kind of interaction: what for, and how long each is kept."""

    label: Label
    purpose: Sentence
    retention: Duration


class InteractionKind(Struct, frozen=True, kw_only=True):
    """A declared kind of interaction: a note, a purchase, a call."""

    name: str
    label: str
    purpose: str
    retention: str
    declared_at: datetime

    @property
    def kept_for(self) -> str:
        """The retention in words."""
        return retention(self.retention).words()


class NewInteraction(Struct, kw_only=True, forbid_unknown_fields=True):
    """Something that happened; without `at`, it is happening now."""

    kind: Word
    title: Annotated[str, Meta(min_length=1, max_length=300)]
    at: datetime | None = None
    detail: Annotated[str, Meta(max_length=10_000)] = ""
    amount: Decimal | None = None
    currency: Annotated[str, Meta(pattern="^[A-Z]{3}$")] | None = None


class Interaction(Struct, frozen=True, kw_only=True):
    """Something that happened between business and customer, and who recorded it."""

    id: UUID
    customer_id: UUID
    kind: str
    label: str
    at: datetime
    title: str
    detail: str
    amount: Decimal | None
    currency: str | None
    actor_kind: ActorKind
    actor_name: str
    recorded_at: datetime


class Moment(Struct, frozen=True):
    """Where a page of interactions ends: the key of its last row."""

    at: datetime
    id: UUID


class Derived(Struct, frozen=True, kw_only=True):
    """What is kept of a customer for comparing and joining; in the export, and nowhere else."""

    folded: str
    address_hash: bytes
    import_id: UUID | None


class Export(Struct, frozen=True, kw_only=True):
    """Everything this domain holds of one customer (promise 9)."""

    customer: Customer
    derived: Derived
    attributes: list[AttributeValue]
    interactions: list[Interaction]


class Erasable(Struct, frozen=True):
    """A customer about to be emptied; without fingerprint she is empty already."""

    customer_id: UUID
    address_hash: bytes | None


class Lapsed(Struct, frozen=True):
    """How much was deleted because its time was over."""

    values: int
    interactions: int


class Forgotten(Struct, frozen=True):
    """What an erasure deleted; the fingerprint is all that a suppression may keep."""

    address_hash: bytes | None
    values: int
    interactions: int


def cleaned(text: str, field: str, *, lines: bool = False) -> str:
    """Trim and compose a text of this field, or refuse, naming the field."""
    try:
        return clean(text, lines=lines)
    except UnusableText as wrong:
        raise UnusableText(problems=[Problem(field, wrong.message)]) from None


def filled(text: str, field: str, least: int = 1) -> str:
    """Trim and compose a text that must say something, or refuse, naming the field."""
    text = cleaned(text, field)
    if len(text) < least:
        raise named(Invalid("Please fill this in."), field)
    return text


def checked_name(name: str) -> str:
    """Return the name of an attribute or kind, or refuse with UnusableName."""
    if not _NAME.fullmatch(name):
        raise named(UnusableName(), "name")
    return name


def named(refusal: Refused, field: str) -> Refused:
    """Point a refusal at the field it is about, unless it points somewhere already."""
    if not refusal.problems:
        refusal.problems = (Problem(field, refusal.message),)
    return refusal


def changed(customer: Customer, changes: Changes) -> tuple[str, str, str | None]:
    """Work out name, locale and external id after a merge patch; an address is refused."""
    if changes.address is not UNSET:
        raise NotChangeable
    name, locale, external_id = customer.name, customer.locale, customer.external_id
    if changes.name is not UNSET:
        name = cleaned(changes.name or "", "name")
    if changes.locale is not UNSET:
        locale = cleaned(changes.locale or "", "locale")
    if changes.external_id is not UNSET:
        external_id = cleaned(changes.external_id or "", "external_id") or None
    return name, locale, external_id


def checked_instant(at: datetime | None, now: datetime) -> datetime:
    """Return when something happened: now, or an instant with its zone that is past."""
    if at is None:
        return now
    wrong = ""
    if at.tzinfo is None:
        wrong = "Give the time zone too, as in 2026-06-04T07:00:00Z."
    elif at > now + _CLOCKS_DIFFER:
        wrong = "This is in the future, and only what has happened is recorded."
    elif at.year < 1900:  # noqa: PLR2004
        wrong = "This is before 1900."
    if wrong:
        raise NotAnInstant(problems=[Problem("at", wrong)])
    return at


def check_amount(new: NewInteraction) -> None:
    """Refuse an amount without currency, a currency without amount, and what is no amount."""
    if (new.amount is None) != (new.currency is None):
        raise named(NotAnAmount(), "currency" if new.currency is None else "amount")
    if new.amount is None:
        return
    fits = new.amount.is_finite() and abs(new.amount) < _LARGEST_AMOUNT
    if not fits or new.amount != round(new.amount, _AMOUNT_DECIMALS):
        raise named(NotAnAmount(), "amount")
