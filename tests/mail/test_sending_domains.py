"""A domain's keys sign once DNS shows them, and no campaign starts from one that is not right."""

from __future__ import annotations

from datetime import timedelta

import pytest

from crm import campaigns
from crm.businesses import Business
from crm.db import Database
from crm.errors import NotFound
from crm.mail import sending_domains
from crm.mail.sending_domain import (
    About,
    DomainNotReady,
    Finding,
    KeyState,
    KeysWait,
    NoDomain,
    NothingToRetire,
    Severity,
    why_not,
)
from tests import make

HOME = "corner-bakery.example"
SENDER = f"letter@{HOME}"
BAD = Finding(Severity.blocks, About.spf, "There is no SPF record.")
MAIL = b"From: <letter@corner-bakery.example>\r\nSubject: Rye\r\n\r\nRye.\r\n"


async def states(database: Database, business: Business) -> list[KeyState]:
    async with database.read(business.id) as db:
        return [key.state for key in await sending_domains.keys(db, HOME)]


async def shown(database: Database, business: Business, *found: Finding) -> None:
    """Look at a DNS that shows every key."""
    async with database.write(business.id) as db:
        selectors = frozenset(key.selector for key in await sending_domains.keys(db, HOME))
        await sending_domains.keep(db, HOME, found, selectors)


async def test_keys_sign_once_dns_shows_both(database: Database, business: Business) -> None:
    async with database.write(business.id) as db:
        await sending_domains.revoke(db, make.SYSTEM, HOME)
        assert {key.algorithm for key in await sending_domains.keys(db, HOME)} == {"rsa", "ed25519"}
        assert await sending_domains.signer(db, SENDER) is None
        one = (await sending_domains.keys(db, HOME))[0].selector
        await sending_domains.keep(db, HOME, [], frozenset({one}))
        assert await sending_domains.signer(db, SENDER) is None
    await shown(database, business)
    async with database.write(business.id) as db:
        signer = await sending_domains.signer(db, SENDER)
        assert signer is not None
        assert signer.signed(MAIL, db.now).count(b"DKIM-Signature: ") == 2
        await sending_domains.confirm(db, make.SYSTEM, HOME)
        assert await sending_domains.signer(db, SENDER) is None


async def test_new_keys_take_the_place_of_old_ones(database: Database, business: Business) -> None:
    async with database.write(business.id) as db:
        await sending_domains.add(db, make.SYSTEM, HOME)
        with pytest.raises(KeysWait):
            await sending_domains.rotate(db, make.SYSTEM, HOME)
    await shown(database, business)
    async with database.write(business.id) as db:
        made = await sending_domains.rotate(db, make.SYSTEM, HOME)
        assert [key.state for key in made] == [KeyState.waiting] * 2
    await shown(database, business)
    assert await states(database, business) == [KeyState.signing] * 2 + [KeyState.retiring] * 2
    async with database.write(business.id) as db:
        with pytest.raises(NothingToRetire):
            await sending_domains.retire(db, make.SYSTEM, HOME)
        db.now += timedelta(days=8)
        done = await sending_domains.retire(db, make.SYSTEM, HOME)
        assert [key.record.value for key in done] == ["v=DKIM1; p="] * 2


async def test_the_gate(database: Database, business: Business) -> None:
    async with database.write(business.id) as db:
        purpose = await make.purpose(db)
        campaign = await make.campaign(db, purpose.id)
        await sending_domains.revoke(db, make.SYSTEM, HOME)
        with pytest.raises(DomainNotReady, match="never checked"):
            await campaigns.start(db, make.SYSTEM, campaign.id)
    await shown(database, business, BAD)
    async with database.write(business.id) as db:
        with pytest.raises(DomainNotReady, match="no SPF record"):
            await campaigns.schedule(db, make.SYSTEM, campaign.id, db.now + timedelta(days=1))
    await shown(database, business)
    async with database.write(business.id) as db:
        await campaigns.start(db, make.SYSTEM, campaign.id)
        domain = await sending_domains.get(db, HOME)
        assert "Check it again" in why_not(HOME, domain, db.now + timedelta(days=8))
        assert "Add it" in why_not("other.example", None, db.now)


async def test_what_is_no_domain_is_refused(database: Database, business: Business) -> None:
    async with database.write(business.id) as db:
        for name in ("", "no domain", "a@b.example", "x" * 300):
            with pytest.raises(NoDomain):
                await sending_domains.add(db, make.SYSTEM, name)
        with pytest.raises(NotFound):
            await sending_domains.rotate(db, make.SYSTEM, "unknown.example")
