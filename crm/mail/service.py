"""Messages that programs of a business write to single customers: how they wait, go and end.

Each is handed over at most once. Whatever breaks after a relay may have it leaves it `uncertain`,
and the business, who knows what it says, decides whether to send another.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from uuid import UUID

from msgspec import Struct

from crm import events
from crm.db import Db, ReadDb, Statements
from crm.errors import NotFound, TooMany
from crm.events import Actor, Kind
from crm.mail import actions
from crm.mail.model import ClaimedLetter, Letter, Written, next_letter_try
from crm.mail.outcome import Kind as OutcomeKind
from crm.mail.outcome import Outcome

sql = Statements("mail")

# One customer gets so many within a day, of all purposes together: more than an order, its
# payment, its parts and a forgotten password come to, and too few to be a newsletter by another
# name.
PER_DAY = 20
_DAY = timedelta(days=1)
# Longer than a letter that somebody waits for: an order that was confirmed a night late still was.
PATIENCE = timedelta(hours=24)
# Before it is handed over, and from then on until the relay has answered.
_LEASE = timedelta(seconds=90)
_ANSWER = timedelta(minutes=15)

_ENDED = {
    "sent": Kind.service_message_sent,
    "failed": Kind.service_message_failed,
    "uncertain": Kind.service_message_uncertain,
}


class TooManyServiceMessages(TooMany):
    """This customer was sent as many service messages within a day as there may be."""


class UnknownServiceMessage(NotFound):
    """There is no such service message here; it goes with its customer, and after a year."""


class TakenElsewhere(Exception):
    """Somebody else has this message by now, so it is not handed over here."""


class ServiceMessage(Struct, frozen=True, kw_only=True):
    """Where a message stands; `code` and `reply` are what the relay said last."""

    id: UUID
    customer_id: UUID
    purpose: str
    reference: str | None
    # waiting, sending, sent, failed, uncertain
    state: str
    attempts: int
    code: int | None
    reply: str | None
    created_at: datetime
    # When it is tried next, while it waits.
    next_at: datetime | None
    done_at: datetime | None
    # When it came back after the relay had taken it, and the code that was given.
    bounced_at: datetime | None
    bounce_code: str | None


class ClaimedMessage(ClaimedLetter, frozen=True, kw_only=True):
    """A message in our hands until the lease ends, or one that ended as it was taken."""

    customer_id: UUID
    reply: str


async def check_room(db: ReadDb, customer_id: UUID) -> None:
    """Refuse with TooManyServiceMessages where she got as many within a day as there may be.

    Her row is held, or two at once would both find room.
    """
    at = await db.maybe(
        sql.service_message_at,
        datetime,
        customer_id=customer_id,
        since=db.now - _DAY,
        others=PER_DAY - 1,
    )
    if at is not None:
        wait = (at + _DAY - db.now).total_seconds()
        raise TooManyServiceMessages(retry_after=max(1, round(wait)))


async def post(db: Db, by: Actor, letter: Letter, written: Written) -> ServiceMessage:
    """Send what a program wrote soon after this transaction commits; never behind a campaign."""
    await actions.put(db, letter, written)
    await events.record(
        db,
        by,
        Kind.service_message_posted,
        customer_id=letter.customer_id,
        ref=written.message_id,
        reason=letter.purpose or "",
    )
    # One job hands over for all businesses in turns; of a flood, one wake a second is enough.
    db.wake("mail.carry", slot=str(int(db.now.timestamp())))
    return await get(db, written.message_id)


async def get(db: ReadDb, message_id: UUID) -> ServiceMessage:
    """Return where a message stands, or refuse with UnknownServiceMessage."""
    found = await db.maybe(sql.service_message, ServiceMessage, message_id=message_id)
    if found is None:
        raise UnknownServiceMessage
    return found


async def claim(db: Db, limit: int) -> tuple[list[ClaimedMessage], bool]:
    """Take messages that are due for the length of a lease; says too whether any was.

    One whose sender went quiet when the relay might have had it ends as uncertain.
    """
    found = await db.many(
        sql.claim_service_messages, ClaimedMessage, limit=limit, lease_until=db.now + _LEASE
    )
    for each in found:
        await _tell(db, each, each.state, each.reply)
    return [each for each in found if each.state == "sending"], bool(found)


async def hand_over(db: Db, message: ClaimedMessage) -> None:
    """Write that the relay gets it next; TakenElsewhere where the lease ended meanwhile."""
    mine = await db.run(
        sql.hand_over,
        message_id=message.message_id,
        attempt=message.attempt,
        lease_until=db.now + _ANSWER,
    )
    if not mine:
        raise TakenElsewhere


async def record(db: Db, message: ClaimedMessage, outcome: Outcome) -> None:
    """Write what became of a message; what is uncertain is not tried again."""
    state, due = outcome.kind.value, None
    if outcome.kind is OutcomeKind.later:
        due = next_letter_try(message.attempt, db.now, message.created_at, PATIENCE)
        state = "waiting" if due else "failed"
    reply = f"{outcome.reason} {outcome.text}".strip()
    written = await db.run(
        sql.record_service_message,
        message_id=message.message_id,
        attempt=message.attempt,
        state=state,
        code=outcome.code or None,
        reply=reply,
        next_at=due,
    )
    if written:
        await _tell(db, message, state, f"{outcome.code or ''} {reply}".strip())


class _Returned(Struct, frozen=True):
    message_id: UUID
    customer_id: UUID


async def came_back(db: Db, low: UUID, high: UUID, address_hash: bytes, code: str) -> None:
    """Write that a message between these ids came back from this address; only the first counts."""
    found = await db.many(
        sql.service_message_came_back,
        _Returned,
        low=low,
        high=high,
        address_hash=address_hash,
        bounce_code=code[:20],
    )
    for each in found:
        await events.record(
            db,
            Actor.system(),
            Kind.service_message_bounced,
            customer_id=each.customer_id,
            ref=each.message_id,
            reason=code[:20],
        )


async def _tell(db: Db, message: ClaimedMessage, state: str, verdict: str) -> None:
    kind = _ENDED.get(state)
    if kind is None:
        return
    await events.record(
        db,
        Actor.system(),
        kind,
        customer_id=message.customer_id,
        ref=message.message_id,
        reason="" if state == "sent" else verdict,
    )
