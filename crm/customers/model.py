"""A customer, her declared attributes, and what happened between her and the business."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from enum import StrEnum
from typing import Annotated
from uuid import UUID

from msgspec import UNSET, Meta, Struct, UnsetType

from crm import time_zones
from crm.customers.address import Address
from crm.customers.basis import LawfulBasis, WhenNotAllowed, in_words
from crm.customers.interaction import Interaction, InteractionKind
from crm.customers.retention import ends, retention
from crm.customers.tag import HeldTag
from crm.customers.text import Duration, Label, Sentence, cleaned
from crm.customers.value import AttributeType, Read, read
from crm.errors import Conflict, Forbidden, Invalid, NotFound, Problem
from crm.languages import gettext

Name = Annotated[str, Meta(max_length=200)]
# Empty where nobody has said: then the business's own is meant.
Locale = Annotated[str, Meta(max_length=35, pattern=r"^([a-z]{2,3}(-[A-Za-z0-9]{2,8})*)?(?!\n)$")]
TimeZone = Annotated[str, Meta(max_length=64, examples=["Europe/Lisbon"])]
ExternalId = Annotated[str, Meta(min_length=1, max_length=200)]
# The beginning of an address, or whatever else may be known of whom somebody looks for.
Sought = Annotated[str, Meta(max_length=1000)]


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
    """Only she can change it, under /me/address, where the new mailbox has to answer."""


class Stale(Conflict):
    """Somebody has changed this since you read it. Read it again and decide anew."""


class UnknownAttribute(Invalid):
    """There is no attribute of that name; declare it first, with its purpose and retention."""


class TypeFixed(Conflict):
    """An attribute keeps its type, because its values are of it. Declare another attribute."""


class NewCustomer(Struct, kw_only=True, forbid_unknown_fields=True):
    """What is entered for a customer; consent is not part of it and is asked for on its own."""

    address: Annotated[str, Meta(max_length=1000, examples=["nora@example.com"])]
    name: Name = ""
    locale: Locale = ""
    # By IANA, such as Europe/Lisbon; empty: that of the business.
    time_zone: TimeZone = ""
    external_id: ExternalId | None = None


class Wanted(Struct, kw_only=True, forbid_unknown_fields=True):
    """Whom to look for, in the body because an address belongs in no URL; one of the two."""

    address: Annotated[str, Meta(max_length=1000)] | None = None
    external_id: ExternalId | None = None


class Changes(Struct, kw_only=True, forbid_unknown_fields=True):
    """What to change, as a merge patch (RFC 7396): what is absent stays, null takes away."""

    name: Name | UnsetType | None = UNSET
    locale: Locale | UnsetType | None = UNSET
    time_zone: TimeZone | UnsetType | None = UNSET
    external_id: ExternalId | UnsetType | None = UNSET
    # Only here so that the refusal can say what to do instead.
    address: Annotated[str, Meta(max_length=1000)] | UnsetType | None = UNSET


class Customer(Struct, frozen=True, kw_only=True):
    """A person with a direct relationship to the business; after erasure an empty tombstone."""

    id: UUID
    address: str
    name: str
    locale: str
    time_zone: str
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


class Arrival(Struct, frozen=True, gc=False):
    """A customer that an import brings, its address parsed already; fingerprint and id if made."""

    address: Address
    name: str = ""
    locale: str = ""
    address_hash: bytes = b""
    id: UUID | None = None
    time_zone: str = ""
    external_id: str | None = None


class Known(Struct, frozen=True):
    """A customer that an import finds already here."""

    id: UUID
    folded: str
    name: str
    locale: str
    time_zone: str
    external_id: str | None
    restricted_at: datetime | None


class Fill(Struct, frozen=True):
    """What an import knows of a customer; it fills what is empty and overwrites nothing."""

    id: UUID
    name: str = ""
    locale: str = ""
    time_zone: str = ""
    external_id: str | None = None


class NotHers(Forbidden):
    """Only those who work here change this detail. Ask them to correct it, on your page."""


class ValueNotAllowed(Conflict):
    """The customer does not allow the purpose that this is kept for. Nothing was set."""


class NewAttribute(Struct, kw_only=True, forbid_unknown_fields=True):
    """A declaration: what the field is, what for, by what right, where from, and for how long."""

    label: Label
    type: AttributeType
    purpose: Sentence
    basis: LawfulBasis
    # Where values come from (Art. 14(2)(f) GDPR), in a sentence the customer reads.
    origin: Sentence
    retention: Duration
    # May the customer correct it herself, on her own pages?
    hers: bool = False
    # The purpose that it is for and ends with, for each customer, whatever time is left; a basis of
    # consent needs one.
    purpose_id: UUID | None = None
    # What becomes of a value while she does not allow that purpose.
    not_allowed: WhenNotAllowed = WhenNotAllowed.refuse


class Attribute(Struct, frozen=True, kw_only=True):
    """A declared field on customers (promise 13).

    One declared before basis and origin were asked for has none until it is declared anew.
    """

    name: str
    label: str
    type: AttributeType
    purpose: str
    basis: LawfulBasis | None
    origin: str
    retention: str
    hers: bool
    purpose_id: UUID | None
    not_allowed: WhenNotAllowed
    declared_at: datetime

    @property
    def kept_for(self) -> str:
        """The retention in words."""
        return retention(self.retention).words()


class EndsWith(Struct, frozen=True):
    """A purpose, as far as an attribute needs it that ends with it."""

    id: UUID
    name: str


class Bound(Struct, frozen=True):
    """A detail of hers that goes with a purpose, as it is called."""

    purpose_id: UUID
    label: str


class NewValue(Struct, frozen=True):
    """A value for one customer, for setting many at once."""

    customer_id: UUID
    name: str
    value: str


class SetAttributes(Struct, frozen=True, kw_only=True):
    """What a change of attributes came to.

    `dropped` names the values left out, because the customer does not allow their purpose and the
    declaration says so. `attributes` is all that is held of her now; null to a key that may only
    write.
    """

    dropped: list[str]
    attributes: list[AttributeValue] | None


class HeldName(Struct, frozen=True):
    """That a customer has a value of an attribute, and not which."""

    customer_id: UUID
    name: str


def names_by_customer(found: Iterable[HeldName]) -> dict[UUID, set[str]]:
    """Put together what each customer has."""
    held: dict[UUID, set[str]] = {}
    for each in found:
        held.setdefault(each.customer_id, set()).add(each.name)
    return held


class ValueRow(Struct, frozen=True, kw_only=True):
    """A value as the database keeps it, beside its declaration."""

    name: str
    label: str
    type: AttributeType
    text_value: str
    purpose: str
    basis: LawfulBasis | None
    origin: str
    retention: str
    hers: bool
    source: str
    set_at: datetime
    ends_with: str

    def held(self) -> AttributeValue:
        """Read the value as its type, and compute its end."""
        return AttributeValue(
            name=self.name,
            label=self.label,
            type=self.type,
            value=read(self.type, self.text_value),
            purpose=self.purpose,
            basis=self.basis,
            origin=self.origin,
            retention=self.retention,
            hers=self.hers,
            source=self.source,
            set_at=self.set_at,
            ends_at=ends(self.set_at, self.retention),
            ends_with=self.ends_with,
        )


class AttributeValue(Struct, frozen=True, kw_only=True):
    """One detail we hold of a customer, with what for, from where and until when.

    `origin` is where such details come from, as declared; `source` is who set this one: customer,
    member, key or import, empty where nobody wrote that down.
    """

    name: str
    label: str
    type: AttributeType
    value: Read
    purpose: str
    # Nothing where it was declared before these were asked for.
    basis: LawfulBasis | None = None
    origin: str = ""
    retention: str
    # Whether she may correct it herself.
    hers: bool
    source: str
    set_at: datetime
    ends_at: datetime
    # The name of the purpose that it ends with, whatever time is left; empty where there is none.
    ends_with: str

    @property
    def lawful_by(self) -> str:
        """The basis, in the language that is spoken; nothing where none was declared."""
        return in_words(self.basis)


class Derived(Struct, frozen=True, kw_only=True):
    """What is kept of a customer for comparing and joining; in the export, and nowhere else."""

    folded: str
    address_hash: bytes
    import_id: UUID | None


class Held(Struct, frozen=True, kw_only=True):
    """What a customer reads of herself on her own page: details, and what happened lately."""

    customer: Customer
    language: str
    attributes: list[AttributeValue]
    tags: list[HeldTag]
    interactions: list[Interaction]
    more: bool
    # How often each kind of thing happened.
    counts: dict[str, int]
    # What the kinds of things that happened with her are kept for, and how long.
    kinds: list[InteractionKind]


class Export(Struct, frozen=True, kw_only=True):
    """Everything this domain holds of one customer (promise 9) but her interactions."""

    customer: Customer
    derived: Derived
    attributes: list[AttributeValue]
    tags: list[HeldTag]


class Erasable(Struct, frozen=True):
    """A customer about to be emptied; without fingerprint she is empty already."""

    customer_id: UUID
    address_hash: bytes | None


class Forgotten(Struct, frozen=True):
    """What an erasure deleted, by table; the fingerprint is all that a suppression may keep."""

    address_hash: bytes | None
    gone: dict[str, int]


def changed(customer: Customer, changes: Changes) -> tuple[str, str, str, str | None]:
    """Work out name, locale, zone and external id after a merge patch; an address is refused."""
    if changes.address is not UNSET:
        raise NotChangeable
    name, locale, external_id = customer.name, customer.locale, customer.external_id
    if changes.name is not UNSET:
        name = cleaned(changes.name or "", "name", Name)
    if changes.locale is not UNSET:
        locale = cleaned(changes.locale or "", "locale", Locale)
    time_zone = customer.time_zone
    if changes.time_zone is not UNSET:
        time_zone = zone(changes.time_zone or "")
    if changes.external_id is not UNSET:
        external_id = cleaned(changes.external_id or "", "external_id", ExternalId) or None
    return name, locale, time_zone, external_id


def zone(name: str) -> str:
    """Return the name of a time zone that there is, or nothing; refuse any other."""
    if name and name not in time_zones.named():
        sentence = gettext("There is no such time zone. One looks like Europe/Lisbon.")
        raise Invalid(sentence, [Problem("time_zone", sentence)])
    return name
