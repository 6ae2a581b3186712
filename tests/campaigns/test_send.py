"""Sending: everybody who may get it does, once; what the relay says is what the rows say."""

from __future__ import annotations

import asyncio
from uuid import UUID

import asyncpg

from crm import campaigns, consent, customers
from crm.businesses import Business
from crm.campaigns import Counts, State, checking, jobs
from crm.customers import AttributeType, LawfulBasis, NewAttribute
from crm.db import Database
from crm.events import Actor
from crm.mail import relays
from crm.settings import Sending, Settings, Smtp
from tests import make
from tests.campaigns.site import drafted
from tests.smtpd import Smtpd, smtpd

SYSTEM = Actor.system()


def settings(port: int, **sending: int) -> Settings:
    """Point a worker at a relay of the test."""
    return Settings(
        link_keys="1:" + "31" * 32,
        storage_keys="1:" + "73" * 32,
        pepper="70" * 32,
        smtp=Smtp(port=port, local_relays=True),
        sending=Sending(**{"batch": 20, "connections": 4, "range": 40, **sending}),
    )


async def started(database: Database, business: Business, count: int) -> tuple[UUID, list[UUID]]:
    """Start a campaign to so many customers."""
    async with database.write(business.id) as db:
        purpose = await make.purpose(db)
        ids = await make.audience(db, await make.notice(db, purpose.id), count)
        campaign = await make.campaign(db, purpose.id)
        await campaigns.start(db, SYSTEM, campaign.id)
    return campaign.id, ids


async def sent_through(
    database: Database, business: Business, campaign_id: UUID, relay: Smtpd, **sending: int
) -> Counts:
    """Fill and send to the end; the sums of ranges equal the counts of rows."""
    ctx: jobs.Ctx = {
        "database": database,
        "settings": settings(relay.port, **sending),
        "sending": asyncio.Lock(),
    }
    await jobs.fill(ctx, str(business.id), str(campaign_id))
    await jobs.send(ctx, str(business.id), str(campaign_id))
    async with database.read(business.id) as db:
        cheap = await campaigns.counts(db, campaign_id)
        counted = await campaigns.recount(db, campaign_id)
    assert (cheap.waiting, cheap.sending, cheap.sent, cheap.failed, cheap.excluded) == (
        counted.waiting,
        counted.sending,
        counted.sent,
        counted.failed,
        counted.excluded,
    )
    return counted


async def test_it_works(database: Database, business: Business) -> None:
    """Each customer gets it once, and the campaign ends by itself."""
    campaign_id, ids = await started(database, business, 100)
    async with smtpd() as relay:
        counts = await sent_through(database, business, campaign_id, relay)

    assert counts.sent == counts.audience == len(ids)
    assert sorted(relay.accepted()) == sorted(f"reader{n}@example.com" for n in range(100))
    async with database.read(business.id) as db:
        assert (await campaigns.get(db, campaign_id)).state is State.done


async def test_who_left_before_the_start_is_excluded(
    database: Database, business: Business
) -> None:
    """The audience is everybody who was asked; who said no is left out, with the reason."""
    campaign_id, ids = await started(database, business, 10)
    async with database.write(business.id) as db:
        purpose_id = (await campaigns.get(db, campaign_id)).purpose_id
        await consent.withdraw(
            db, Actor.customer(ids[0]), ids[0], purpose_id, method=consent.Method.portal
        )
    async with smtpd() as relay:
        counts = await sent_through(database, business, campaign_id, relay)

    assert counts.reasons == {"withdrawn": 1}
    assert counts.sent == 9


async def test_whose_mail_cannot_be_written_fails_alone(
    database: Database, business: Business, root: asyncpg.Connection
) -> None:
    """At a domain that takes one at a time, too: what was not sent holds nobody up."""
    tenfold = 'replace("x", "xxxxxxxxxx")'
    source = f"Dear {{{{ name | {tenfold} | {tenfold} }}}}, there is rye bread."
    campaign, _, ids = await drafted(database, business, 9, source=source)
    async with database.write(business.id) as db:
        await relays.limit_domain(db, SYSTEM, "example.com", None, 1)
        while await checking.walk_piece(db, campaign):
            pass
        await campaigns.start(db, SYSTEM, campaign.id)
    # Looked at, and changed since.
    await root.execute(
        "UPDATE crm.customer SET name = $3 WHERE business_id = $1 AND customer_id = ANY ($2)",
        *(business.id, ids[::3], "x" * 200),
    )
    async with smtpd() as relay:
        counts = await sent_through(database, business, campaign.id, relay)

    assert (counts.sent, counts.failed, counts.waiting, counts.sending) == (6, 3, 0, 0)
    written = [n for n, each in enumerate(ids) if each not in ids[::3]]
    assert sorted(relay.accepted()) == [f"reader{n}@example.com" for n in written]


async def test_no_reader_gets_an_address_of_her_own(database: Database, business: Business) -> None:
    """A value that came after the check: hers fails, and the others' mails are the same for all."""
    page = NewAttribute(
        basis=LawfulBasis.legitimate_interests, origin="From us.", label="Page",
        type=AttributeType.text, purpose="For the page.", retention="P24M",
    )  # fmt: skip
    async with database.write(business.id) as db:
        await customers.declare_attribute(db, SYSTEM, "page", page)
    source = "Dear {{ first_name }}, yours: {{ attribute.page }}"
    campaign, _, ids = await drafted(database, business, 3, source=source)
    async with database.write(business.id) as db:
        spam = customers.Changes(name="https://spam.example/x")
        await customers.change(db, SYSTEM, ids[1], spam)
        await customers.set_attributes(db, SYSTEM, ids[1], {"page": "rye"})
        own = {"page": "https://shop.example/open?reader=2"}
        await customers.set_attributes(db, SYSTEM, ids[2], own)
        await campaigns.start(db, SYSTEM, campaign.id)
    async with smtpd() as relay:
        counts = await sent_through(database, business, campaign.id, relay)
    async with database.read(business.id) as db:
        (known,) = await campaigns.skeletons(db, campaign.id)

    assert (counts.sent, counts.failed) == (2, 1)
    assert sorted(relay.accepted()) == ["reader0@example.com", "reader1@example.com"]
    assert all(campaigns.compare(each.content, known).same for each in relay.messages)
