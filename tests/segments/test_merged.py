"""What was mailed to a record that was merged into hers was mailed to her."""

from __future__ import annotations

from typing import Any
from uuid import UUID, uuid4

import asyncpg
import pytest

from crm import segments
from crm.db import Database, ReadDb
from crm.privacy import merging
from tests import make
from tests.segments.conftest import Shop

_SENT = """
INSERT INTO crm.delivery (business_id, campaign_id, customer_id, state, event_id, notice_id,
                          claimed_at, done_at)
VALUES ($1, $2, $3, 'sent', $4, $4, now(), now())
"""


@pytest.fixture
async def campaign_id(database: Database, shop: Shop, root: asyncpg.Connection) -> UUID:
    """A campaign that the second reader got, whose record is then merged into the first one's."""
    kept, gone = shop.ids[:2]
    async with database.write(shop.business.id) as db:
        campaign = await make.campaign(db, shop.notice.purpose_id)
    await root.execute(_SENT, shop.business.id, campaign.id, gone, uuid4())
    async with database.write(shop.business.id) as db:
        await merging.merge(db, make.SYSTEM, kept, gone)
    return campaign.id


async def test_what_a_merged_record_got_counts(
    database: Database, shop: Shop, campaign_id: UUID
) -> None:
    lately = {"test": "mailed", "within_days": 30}
    hers = {"test": "delivery", "campaign_id": str(campaign_id), "state": "sent"}
    others = sorted(shop.ids[2:], key=str)
    async with database.read(shop.business.id) as db:
        assert await _selected(db, lately) == await _selected(db, hers) == [shop.ids[0]]
        assert await _selected(db, {"test": "not", "of": lately}) == others
        either: dict[str, Any] = {"test": "any", "of": [hers, {"test": "tag", "name": "bakes"}]}
        tagged = {shop.ids[0], *shop.tagged} - {shop.ids[1]}
        assert await _selected(db, either) == sorted(tagged, key=str)


async def _selected(db: ReadDb, rule: dict[str, Any]) -> list[UUID]:
    return sorted((await segments.count(db, rule)).sample, key=str)
