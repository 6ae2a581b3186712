"""The transactions between which posts go out: taken under a lease, recorded, and the next taken.

Whoever works on an endpoint holds it alone. A worker that dies leaves posts that nobody recorded:
the next one sends them again, under the same ids, so each arrives at least once. One that was only
slow is told by the epoch that it has lost the endpoint, and records nothing.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from datetime import datetime, timedelta
from uuid import UUID

from msgspec import Struct, field

from crm.db import Db, Statements
from crm.ids import time_ordered
from crm.webhooks.actions import give_up, live_secrets
from crm.webhooks.model import (
    GONE,
    PROOFS,
    Answer,
    DuePost,
    OffWhy,
    has_failed_long,
    is_tried_out,
    next_try,
    rest_until,
)
from crm.webhooks.staff_letters import tell_staff

sql = Statements("webhooks")

# So many posts are out at once for one endpoint.
AT_ONCE = 16
# Longer than the posts of one round may take.
LEASE = timedelta(seconds=60)
_PIECE, _PIECES = 500, 10


class Held(Struct, frozen=True):
    """An endpoint that this worker has, by number."""

    endpoint_id: UUID
    epoch: int


class Batch(Struct, frozen=True):
    """Posts that are to go now, to where, and what they are signed with."""

    url: str
    secrets: list[bytes]
    posts: list[DuePost]


class Went(Struct, frozen=True):
    """A post that went out, what came back, and whether that acknowledges it.

    What an endpoint says is read before anything of it is recorded, so that nothing that it says
    can keep a round from being recorded.
    """

    post: DuePost
    answer: Answer
    acknowledged: bool = False
    # Recorded once, also where nobody said whether that was kept.
    try_id: UUID = field(default_factory=time_ordered)


class _Endpoint(Struct, frozen=True):
    name: str
    url: str
    failures: int
    succeeded_at: datetime | None
    rest_until: datetime | None
    # How often it was switched on or got another address: what was tried before counts as never
    # tried.
    beginning: int
    # What waits of kinds that it wants no more is being cleared away.
    is_clearing: bool


async def take(db: Db, endpoint_id: UUID) -> Held | None:
    """Take an endpoint that has something to do and that no worker has."""
    epoch = await db.maybe(
        sql.lease_endpoint, int, endpoint_id=endpoint_id, leased_until=db.now + LEASE
    )
    return None if epoch is None else Held(endpoint_id, epoch)


async def go_on(db: Db, held: Held, went: Sequence[Went], *, takes: bool = True) -> Batch | None:
    """Record what came of some posts and take the next; None: there are none, or it is lost.

    What is taken counts as sent from this transaction on. Unless it `takes`, it lets go at once.
    """
    endpoint = await db.maybe(
        sql.hold_endpoint,
        _Endpoint,
        endpoint_id=held.endpoint_id,
        epoch=held.epoch,
        leased_until=db.now + LEASE,
    )
    if endpoint is None:
        return None
    why, rests, failures = await _record(db, held, endpoint, went)
    if why is not None:
        await give_up(db, held.endpoint_id, why)
        await tell_staff(db, endpoint.name, why)
        return None
    posts = []
    if takes and not rests and not endpoint.is_clearing:
        limit = 1 if is_tried_out(failures) else AT_ONCE
        posts = await _due(db, held, endpoint.beginning, limit)
    if not posts:
        await let_go(db, held)
        return None
    secrets = await live_secrets(db, held.endpoint_id)
    await db.run(
        sql.mark_out, endpoint_id=held.endpoint_id, numbers=[each.number for each in posts]
    )
    return Batch(endpoint.url, secrets, posts)


async def let_go(db: Db, held: Held) -> None:
    """Leave an endpoint until there is something to do for it again."""
    await db.run(sql.settle_endpoint, endpoint_id=held.endpoint_id, epoch=held.epoch)
    await db.run(sql.drop_secrets, endpoint_id=held.endpoint_id)


async def _due(db: Db, held: Held, beginning: int, limit: int) -> list[DuePost]:
    """Find what can go now, and make posts of the next events while that is less than there could.

    What waits behind a failing one of the same customer keeps nothing of others from being made.
    Of a long stream in which little is wanted some pieces are gone through at a time.
    """
    found: list[DuePost] = []
    for _ in range(_PIECES):
        found = await db.many(
            sql.due_posts,
            DuePost,
            endpoint_id=held.endpoint_id,
            beginning=beginning,
            limit=limit,
        )
        if len(found) == limit:
            break
        if not await db.one(
            sql.fan_out, int, endpoint_id=held.endpoint_id, limit=_PIECE, proofs=list(PROOFS)
        ):
            break
    return found


async def _record(
    db: Db, held: Held, endpoint: _Endpoint, went: Sequence[Went]
) -> tuple[OffWhy | None, bool, int]:
    """Write what came back; return why it is given up, if it is, whether it rests, its failures."""
    if not went or went[0].post.beginning != endpoint.beginning:
        # What came back from a former address says nothing of the present one.
        await _write(db, held, went, [_former_fate(each, db.now) for each in went])
        rests = endpoint.rest_until is not None and endpoint.rest_until > db.now
        return None, rests, endpoint.failures
    arrived = any(each.answer.arrived for each in went)
    succeeded_at = db.now if arrived else endpoint.succeeded_at
    fates = [_fate(each, db.now, succeeded_at) for each in went]
    written = await _write(db, held, went, fates)
    failures = 0 if arrived else endpoint.failures + (written > 0)
    rest = rest_until(failures, [each.answer for each in went], db.now)
    await db.run(
        sql.note_endpoint,
        endpoint_id=held.endpoint_id,
        failures=failures,
        rest_until=rest,
        succeeded_at=succeeded_at,
    )
    return next((each.off for each in fates if each.off), None), rest is not None, failures


async def _write(db: Db, held: Held, went: Sequence[Went], fates: Sequence[_Fate]) -> int:
    """Write what became of posts and, while those are held, what came back; returns of how many."""
    if not went:
        return 0
    written = await db.run(
        sql.record_posts,
        endpoint_id=held.endpoint_id,
        # All of a round were taken in the same one.
        beginning=went[0].post.beginning,
        numbers=[each.post.number for each in went],
        attempts=[each.post.attempts for each in went],
        states=[each.state for each in fates],
        next_ats=[each.next_at for each in fates],
        acknowledged=[each.acknowledged for each in went],
    )
    await db.run(
        sql.record_tries,
        endpoint_id=held.endpoint_id,
        try_ids=[each.try_id for each in went],
        numbers=[each.post.number for each in went],
        statuses=[each.answer.status for each in went],
        troubles=[each.answer.trouble for each in went],
        millis=[each.answer.millis for each in went],
    )
    return written


class _Fate(Struct, frozen=True):
    state: str
    next_at: datetime | None = None
    off: OffWhy | None = None


def _former_fate(went: Went, now: datetime) -> _Fate:
    """Decide what becomes of a post that went to a former address: not taken, it is due again."""
    return _Fate("told") if went.answer.arrived else _Fate("waiting", now)


def _fate(went: Went, now: datetime, succeeded_at: datetime | None) -> _Fate:
    """Decide what becomes of a post; one for which the endpoint is given up waits."""
    answer, post = went.answer, went.post
    if answer.arrived:
        return _Fate("told")
    if answer.status == GONE:
        return _Fate("waiting", now, OffWhy.gone)
    # Not a secret: only that what failed together does not come together.
    chance = random.random()  # noqa: S311
    again = next_try(post.attempts + 1, now, chance, answer.retry_after)
    if again is not None:
        return _Fate("waiting", again)
    if has_failed_long(post.begun_at or now, succeeded_at):
        return _Fate("waiting", now, OffWhy.failing)
    return _Fate("failed")
