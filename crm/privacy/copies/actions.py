"""What is done with copies: asked for, claimed, kept part by part, taken, ended and forgotten."""

from __future__ import annotations

from uuid import UUID

from crm import businesses, customers, events, mail
from crm.access import wording
from crm.customers import Customer
from crm.db import Db, ReadDb, Statements
from crm.events import Actor, ActorKind, Kind
from crm.ids import opaque
from crm.mail import Letter, LetterKind
from crm.pieces import Piece
from crm.privacy import requests, restriction
from crm.privacy.copies.model import (
    KEPT,
    LEASE,
    REMEMBERED,
    TRIES,
    Copy,
    NotForHer,
    NotReady,
    UnknownCopy,
    check_ready,
)
from crm.privacy.erasure import wishes
from crm.privacy.requests.model import NewRequest, Proof, RequestKind, Way
from crm.privacy.restriction.actions import Frozen
from crm.staff import BeingErased

sql = Statements("privacy")

# So many parts are deleted in one transaction: each is of some hundred kilobytes.
_PARTS_AT_ONCE = 200
# What stands in the queue of staff where she asked for no more than a press.
_FAILED = "A copy of everything. The service could not make it."


async def ask(
    db: Db,
    by: Actor,
    customer_id: UUID,
    *,
    reason: str = "",
    tells: bool = False,
    anew: bool = False,
) -> Copy:
    """Have a copy built; whoever asks again gets the same one, until it is over.

    `anew` ends one that is ready, which may be of days ago; one that is being built is new enough.
    She reads who asked, when and why (promise 11). She is told by mail when hers is ready, and of
    somebody else's where `tells` says so. Of a frozen record only for her (Frozen).
    """
    if by.id is None or by.kind is ActorKind.system:
        raise NotForHer
    # Held before her copies, as an erasure does.
    await db.maybe(sql.hold_copied, UUID, customer_id=customer_id)
    await check_takes(db, by, customer_id)
    await _make_way(db, by, customer_id, anew=anew)
    asked = await db.maybe(
        sql.ask_copy,
        Copy,
        copy_id=opaque(),
        customer_id=customer_id,
        actor_kind=by.kind,
        actor_id=by.id,
        actor_name=by.name,
        reason=reason,
        tells=tells or by.kind is ActorKind.customer,
    )
    if asked is None:
        return await _same(db, by, customer_id)
    await events.record(db, by, Kind.customer_exported, customer_id=customer_id, reason=reason)
    db.wake("privacy.build", str(db.business_id))
    return asked


async def _make_way(db: Db, by: Actor, customer_id: UUID, *, anew: bool) -> None:
    """End what would be the same copy: one whose time is over, and one that is wanted `anew`."""
    await db.run(sql.end_copies_of, customer_id=customer_id)
    if anew:
        asker = {"actor_kind": by.kind, "actor_id": by.id}
        await db.run(sql.end_ready_copy, customer_id=customer_id, **asker)


async def _same(db: ReadDb, by: Actor, customer_id: UUID) -> Copy:
    same = await newest(db, by, customer_id)
    if same is None:
        raise UnknownCopy
    return same


async def check_takes(db: ReadDb, by: Actor, customer_id: UUID) -> None:
    """Refuse anybody but her a copy of a frozen record, or of one that she wants deleted.

    Asked when one is asked for, when it is ready, and each time it is taken (Frozen, BeingErased).
    """
    await restriction.check_copy(db, by, await customers.get(db, customer_id))
    if by.kind is not ActorKind.customer and await wishes.wish(db, customer_id) is not None:
        raise BeingErased


async def newest(db: ReadDb, by: Actor, customer_id: UUID) -> Copy | None:
    """Return the last copy that somebody asked for, as it is now."""
    found = await db.maybe(
        sql.newest_copy, Copy, customer_id=customer_id, actor_kind=by.kind, actor_id=by.id
    )
    return found.seen(db.now) if found else None


async def get(db: ReadDb, by: Actor, copy_id: UUID) -> Copy:
    """Return a copy to whoever asked for it; UnknownCopy to anybody else."""
    found = await db.maybe(sql.copy, Copy, copy_id=copy_id, actor_kind=by.kind, actor_id=by.id)
    if found is None:
        raise UnknownCopy
    return found.seen(db.now)


async def to_take(db: ReadDb, by: Actor, customer_id: UUID) -> Copy:
    """Return the copy that somebody asked for and can take now, or refuse with NotReady."""
    await check_takes(db, by, customer_id)
    copy = await newest(db, by, customer_id)
    if copy is None:
        raise NotReady
    return check_ready(copy, db.now)


async def to_fetch(db: ReadDb, by: Actor, copy_id: UUID) -> Copy:
    """Return the same by its id: UnknownCopy to anybody but who asked for it."""
    copy = await get(db, by, copy_id)
    await check_takes(db, by, copy.customer_id)
    return check_ready(copy, db.now)


async def part(db: ReadDb, copy: Copy, number: int) -> bytes | None:
    """Return one part of the file, decrypted; None once it is gone."""
    kept = await db.maybe(sql.part_of_copy, bytes, copy_id=copy.id, number=number)
    return None if kept is None else db.keys.decrypt(db.business_id, copy.label(number), kept)


async def asked_of(db: ReadDb, customer_id: UUID) -> list[Copy]:
    """Return every copy of a customer that was asked for, by anybody, the oldest first."""
    return await db.many(sql.copies_of_customer, Copy, customer_id=customer_id)


async def due(db: ReadDb) -> bool:
    """Say whether there is a copy to build."""
    return await db.one(sql.copies_due, bool, tries=TRIES)


async def claim(db: Db) -> Copy | None:
    """Take the copy that has waited longest; what an earlier worker has left of it goes."""
    copy = await db.maybe(sql.claim_copy, Copy, lease_until=db.now + LEASE, tries=TRIES)
    if copy is not None:
        await db.run(sql.drop_parts, copy_id=copy.id)
    return copy


async def extent(db: ReadDb, customer_id: UUID) -> int:
    """Count about how many rows there are of a customer."""
    return await db.one(sql.extent_of_copy, int, customer_id=customer_id)


async def keep(db: Db, copy: Copy, number: int, content: bytes, *, done: int, total: int) -> bool:
    """Keep the next part, encrypted; False where the copy is not ours any more, or gone."""
    kept = await db.run(
        sql.keep_part,
        copy_id=copy.id,
        epoch=copy.epoch,
        number=number,
        content=db.keys.encrypt(db.business_id, copy.label(number), content),
        lease_until=db.now + LEASE,
        done=done,
        total=total,
    )
    return kept == 1


async def finish(db: Db, copy: Copy, *, parts: int, size: int) -> Copy | None:
    """Let it be taken from now on, and tell her; None where it is not ours any more.

    One that she asked for herself is the answer to a request (Art. 15 GDPR). One that is for
    somebody else fails where she has frozen her record meanwhile, or wants it deleted.
    """
    if await db.maybe(sql.hold_copied, UUID, customer_id=copy.customer_id) is None:
        return None
    try:
        await check_takes(db, copy.actor, copy.customer_id)
    except (Frozen, BeingErased):
        await db.run(sql.fail_copy, copy_id=copy.id, epoch=copy.epoch)
        return None
    ready = await db.maybe(
        sql.finish_copy,
        Copy,
        copy_id=copy.id,
        epoch=copy.epoch,
        parts=parts,
        size=size,
        ends_at=db.now + KEPT,
    )
    if ready is None:
        return None
    if ready.actor_kind is ActorKind.customer:
        await requests.settle(db, ready.actor, RequestKind.access, ready.customer_id)
    if ready.tells:
        await mail.post_letter(db, await _letter(db, ready))
    return ready


async def end(db: Db) -> None:
    """Delete some of the parts of copies whose time is over or that failed.

    One that she asked for and that could not be built is a request of hers from now on (Art. 15):
    a person answers it, in time.
    """
    for copy in await db.many(sql.copies_given_up, Copy, tries=TRIES):
        await db.maybe(sql.hold_copied, UUID, customer_id=copy.customer_id)
        failed = await db.run(sql.fail_copy, copy_id=copy.id, epoch=copy.epoch)
        if failed and copy.actor_kind is ActorKind.customer:
            new = NewRequest(kind=RequestKind.access, customer_id=copy.customer_id, words=_FAILED)
            await requests.receive(db, copy.actor, new, way=Way.portal, proof=Proof.session)
    await db.run(sql.end_copies)
    await db.run(sql.drop_ended_parts, limit=_PARTS_AT_ONCE)


async def lapse(db: Db, after: UUID, limit: int) -> Piece:
    """Delete that there were copies, a while later, a piece at a time."""
    before = db.now - REMEMBERED
    return await db.one(sql.lapse_copies, Piece, after=after, limit=limit, over_before=before)


async def forget(db: Db, customer_id: UUID) -> dict[str, int]:
    """Delete the copies of an erased customer; one that is being built stays gone."""
    await db.many(sql.hold_copies_of, UUID, customer_id=customer_id)
    return {
        "copy_part": await db.run(sql.forget_parts, customer_id=customer_id),
        "copy": await db.run(sql.forget_copies, customer_id=customer_id),
    }


async def _letter(db: ReadDb, copy: Copy) -> Letter:
    """Say that it is there and where, and nothing of what is in it."""
    customer: Customer = await customers.get(db, copy.customer_id)
    business = await businesses.get(db)
    hers = copy.actor_kind is ActorKind.customer
    words = wording.words(
        "copy_ready" if hers else "copy_taken",
        customer.locale or business.locale,
        business,
        who=copy.actor_name or business.name,
        reason=copy.reason,
        asked=wording.moment(copy.asked_at, business),
        until=wording.moment(db.now + KEPT, business),
        link=f"{business.origin}/me/copy" if hers else f"{business.origin}/me/looks",
    )
    fingerprint = db.keys.address_hash(db.business_id, customers.fold(customer.address))
    return wording.answer(
        LetterKind.notice, words, customers.parse(customer.address), fingerprint, customer
    )
