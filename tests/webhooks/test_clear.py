"""What goes nowhere any more leaves in pieces; at each commit between them every promise holds."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from datetime import datetime, timedelta
from uuid import UUID, uuid4

import pytest
from msgspec import Struct

from crm import above, events, webhooks
from crm.businesses import Business
from crm.db import Database
from crm.events import Kind
from crm.statements import parse
from crm.webhooks import Endpoint, NewEndpoint, clearing, jobs, telling
from tests import make
from tests.webhooks.conftest import Clock
from tests.webhooks.receiver import Receiver, Reply
from tests.webhooks.site import SYSTEM, added, ctx, happened, turn

NORA, ZOE = uuid4(), uuid4()
RECORDED, CHANGED, WITHDRAWN = (
    Kind.interaction_recorded,
    Kind.customer_changed,
    Kind.consent_withdrawn,
)


class Left(Struct, frozen=True):
    """A post that is still there."""

    kind: str
    is_told: bool
    tries: int


_LEFT, _TRIES, _AT, _NEXT = parse("""-- name: left
-- What is left of the posts of an endpoint.
SELECT p.kind, p.told_at IS NOT NULL AS is_told,
       (SELECT count(*) FROM crm.post_try t
         WHERE t.business_id = :business_id AND t.endpoint_id = :endpoint_id
           AND t.number = p.number) AS tries
  FROM crm.post p
 WHERE p.business_id = :business_id AND p.endpoint_id = :endpoint_id
 ORDER BY p.number;

-- name: tries
-- How often something went out to it.
SELECT count(*) FROM crm.post_try t
 WHERE t.business_id = :business_id AND t.endpoint_id = :endpoint_id;

-- name: at
-- How many of its posts are yet to be looked at in clearing it; none where that is over.
SELECT (SELECT count(*) FROM crm.post p
         WHERE p.business_id = :business_id AND p.endpoint_id = :endpoint_id
           AND p.number > e.clearing)
  FROM crm.endpoint e
 WHERE e.business_id = :business_id AND e.endpoint_id = :endpoint_id AND e.clearing IS NOT NULL;

-- name: next
-- When there is something to do for it.
SELECT e.next_at FROM crm.endpoint e
 WHERE e.business_id = :business_id AND e.endpoint_id = :endpoint_id;""")


class Killed(Exception):
    """A worker ends before it can commit."""


@pytest.fixture(autouse=True)
def _two_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """A piece is small, so that a few posts are many."""
    monkeypatch.setattr(clearing, "PIECE", 2)


async def _left(database: Database, business: Business, endpoint: Endpoint) -> list[Left]:
    async with database.read(business.id) as db:
        return await db.many(_LEFT, Left, endpoint_id=endpoint.id)


async def _tries(database: Database, business: Business, endpoint: Endpoint) -> int:
    async with database.read(business.id) as db:
        return await db.one(_TRIES, int, endpoint_id=endpoint.id)


async def _ahead(database: Database, business: Business, endpoint: Endpoint) -> int | None:
    async with database.read(business.id) as db:
        return await db.maybe(_AT, int, endpoint_id=endpoint.id)


async def _wanted(
    database: Database,
    business: Business,
    endpoint: Endpoint,
    there: Receiver,
    *kinds: Kind,
    name: str = "Shop",
) -> None:
    async with database.write(business.id) as db:
        new = NewEndpoint(name=name, url=there.url, kinds=list(kinds))
        await webhooks.change(db, SYSTEM, endpoint.id, new, local=True)


async def _begun(database: Database, business: Business, endpoint: Endpoint) -> None:
    """A worker clears a piece away, and is killed before it is committed."""
    with suppress(Killed):
        async with database.write(business.id) as db:
            assert await clearing.clear(db, endpoint.id)
            raise Killed


async def _waiting(database: Database, business: Business, there: Receiver) -> Endpoint:
    """One event was told and is to be once more; behind it five wait, two of another kind."""
    endpoint, _ = await added(database, business, there, RECORDED, CHANGED)
    async with database.write(business.id) as db:
        await happened(db, NORA, "told")
    await turn(database, business, endpoint)
    async with database.write(business.id) as db:
        await webhooks.replay(db, SYSTEM, endpoint.id, UUID(there.heard[0].id))
        for customer in (NORA, ZOE):
            await happened(db, customer, "first", "second")
            await events.record(db, SYSTEM, CHANGED, customer_id=customer)
    there.answer = lambda _: Reply(500)
    await turn(database, business, endpoint)
    there.answer = lambda _: Reply(200)
    there.heard.clear()
    return endpoint


async def test_of_what_is_wanted_no_more_nothing_is_told_before_all_of_it_is_gone(
    clocked: Database, business: Business, there: Receiver
) -> None:
    endpoint = await _waiting(clocked, business, there)
    await _wanted(clocked, business, endpoint, there, CHANGED)
    kinds = [each.kind for each in await _left(clocked, business, endpoint)]
    assert kinds.count(RECORDED) == 4
    assert kinds.count(CHANGED) == 2
    await turn(clocked, business, endpoint)
    await _begun(clocked, business, endpoint)
    await turn(clocked, business, endpoint)
    assert there.heard == []
    await jobs.clear(ctx(clocked))
    await turn(clocked, business, endpoint)
    assert [(each.kind, each.told["data"]["customer_id"]) for each in there.heard] == [
        (CHANGED, str(NORA)),
        (CHANGED, str(ZOE)),
    ]
    left = await _left(clocked, business, endpoint)
    assert [(each.kind, each.is_told) for each in left] == [
        (RECORDED, True),
        (CHANGED, True),
        (CHANGED, True),
    ]
    assert await _tries(clocked, business, endpoint) == sum(each.tries for each in left)
    assert business.id not in {each.business_id for each in await above.endpoints_to_clear(clocked)}


async def test_what_waited_behind_what_is_wanted_no_more_goes_at_once(
    clocked: Database, business: Business, there: Receiver, clock: Clock
) -> None:
    """And not when the one before it would have been tried again."""
    endpoint, _ = await added(clocked, business, there, RECORDED, CHANGED)
    async with clocked.write(business.id) as db:
        await happened(db, NORA, "is not taken")
        await events.record(db, SYSTEM, CHANGED, customer_id=NORA)
    there.answer = lambda _: Reply(500)
    for _ in range(3):
        await turn(clocked, business, endpoint)
        clock.move(timedelta(minutes=6))
    assert [each.kind for each in there.heard] == [RECORDED] * 3
    await _wanted(clocked, business, endpoint, there, CHANGED)
    await jobs.clear(ctx(clocked))
    there.answer = lambda _: Reply(200)
    await jobs.tell(ctx(clocked), str(business.id), str(endpoint.id))
    assert [each.kind for each in there.heard[3:]] == [CHANGED]


async def test_a_kind_that_is_wanted_again_meanwhile_is_told_from_what_is_left_on(
    clocked: Database, business: Business, there: Receiver
) -> None:
    endpoint = await _waiting(clocked, business, there)
    await _wanted(clocked, business, endpoint, there, CHANGED)
    await _wanted(clocked, business, endpoint, there, RECORDED, CHANGED)
    await jobs.clear(ctx(clocked))
    await turn(clocked, business, endpoint)
    hers = [each.kind for each in there.heard if each.told["data"]["customer_id"] == str(NORA)]
    assert hers == [RECORDED, CHANGED]


async def test_of_a_removed_endpoint_proofs_stay_and_all_else_leaves_in_pieces(
    clocked: Database, business: Business, there: Receiver
) -> None:
    """She reads at once of none that it is still to be told."""
    endpoint, _ = await added(clocked, business, there)
    await turn(clocked, business, endpoint)
    async with clocked.write(business.id) as db:
        await happened(db, NORA, "first")
        await events.record(db, SYSTEM, WITHDRAWN, customer_id=NORA)
        await happened(db, NORA, "second")
        await events.record(db, SYSTEM, WITHDRAWN, customer_id=NORA)
    await turn(clocked, business, endpoint)
    there.answer = lambda _: Reply(500)
    async with clocked.write(business.id) as db:
        await happened(db, NORA, "third")
        await events.record(db, SYSTEM, WITHDRAWN, customer_id=NORA)
    await turn(clocked, business, endpoint)
    before = len(await _left(clocked, business, endpoint))
    async with clocked.write(business.id) as db:
        await webhooks.remove(db, SYSTEM, endpoint.id)
    assert len(await _left(clocked, business, endpoint)) == before - 2
    async with clocked.read(business.id) as db:
        told = await webhooks.told(db, NORA)
    assert [each.told_at is not None for each in told] == [True, True]
    await _begun(clocked, business, endpoint)
    assert len(await _left(clocked, business, endpoint)) == before - 2
    await jobs.clear(ctx(clocked))
    assert await _left(clocked, business, endpoint) == [Left(WITHDRAWN, is_told=True, tries=1)] * 2
    assert await _tries(clocked, business, endpoint) == 2


async def test_a_removed_endpoint_is_looked_through_in_pieces_also_where_all_of_it_stays(
    clocked: Database, business: Business, there: Receiver
) -> None:
    endpoint, _ = await added(clocked, business, there, WITHDRAWN)
    async with clocked.write(business.id) as db:
        for _ in range(5):
            await events.record(db, SYSTEM, WITHDRAWN, customer_id=NORA)
    await turn(clocked, business, endpoint)
    async with clocked.write(business.id) as db:
        await webhooks.remove(db, SYSTEM, endpoint.id)
    assert await _ahead(clocked, business, endpoint) == 3
    await jobs.clear(ctx(clocked))
    assert await _ahead(clocked, business, endpoint) is None
    assert await _left(clocked, business, endpoint) == [Left(WITHDRAWN, is_told=True, tries=1)] * 5


async def test_an_endpoint_that_is_cleared_is_taken_by_no_worker_before_the_last_piece(
    clocked: Database, business: Business, there: Receiver
) -> None:
    endpoint = await _waiting(clocked, business, there)
    await _wanted(clocked, business, endpoint, there, CHANGED)
    async with clocked.write(business.id) as db:
        await db.run(jobs.sql.wake_endpoint, endpoint_id=endpoint.id)
        assert await telling.take(db, endpoint.id) is None
    assert endpoint.id not in {each.endpoint_id for each in await above.endpoints_due(clocked)}
    await jobs.clear(ctx(clocked))
    assert endpoint.id in {each.endpoint_id for each in await above.endpoints_due(clocked)}


async def test_what_changes_without_a_kind_being_dropped_begins_no_clearing(
    clocked: Database, business: Business, there: Receiver
) -> None:
    """Nor does it look again at what was looked at, or send what was to wait."""
    endpoint = await _waiting(clocked, business, there)
    async with clocked.read(business.id) as db:
        before = await db.one(_NEXT, datetime, endpoint_id=endpoint.id)
    await _wanted(clocked, business, endpoint, there, CHANGED, RECORDED, name="Store")
    await _wanted(clocked, business, endpoint, there, CHANGED, RECORDED, WITHDRAWN)
    assert await _ahead(clocked, business, endpoint) is None
    async with clocked.read(business.id) as db:
        assert await db.one(_NEXT, datetime, endpoint_id=endpoint.id) == before
    await _wanted(clocked, business, endpoint, there, CHANGED)
    # The first of seven stays, as it was told; the second is gone, and five are ahead.
    assert await _ahead(clocked, business, endpoint) == 5
    await _wanted(clocked, business, endpoint, there, CHANGED, name="Store")
    assert await _ahead(clocked, business, endpoint) == 3


async def test_where_every_kind_is_wanted_again_nothing_is_cleared_and_telling_goes_on(
    clocked: Database, business: Business, there: Receiver, clock: Clock
) -> None:
    endpoint = await _waiting(clocked, business, there)
    await _wanted(clocked, business, endpoint, there, CHANGED)
    await _wanted(clocked, business, endpoint, there)
    assert await _ahead(clocked, business, endpoint) is None
    clock.move(timedelta(minutes=1))
    assert endpoint.id in {each.endpoint_id for each in await above.endpoints_due(clocked)}
    await jobs.tell(ctx(clocked), str(business.id), str(endpoint.id))
    kinds = [each.kind for each in there.heard]
    assert (kinds.count(RECORDED), kinds.count(CHANGED)) == (3, 2)


async def test_a_secret_is_replaced_while_a_piece_is_taken_away(
    clocked: Database, business: Business, there: Receiver
) -> None:
    endpoint = await _waiting(clocked, business, there)
    await _wanted(clocked, business, endpoint, there, CHANGED)
    async with clocked.write(business.id) as first, clocked.write(business.id) as second:
        assert await clearing.clear(first, endpoint.id)
        async with asyncio.timeout(10):
            await webhooks.rotate(second, SYSTEM, endpoint.id)


async def test_endpoints_are_cleared_in_turn_and_removed_ones_after_others(
    own_database: Database, there: Receiver
) -> None:
    """However much is left of one, the next waits for one piece of it."""
    found: list[tuple[Business, Endpoint]] = []
    for _ in range(3):
        business = await make.business(own_database)
        endpoint, _ = await added(own_database, business, there, RECORDED)
        async with own_database.write(business.id) as db:
            await happened(db, NORA, *"abcdefgh")
        there.answer = lambda _: Reply(500)
        await turn(own_database, business, endpoint)
        found.append((business, endpoint))
    gone, *changed = found
    async with own_database.write(gone[0].id) as db:
        await webhooks.remove(db, SYSTEM, gone[1].id)
    for business, endpoint in changed:
        await _wanted(own_database, business, endpoint, there, CHANGED)
    pieces = iter(range(4))

    def killed_at_the_fifth() -> datetime:
        if next(pieces, None) is None:
            raise asyncio.CancelledError
        return own_database.clock()

    worker = Database(
        own_database.connections, own_database.keys, own_database.wake, killed_at_the_fifth
    )
    with pytest.raises(asyncio.CancelledError):
        await jobs.clear(ctx(worker))
    left = [len(await _left(own_database, *each)) for each in found]
    # Each had six left. A piece of two went of each, and of one that was changed another.
    assert left[0] == 4
    assert sorted(left[1:]) == [2, 4]
    assert [each.endpoint_id for each in await above.endpoints_to_clear(own_database)][-1] == (
        gone[1].id
    )
