"""What is told stays in order: where it is told once more, and where two records are merged."""

from __future__ import annotations

from datetime import timedelta
from uuid import UUID, uuid4

import pytest

from crm import events, webhooks
from crm.businesses import Business
from crm.db import Database
from crm.events import Kind
from tests.webhooks.conftest import Clock
from tests.webhooks.receiver import Receiver, Reply
from tests.webhooks.site import SYSTEM, added, turn

NORA = uuid4()


@pytest.mark.parametrize("many", [20, 1])
async def test_what_waits_goes_behind_what_is_told_once_more_before_it(
    clocked: Database, business: Business, there: Receiver, clock: Clock, many: int
) -> None:
    """After an outage, to a shop that lost what it had: whoever left has left there too."""
    endpoint, _ = await added(
        clocked, business, there, Kind.consent_given, Kind.consent_withdrawn
    )  # fmt: skip
    people = [uuid4() for _ in range(many)]

    async def decided(kind: Kind) -> None:
        async with clocked.write(business.id) as db:
            for her in people:
                await events.record(db, SYSTEM, kind, customer_id=her)

    begun = clock.now
    await decided(Kind.consent_given)
    await turn(clocked, business, endpoint)
    there.answer = lambda _: Reply(503)
    await decided(Kind.consent_withdrawn)
    for _ in range(6):
        await turn(clocked, business, endpoint)
        clock.move(timedelta(hours=3))
    there.answer = lambda _: Reply()
    there.heard.clear()
    async with clocked.write(business.id) as db:
        await webhooks.replay_since(db, SYSTEM, endpoint.id, begun)
    for _ in range(3):
        await turn(clocked, business, endpoint)
        clock.move(timedelta(minutes=6))

    assert len(there.heard) == 2 * many
    for her in people:
        hers = [each for each in there.heard if each.told["data"]["customer_id"] == str(her)]
        assert [each.kind for each in hers] == ["consent.given", "consent.withdrawn"]


async def test_what_is_ahead_in_the_stream_is_told_once_more_in_its_place(
    database: Database, business: Business, there: Receiver
) -> None:
    """Asked for by its id while all before it is gone through again."""
    endpoint, _ = await added(database, business, there, Kind.interaction_recorded)
    begun = database.clock()
    async with database.write(business.id) as db:
        for what in ("first", "second"):
            await events.record(
                db, SYSTEM, Kind.interaction_recorded, customer_id=NORA, reason=what
            )  # fmt: skip
    await turn(database, business, endpoint)
    first, second = (each.id for each in there.heard)
    async with database.write(business.id) as db:
        await webhooks.replay_since(db, SYSTEM, endpoint.id, begun)
        await webhooks.replay(db, SYSTEM, endpoint.id, UUID(second))
    await turn(database, business, endpoint)

    assert [each.id for each in there.heard] == [first, second] * 2
