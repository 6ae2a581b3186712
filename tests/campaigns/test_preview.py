"""Before it goes out: every problem at once, and a mail as its reader would see it."""

from __future__ import annotations

import pytest

from crm import campaigns, customers
from crm.businesses import Business
from crm.db import Database
from crm.errors import NotFound
from crm.events import Actor
from tests import make
from tests.campaigns.site import drafted

BROKEN = "Hello {{ nmae }}\n\n[order](https://a.example/{{ name }})\n\nand {{ first_name"


async def test_every_problem_is_listed_with_its_line(
    database: Database, business: Business
) -> None:
    """Nobody mends one field only to be told of the next."""
    campaign, _, _ = await drafted(database, business, 0, subject="", source=BROKEN)
    async with database.read(business.id) as db:
        checked = await campaigns.check(db, campaign)

    assert not checked.sendable
    said = [problem.message for problem in checked.problems if problem.field == "source"]
    assert [line.partition(":")[0] for line in said] == ["Line 1", "Line 3", "Line 5"]
    assert {problem.field for problem in checked.problems} == {"source", "subject"}


async def test_a_business_without_postal_address_is_a_problem(database: Database) -> None:
    """Every mail must show one."""
    bare = await make.business(database, postal_address="")
    campaign, _, _ = await drafted(database, bare, 0)
    async with database.read(bare.id) as db:
        checked = await campaigns.check(db, campaign)

    assert [problem.field for problem in checked.problems] == ["postal_address"]


@pytest.mark.parametrize(
    ("written", "warnings"),
    [
        ("Dear {{ first_name }}", 1),
        ("Dear {{ first_name | default('reader') }}", 0),
        ("To {{ address }}", 0),
    ],
)
async def test_a_field_that_may_stay_empty_is_a_warning(
    database: Database, business: Business, written: str, warnings: int
) -> None:
    """It can be sent, and the author knows who reads a gap."""
    campaign, _, _ = await drafted(database, business, 0, source=written)
    async with database.read(business.id) as db:
        checked = await campaigns.check(db, campaign)

    assert checked.sendable
    assert len(checked.warnings) == warnings


async def test_somebody_invented_reads_it(database: Database, business: Business) -> None:
    """No customer is needed, and no link works."""
    campaign, _, _ = await drafted(database, business, 0)
    async with database.read(business.id) as db:
        shown = await campaigns.preview(db, campaign.id)

    assert "Dear Nora," in shown.html
    assert "Dear Nora," in shown.text
    assert shown.subject == "Rye on Saturdays"
    assert f"{business.origin}/u/" not in shown.html


async def test_a_customer_reads_her_own(database: Database, business: Business) -> None:
    """With her name and her attributes, and a default where she has none."""
    source = "Dear {{ first_name }} of {{ attribute.city | default('nowhere') }}"
    async with database.write(business.id) as db:
        new = customers.NewAttribute(
            basis=customers.LawfulBasis.legitimate_interests,
            origin="From you.",
            label="City",
            type=customers.AttributeType.text,
            purpose="To greet",
            retention="P2Y",
        )
        await customers.declare_attribute(db, Actor.system(), "city", new)
    campaign, _, ids = await drafted(database, business, 2, source=source)
    async with database.write(business.id) as db:
        await customers.set_attributes(db, Actor.system(), ids[0], {"city": "Évora"})
    async with database.read(business.id) as db:
        hers = await campaigns.preview(db, campaign.id, ids[0])
        other = await campaigns.preview(db, campaign.id, ids[1])

    assert "Dear Reader of Évora" in hers.text
    assert "Dear Reader of nowhere" in other.text


async def test_a_stranger_is_no_customer(
    database: Database, business: Business, other_business: Business
) -> None:
    """Another business's customer cannot be read through a preview."""
    campaign, _, _ = await drafted(database, business, 0)
    _, _, theirs = await drafted(database, other_business, 1)
    async with database.read(business.id) as db:
        with pytest.raises(NotFound):
            await campaigns.preview(db, campaign.id, theirs[0])
