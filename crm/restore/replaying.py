"""One entry of the journal, carried out on a database that may lack it; twice does no harm."""

from __future__ import annotations

from contextlib import suppress
from datetime import datetime
from uuid import UUID

from crm import access, consent, customers, journal, mail, privacy, staff
from crm.consent import Method, Status
from crm.customers import UnknownCustomer
from crm.db import Db
from crm.errors import NotFound
from crm.events import Actor, ActorKind
from crm.journal import Decision, Entry
from crm.mail import Scope, Why
from crm.privacy import Before, Fingerprint, Wish, merging
from crm.privacy.merging import NotMergeable
from crm.staff import BeingErased, LastOwner
from crm.tokens import Stop

_SYSTEM = Actor.system()


async def replay(
    db: Db, entry: Entry, at: datetime, *, unless_since: datetime | None = None
) -> None:
    """Carry out what was noted at an instant; what she decided after `unless_since` stands.

    Of a customer who is not known here her address is kept from mail by its fingerprint: an old
    list may bring her back.
    """
    if isinstance(entry, journal.Withdrawn):
        for each in entry.decisions:
            await end(db, each, at, unless_since)
    elif isinstance(entry, journal.Suppressed | journal.Lifted | journal.Left):
        await _by_address(db, entry, at, unless_since)
    elif isinstance(entry, journal.Restricted | journal.Revoked | journal.Readmitted):
        # Whoever asked for an end was told that it failed, and asks again; the opposite may have
        # been decided since.
        if unless_since is None or not journal.loosens(entry):
            await _shut_or_open(db, entry)
    elif isinstance(entry, journal.Merged):
        await _merge(db, entry, unless_since)
    elif isinstance(entry, journal.Planned):
        await _plan(db, entry, at)
    elif isinstance(entry, journal.CalledOff):
        await privacy.call_off_again(db, entry.customer_id, unless_since=unless_since)
    elif isinstance(entry, journal.Erased | journal.Forgotten):
        await _erase(db, entry, at, unless_since)


async def end(db: Db, ended: Decision, at: datetime, unless_since: datetime | None) -> None:
    """End one consent as it ended at an instant, unless she has said yes after `unless_since`."""
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
        address = bytes.fromhex(ended.address)
        await mail.suppress(db, _SYSTEM, address, Scope.marketing, Why.left)


async def _by_address(
    db: Db,
    entry: journal.Suppressed | journal.Lifted | journal.Left,
    at: datetime,
    unless_since: datetime | None,
) -> None:
    if isinstance(entry, journal.Lifted) and unless_since is not None:
        # Whoever took her decisions with her is erased again, and they with her.
        await mail.lift_heard(db, bytes.fromhex(entry.address), at)
    elif isinstance(entry, journal.Lifted):
        await mail.lift(db, bytes.fromhex(entry.address))
    elif isinstance(entry, journal.Left):
        stop = Stop(db.business_id, bytes.fromhex(entry.address), entry.purpose_code)
        await access.leave(db, stop, method=Method(entry.method))
    else:
        for address, scope, why in entry.addresses:
            fingerprint, reason = bytes.fromhex(address), Why(why)
            if reason is Why.erased:
                # Noted beside the deletion, which is carried out by an entry of its own.
                await privacy.silence_erased_again(db, fingerprint, unless_since or at)
            else:
                await mail.suppress(db, _SYSTEM, fingerprint, Scope(scope), reason)


async def _shut_or_open(
    db: Db, entry: journal.Restricted | journal.Revoked | journal.Readmitted
) -> None:
    if isinstance(entry, journal.Restricted):
        await _restrict(db, entry)
    else:
        await _admit(db, entry)


async def _restrict(db: Db, entry: journal.Restricted) -> None:
    change = customers.restrict if entry.frozen else customers.unrestrict
    # Whoever waits for her deletion stays frozen: only she calls it off, and says so.
    with suppress(UnknownCustomer, BeingErased):
        await change(db, _SYSTEM, entry.customer_id)


async def _plan(db: Db, planned: journal.Planned, at: datetime) -> None:
    if not await _known(db, planned.customer_id):
        # Nothing can be called off where there is no record; what her address left goes at once.
        fingerprint = Fingerprint(planned.fingerprint)
        await privacy.forget_unknown(db, bytes.fromhex(planned.address), fingerprint)
        return
    wish = Wish(
        customer_id=planned.customer_id,
        asked_at=at,
        due_at=planned.due_at,
        fingerprint=Fingerprint(planned.fingerprint),
        was_frozen=planned.was_frozen,
    )
    with suppress(UnknownCustomer):
        await privacy.plan_again(db, wish, bytes.fromhex(planned.call_off))


async def _merge(db: Db, merged: journal.Merged, unless_since: datetime | None) -> None:
    """Make them one again. Where one of them is not here, the other stays as it is.

    What stands against it here, stood so before it was committed: then it was not to be done, or
    the records are not as they were, and both are left to staff. Of one that is known to have been
    done the address that went was told then.
    """
    uncertain = unless_since is not None
    kept_id, gone_id = merged.kept_id, merged.gone_id
    with suppress(UnknownCustomer, NotMergeable):
        await merging.merge(
            db, _SYSTEM, kept_id, gone_id, unless_since=unless_since, tells=uncertain
        )


async def _erase(
    db: Db,
    erased: journal.Erased | journal.Forgotten,
    at: datetime,
    unless_since: datetime | None,
) -> None:
    if isinstance(erased, journal.Forgotten):
        # What came from there afterwards stays.
        address = bytes.fromhex(erased.address)
        await privacy.forget_stranger_again(db, address, at, unless_since or at)
        return
    by = Actor.customer(erased.customer_id) if erased.dropped else _SYSTEM
    fingerprint = Fingerprint.drop if erased.dropped else Fingerprint.keep
    before = Before(at, ActorKind(erased.by))
    try:
        await privacy.erase(db, by, erased.customer_id, fingerprint=fingerprint, before=before)
    except UnknownCustomer:
        address = bytes.fromhex(erased.address)
        await privacy.erase_unknown(db, erased.customer_id, address, before, fingerprint)


async def _admit(db: Db, entry: journal.Revoked | journal.Readmitted) -> None:
    # Whoever came after the backup is not here, and its last owner keeps the door.
    with suppress(NotFound, LastOwner):
        if isinstance(entry, journal.Readmitted):
            await staff.enable(db, _SYSTEM, entry.member_id)
        elif entry.holder == "key":
            await staff.revoke_key(db, _SYSTEM, entry.id)
        else:
            await staff.disable(db, _SYSTEM, entry.id)


async def _known(db: Db, customer_id: UUID) -> bool:
    """Say whether she is here, or was erased: what was decided by somebody else is unknown."""
    return customer_id in await customers.of_ids(db, [customer_id])
