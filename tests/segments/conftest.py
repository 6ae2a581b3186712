"""A business with something declared, and a customer for each way of being selected."""

from __future__ import annotations

from uuid import UUID

import pytest
from msgspec import Struct

from crm import customers
from crm.businesses import Business
from crm.consent import Notice
from crm.customers import AttributeType, LawfulBasis, NewAttribute, NewTag
from crm.db import Database
from tests import make


class Shop(Struct, frozen=True, kw_only=True):
    """What rules can name here; of twelve readers, the first four have the tag."""

    business: Business
    notice: Notice
    ids: list[UUID]
    tagged: list[UUID]


@pytest.fixture
async def shop(database: Database, business: Business) -> Shop:
    """Twelve who agreed to a purpose, four of them with the tag `bakes`."""
    async with database.write(business.id) as db:
        notice = await make.notice(db, (await make.purpose(db)).id)
        ids = await make.audience(db, notice, 12)
        tag = NewTag(label="Bakes at home", purpose="To tell of courses.", retention="P2Y")
        await customers.declare_tag(db, make.SYSTEM, "bakes", tag)
        points = NewAttribute(
            basis=LawfulBasis.legitimate_interests,
            origin="From you.",
            label="Points",
            type=AttributeType.number,
            purpose="For the till.",
            retention="P2Y",
        )
        await customers.declare_attribute(db, make.SYSTEM, "points", points)
        for each in ids[:4]:
            await customers.put_tag(db, make.SYSTEM, each, "bakes")
    return Shop(business=business, notice=notice, ids=ids, tagged=sorted(ids[:4], key=str))
