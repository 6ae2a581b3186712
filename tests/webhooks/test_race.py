"""An event is told, whatever else is done at the moment in which it gets its number."""

from __future__ import annotations

from uuid import uuid4

import pytest

from crm import above
from crm.db import Database
from crm.webhooks import jobs, telling
from crm.webhooks.model import Answer
from tests import make
from tests.webhooks.receiver import Receiver
from tests.webhooks.site import added, ctx, happened, turn

NORA, ZOE = uuid4(), uuid4()


@pytest.mark.parametrize("status", [204, 500])
async def test_it_is_numbered_while_a_worker_lets_the_endpoint_go(
    own_database: Database, there: Receiver, status: int
) -> None:
    """Neither sees what the other does; what is tried again in an hour holds nothing else back."""
    business = await make.business(own_database)
    endpoint, _ = await added(own_database, business, there)
    await turn(own_database, business, endpoint)
    async with own_database.write(business.id) as db:
        await happened(db, NORA, "Rang")
    async with own_database.write(business.id) as db:
        await jobs._numbered(db)  # noqa: SLF001  (as the sweep does)
    async with own_database.write(business.id) as db:
        held = await telling.take(db, endpoint.id)
        assert held is not None
        batch = await telling.go_on(db, held, [])
        assert batch is not None
    went = [telling.Went(each, Answer(status=status)) for each in batch.posts]
    async with own_database.write(business.id) as db:
        await happened(db, ZOE, "Rang too")
    there.heard.clear()

    async with own_database.write(business.id) as sweep:
        await jobs._numbered(sweep)  # noqa: SLF001
        async with own_database.write(business.id) as db:
            assert await telling.go_on(db, held, went) is None
    await jobs.sweep(ctx(own_database))
    await jobs.tell(ctx(own_database), str(business.id), str(endpoint.id))

    assert [each.told["data"]["customer_id"] for each in there.heard] == [str(ZOE)]
    assert await above.feeds_due(own_database) == []
