"""What is done with service messages and suppressed addresses."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from datetime import datetime, timedelta
from uuid import UUID

from msgspec import Struct

from crm import businesses, customers, events
from crm.businesses import Business
from crm.db import Db, ReadDb, Statements
from crm.events import Actor, ActorKind, Kind
from crm.ids import time_ordered
from crm.journal import Lifted, Suppressed
from crm.mail import keeping, mime
from crm.mail.model import (
    PASSES,
    STALE,
    ClaimedLetter,
    HeldLetter,
    HeldSuppression,
    HersToLift,
    Letter,
    LetterKind,
    Scope,
    SentLetter,
    Suppression,
    TooManyLetters,
    Why,
    Written,
    next_letter_try,
)
from crm.mail.outcome import Kind as OutcomeKind
from crm.mail.outcome import Outcome
from crm.pieces import Piece

sql = Statements("mail")


class _Silent(Struct, frozen=True):
    address_hash: bytes
    decided: bool


# Against mail bombs: so many letters of a kind per address within a day, of those that somebody
# else can cause. What follows from her own act or from that of staff is never held back by them.
# Who asks for letters to an address is bounded closer, and by network, where they are asked for.
_PER_DAY = 40
_DAY = timedelta(days=1)
_BOUNDED = frozenset(
    {LetterKind.confirmation, LetterKind.sign_in, LetterKind.asked, LetterKind.receipt}
)
LEASE = timedelta(seconds=90)
# What is left of a message once it has gone: that it did.
LETTERS_KEPT = timedelta(days=365)
# So many texts are in memory at once.
_TEXTS = 20
_NEWEST = UUID(int=2**128 - 1)


async def post_letter(db: Db, letter: Letter) -> str:
    """Send a service message soon after this transaction commits; never behind a campaign.

    Returns its Message-ID. Refuses with TooManyLetters when the address got too many of its kind
    within a day, where others can cause them.
    """
    recent = await db.one(
        sql.letters_to,
        int,
        address_hash=letter.address_hash,
        kind=letter.kind,
        since=db.now - _DAY,
    )
    if letter.kind in _BOUNDED and recent >= _PER_DAY:
        raise TooManyLetters(retry_after=3600)
    return (await _posted(db, letter)).header


async def rehearse_letter(db: Db, letter: Letter) -> None:
    """Do the work of sending a letter, and keep nothing of it.

    For an address that nobody has: whoever watches the clock learns no more than from the answer.
    The same is composed and written, and the worker is woken.
    """
    written = await _posted(db, letter)
    await db.run(sql.drop_rehearsed, message_id=written.message_id)


async def _posted(db: Db, letter: Letter) -> Written:
    written = await write(db, letter)
    await put(db, letter, written)
    db.wake("mail.deliver", str(db.business_id))
    return written


async def write(db: ReadDb, letter: Letter) -> Written:
    """Write a letter as it goes out; nothing is sent by that."""
    message_id = time_ordered()
    business = await businesses.get(db)
    header = f"{message_id.hex}@{business.sender_address.rpartition('@')[2]}"
    # On the wire a domain is in ASCII (RFC 5890 §2.3.2.1), however it was typed.
    address = customers.parse(letter.address).deliverable
    content = _composed(business, letter, address, header, db.now)
    return Written(message_id, header, address, content)


async def put(db: Db, letter: Letter, written: Written) -> None:
    """Put a letter where workers find it once this transaction has committed."""
    await db.run(
        sql.post_letter,
        message_id=written.message_id,
        kind=letter.kind,
        passes=PASSES[letter.kind],
        customer_id=letter.customer_id,
        address_hash=letter.address_hash,
        address=written.address,
        content=written.content,
        kept=keeping.kept(letter, await businesses.get(db)),
        purpose=letter.purpose,
        reference=letter.reference,
    )


async def post_written(
    db: Db, kind: LetterKind, *, address: str, address_hash: bytes, content: bytes
) -> None:
    """Send a message that is written already, headers and all, soon after this commits."""
    await db.run(
        sql.post_letter,
        message_id=time_ordered(),
        kind=kind,
        passes=PASSES[kind],
        customer_id=None,
        address_hash=address_hash,
        address=address,
        content=content,
        kept=None,
        purpose=None,
        reference=None,
    )
    db.wake("mail.deliver", str(db.business_id))


def _composed(
    business: Business, letter: Letter, address: str, header: str, now: datetime
) -> bytes:
    return mime.compose(
        mime.ServiceMessage(
            sender_name=business.sender_name,
            sender_address=business.sender_address,
            to=address,
            subject=letter.subject,
            text=letter.text,
            html=letter.html,
            date=now,
            message_id=f"<{header}>",
            language=letter.locale,
            attachments=letter.attachments,
            images=letter.images,
        )
    )


async def claim_letters(db: Db, limit: int) -> list[ClaimedLetter]:
    """Take messages that are due for the length of a lease; suppressed ones end in this look.

    So do those that were tried and are too old by now: whoever had one may have gone quiet each
    time, and written nothing.
    """
    claimed = await db.many(
        sql.claim_letters,
        ClaimedLetter,
        limit=limit,
        lease_until=db.now + LEASE,
        stale_before=db.now - STALE,
    )
    return [letter for letter in claimed if letter.state == "sending"]


async def record_letter(db: Db, letter: ClaimedLetter, outcome: Outcome) -> None:
    """Write what became of a message; at least once: what is uncertain is tried again."""
    state, due = "sent", None
    if outcome.kind is OutcomeKind.failed:
        state = "failed"
    elif outcome.kind is not OutcomeKind.sent:
        due = next_letter_try(letter.attempt, db.now, letter.created_at)
        state = "waiting" if due else "failed"
    await db.run(
        sql.record_letter,
        message_id=letter.message_id,
        state=state,
        code=outcome.code or None,
        reply=f"{outcome.reason} {outcome.text}".strip(),
        next_at=due,
    )


async def stop_letters(db: Db) -> int:
    """End every service message that waits, in a database that was put back; returns how many."""
    return await db.run(sql.stop_letters)


async def suppress(db: Db, by: Actor, address_hash: bytes, scope: Scope, why: Why) -> None:
    """Mail an address no more; waiting deliveries to it are taken out in this transaction."""
    changed = await suppress_many(db, [(address_hash, scope, why)])
    if changed:
        # What she did herself is hers, and goes with her.
        hers = by.id if by.kind is ActorKind.customer else None
        await events.record(
            db, by, Kind.address_suppressed, customer_id=hers, reason=f"{scope}: {why}"
        )


async def suppress_many(db: Db, new: Sequence[tuple[bytes, Scope, Why]]) -> int:
    """Suppress many addresses in one statement; returns of how many more is known than before."""
    changed = await db.run(
        sql.suppress,
        address_hashes=[each[0] for each in new],
        scopes=[each[1].value for each in new],
        reasons=[each[2].value for each in new],
    )
    if changed:
        db.note(Suppressed([(fingerprint.hex(), scope, why) for fingerprint, scope, why in new]))
    return changed


async def suppressed(db: ReadDb, address_hash: bytes) -> Suppression | None:
    """Return how and why an address is suppressed, or None."""
    return await db.maybe(sql.suppression, Suppression, address_hash=address_hash)


async def decided_against(db: ReadDb, address_hash: bytes) -> Suppression | None:
    """Return what somebody decided against mail to an address, also where a bounce hides it."""
    return await db.maybe(sql.decided_against, Suppression, address_hash=address_hash)


async def suppressed_among(db: ReadDb, address_hashes: Sequence[bytes]) -> dict[bytes, bool]:
    """Return which of these addresses are suppressed, each with whether anybody decided that.

    That mail came back from one, or that it was left, was nobody's decision.
    """
    found = await db.many(sql.suppressed_among, _Silent, address_hashes=list(address_hashes))
    return {each.address_hash: each.decided for each in found}


async def lift(db: Db, address_hash: bytes) -> int:
    """Forget a suppression with its owner, who asked for everything to go when she left."""
    lifted = await db.run(sql.lift_suppression, address_hash=address_hash)
    if lifted:
        db.note(Lifted(address_hash.hex()))
    return lifted


async def lift_former(db: Db, address_hash: bytes, until: datetime) -> int:
    """Forget with her that of an address which was hers until an instant, and nobody's since.

    Mail may have come back from it later: that goes too. What somebody decided since stands.
    """
    lifted = await db.run(sql.lift_former, address_hash=address_hash, until=until)
    if lifted:
        db.note(Lifted(address_hash.hex()))
    return lifted


async def lift_heard(db: Db, address_hash: bytes, until: datetime) -> None:
    """Forget what was heard of a mailbox until an instant; what anybody decided stands."""
    if await db.run(sql.lift_heard, address_hash=address_hash, until=until):
        db.note(Lifted(address_hash.hex()))


async def lift_move(db: Db, address_hash: bytes) -> None:
    """Forget that an address was left; why else it may be suppressed stands."""
    if await db.run(sql.lift_move, address_hash=address_hash):
        db.note(Lifted(address_hash.hex()))
    elif await db.run(sql.lift_move_beneath, address_hash=address_hash):
        db.note(Lifted(address_hash.hex()))
        db.note(Suppressed([(address_hash.hex(), Scope.all, Why.bounced)]))


async def end_move(db: Db, address_hash: bytes) -> None:
    """Let a word that an address was left say that whoever had it last is erased.

    Nothing else says that anybody had it since. The journal has her erasure, which does it again.
    """
    await db.run(sql.end_move, address_hash=address_hash)


async def works_again(
    db: Db, by: Actor, address_hash: bytes, proved_at: datetime, *, customer_id: UUID | None = None
) -> bool:
    """Forget that mail came back from an address before its mailbox proved itself.

    Only that: what somebody asked for stands, and is lifted by her own yes alone. Says whether it
    was so.
    """
    lifted = await db.run(sql.lift_bounce, address_hash=address_hash, proved_at=proved_at)
    stands = await db.maybe(sql.uncover, Why, address_hash=address_hash, proved_at=proved_at)
    if not lifted and stands is None:
        return False
    db.note(Lifted(address_hash.hex()))
    if stands is not None:
        db.note(Suppressed([(address_hash.hex(), Scope.marketing, stands)]))
    hers = by.id if by.kind is ActorKind.customer else customer_id
    await events.record(db, by, Kind.address_works_again, customer_id=hers)
    return True


async def lift_bounce(db: Db, by: Actor, address_hash: bytes) -> None:
    """Mail an address again from which mail came back, on the word of the business.

    HersToLift where somebody decided against it: no business takes that back for her (promise 7).
    """
    found = await suppressed(db, address_hash)
    if found is None:
        return
    if found.reason is not Why.bounced:
        raise HersToLift
    holder = await customers.by_hash(db, address_hash)
    whose = holder.id if holder else None
    # The bounce that was found, and none that comes meanwhile.
    seen = found.at + timedelta(microseconds=1)
    await works_again(db, by, address_hash, seen, customer_id=whose)


async def suppressions(
    db: ReadDb, *, after: bytes | None = None, limit: int
) -> list[HeldSuppression]:
    """Return a page of the list, in the order of fingerprints."""
    return await db.many(
        sql.suppressions_after, HeldSuppression, after_hash=after or b"", limit=limit
    )


async def suppressions_among(
    db: ReadDb, address_hashes: Sequence[bytes]
) -> dict[bytes, HeldSuppression]:
    """Return how those of these addresses are suppressed that are."""
    hashes = list(address_hashes)
    found = await db.many(sql.suppressions_among, HeldSuppression, address_hashes=hashes)
    return {each.address_hash: each for each in found}


async def export(db: ReadDb, customer_id: UUID) -> AsyncIterator[HeldLetter]:
    """Yield the service messages to a customer without their texts, newest first.

    Also those that name no customer, from when the address was hers and nobody else's.
    """
    async for each in db.stream(sql.letters_of_customer, HeldLetter, customer_id=customer_id):
        yield each


async def texts(db: ReadDb, customer_id: UUID) -> AsyncIterator[SentLetter]:
    """Yield those whose texts are kept, with them, newest first, a few at a time."""
    before = _NEWEST
    while found := await db.many(
        sql.letter_texts, SentLetter, customer_id=customer_id, before=before, limit=_TEXTS
    ):
        for each in found:
            yield each
        before = found[-1].message_id


async def letter(db: ReadDb, customer_id: UUID, message_id: UUID) -> SentLetter | None:
    """Return one service message to a customer, or None where there is none of this id."""
    return await db.maybe(
        sql.letter_of_customer, SentLetter, customer_id=customer_id, message_id=message_id
    )


async def forget(db: Db, customer_id: UUID) -> dict[str, int]:
    """Delete the service messages to an erased customer; suppressions stay, as fingerprints."""
    return {"service_message": await db.run(sql.forget_letters, customer_id=customer_id)}


async def forget_address(db: Db, address_hash: bytes, until: datetime | None) -> dict[str, int]:
    """Delete what was written to an erased address by then and names no customer: confirmations."""
    gone = await db.run(sql.forget_letters_to, address_hash=address_hash, until=until)
    return {"service_message": gone}


async def lapse_letters(db: Db, after: UUID, limit: int) -> Piece:
    """Delete that service messages went, a year later, a piece at a time."""
    before = db.now - LETTERS_KEPT
    return await db.one(sql.lapse_letters, Piece, after=after, limit=limit, over_before=before)
