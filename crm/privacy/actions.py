"""What is done with everything held of a customer: it is shown, frozen and deleted."""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from typing import TypeAlias
from uuid import UUID

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
)
from crm.consent import ConsentTold, Method
from crm.consent.terms import Party
from crm.customers import Customer
from crm.db import Db, ReadDb, Statements
from crm.events import Actor, Kind
from crm.mail import Scope, Why
from crm.privacy import brought, copies, requests, restriction
from crm.privacy.erasure import wishes
from crm.privacy.erasure.certifying import Ended, certify
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
ForgetAddress: TypeAlias = Callable[[Db, bytes], Awaitable[dict[str, int]]]

# Before her row is held: a wish is held before it everywhere; and while her address is known,
# because a sign-up hangs on nothing else.
FORGET_FIRST: tuple[Forget, ...] = (wishes.forget, access.forget)
# Every domain that holds personal data besides the customer's own row; in this order, from the
# proof of what she allowed to what happened on the way. tests/test_personal_data.py reads the
# catalog and finds the table that none of them empties.
FORGET: tuple[Forget, ...] = (
    # Once more, now that her row is held: a way in made in the meantime goes as well, and with it
    # the last that cites a proof of her mailbox.
    access.forget,
    consent.forget,
    events.forget,
    mail.forget,
    campaigns.forget,
    rhythm.forget,
    staff.forget,
    requests.forget,
    copies.forget,
    restriction.forget,
    brought.forget,
)
# Letters to her address from before she was a customer.
FORGET_ADDRESS: tuple[ForgetAddress, ...] = (
    mail.forget_address,
    inbound.forget_address,
    requests.forget_address,
    staff.forget_address,
)

_SHOWN = 5
# A mail that was claimed before an erasure has its answer long before this.
_SETTLED = timedelta(days=2)


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
    restore, it was done `before`.
    """
    asked = before or Before(db.now, by.kind)
    check_fingerprint(by, fingerprint)
    former = await access.former_addresses(db, customer_id)
    gone = await _forget(db, customer_id, FORGET_FIRST)
    # Before the rest: the eraser of consent and events insists on the tombstone, and the
    # tombstone takes waiting deliveries out (promise 2).
    emptied = await customers.forget(db, customer_id, at=asked.at)
    gone.update(emptied.gone)
    # What ends with her is said once, sealed, and then forgotten as the rest.
    await consent.withdraw_all(db, by, customer_id, method=Method.erasure)
    dropped = fingerprint is Fingerprint.drop
    proof = await consent.keep_proof(db, customer_id, None if dropped else emptied.address_hash)
    gone.update(await _forget(db, customer_id, FORGET))
    gone.update(await _forget_former(db, former, fingerprint))
    if emptied.address_hash is not None:
        gone.update(await _forget_address(db, emptied.address_hash))
        gone["suppression"] += await _mark(db, by, emptied.address_hash, fingerprint)
        db.note(journal.Erased(customer_id, emptied.address_hash.hex(), dropped, asked.by))
        # No customer_id: the feed of a customer who is no more is empty, and stays so.
        await events.record(db, by, Kind.customer_erased, ref=customer_id)
    erased_at = await _erased_at(db, customer_id)
    if gone.total():
        await certify(db, asked.by, customer_id, Ended(erased_at, fingerprint, gone, proof))
    return Erased(customer_id=customer_id, erased_at=erased_at)


async def erase_traces(db: Db) -> int:
    """Erase again whoever something was recorded of while her erasure was under way.

    A withdrawal waits for the erasure and is then written, because leaving is never refused; so
    is what a relay answered about a mail that was on its way. Returns how many it were.
    """
    found = await db.many(sql.tombstones_with_traces, UUID, since=db.now - _SETTLED)
    for customer_id in found:
        await erase(db, Actor.system(), customer_id)
    return len(found)


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
        recipients=await _recipients(db, said),
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


async def forget_address(db: Db, customer_id: UUID, address_hash: bytes) -> None:
    """Delete what hangs on the address of somebody who was erased and of whom no record is here."""
    await access.forget(db, customer_id, address_hash)
    await _forget_address(db, address_hash)


async def _forget_address(db: Db, address_hash: bytes) -> Counter[str]:
    gone: Counter[str] = Counter()
    for forget in FORGET_ADDRESS:
        gone.update(await forget(db, address_hash))
    return gone


async def _forget(db: Db, customer_id: UUID, by_domain: tuple[Forget, ...]) -> Counter[str]:
    gone: Counter[str] = Counter()
    for forget in by_domain:
        gone.update(await forget(db, customer_id))
    return gone


async def _forget_former(db: Db, former: list[bytes], fingerprint: Fingerprint) -> Counter[str]:
    gone: Counter[str] = Counter()
    for address_hash in former:
        gone.update(await _forget_address(db, address_hash))
        if fingerprint is Fingerprint.drop:
            gone["suppression"] += await _drop(db, address_hash)
    return gone


async def _mark(db: Db, by: Actor, address_hash: bytes, fingerprint: Fingerprint) -> int:
    """Keep the fingerprint, or delete it; return how many were deleted."""
    if fingerprint is Fingerprint.drop:
        return await _drop(db, address_hash)
    await mail.suppress(db, by, address_hash, Scope.marketing, Why.erased)
    return 0


async def _drop(db: Db, address_hash: bytes) -> int:
    """Let nothing be found by the fingerprint any more; return how many entries it stood in."""
    await consent.disown_proofs(db, address_hash)
    return await mail.lift(db, address_hash)


async def _erased_at(db: ReadDb, customer_id: UUID) -> datetime:
    tombstone = (await customers.of_ids(db, [customer_id]))[customer_id]
    assert tombstone.erased_at is not None  # noqa: S101  (written a moment ago, or before)
    return tombstone.erased_at
