"""What was known for a purpose goes with it, also where she allows it again before the sweep."""

from __future__ import annotations

from uuid import UUID

import pytest

from crm import consent, customers
from crm.businesses import Business
from crm.consent import Method, Notice
from crm.customers import (
    AttributeType,
    Customer,
    LawfulBasis,
    NewAttribute,
    NewInteraction,
    NewKind,
    NewTag,
)
from crm.db import Database, Db
from crm.events import Actor
from tests import make

_FIRST = UUID(int=0)


async def _says_yes(db: Db, nora: Customer, notice: Notice) -> None:
    word = await make.own_word(db, nora.id)
    await consent.give(db, Actor.customer(nora.id), nora.id, notice.question, word)


@pytest.fixture
async def notice(database: Database, business: Business, nora: Customer) -> Notice:
    """A text that she has said yes to, with a detail, a tag and a kind of interaction for it."""
    async with database.write(business.id) as db:
        purpose = await make.purpose(db)
        notice = await make.notice(db, purpose.id)
        diet = NewAttribute(
            label="Diet",
            type=AttributeType.text,
            purpose="To suggest bread.",
            basis=LawfulBasis.consent,
            origin="From you.",
            retention="P2Y",
            purpose_id=purpose.id,
        )
        await customers.declare_attribute(db, make.SYSTEM, "diet", diet)
        tag = NewTag(
            label="Bakes", purpose="To suggest courses.", retention="P2Y", purpose_id=purpose.id
        )
        await customers.declare_tag(db, make.SYSTEM, "bakes", tag)
        kind = NewKind(
            label="Visit", purpose="To know you.", retention="P2Y", purpose_id=purpose.id
        )
        await customers.declare_kind(db, make.SYSTEM, "visit", kind)
        await _says_yes(db, nora, notice)
    return notice


async def _met(database: Database, nora: Customer, business: Business) -> None:
    async with database.write(business.id) as db:
        await customers.set_attributes(db, make.SYSTEM, nora.id, {"diet": "vegan"})
        await customers.put_tag(db, make.SYSTEM, nora.id, "bakes")
        visit = NewInteraction(kind="visit", title="At the counter")
        await customers.interact(db, make.SYSTEM, nora.id, visit)


async def _known(database: Database, nora: Customer, business: Business) -> list[int]:
    async with database.write(business.id) as db:
        for lapse in (
            customers.lapse_values_of_purposes,
            customers.lapse_tags,
            customers.lapse_interactions,
        ):
            await lapse(db, _FIRST, 100)
        return [
            len(await customers.values(db, nora.id)),
            len(await customers.tags_of(db, nora.id)),
            len(await customers.interactions(db, nora.id)),
        ]


async def test_what_has_ended_does_not_come_back(
    database: Database, business: Business, nora: Customer, notice: Notice
) -> None:
    await _met(database, nora, business)
    assert await _known(database, nora, business) == [1, 1, 1]
    me = Actor.customer(nora.id)
    async with database.write(business.id) as db:
        await consent.withdraw(db, me, nora.id, notice.purpose_id, method=Method.portal)
    async with database.write(business.id) as db:
        await _says_yes(db, nora, notice)
    assert await _known(database, nora, business) == [0, 0, 0]


async def test_what_is_said_after_the_new_yes_stays(
    database: Database, business: Business, nora: Customer, notice: Notice
) -> None:
    me = Actor.customer(nora.id)
    async with database.write(business.id) as db:
        await consent.withdraw(db, me, nora.id, notice.purpose_id, method=Method.portal)
    async with database.write(business.id) as db:
        await _says_yes(db, nora, notice)
    await _met(database, nora, business)
    assert await _known(database, nora, business) == [1, 1, 1]
