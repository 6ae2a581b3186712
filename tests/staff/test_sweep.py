"""What has ended is deleted, in every business."""

from __future__ import annotations

from datetime import timedelta

from crm import staff
from crm.businesses import Business
from crm.db import Database, open_database
from crm.staff import jobs
from crm.staff.model import IDLE
from tests import make
from tests.conftest import KEYS, Cluster
from tests.staff import site
from tests.staff.conftest import Clock


async def test_it_works(own_cluster: Cluster, clock: Clock) -> None:
    async with open_database(own_cluster.app_url, KEYS, size=3, clock=clock) as database:
        signed_in = [await _signed_in(database) for _ in range(2)]
        await jobs.sweep({"database": database})
        assert [await _open(database, *each) for each in signed_in] == [1, 1]
        clock.move(IDLE)
        await jobs.sweep({"database": database})
        clock.move(timedelta(minutes=-1))
        assert [await _open(database, *each) for each in signed_in] == [0, 0]


async def _signed_in(database: Database) -> tuple[Business, staff.Member]:
    business = await make.business(database)
    who = await site.member(database, business.id)
    async with site.Browser(site.application(database), business) as browser:
        assert (await browser.enter(who.address)).status_code == 303
    return business, who


async def _open(database: Database, business: Business, who: staff.Member) -> int:
    async with database.read(business.id) as db:
        return len(await staff.open_sessions(db, who.id))
