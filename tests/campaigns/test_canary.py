"""The canary: a copy comes back as it was sent before anybody else is mailed, or nobody is."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from datetime import timedelta
from uuid import UUID

import asyncpg
import pytest

from crm import campaigns
from crm.businesses import Business
from crm.campaigns import NoCanary, State, jobs
from crm.db import Database, open_database
from crm.inbound import Via
from crm.inbound.hearing import Readings, hear_mail
from crm.inbound.model import Effect
from crm.mail import jobs as mail_jobs
from crm.mail import sending_domains
from tests import make
from tests.campaigns.site import client, drafted, member
from tests.campaigns.test_send import settings
from tests.conftest import KEYS, Cluster
from tests.smtpd import Smtpd, smtpd

SEED = "canary@bounces.bakery.example"
TEXT = "Hello {{ first_name | default('you') }},\n\nrye on [Saturdays](https://bakery.example/rye)."


async def released(database: Database, relay: Smtpd, count: int = 3) -> tuple[Business, UUID]:
    """Start a campaign of a business with a canary, and hand the canary to the relay."""
    business = await make.business(database, canary=SEED, return_domain="bounces.bakery.example")
    campaign, _, _ = await drafted(database, business, count, source=TEXT)
    async with database.write(business.id) as db:
        await campaigns.start(db, make.SYSTEM, campaign.id)
    await jobs.fill(_ctx(database, relay.port), str(business.id), str(campaign.id))
    await mail_jobs.deliver(
        {"database": database, "settings": settings(relay.port)}, str(business.id)
    )
    return business, campaign.id


async def test_as_it_was_sent_it_lets_everybody_else_follow(database: Database) -> None:
    """Only the mailbox of the business is mailed before; then all are, once."""
    async with smtpd() as relay:
        business, campaign_id = await released(database, relay)
        (first,) = relay.messages
        assert first.recipients == [SEED]
        assert await _state(database, business, campaign_id) is State.starting

        assert await _arrives(database, business, first.content) is Effect.done
        ctx = _ctx(database, relay.port)
        await jobs.fill(ctx, str(business.id), str(campaign_id))
        await jobs.send(ctx, str(business.id), str(campaign_id))

    assert len(relay.messages) == 4
    assert await _state(database, business, campaign_id) is State.done
    async with database.read(business.id) as db:
        known = await campaigns.canary(db, campaign_id)
        assert (await campaigns.counts(db, campaign_id)).sent == 3
    assert known is not None
    assert known.passed_at == known.arrived_at
    assert known.passed_by is None


async def test_a_canary_of_a_sender_with_a_long_name(database: Database) -> None:
    """Its name takes several lines of the header, and its address stands on the last."""
    business = await make.business(
        database,
        canary=SEED,
        sender_name="Bäckerei an der Ecke von Mühlengasse und Brückenstraße, Inhaber Jörg Öztürk "
        "und Söhne, seit achtzehnhundertfünfundsiebzig",
    )
    campaign, _, _ = await drafted(database, business, 1)
    async with database.write(business.id) as db:
        await campaigns.start(db, make.SYSTEM, campaign.id)
    async with smtpd() as relay:
        ctx = _ctx(database, relay.port)
        await jobs.fill(ctx, str(business.id), str(campaign.id))
        await mail_jobs.deliver(
            {"database": database, "settings": settings(relay.port)}, str(business.id)
        )
    assert relay.accepted() == [SEED]


def _pixel(raw: bytes) -> bytes:
    return raw.replace(b"</body>", b'<img src=3D"https://relay.example/o/1.gif">=\r\n</body>')


def _led_elsewhere(raw: bytes) -> bytes:
    return raw.replace(b"https://bakery.example/rye", b"https://click.example/r/1")


def _another_way_out(raw: bytes) -> bytes:
    return raw.replace(b"List-Unsubscribe: <http", b"List-Unsubscribe: <https://relay.example/?")


@pytest.mark.parametrize("changed", [_pixel, _led_elsewhere, _another_way_out])
async def test_changed_on_its_way_it_stops_the_campaign(
    database: Database, changed: Callable[[bytes], bytes]
) -> None:
    """A relay that counts opens or leads links elsewhere: nobody is mailed, and staff see why."""
    async with smtpd() as relay:
        business, campaign_id = await released(database, relay)
        raw = relay.messages[0].content
        assert changed(raw) != raw
        await _arrives(database, business, changed(raw))
        await _arrives(database, business, raw)  # too late: the first arrival decided
        await jobs.fill(_ctx(database, relay.port), str(business.id), str(campaign_id))

    assert len(relay.messages) == 1
    assert await _state(database, business, campaign_id) is State.starting
    who = await member(database, business)
    async with database.write(business.id) as db:
        known = await campaigns.canary(db, campaign_id)
        assert known is not None
        assert known.changed
        with pytest.raises(NoCanary):
            await campaigns.go_without(db, who.actor, campaign_id)


async def test_postgres_lets_no_changed_canary_pass(
    database: Database, root: asyncpg.Connection
) -> None:
    """Whatever a program says."""
    async with smtpd() as relay:
        business, campaign_id = await released(database, relay)
        await _arrives(database, business, _pixel(relay.messages[0].content))
    keys = business.id, campaign_id
    with pytest.raises(asyncpg.CheckViolationError, match="canary_changed_never_passes"):
        await root.execute(
            "UPDATE crm.canary SET passed_at = now() WHERE business_id = $1 AND campaign_id = $2",
            *keys,
        )


async def test_another_copy_is_sent_when_the_relay_was_put_right(database: Database) -> None:
    """It has a token of its own; the old copy means nothing any more."""
    who_pressed = "owner@bakery.example"
    async with smtpd() as relay:
        business, campaign_id = await released(database, relay)
        old = relay.messages[0].content
        await _arrives(database, business, _pixel(old))
        who = await member(database, business, address=who_pressed)
        async with database.write(business.id) as db:
            campaign = await campaigns.get(db, campaign_id)
            await campaigns.send_again(db, who.actor, campaign)
        await mail_jobs.deliver(
            {"database": database, "settings": settings(relay.port)}, str(business.id)
        )
        await _arrives(database, business, old)
        async with database.read(business.id) as db:
            waiting = await campaigns.canary(db, campaign_id)
        assert waiting is not None
        assert waiting.arrived_at is None

        await _arrives(database, business, relay.messages[1].content)
    async with database.read(business.id) as db:
        known = await campaigns.canary(db, campaign_id)
    assert known is not None
    assert known.passed_at is not None


async def test_what_does_not_arrive_is_for_staff_to_decide(
    own_cluster: Cluster, own_database: Database
) -> None:
    """Not before its time; then by name, and everybody else is mailed."""
    async with smtpd() as relay:
        business, campaign_id = await released(own_database, relay)
        who = await member(own_database, business)
        async with own_database.write(business.id) as db:
            later = db.now + timedelta(minutes=16)
            with pytest.raises(NoCanary):
                await campaigns.go_without(db, who.actor, campaign_id)
        async with open_database(
            own_cluster.app_url, KEYS, size=2, clock=lambda: later
        ) as afterwards:
            async with afterwards.write(business.id) as db:
                waiting = await campaigns.canary(db, campaign_id)
                assert waiting is not None
                assert waiting.overdue(db.now)
                await campaigns.go_without(db, who.actor, campaign_id)
            ctx = _ctx(afterwards, relay.port)
            await jobs.fill(ctx, str(business.id), str(campaign_id))
            await jobs.send(ctx, str(business.id), str(campaign_id))
    assert len(relay.messages) == 4
    async with own_database.read(business.id) as db:
        known = await campaigns.canary(db, campaign_id)
    assert known is not None
    assert known.passed_by == who.id


def _renamed(raw: bytes) -> bytes:
    """As Amazon SES does: a Message-ID and a date of its own, and its signature."""
    raw = re.sub(rb"Message-ID: [^\r]*", b"Message-ID: <0102@eu.ses.example>", raw)
    raw = re.sub(rb"(?m)^Date: [^\r]*", b"Date: Mon, 01 Jan 2029 10:00:00 +0000", raw)
    return b"DKIM-Signature: v=1; d=ses.example; s=x; h=from:to; b=AA==\r\n" + raw


async def test_a_message_id_of_the_relay_is_a_remark(database: Database) -> None:
    """It is known by the links that we signed, passes, and staff read what the relay did."""
    async with smtpd() as relay:
        business, campaign_id = await released(database, relay)
        raw = relay.messages[0].content
        assert await _arrives(database, business, _renamed(raw)) is Effect.done
        assert await _arrives(database, business, _renamed(raw)) is not Effect.done
        who = await member(database, business)
        async with client(database, business, who=who) as browser:
            page = await browser.get(f"/staff/campaigns/{campaign_id}/progress")
    async with database.read(business.id) as db:
        known = await campaigns.canary(db, campaign_id)
    assert known is not None
    assert known.differences == []
    assert known.passed_at == known.arrived_at
    message_id, date, signed = known.remarks
    assert "<0102@eu.ses.example>" in message_id
    assert "2029" in date
    assert "signed by ses.example, and by nobody as" in signed
    assert "a Message-ID of its own" in page.text


async def test_renamed_and_changed_it_stops_the_campaign(database: Database) -> None:
    """Whatever the relay calls it: what was put in is found."""
    async with smtpd() as relay:
        business, campaign_id = await released(database, relay)
        await _arrives(database, business, _renamed(_pixel(relay.messages[0].content)))
    async with database.read(business.id) as db:
        known = await campaigns.canary(db, campaign_id)
    assert known is not None
    assert known.changed


async def test_a_signature_of_ours_must_not_cover_what_the_relay_writes_anew(
    database: Database,
) -> None:
    """Receivers would find it broken, so nobody is mailed so."""
    async with smtpd() as relay:
        business, campaign_id = await released(database, relay)
        raw = relay.messages[0].content
    async with database.write(business.id) as db:
        domain = sending_domains.domain_of(business.sender_address)
        await sending_domains.add(db, make.SYSTEM, domain)
        key = (await sending_domains.keys(db, domain))[0]
    sign = f"DKIM-Signature: v=1; d={domain}; s={key.selector}; h=From:Message-ID; b=AA==\r\n"
    await _arrives(database, business, sign.encode() + _renamed(raw))
    async with database.read(business.id) as db:
        known = await campaigns.canary(db, campaign_id)
    assert known is not None
    (found,) = known.differences
    assert "Message-ID of its own, which our DKIM signature covers" in found.sentence
    assert found.was.startswith(f"<{campaign_id.hex}.")
    assert known.passed_at is None


async def test_what_cannot_be_stored_is_a_difference_too(database: Database) -> None:
    """A relay that puts a NUL in, or half a character, does not keep staff from reading so."""
    async with smtpd() as relay:
        business, campaign_id = await released(database, relay)
        raw = b"Cc: \0 =?utf-7?q?+2AA-?=\r\n" + relay.messages[0].content
        assert await _arrives(database, business, raw) is Effect.done
    async with database.read(business.id) as db:
        known = await campaigns.canary(db, campaign_id)
    assert known is not None
    assert [each.sentence for each in known.differences] == ["The header Cc was put in."]


async def test_nobody_else_can_let_it_pass(database: Database) -> None:
    """A mail that names the campaign and not the token is none."""
    async with smtpd() as relay:
        business, campaign_id = await released(database, relay)
        raw = relay.messages[0].content
    [mark] = campaigns.canary_marks(database.keys, business.id, raw)
    forged = raw.replace(mark.hex().encode(), bytes(16).hex().encode())
    async with database.write(business.id) as db:
        assert not await campaigns.canary_arrived(db, bytes(16), forged)
        waiting = await campaigns.canary(db, campaign_id)
    assert waiting is not None
    assert waiting.arrived_at is None


async def _arrives(database: Database, business: Business, raw: bytes) -> Effect:
    return await hear_mail(database, [business.id], SEED, raw, Via.listener, readings=Readings(1))


async def _state(database: Database, business: Business, campaign_id: UUID) -> State:
    async with database.read(business.id) as db:
        return (await campaigns.get(db, campaign_id)).state


def _ctx(database: Database, port: int) -> jobs.Ctx:
    return {"database": database, "settings": settings(port), "sending": asyncio.Lock()}
