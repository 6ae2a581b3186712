"""The worker's tidying reaches every business."""

from __future__ import annotations

from datetime import timedelta

import pytest

from crm import access
from crm.access import jobs, sessions
from crm.db import Database
from tests import make
from tests.conftest import KEYS


@pytest.mark.parametrize("ahead", [timedelta(0), timedelta(hours=2)])
async def test_it_ends_sessions_of_all_businesses(own_database: Database, ahead: timedelta) -> None:
    opened = {}
    for _ in range(3):
        business = await make.business(own_database)
        async with own_database.write(business.id) as db:
            customer = await make.customer(db)
            opened[business.id] = await access.open_session(db, await make.entered(db, customer.id))
    later = Database(
        own_database.connections,
        KEYS,
        own_database.wake,
        lambda: own_database.clock() + ahead,
    )

    await jobs.tidy({"database": later})

    for business_id, token in opened.items():
        async with own_database.read(business_id) as read:
            assert (await sessions.session(read, token) is None) == bool(ahead)
