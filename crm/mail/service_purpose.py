"""What programs of a business write to single customers for, and on which ground."""

from __future__ import annotations

from datetime import datetime

from msgspec import Struct

from crm import consent, events
from crm.consent import UnknownPurpose
from crm.customers.basis import LawfulBasis
from crm.customers.text import Label, Sentence, checked_name, filled, named
from crm.db import Db, ReadDb, Statements
from crm.errors import Conflict, Invalid
from crm.events import Actor, Kind

sql = Statements("mail")

# What needs no yes of hers, and leaves no choice to weigh interests: all else is a campaign.
GROUNDS = frozenset({LawfulBasis.contract, LawfulBasis.legal_obligation})


class NoGround(Invalid):
    """A service message rests on a contract, or on a duty that the law sets, and on nothing else.

    What needs a consent, or rests on an interest, goes as a campaign to who agreed.
    """


class GroundStays(Conflict):
    """The basis of a service purpose stays as it was first declared; declare another purpose."""


class PurposeNeedsConsent(Conflict):
    """This purpose needs the customer's consent, so it is sent as a campaign to who agreed."""


class UnknownServicePurpose(Invalid):
    """There is no such service purpose; declare it first, with what it is for and its basis."""


class NewServicePurpose(Struct, kw_only=True, forbid_unknown_fields=True):
    """A declaration: how it is called, why she gets it, and by what right."""

    label: Label
    purpose: Sentence
    basis: LawfulBasis


class ServicePurpose(Struct, frozen=True, kw_only=True):
    """What service messages are for: an order, a password, a delivery."""

    name: str
    label: str
    purpose: str
    basis: LawfulBasis
    declared_at: datetime


async def declare_service_purpose(
    db: Db, by: Actor, name: str, new: NewServicePurpose
) -> ServicePurpose:
    """Declare what service messages are for, or say it anew in other words.

    Refuses every basis but a contract and a duty (NoGround), another basis than before
    (GroundStays), and the short name of a purpose that needs consent (PurposeNeedsConsent).
    """
    checked = checked_name(name)
    if new.basis not in GROUNDS:
        raise named(NoGround(), "basis")
    await consent.hold_names(db)
    await _check_needs_no_consent(db, checked)
    declared = await db.maybe(
        sql.declare_service_purpose,
        ServicePurpose,
        name=checked,
        label=filled(new.label, "label", Label),
        purpose=filled(new.purpose, "purpose", Sentence),
        basis=new.basis,
    )
    if declared is None:
        raise named(GroundStays(), "basis")
    await events.record(db, by, Kind.attribute_declared)
    return declared


async def service_purposes(db: ReadDb) -> list[ServicePurpose]:
    """Return every declared service purpose, by name."""
    return await db.many(sql.service_purposes, ServicePurpose)


async def service_purpose(db: ReadDb, name: str) -> ServicePurpose:
    """Return one of them; PurposeNeedsConsent for one of those, else UnknownServicePurpose."""
    found = await db.maybe(sql.service_purpose, ServicePurpose, name=name)
    if found is None:
        await _check_needs_no_consent(db, name)
        raise named(UnknownServicePurpose(), "purpose")
    return found


async def _check_needs_no_consent(db: ReadDb, name: str) -> None:
    try:
        await consent.purpose_by_slug(db, name)
    except UnknownPurpose:
        return
    raise named(PurposeNeedsConsent(), "purpose")
