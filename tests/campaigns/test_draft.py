"""Writing: a draft is kept whatever is wrong with it, and nobody's text is lost."""

from __future__ import annotations

from uuid import uuid4

import pytest

from crm import campaigns
from crm.businesses import Business
from crm.campaigns import DraftChanged, NewCampaign, State, WrongState
from crm.consent import UnknownPurpose
from crm.db import Database
from crm.errors import NotFound
from crm.events import Actor
from tests import make
from tests.campaigns.site import drafted

SYSTEM = Actor.system()


async def test_what_is_written_is_kept(database: Database, business: Business) -> None:
    """A draft begins at version 1, by whoever wrote it."""
    by = Actor.member(uuid4(), "Alice")
    async with database.write(business.id) as db:
        purpose = await make.purpose(db)
        kept = await campaigns.draft(db, by, NewCampaign(purpose_id=purpose.id, source="{{ oops"))

    assert (kept.state, kept.version, kept.created_by) == (State.draft, 1, by.id)
    assert kept.source == "{{ oops"


async def test_the_second_who_saves_is_told(database: Database, business: Business) -> None:
    """Two read version 1; the slower one is refused and the faster one's text stands."""
    campaign, _, _ = await drafted(database, business, 0)
    new = NewCampaign(purpose_id=campaign.purpose_id, subject="Mine", source="Text")
    async with database.write(business.id) as db:
        changed = await campaigns.change(db, SYSTEM, campaign.id, new, version=1)
    async with database.write(business.id) as db:
        with pytest.raises(DraftChanged):
            await campaigns.change(
                db,
                SYSTEM,
                campaign.id,
                NewCampaign(purpose_id=campaign.purpose_id, subject="Theirs"),
                version=1,
            )
        stands = await campaigns.get(db, campaign.id)

    assert (changed.version, stands.subject, stands.version) == (2, "Mine", 2)


async def test_what_has_started_cannot_be_changed(database: Database, business: Business) -> None:
    """The text that was approved is the text that is sent."""
    campaign, _, _ = await drafted(database, business)
    new = NewCampaign(purpose_id=campaign.purpose_id, subject="Later", source="Text")
    async with database.write(business.id) as db:
        await campaigns.start(db, SYSTEM, campaign.id)
        with pytest.raises(WrongState, match="started already, so it cannot be changed"):
            await campaigns.change(db, SYSTEM, campaign.id, new, version=1)


async def test_a_list_has_counts_and_no_text(database: Database, business: Business) -> None:
    """The newest is first; a state that is not asked for is left out."""
    older, _, _ = await drafted(database, business, 0, subject="Older")
    newer, _, _ = await drafted(database, business, 0, subject="Newer")
    async with database.read(business.id) as db:
        every = await campaigns.page(db)
        below = await campaigns.page(db, before=newer.id)
        sent = await campaigns.page(db, states=[State.done])
        counted = await campaigns.by_state(db)

    assert [line.id for line in every] == [newer.id, older.id]
    assert [line.subject for line in below] == ["Older"]
    assert every[0].audience == 0
    assert not hasattr(every[0], "source")
    assert sent == []
    assert counted == {State.draft: 2}


async def test_a_stranger_sees_nothing(
    database: Database, business: Business, other_business: Business
) -> None:
    """Another business's campaign and purpose are not there."""
    campaign, _, _ = await drafted(database, business)
    async with database.write(other_business.id) as db:
        assert await campaigns.page(db) == []
        with pytest.raises(NotFound):
            await campaigns.get(db, campaign.id)
        with pytest.raises(NotFound):
            await campaigns.start(db, SYSTEM, campaign.id)
        with pytest.raises(UnknownPurpose):
            await campaigns.draft(db, SYSTEM, NewCampaign(purpose_id=campaign.purpose_id))
