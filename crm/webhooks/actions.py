"""What is done with endpoints, and with what was told to them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import suppress
from datetime import datetime, timedelta
from uuid import UUID

import msgspec
from msgspec import Struct

from crm import events
from crm.db import Db, ReadDb, Statements
from crm.errors import Conflict, NotFound
from crm.events import Actor, Kind
from crm.ids import secret, time_ordered
from crm.keys import KeyWrong
from crm.pieces import Piece
from crm.webhooks import signature
from crm.webhooks.clearing import clear
from crm.webhooks.model import (
    COUNTED,
    KEPT,
    LATE,
    MOST,
    OVERLAP,
    PROOFS,
    Endpoint,
    EndpointOff,
    HeldPost,
    NeverSent,
    NewEndpoint,
    OffWhy,
    Post,
    Told,
    TooManyEndpoints,
    Try,
    UnknownEndpoint,
    UnknownPost,
    checked,
)

sql = Statements("webhooks")

# What is encrypted, for `Keys.encrypt`.
_SECRET = "webhook"  # noqa: S105  (names what is encrypted)
_NEWEST = UUID(int=2**128 - 1)
_AFTER_ALL = 2**63 - 1
_SHOWN = 100


class EndpointStale(Conflict):
    """Somebody changed this endpoint since you read it. Read it again and decide anew."""


class _Known(Struct, frozen=True):
    name: str
    state: str
    beginning: int

    @property
    def is_on(self) -> bool:
        return self.state == "on"


async def add(db: Db, by: Actor, new: NewEndpoint, *, local: bool) -> tuple[Endpoint, str]:
    """Tell events to an endpoint from now on; returns its secret, which is shown this once.

    What happened in the last seconds, and more while an import runs, may be told too: it has no
    place in the stream yet.
    """
    new = checked(new, local=local)
    if await db.one(sql.count_endpoints, int) >= MOST:
        raise TooManyEndpoints
    endpoint_id = time_ordered()
    # A business that has recorded nothing yet has no stream.
    await events.number(db)
    made = {"made_by_kind": by.kind, "made_by": by.id}
    await db.one(sql.add_endpoint, UUID, endpoint_id=endpoint_id, **made, **_fields(new))
    text = await _new_secret(db, endpoint_id)
    await events.record(db, by, Kind.webhook_added, ref=endpoint_id, reason=new.name)
    return await endpoint(db, endpoint_id), text


async def endpoints(db: ReadDb) -> list[Endpoint]:
    """Return where events are told to, and how it goes there."""
    return await db.many(
        sql.endpoints, Endpoint, endpoint_id=None, late=db.now - LATE, most=COUNTED + 1
    )


async def endpoint(db: ReadDb, endpoint_id: UUID) -> Endpoint:
    """Return one endpoint, or refuse with UnknownEndpoint."""
    found = await db.maybe(
        sql.endpoints, Endpoint, endpoint_id=endpoint_id, late=db.now - LATE, most=COUNTED + 1
    )
    if found is None:
        raise UnknownEndpoint
    return found


async def _known(db: ReadDb, endpoint_id: UUID) -> _Known:
    found = await db.maybe(sql.known_endpoint, _Known, endpoint_id=endpoint_id)
    if found is None:
        raise UnknownEndpoint
    return found


async def _hold(db: Db, endpoint_id: UUID) -> _Known:
    found = await db.maybe(sql.hold_known, _Known, endpoint_id=endpoint_id)
    if found is None:
        raise UnknownEndpoint
    return found


async def change(
    db: Db,
    by: Actor,
    endpoint_id: UUID,
    new: NewEndpoint,
    *,
    local: bool,
    expected: int | None = None,
) -> Endpoint:
    """Replace what is known of an endpoint.

    What waits goes to the new address, with its whole schedule before it, but for the kinds that
    are wanted no more: the first of it is gone at once, and nothing is told until the rest is as
    well.
    """
    new = checked(new, local=local)
    changed = await db.maybe(
        sql.change_endpoint, UUID, endpoint_id=endpoint_id, expected=expected, **_fields(new)
    )
    if changed is None:
        await _known(db, endpoint_id)
        raise EndpointStale
    await clear(db, endpoint_id)
    await events.record(db, by, Kind.webhook_changed, ref=endpoint_id, reason=new.name)
    return await endpoint(db, endpoint_id)


async def switch(db: Db, by: Actor, endpoint_id: UUID, *, on: bool) -> Endpoint:
    """Let events go there or keep them; what happens meanwhile waits, and nothing is lost."""
    found = await _hold(db, endpoint_id)
    if on and not found.is_on:
        await db.one(sql.switch_endpoint_on, str, endpoint_id=endpoint_id)
        await events.record(db, by, Kind.webhook_switched_on, ref=endpoint_id, reason=found.name)
    elif found.is_on and not on:
        await _switch_off(db, by, endpoint_id, OffWhy.staff)
    return await endpoint(db, endpoint_id)


async def give_up(db: Db, endpoint_id: UUID, why: OffWhy) -> None:
    """Send nothing to an endpoint any more that says so itself, or has not answered for long."""
    await _switch_off(db, Actor.system(), endpoint_id, why)


async def _switch_off(db: Db, by: Actor, endpoint_id: UUID, why: OffWhy) -> None:
    name = await db.one(sql.switch_endpoint_off, str, endpoint_id=endpoint_id, off_why=why)
    reason = name if why is OffWhy.staff else f"{name}: {why}"
    await events.record(db, by, Kind.webhook_switched_off, ref=endpoint_id, reason=reason)


async def remove(db: Db, by: Actor, endpoint_id: UUID) -> None:
    """Forget an endpoint, its secrets and what waits for it.

    Its name stays, for the customers whose withdrawals it was told. Of much that waits the worker
    takes away the rest.
    """
    name = await db.maybe(sql.remove_endpoint, str, endpoint_id=endpoint_id)
    if name is None:
        raise UnknownEndpoint
    await db.run(sql.drop_secrets, endpoint_id=endpoint_id)
    await clear(db, endpoint_id)
    await events.record(db, by, Kind.webhook_removed, ref=endpoint_id, reason=name)


async def rotate(
    db: Db, by: Actor, endpoint_id: UUID, overlap: timedelta = OVERLAP
) -> tuple[Endpoint, str]:
    """Make a new secret, shown this once; the former one signs beside it for the overlap."""
    found = await _known(db, endpoint_id)
    await db.run(sql.replace_secrets_alone, endpoint_id=endpoint_id)
    await db.run(sql.end_secret, endpoint_id=endpoint_id, ends_at=db.now + overlap)
    text = await _new_secret(db, endpoint_id)
    await db.run(sql.drop_secrets, endpoint_id=endpoint_id)
    await events.record(db, by, Kind.webhook_rotated, ref=endpoint_id, reason=found.name)
    return await endpoint(db, endpoint_id), text


async def live_secrets(db: ReadDb, endpoint_id: UUID) -> list[bytes]:
    """Return what posts are signed with now, the present secret first; KeyWrong where none can be.

    One that cannot be read any more keeps none of the others from being used.
    """
    found = []
    for each in await db.many(sql.live_secrets, bytes, endpoint_id=endpoint_id):
        with suppress(KeyWrong):
            found.append(db.keys.decrypt(db.business_id, _SECRET, each))
    if not found:
        raise KeyWrong(KeyWrong.__doc__)
    return found


async def try_out(db: Db, by: Actor, endpoint_id: UUID) -> None:
    """Have an event told to this endpoint alone, by the way of all others."""
    found = await _known(db, endpoint_id)
    if not found.is_on:
        raise EndpointOff
    await events.record(db, by, Kind.webhook_tested, ref=endpoint_id, reason=found.name)


async def replay(db: Db, by: Actor, endpoint_id: UUID, event_id: UUID) -> None:
    """Have one event told once more, under the same id, whatever became of it."""
    found = await _known(db, endpoint_id)
    # The endpoint before its posts, as whoever clears it or tells them.
    await db.run(sql.wake_endpoint, endpoint_id=endpoint_id)
    again = await db.maybe(
        sql.replay_one, int, endpoint_id=endpoint_id, event_id=event_id, proofs=list(PROOFS)
    )
    if again is None:
        raise UnknownPost
    await events.record(db, by, Kind.webhook_replayed, ref=endpoint_id, reason=found.name)


async def replay_since(db: Db, by: Actor, endpoint_id: UUID, since: datetime) -> None:
    """Have everything since an instant told once more, in its order and under the same ids.

    A little of what came before may be told too.
    """
    found = await _known(db, endpoint_id)
    position = await events.place(db, since)
    if position is not None:
        await db.one(sql.replay_since, UUID, endpoint_id=endpoint_id, position=position)
    reason = f"{found.name}: since {since.isoformat(timespec='seconds')}"
    await events.record(db, by, Kind.webhook_replayed, ref=endpoint_id, reason=reason)


async def acknowledge(db: Db, endpoint_id: UUID, event_id: UUID) -> datetime:
    """Keep that whoever was told has heeded it; returns since when. Again changes nothing.

    It counts as soon as the event went out, also while what was answered is not yet on record; of
    one that only waits it is refused with NeverSent.
    """
    found = await db.maybe(
        sql.acknowledge, datetime, endpoint_id=endpoint_id, event_id=event_id
    )  # fmt: skip
    if found is None:
        raise NeverSent
    return found


async def posts(
    db: ReadDb, endpoint_id: UUID, *, state: str = "", before: int | None = None, limit: int = 50
) -> list[Post]:
    """Return what was told to an endpoint or waits for it, newest first."""
    found = await _known(db, endpoint_id)
    return await db.many(
        sql.posts,
        Post,
        endpoint_id=endpoint_id,
        beginning=found.beginning,
        state=state,
        before_number=_AFTER_ALL if before is None else before,
        limit=limit,
    )


async def tries(
    db: ReadDb, endpoint_id: UUID, *, before: UUID | None = None, limit: int = 50
) -> list[Try]:
    """Return what went out to an endpoint and what came back, newest first."""
    await _known(db, endpoint_id)
    return await db.many(
        sql.tries, Try, endpoint_id=endpoint_id, before=before or _NEWEST, limit=limit
    )


async def told(db: ReadDb, customer_id: UUID) -> list[Told]:
    """Return whom a customer's withdrawals were told to, newest first (Art. 19 GDPR)."""
    return await db.many(
        sql.told_of_customer, Told, customer_id=customer_id, proofs=list(PROOFS), limit=_SHOWN
    )


def export(db: ReadDb, customer_id: UUID) -> AsyncIterator[HeldPost]:
    """Yield everything about a customer that was told to somebody, or is to be, oldest first."""
    return db.stream(sql.posts_of_customer, HeldPost, customer_id=customer_id)


async def forget(db: Db, customer_id: UUID) -> dict[str, int]:
    """Have nothing told of an erased customer any more but that she was."""
    await db.run(sql.hold_posts_of, customer_id=customer_id)
    return {"post": await db.one(sql.forget_posts, int, customer_id=customer_id)}


async def lapse(db: Db, after: UUID, limit: int) -> Piece:
    """Delete what became of posts a month later, a piece at a time; proofs stay as their event."""
    return await db.one(
        sql.lapse_posts,
        Piece,
        after=after,
        limit=limit,
        over_before=db.now - KEPT,
        proofs=list(PROOFS),
    )


async def _new_secret(db: Db, endpoint_id: UUID) -> str:
    made = secret(signature.SECRET_SIZE)
    sealed = db.keys.encrypt(db.business_id, _SECRET, made)
    if await db.maybe(sql.add_secret, int, endpoint_id=endpoint_id, sealed=sealed) is None:
        raise NotFound
    return signature.written(made)


def _fields(new: NewEndpoint) -> dict[str, object]:
    return msgspec.structs.asdict(new)
