"""What is done with everything held of a customer: it is shown, frozen and deleted."""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import TypeAlias
from uuid import UUID

from msgspec import Struct

from crm import (
    access,
    campaigns,
    consent,
    customers,
    events,
    inbound,
    journal,
    mail,
    rhythm,
    staff,
    webhooks,
)
from crm.access.model import Former
from crm.consent import ConsentTold, Method
from crm.consent.terms import Party
from crm.customers import Customer, Forgotten, UnknownCustomer
from crm.db import Db, ReadDb, Statements
from crm.events import Actor, ActorKind, Kind
from crm.imports import quarantine
from crm.mail import Scope, Why
from crm.pieces import Piece
from crm.privacy import brought, copies, dormancy, requests, restriction
from crm.privacy.erasure import wishes
from crm.privacy.erasure.certifying import Ended, certify
from crm.privacy.merging.actions import merged_records
from crm.privacy.model import (
    Before,
    Erased,
    Fingerprint,
    Home,
    Inventory,
    check_fingerprint,
    details,
    looks,
)

sql = Statements("privacy")

# Each returns how many rows went from which table.
Forget: TypeAlias = Callable[[Db, UUID], Awaitable[dict[str, int]]]
# The same of what was kept under an address; until an instant, where somebody else may have it now.
ForgetAddress: TypeAlias = Callable[[Db, bytes, datetime | None], Awaitable[dict[str, int]]]

# Every domain that holds personal data besides the customer's own row; in this order, from the
# proof of what she allowed to what happened on the way. tests/test_personal_data.py reads the
# catalog and finds the table that none of them empties.
FORGET: tuple[Forget, ...] = (
    # With it goes the last that cites a proof of her mailbox.
    access.forget,
    consent.forget,
    quarantine.forget,
    # Before the events that they tell.
    webhooks.forget,
    events.forget,
    mail.forget,
    campaigns.forget,
    rhythm.forget,
    staff.forget,
    requests.forget,
    copies.forget,
    restriction.forget,
    wishes.forget,
    dormancy.forget,
    brought.forget,
)
# What hangs on her address alone: from before she was a customer, and what came in meanwhile.
FORGET_ADDRESS: tuple[ForgetAddress, ...] = (
    access.forget_address,
    mail.forget_address,
    inbound.forget_address,
    requests.forget_address,
    staff.forget_address,
)

_SHOWN = 5
# A mail that was claimed before an erasure has its answer long before this.
_SETTLED = timedelta(days=2)
_EVER = datetime(1970, 1, 1, tzinfo=UTC)
_FIRST, _MANY = UUID(int=0), 10_000


class _Traces(Struct, frozen=True):
    """Tombstones of whom something is left, among some; the last of those, if there may be more."""

    found: list[UUID]
    upto: UUID | None


class _Merged(Struct, frozen=True):
    """What went of records that were merged into one, what was kept of them, and whose it was."""

    gone: Counter[str]
    proof: consent.ToKeep
    records: list[UUID]
    hashes: set[bytes]


async def erase(
    db: Db,
    by: Actor,
    customer_id: UUID,
    *,
    fingerprint: Fingerprint = Fingerprint.keep,
    before: Before | None = None,
) -> Erased:
    """Delete everything held about a customer, in one transaction; again finds nothing to delete.

    What stays: a tombstone and the deliveries that books count by, stubs of consent events, the
    proof of what she allowed until its day, the fingerprint of the address unless she drops it
    herself, one event that names nobody, and the certificate of what went. Done once more after a
    restore, it was done `before`. A record that was merged into another goes with that one.
    """
    asked = before or Before(db.now, by.kind)
    check_fingerprint(by, fingerprint)
    # Before the rest: her row is held before what hangs on it, the eraser of consent and events
    # insists on the tombstone, and the tombstone takes waiting deliveries out (promise 2).
    customer_id, emptied = await _emptied(db, customer_id, asked.at)
    gone: Counter[str] = Counter(emptied.gone)
    fingerprint = await _her_choice(db, by, customer_id, fingerprint)
    former = await access.former_addresses(db, customer_id)
    # What ends with her is said once, sealed, and then forgotten as the rest.
    await consent.withdraw_all(db, by, customer_id, method=Method.erasure)
    dropped = fingerprint is Fingerprint.drop
    proof = await consent.keep_proof(db, customer_id, None if dropped else emptied.address_hash)
    gone.update(await _forget(db, customer_id, former, fingerprint))
    if emptied.address_hash is not None:
        gone.update(await _forget_present(db, emptied.address_hash, fingerprint))
        line = journal.Erased(customer_id, emptied.address_hash.hex(), dropped, asked.by)
        await _write_down(db, by, line)
    merged = await _erase_merged(db, by, customer_id, fingerprint, asked)
    gone.update(merged.gone)
    erased_at = await _erased_at(db, customer_id)
    if gone.total():
        count = len(_hashes(emptied.address_hash, former) | merged.hashes)
        ended = Ended(erased_at, fingerprint, gone, proof + merged.proof, merged.records, count)
        await certify(db, asked.by, customer_id, ended)
    return Erased(customer_id=customer_id, erased_at=erased_at)


async def traces(db: ReadDb) -> list[UUID]:
    """Return who was erased of late, and of whom something was recorded after all.

    What waits for the erasure is written when it commits, unless it looks whether she is gone: what
    a relay answered about a mail that was on its way, or a look at her record.
    """
    recent = db.now - _SETTLED
    return (await _traces(db, recent, _FIRST, _MANY)).found


async def erase_again(db: Db, customer_id: UUID) -> None:
    """Erase what was recorded of a customer after she was erased."""
    await erase(db, Actor.system(), customer_id)


async def erase_old_traces(db: Db, after: UUID, limit: int) -> Piece:
    """The same for whoever was erased at any time, a piece at a time: the last day's net.

    What was written while no worker ran, or what a relay answered after days, goes by this.
    """
    piece = await _traces(db, _EVER, after, limit)
    for customer_id in piece.found:
        await erase_again(db, customer_id)
    return Piece(len(piece.found), piece.upto)


async def _traces(db: ReadDb, since: datetime, after: UUID, limit: int) -> _Traces:
    return await db.one(sql.tombstones_with_traces, _Traces, since=since, after=after, limit=limit)


async def freeze(db: Db, customer_id: UUID) -> None:
    """Keep a customer's data and use it for nothing, because she says so (Art. 18 GDPR)."""
    await customers.restrict(db, Actor.customer(customer_id), customer_id)


async def unfreeze(db: Db, customer_id: UUID) -> None:
    """Use a customer's data again, because she says so."""
    await customers.unrestrict(db, Actor.customer(customer_id), customer_id)


async def home(db: ReadDb, me: Customer) -> Home:
    """Return what a customer's home page shows: the newest of each kind, and how much in all."""
    held = await customers.held(db, me)
    said = await consent.told(db, me.id)
    newest = await campaigns.mails(db, me, only_sent=True, limit=_SHOWN)
    sent = await campaigns.count_mails(db, me)
    seen = looks(await events.looks_at(db, me.id, limit=_SHOWN + 1))
    return Home(
        held=held,
        inventory=Inventory(
            details=details(held),
            interactions=held.counts,
            mails=sent.went,
            decisions=len(said.events),
            deliveries=sent.deliveries,
        ),
        mails=await campaigns.grounded(db, me, newest),
        looks=seen[:_SHOWN],
        more_looks=len(seen) > _SHOWN,
        deletion=await wishes.wish(db, me.id),
        silence=await consent.silence(db, me.id),
        recipients=await _recipients(db, said),
        merged=await merged_records(db, me.id),
    )


async def _recipients(db: ReadDb, said: ConsentTold) -> list[Party]:
    """Return who else receives her data for the purposes that are on (Art. 15(1)(c) GDPR)."""
    versions = await consent.current_versions(db)
    on = [each.purpose_id for each in said.consents if each.authorises(db.now)]
    now = [versions[each] for each in on if each in versions]
    return list(dict.fromkeys(party for each in now for party in each.entered.recipients))


async def inventory(db: ReadDb, customer: Customer) -> Inventory:
    """Count what an erasure of this customer would delete."""
    return (await home(db, customer)).inventory


async def forget_address(
    db: Db, address_hash: bytes, until: datetime | None = None
) -> dict[str, int]:
    """Delete what was kept under an address, or was until then, and names no customer.

    Sign-ups, letters, requests and counts: of a customer from before she was one, or of somebody
    who never was. Returns how many rows of which table.
    """
    gone: Counter[str] = Counter()
    for forget in FORGET_ADDRESS:
        gone.update(await forget(db, address_hash, until))
    return dict(gone)


async def forget_unknown(db: Db, address_hash: bytes, fingerprint: Fingerprint) -> Counter[str]:
    """Delete what hangs on the address of somebody whose record a restored database lacks.

    Returns how many rows went from which table. What belongs to somebody else who has the address
    here stays.
    """
    gone: Counter[str] = Counter()
    if await customers.by_hash(db, address_hash) is None:
        gone.update(await forget_address(db, address_hash))
    gone["suppression"] += await _mark(db, address_hash, fingerprint)
    return gone


async def forget_stranger(db: Db, address_hash: bytes) -> None:
    """Delete what is kept under the address of somebody who is no customer.

    Its fingerprint stays, so that an old list does not bring mails back to it.
    """
    await forget_address(db, address_hash)
    await _mark(db, address_hash, Fingerprint.keep)


async def erase_unknown(
    db: Db, customer_id: UUID, address_hash: bytes, before: Before, fingerprint: Fingerprint
) -> None:
    """Carry out once more the erasure of somebody whose record a restored database lacks.

    An empty record is put in its place, so that the link to her certificate goes on working.
    """
    gone = await forget_unknown(db, address_hash, fingerprint)
    await customers.bury(db, customer_id, at=before.at)
    ended = Ended(before.at, fingerprint, gone, consent.ToKeep(0, None))
    await certify(db, before.by, customer_id, ended)


async def _emptied(db: Db, customer_id: UUID, at: datetime) -> tuple[UUID, Forgotten]:
    """Empty a customer's row; of a record that was merged into another, that one's."""
    try:
        # Of a record whose merge was waited for nothing stays held: hers is held before it, as by
        # whoever freezes her.
        async with db.together():
            return customer_id, await customers.forget(db, customer_id, at=at)
    except UnknownCustomer:
        kept_id = await customers.kept_as(db, customer_id)
        if kept_id is None:
            raise
        return await _emptied(db, kept_id, at)


async def _erase_merged(
    db: Db, by: Actor, customer_id: UUID, fingerprint: Fingerprint, asked: Before
) -> _Merged:
    """Delete what is left under the numbers of records that were merged into one that goes."""
    gone: Counter[str] = Counter()
    proof = consent.ToKeep(0, None)
    dropped = fingerprint is Fingerprint.drop
    hashes: set[bytes] = set()
    records = await customers.merged_records(db, customer_id)
    for each in records:
        former = await access.former_addresses(db, each)
        # The last it had; every record had one when it was merged.
        left = max(former, key=lambda one: one.changed_at).address_hash
        hashes |= _hashes(left, former)
        proof += await consent.keep_proof(db, each, None if dropped else left)
        gone.update(await _forget(db, each, former, fingerprint))
        await _write_down(db, by, journal.Erased(each, left.hex(), dropped, asked.by))
    # After this nothing says any more whose they were.
    await customers.part(db, customer_id, at=asked.at)
    return _Merged(gone, proof, records, hashes)


async def _write_down(db: Db, by: Actor, line: journal.Erased) -> None:
    db.note(line)
    # No customer_id: the feed of a customer who is no more is empty, and stays so.
    await events.record(db, by, Kind.customer_erased, ref=line.customer_id)


def _hashes(present: bytes | None, former: Sequence[Former]) -> set[bytes]:
    return {each.address_hash for each in former} | ({present} if present else set())


async def _forget(
    db: Db, customer_id: UUID, former: Sequence[Former], fingerprint: Fingerprint
) -> Counter[str]:
    gone: Counter[str] = Counter()
    for forget in FORGET:
        gone.update(await forget(db, customer_id))
    gone.update(await _forget_former(db, former, fingerprint))
    return gone


async def _forget_present(db: Db, address_hash: bytes, fingerprint: Fingerprint) -> Counter[str]:
    gone = Counter(await forget_address(db, address_hash))
    gone["suppression"] += await _mark(db, address_hash, fingerprint)
    return gone


async def _forget_former(
    db: Db, former: Sequence[Former], fingerprint: Fingerprint
) -> Counter[str]:
    gone: Counter[str] = Counter()
    for each in former:
        gone.update(await forget_address(db, each.address_hash, each.changed_at))
        # Whoever has had it since may have objected: that is not hers to lift.
        if each.taken:
            continue
        if fingerprint is Fingerprint.keep:
            await mail.end_move(db, each.address_hash)
        else:
            await consent.disown_proofs(db, each.address_hash)
            until = each.changed_at
            gone["suppression"] += await mail.lift_former(db, each.address_hash, until)
    return gone


async def _her_choice(
    db: ReadDb, by: Actor, customer_id: UUID, fingerprint: Fingerprint
) -> Fingerprint:
    """Do with the fingerprint as she wants while she waits, whoever of staff is sooner."""
    chosen = None
    if by.kind in {ActorKind.member, ActorKind.key}:
        chosen = await wishes.wish(db, customer_id)
    return chosen.fingerprint if chosen else fingerprint


async def _mark(db: Db, address_hash: bytes, fingerprint: Fingerprint) -> int:
    """Keep the fingerprint, or delete it; return how many were deleted."""
    if fingerprint is Fingerprint.drop:
        # Nothing is found by it any more.
        await consent.disown_proofs(db, address_hash)
        return await mail.lift(db, address_hash)
    # Not in her name: the event would tie the address to the number of the empty record.
    await mail.suppress(db, Actor.system(), address_hash, Scope.marketing, Why.erased)
    await mail.end_move(db, address_hash)
    return 0


async def _erased_at(db: ReadDb, customer_id: UUID) -> datetime:
    tombstone = (await customers.of_ids(db, [customer_id]))[customer_id]
    assert tombstone.erased_at is not None  # noqa: S101  (written a moment ago, or before)
    return tombstone.erased_at
