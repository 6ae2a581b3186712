"""One entry of the journal, carried out on a database that may lack it; twice does no harm."""

from __future__ import annotations

from contextlib import suppress
from datetime import datetime
from uuid import UUID

from crm import access, consent, customers, journal, mail, privacy
from crm.consent import Method, Status
from crm.customers import UnknownCustomer
from crm.db import Db
from crm.events import Actor
from crm.journal import Decision, Entry
from crm.mail import Scope, Why
from crm.privacy import Fingerprint
from crm.tokens import Stop

_SYSTEM = Actor.system()


async def replay(
    db: Db, entry: Entry, at: datetime, *, unless_since: datetime | None = None
) -> None:
    """Carry out what was noted at an instant; a yes said after `unless_since` stands.

    Of a customer who is not known here her address is kept from mail by its fingerprint: an old
    list may bring her back.
    """
    if isinstance(entry, journal.Withdrawn):
        for each in entry.decisions:
            await _end(db, each, at, unless_since)
    elif isinstance(entry, journal.Suppressed):
        for address, scope, why in entry.addresses:
            await mail.suppress(db, _SYSTEM, bytes.fromhex(address), Scope(scope), Why(why))
    elif isinstance(entry, journal.Lifted):
        await mail.lift(db, bytes.fromhex(entry.address))
    elif isinstance(entry, journal.Left):
        stop = Stop(db.business_id, bytes.fromhex(entry.address), entry.purpose_code)
        await access.leave(db, stop, method=Method(entry.method))
    elif isinstance(entry, journal.Restricted):
        change = customers.restrict if entry.frozen else customers.unrestrict
        with suppress(UnknownCustomer):
            await change(db, _SYSTEM, entry.customer_id)
    elif isinstance(entry, journal.Erased):
        await _erase(db, entry)


async def _end(db: Db, ended: Decision, at: datetime, unless_since: datetime | None) -> None:
    status = Status(ended.status)
    if await _known(db, ended.customer_id):
        await consent.end_again(
            db,
            ended.customer_id,
            ended.purpose_id,
            status,
            method=Method(ended.method),
            at=at,
            unless_since=unless_since,
        )
    elif ended.address and status in {Status.withdrawn, Status.refused}:
        await _silence(db, ended.address, Why.left)


async def _erase(db: Db, erased: journal.Erased) -> None:
    her, kept = Actor.customer(erased.customer_id), Fingerprint.keep
    fingerprint = Fingerprint.drop if erased.dropped else kept
    try:
        await privacy.erase(
            db, her if erased.dropped else _SYSTEM, erased.customer_id, fingerprint=fingerprint
        )
    except UnknownCustomer:
        if not erased.dropped:
            await _silence(db, erased.address, Why.erased)


async def _silence(db: Db, address: str, why: Why) -> None:
    await mail.suppress(db, _SYSTEM, bytes.fromhex(address), Scope.marketing, why)


async def _known(db: Db, customer_id: UUID) -> bool:
    """Say whether she is here, or was erased: what was decided by somebody else is unknown."""
    return customer_id in await customers.of_ids(db, [customer_id])
