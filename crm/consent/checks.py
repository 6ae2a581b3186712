"""May this customer be contacted now? The one rule of sending, asked by programs.

A bare check is no look (promise 11).
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from msgspec import Struct

from crm import customers
from crm.consent.model import UnknownPurpose
from crm.consent.states import Basis, Method, Status
from crm.db import ReadDb, Statements

sql = Statements("consent")


class Check(Struct, frozen=True, kw_only=True):
    """The answer to "may I contact this customer for this purpose?"."""

    # Null where an address was asked about that no customer has.
    customer_id: UUID | None
    purpose_id: UUID
    authorises: bool
    # Why not: withdrawn, refused, expired, no_consent, frozen, leaving, suppressed, erased, or
    # soft_opt_in_off; null if she may. Of one who is leaving nothing else is said.
    reason: str | None
    # On what it rests; soft_opt_in is not consent.
    basis: Basis
    # Null where the customer was never asked, or is not known.
    status: Status | None
    event_id: UUID | None
    notice_id: UUID | None
    at: datetime | None
    ends_at: datetime | None


class Allowed(Struct, frozen=True, kw_only=True):
    """The state of one customer for one purpose, and whether she may be contacted on it now."""

    customer_id: UUID
    purpose_id: UUID
    purpose_version: int
    record_id: UUID
    status: Status
    method: Method
    event_id: UUID
    notice_id: UUID | None
    at: datetime
    # When it ends by its own time or with its version, whichever is first; null: never.
    ends_at: datetime | None
    # Since when it rests on a version that another has replaced.
    stale_at: datetime | None
    # A yes of a record that is frozen, or under a suppressed address, stands and allows nothing.
    authorises: bool
    reason: str | None


class Unproven(Struct, frozen=True):
    """A row of a list that asks for her consent without evidence: what it lacks, until when."""

    purpose_id: UUID
    import_id: UUID
    file_name: str
    part: str
    line: int
    why: str
    ends_at: datetime


async def check(db: ReadDb, customer_id: UUID | None, purpose_id: UUID) -> Check:
    """Say whether a customer may be contacted now, in one statement; this is not a look.

    Whoever is not known has allowed nothing; an unknown purpose is refused (UnknownPurpose).
    """
    found = await db.maybe(sql.consent_check, Check, customer_id=customer_id, purpose_id=purpose_id)
    if found is None:
        raise UnknownPurpose
    return found


async def check_many(db: ReadDb, purpose_id: UUID, customer_ids: Sequence[UUID]) -> list[Check]:
    """Answer `check` for many customers, in the order asked, in one statement."""
    found = await db.many(
        sql.consent_checks, Check, purpose_id=purpose_id, customer_ids=list(customer_ids)
    )
    if not found and customer_ids:
        raise UnknownPurpose
    return found


async def allowed(db: ReadDb, customer_id: UUID) -> list[Allowed]:
    """Return where a customer stands for every purpose she was asked about, and what that allows.

    Nothing is said of one who waits for her erasure (BeingErased).
    """
    await customers.check_stays(db, customer_id)
    return await db.many(sql.allowed_of_customer, Allowed, customer_id=customer_id)


async def unproven(db: ReadDb, customer_id: UUID) -> list[Unproven]:
    """Return what lists ask for a customer without evidence, which allows nothing."""
    return await db.many(sql.quarantined_of_customer, Unproven, customer_id=customer_id)
