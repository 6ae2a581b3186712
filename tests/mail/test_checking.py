"""From keys to a mailbox: DNS is looked at, keys begin to sign, and what arrives verifies."""

from __future__ import annotations

import asyncio
from typing import Any

import dkim  # type: ignore[import-untyped]
import pytest
from msgspec import structs

from crm import campaigns
from crm.businesses import Business
from crm.campaigns import jobs
from crm.db import Database
from crm.mail import checking, relays, sending_domains
from crm.mail.dns import Resolver
from crm.mail.relays import NewRelay
from crm.mail.sending_domain import KeyState, Severity
from tests import make
from tests.campaigns.site import drafted
from tests.campaigns.test_send import settings
from tests.mail.test_judging import served
from tests.smtpd import smtpd

HOME = "corner-bakery.example"


async def _published(database: Database, business: Business) -> dict[tuple[str, str], Any]:
    """Publish what the page says, and what an ordinary domain has besides."""
    async with database.write(business.id) as db:
        await sending_domains.revoke(db, make.SYSTEM, HOME)
        keys = await sending_domains.keys(db, HOME)
    waiting = [key for key in keys if key.state is KeyState.waiting]
    says: dict[tuple[str, str], Any] = {
        (HOME, "TXT"): ['"v=spf1 ip4:127.0.0.1 -all"'],
        (HOME, "MX"): [f"10 mx.{HOME}."],
        (f"_dmarc.{HOME}", "TXT"): [f'"v=DMARC1; p=reject; rua=mailto:reports@{HOME}"'],
    }
    for key in waiting:
        strings = " ".join(f'"{each}"' for each in key.record.strings)
        says[key.record.name.rstrip("."), "TXT"] = [strings]
    return says


async def test_what_arrives_verifies_by_what_dns_shows(
    database: Database, business: Business
) -> None:
    """The gate opens by DNS alone, and each mail carries two signatures over its final bytes."""
    says = await _published(database, business)
    async with served(says) as server, smtpd() as relay:
        here = settings(relay.port)
        looked = await checking.check(database, business.id, HOME, here, Resolver(server))
        assert [each for each in looked.findings if each.severity is Severity.blocks] == []
        campaign, _, _ = await drafted(database, business, 3)
        async with database.write(business.id) as db:
            await campaigns.start(db, make.SYSTEM, campaign.id)
        ctx: jobs.Ctx = {"database": database, "settings": here, "sending": asyncio.Lock()}
        await jobs.fill(ctx, str(business.id), str(campaign.id))
        await jobs.send(ctx, str(business.id), str(campaign.id))

    def txt(name: bytes, **_: object) -> bytes:
        (record,) = says[name.decode().rstrip("."), "TXT"]
        return str(record).replace('" "', "").strip('"').encode()

    assert len(relay.messages) == 3
    for message in relay.messages:
        head = message.content.partition(b"\r\n\r\n")[0]
        assert head.count(b"DKIM-Signature:") == 2
        rsa = next(n for n in (0, 1) if b"a=rsa-sha256" in head.split(b"DKIM-Signature:")[n + 1])
        assert dkim.DKIM(message.content).verify(idx=rsa, dnsfunc=txt)
        changed = message.content.replace(b"rye", b"oat")
        with pytest.raises(dkim.ValidationError, match="body hash mismatch"):
            dkim.DKIM(changed).verify(idx=rsa, dnsfunc=txt)


async def test_a_relay_of_the_business_is_looked_at_and_not_the_installation_s(
    database: Database, business: Business
) -> None:
    """What goes by another relay is judged by that one."""
    says = await _published(database, business)
    async with database.write(business.id) as db:
        new = NewRelay(name="Main", host="smtp.relay.example", password="")
        await relays.add(db, make.SYSTEM, new, db.now.date())
    says["smtp.relay.example", "A"] = ["192.0.2.7"]
    here = settings(1)
    here = structs.replace(here, smtp=structs.replace(here.smtp, host="smtp.other.example"))
    async with served(says) as server:
        looked = await checking.check(database, business.id, HOME, here, Resolver(server))
    told = " ".join(each.text for each in looked.findings)
    assert "other.example" not in told
    assert "192.0.2.7" in told
