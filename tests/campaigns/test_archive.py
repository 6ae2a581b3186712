"""Issues for everybody: what is public is there, and nothing in it is anybody's."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Any
from uuid import UUID
from xml.etree import ElementTree as ET

import pytest

from crm import campaigns
from crm.businesses import Business
from crm.campaigns import Campaign, archive
from crm.db import Database, Statements
from tests import make
from tests.campaigns.site import client, drafted

ATOM = "{http://www.w3.org/2005/Atom}"


async def published(database: Database, business: Business, **changes: object) -> Campaign:
    """A public campaign that has started."""
    given = {"public": True, "source": "# Rye\n\nDear {{ first_name }}, rye.", **changes}
    campaign, _, _ = await drafted(database, business, 2, **given)
    async with database.write(business.id) as db:
        return await campaigns.start(db, make.SYSTEM, campaign.id)


async def test_a_public_issue_is_read_by_everybody(database: Database, business: Business) -> None:
    """With neutral words, without a link of anybody's, a cookie or a script; kept by its tag."""
    campaign = await published(database, business, subject="Rye for {{ first_name | upper }}")
    async with client(database, business) as web:
        shown = await web.get(f"/archive/{campaign.id}")
        again = await web.get(
            f"/archive/{campaign.id}", headers={"if-none-match": shown.headers["etag"]}
        )
        listed = await web.get("/archive")

    assert shown.status_code == 200
    assert "Dear reader, rye." in shown.text
    assert "<title>Rye for READER</title>" in shown.text
    assert "Rye for READER" in listed.text
    for link in ("/u/", "/p/", "/why/", "#", "{{", "<script"):
        assert f'href="{business.origin}{link}' not in shown.text
    assert f'href="{business.origin}/sign-up"' in shown.text
    assert f'href="{business.origin}/archive"' in shown.text
    assert "set-cookie" not in shown.headers
    assert "script-src" not in shown.headers["content-security-policy"]
    assert shown.headers["cache-control"] == "public, max-age=300"
    assert (again.status_code, again.content) == (304, b"")


async def test_the_feed_is_atom(database: Database, business: Business) -> None:
    """RFC 4287 §4.1: id, title and updated everywhere, an author, and a link to each page."""
    first = await published(database, business, subject="One & <two>\x0b")
    second = await published(database, business, preheader="Warm")
    async with client(database, business) as web:
        answer = await web.get("/archive/feed.xml")
    root = ET.fromstring(answer.content)  # noqa: S314  (we wrote it)

    assert answer.headers["content-type"].startswith("application/atom+xml")
    assert root.findtext(f"{ATOM}id") == f"urn:uuid:{business.id}"
    assert root.findtext(f"{ATOM}author/{ATOM}name") == business.name
    entries = root.findall(f"{ATOM}entry")
    assert [each.findtext(f"{ATOM}id") for each in entries] == [
        f"urn:uuid:{second.id}",
        f"urn:uuid:{first.id}",
    ]
    assert entries[0].findtext(f"{ATOM}summary") == "Warm"
    assert str(entries[1].findtext(f"{ATOM}title")).startswith("One & <two>")
    for node in (root, *entries):
        for name in ("id", "title", "updated"):
            assert node.findtext(f"{ATOM}{name}")
    assert entries[0].find(f"{ATOM}link").attrib["href"] == (  # type: ignore[union-attr]
        f"{business.origin}/archive/{second.id}"
    )


async def test_what_started_last_is_first(
    database: Database, business: Business, root: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However long its draft waited; so in the feed, in the list and from page to page."""
    early, late, other = [await published(database, business) for _ in range(3)]
    began = "UPDATE crm.campaign SET started_at = $2 WHERE campaign_id = $1"
    for campaign, day in ((other, 1), (late, 1), (early, 2)):
        await root.execute(began, campaign.id, datetime(2026, 3, day, tzinfo=UTC))
    monkeypatch.setattr(archive, "_SHOWN", 1)
    listed, where = [], "/archive"
    async with client(database, business) as web:
        told = await web.get("/archive/feed.xml")
        while where:
            text = (await web.get(where)).text
            listed += re.findall('href="/archive/([0-9a-f-]{36})"', text)
            where = next(iter(re.findall('href="(/archive[?]after=[^"]+)"', text)), "")
        foreign = await web.get("/archive?after=nonsense")
    root_node = ET.fromstring(told.content)  # noqa: S314  (we wrote it)
    stamps = [node.text for node in root_node.iter(f"{ATOM}updated")]

    # Of two at once the one that was begun later.
    assert listed == [str(each.id) for each in (early, other, late)]
    assert [node.text for node in root_node.iter(f"{ATOM}id")][1:] == [
        f"urn:uuid:{each}" for each in listed
    ]
    assert stamps == sorted(filter(None, stamps), reverse=True)
    assert stamps[0] == stamps[1] == "2026-03-02T00:00:00+00:00"
    assert foreign.status_code == 422


async def test_a_link_to_a_page_of_former_days_leads_to_the_list(
    database: Database, business: Business
) -> None:
    """What it named is no place any more: it shows nothing under its own address."""
    first = await published(database, business)
    async with client(database, business) as web:
        former = await web.get(f"/archive?before={first.id}")
        other = await web.get("/archive?utm_source=mail")

    assert former.status_code == 303
    assert former.headers["location"] == "/archive"
    assert other.status_code == 200
    assert str(first.id) in other.text


async def test_a_page_is_read_by_when_issues_started(
    database: Database, business: Business, root: Any
) -> None:
    """Anybody may ask for it: it does not cost what every campaign would."""
    await published(database, business)
    statement = Statements("campaigns").public_campaigns
    given = {
        "business_id": business.id,
        "before_at": datetime(2026, 3, 1, tzinfo=UTC),
        "before_id": business.id,
        "limit": 20,
    }
    async with root.transaction():
        # What a table of this size would be read by, and one of thousands is not.
        await root.execute("SET LOCAL enable_seqscan = off")
        await root.execute("SET LOCAL enable_bitmapscan = off")
        plan = await root.fetch(
            f"EXPLAIN {statement.sql}", *(given[name] for name in statement.params)
        )
    text = "\n".join(row[0] for row in plan)
    assert "Index Scan Backward using campaign_archive" in text
    assert "Sort" not in text


@pytest.mark.parametrize("state", ["draft", "private", "cancelled", "theirs"])
async def test_nothing_else_is_there(
    database: Database, business: Business, other_business: Business, state: str
) -> None:
    """Not before it starts, not unless staff say so, not if nobody got it, not elsewhere."""
    owner = other_business if state == "theirs" else business
    campaign, _, _ = await drafted(database, owner, 1, public=state != "private")
    if state != "draft":
        async with database.write(owner.id) as db:
            await campaigns.start(db, make.SYSTEM, campaign.id)
    if state == "cancelled":
        async with database.write(owner.id) as db:
            await campaigns.cancel(db, make.SYSTEM, campaign.id)
    async with client(database, business) as web:
        shown = await web.get(f"/archive/{campaign.id}")
        listed = await web.get("/archive")
        told = await web.get("/archive/feed.xml")

    assert shown.status_code == 404
    assert str(campaign.id) not in listed.text + told.text


async def test_staff_take_an_issue_back(database: Database, business: Business) -> None:
    """Also after it was sent."""
    campaign = await published(database, business)
    async with database.write(business.id) as db:
        await campaigns.make_public(db, make.SYSTEM, campaign.id, public=False)
    async with client(database, business) as web:
        assert (await web.get(f"/archive/{campaign.id}")).status_code == 404


def test_a_feed_of_nothing_is_a_feed(business: Business) -> None:
    """It was updated when the business began."""
    root = ET.fromstring(archive.feed(business, []))  # noqa: S314  (we wrote it)
    assert root.findtext(f"{ATOM}updated") == business.created_at.isoformat(timespec="seconds")
    assert UUID(str(root.findtext(f"{ATOM}id")).removeprefix("urn:uuid:")) == business.id
