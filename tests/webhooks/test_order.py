"""What is told stays in order: where it is told once more, and where two records are merged."""

from __future__ import annotations

from datetime import datetime, timedelta
from uuid import UUID, uuid4

import pytest

from crm import events, webhooks
from crm.businesses import Business
from crm.db import Database
from crm.events import Kind
from crm.privacy import merging
from crm.statements import parse
from tests import make
from tests.consent.conftest import say_yes
from tests.webhooks.conftest import Clock
from tests.webhooks.receiver import Heard, Receiver, Reply
from tests.webhooks.site import SYSTEM, added, turn

NORA = uuid4()
(_NEXT,) = parse("""-- name: next_at
-- When an endpoint is looked at again.
SELECT e.next_at FROM crm.endpoint e
 WHERE e.business_id = :business_id AND e.endpoint_id = :endpoint_id;""")


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


async def test_a_merge_is_told_behind_the_end_of_each_yes_of_the_other(
    clocked: Database, business: Business, there: Receiver, clock: Clock
) -> None:
    """Else what is put to the kept record on its word would still hold that yes."""
    endpoint, _ = await added(clocked, business, there)
    async with clocked.write(business.id) as db:
        kept = (await make.customer(db, address="kept@example.com")).id
        gone = (await make.customer(db, address="gone@example.com")).id
        purpose = await make.purpose(db)
        await say_yes(db, gone, await make.notice(db, purpose.id))
    await turn(clocked, business, endpoint)
    taken: list[tuple[str, str]] = []
    begun = clock.now

    def answer(heard: Heard) -> Reply:
        her = heard.told["data"]["customer_id"]
        if her == str(gone) and clock.now == begun:
            return Reply(500)
        taken.append((her, heard.kind))
        return Reply()

    there.answer = answer
    async with clocked.write(business.id) as db:
        await merging.merge(db, make.SYSTEM, kept, gone, tells=False)
    for _ in range(2):
        await turn(clocked, business, endpoint)
        clock.move(timedelta(minutes=1))

    ends = [at for at, (her, kind) in enumerate(taken) if her == str(gone)]
    assert ends
    assert all(taken[at][1].startswith("consent.") for at in ends)
    assert max(ends) < taken.index((str(kept), "customer.merged"))


async def test_a_merge_that_waits_for_the_other_record_wakes_nobody(
    clocked: Database, business: Business, there: Receiver, clock: Clock
) -> None:
    """And holds back nobody else; what is about it comes behind it."""
    kept, gone = uuid4(), uuid4()
    endpoint, _ = await added(
        clocked, business, there, Kind.consent_revoked, Kind.customer_merged
    )  # fmt: skip
    there.answer = lambda heard: Reply(500 if heard.kind == "consent.revoked" else 200)
    async with clocked.write(business.id) as db:
        await events.record(db, SYSTEM, Kind.consent_revoked, customer_id=gone, ref=uuid4())
        await events.record(db, SYSTEM, Kind.customer_merged, customer_id=kept, ref=gone)
        await events.record(db, SYSTEM, Kind.customer_merged, customer_id=uuid4(), ref=kept)
        await events.record(db, SYSTEM, Kind.customer_merged, customer_id=NORA, ref=uuid4())
    await turn(clocked, business, endpoint)
    async with clocked.read(business.id) as db:
        again = await db.one(_NEXT, datetime, endpoint_id=endpoint.id)

    assert there.kinds == ["consent.revoked", "customer.merged"]
    assert there.heard[1].told["data"]["customer_id"] == str(NORA)
    assert again >= clock.now + timedelta(seconds=5)
    there.heard.clear()
    there.answer = lambda _: Reply()
    clock.move(again - clock.now)
    await turn(clocked, business, endpoint)
    assert there.kinds == ["consent.revoked", "customer.merged", "customer.merged"]
    assert there.heard[1].told["data"] | {"id": ""} == {
        "id": "",
        "customer_id": str(kept),
        "ref": str(gone),
    }
