"""Why did I get this: with the link alone, whatever has become of the customer, and no more."""

from __future__ import annotations

from uuid import UUID, uuid4

import pytest

from crm import campaigns, consent, customers
from crm.businesses import Business
from crm.campaigns import Campaign, NewCampaign, filling
from crm.campaigns.invented import nobody
from crm.consent import Method, Notice
from crm.customers import Customer
from crm.db import Database
from crm.events import Actor
from crm.tokens import Stop, Why, stop_token, why_token
from tests.campaigns.site import client, drafted
from tests.campaigns.test_send import sent_through, started
from tests.smtpd import smtpd


async def sent(
    database: Database, business: Business
) -> tuple[Campaign, Notice, list[UUID], list[str]]:
    """A campaign that has gone to three, and their links."""
    campaign, notice, ids = await drafted(database, business, subject="Rye & more")
    async with database.write(business.id) as db:
        await campaigns.start(db, Actor.system(), campaign.id)
    async with smtpd() as relay:
        await sent_through(database, business, campaign.id, relay)
    async with database.read(business.id) as db:
        known = await customers.of_ids(db, ids)
    links = [link(database, business, known[each].address, campaign.id) for each in ids]
    return campaign, notice, ids, links


def link(database: Database, business: Business, address: str, campaign_id: UUID) -> str:
    """The link in one customer's mail."""
    fingerprint = database.keys.address_hash(business.id, address)
    return f"/why/{why_token(database.keys, Why(business.id, fingerprint, campaign_id))}"


async def test_it_says_what_when_and_by_which_words(database: Database, business: Business) -> None:
    """Subject, purpose, state, the exact notice and the decision; the address only masked."""
    _, notice, _, links = await sent(database, business)
    async with client(database, business) as browser:
        answer = await browser.get(links[0])

    assert answer.status_code == 200
    assert "Rye &amp; more" in answer.text
    assert notice.text in answer.text
    assert notice.sha256.hex() in answer.text
    assert "at the tool we used before" in answer.text
    assert "r***@e***.com" in answer.text
    assert "@example.com" not in answer.text


async def test_it_offers_to_leave_without_signing_in(
    database: Database, business: Business
) -> None:
    """By the stop link of this purpose and this address."""
    campaign, _, ids, links = await sent(database, business)
    async with database.read(business.id) as db:
        purpose = await consent.purpose(db, campaign.purpose_id)
        address = (await customers.get(db, ids[0])).address
    fingerprint = database.keys.address_hash(business.id, address)
    stop = stop_token(database.keys, Stop(business.id, fingerprint, purpose.code))
    async with client(database, business) as browser:
        page = (await browser.get(links[0])).text

    assert f'href="/u/{stop}"' in page


async def test_a_later_withdrawal_is_told(database: Database, business: Business) -> None:
    """The page says that these mails are off, and still why this one came."""
    campaign, notice, ids, links = await sent(database, business)
    async with database.write(business.id) as db:
        me = Actor.customer(ids[0])
        await consent.withdraw(db, me, ids[0], campaign.purpose_id, method=Method.one_click)
    async with client(database, business) as browser:
        page = (await browser.get(links[0])).text

    assert "These mails are off" in page
    assert "You stopped it with the unsubscribe button of a mail." in page
    assert notice.text in page


async def test_it_works_when_the_customer_is_erased(database: Database, business: Business) -> None:
    """Then it names the mail, and says that the rest is deleted."""
    _, notice, ids, links = await sent(database, business)
    async with database.write(business.id) as db:
        await customers.forget(db, ids[0])
        await consent.forget(db, ids[0])
    async with client(database, business) as browser:
        erased = await browser.get(links[0])
        other = await browser.get(links[1])

    assert erased.status_code == 200
    assert "has been deleted since" in erased.text
    assert "Rye &amp; more" in erased.text
    assert notice.text not in erased.text
    assert notice.text in other.text


async def test_it_works_when_the_campaign_is_unknown(
    database: Database, business: Business
) -> None:
    """A genuine link of a mail that is not on record any more still lets her leave."""
    genuine = link(database, business, "reader0@example.com", uuid4())
    async with client(database, business) as browser:
        answer = await browser.get(genuine)

    assert answer.status_code == 200
    assert "The link is genuine" in answer.text
    assert 'href="/u/' in answer.text


async def test_a_customer_who_was_no_part_of_it_learns_nothing(
    database: Database, business: Business
) -> None:
    """The link of an address that got another campaign says no more than that of a stranger."""
    campaign, notice, _, _ = await sent(database, business)
    async with client(database, business) as browser:
        page = (await browser.get(link(database, business, "a@b.example", campaign.id))).text

    assert notice.text not in page
    assert "***" not in page


async def test_a_test_says_so(database: Database, business: Business) -> None:
    """The link in a test mail leads to a harmless page."""
    campaign, _, _ = await drafted(database, business)
    hers = Why(business.id, nobody(database.keys, business.id), campaign.id)
    async with client(database, business) as browser:
        page = (await browser.get(f"/why/{why_token(database.keys, hers)}")).text

    assert "This was a test" in page


@pytest.mark.parametrize("how", ["cut", "changed", "nonsense", "foreign"])
async def test_a_bad_link_says_what_to_do(
    database: Database, business: Business, other_business: Business, how: str
) -> None:
    """Truncated, altered, invented, or of another business: the same page."""
    good = link(database, business, "reader0@example.com", uuid4())
    last = "A" if good[-5] != "A" else "B"
    bad = {
        "cut": good[:-4],
        "changed": good[:-5] + last + good[-4:],
        "nonsense": "/why/hello",
        "foreign": link(database, other_business, "reader0@example.com", uuid4()),
    }[how]
    async with client(database, business) as browser:
        answer = await browser.get(bad)

    assert answer.status_code == 404
    assert "copy it whole from the mail" in answer.text


async def test_my_mails_lists_all_of_them(database: Database, business: Business) -> None:
    """Sent and left out, each with its reason one press away."""
    campaign_id, ids = await started(database, business, 3)
    async with database.write(business.id) as db:
        purpose_id = (await campaigns.get(db, campaign_id)).purpose_id
    async with smtpd() as relay:
        await sent_through(database, business, campaign_id, relay)
    async with database.write(business.id) as db:
        me: Customer = await customers.get(db, ids[0])
        await consent.withdraw(db, Actor.customer(me.id), me.id, purpose_id, method=Method.portal)
        again = await campaigns.draft(
            db,
            Actor.system(),
            NewCampaign(
                purpose_id=purpose_id,
                subject='Second, {{ first_name | default("dear you") }}',
                source="Text",
            ),
        )
        await campaigns.start(db, Actor.system(), again.id)
        await filling.fill_piece(db, again.id, 10)
    async with client(database, business, me=me) as portal:
        page = (await portal.get("/me/mails")).text
        mails = [(await portal.get(f"/me/mails/{each}")).text for each in (campaign_id, again.id)]
        why = (await portal.get(link(database, business, me.address, again.id))).text

    assert "Rye on Saturdays" in page
    assert "Not sent to you, because you had stopped these mails" in page
    for each, shown in zip((campaign_id, again.id), mails, strict=True):
        assert f'href="/me/mails/{each}"' in page
        assert link(database, business, me.address, each) in shown
    # No customer reads what a merge field is written like.
    for shown in (page, why):
        assert "Second, dear you" in shown
        assert "{{" not in shown
