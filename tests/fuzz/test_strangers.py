"""A few of the mixed ids that `make fuzz` tries by the ten thousand."""

from __future__ import annotations

import random

from litestar.types import ASGIApp

from crm.db import Database
from tests import make
from tests.conftest import Cluster
from tests.fuzz.strangers import mixed
from tests.test_strangers import let_in, met


async def test_any_id_is_nobodys(
    site: ASGIApp, database: Database, shared_cluster: Cluster
) -> None:
    async with met(database, shared_cluster) as two:
        async with database.write(two.b.id) as db:
            theirs = await make.customer(db)
        before = await two.mark()
        async with let_in(site, database, two.b, theirs) as intruder:
            found = await mixed(two, intruder.program, random.Random(1), 80)

        assert found.told == []
        assert await two.mark() == before
    assert found.statuses[404] > found.statuses.total() / 2
