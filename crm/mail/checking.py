"""Looks at the DNS of the domains that mail is sent from, and keeps what is found."""

from __future__ import annotations

from datetime import timedelta
from uuid import UUID

from crm import businesses
from crm.db import Database, ReadDb
from crm.mail import relays, sending_domains
from crm.mail.dns import Asks, Resolver, look
from crm.mail.facts import Facts
from crm.mail.sending_domain import KeyState, SendingDomain
from crm.settings import Settings

# What was found is looked at anew every day, and while keys wait for their records every hour.
_EVERY = timedelta(hours=20)


async def check(
    database: Database, business_id: UUID, name: str, settings: Settings, resolver: Asks | None
) -> SendingDomain:
    """Look at a domain's DNS now; no transaction is open while DNS thinks."""
    async with database.read(business_id) as db:
        facts = await _facts(db, name, settings)
    found = await look(facts, resolver or Resolver(settings.dns.servers))
    async with database.write(business_id) as db:
        return await sending_domains.keep(db, name, found.findings, found.shown)


async def check_due(database: Database, business_id: UUID, settings: Settings) -> None:
    """Look at every domain whose last look is a day old, or whose keys wait."""
    async with database.read(business_id) as db:
        due = [each.domain for each in await sending_domains.known(db) if await _is_due(db, each)]
    for name in due:
        await check(database, business_id, name, settings, None)


async def _is_due(db: ReadDb, domain: SendingDomain) -> bool:
    if domain.checked_at is None or db.now - domain.checked_at > _EVERY:
        return True
    keys = await sending_domains.keys(db, domain.domain)
    return any(key.state is KeyState.waiting for key in keys)


async def _facts(db: ReadDb, name: str, settings: Settings) -> Facts:
    domain = await sending_domains.get(db, name)
    business = await businesses.get(db)
    ways = await relays.usable(db, settings)
    ours = sending_domains.domain_of(business.sender_address) == domain.domain
    return Facts(
        domain=domain.domain,
        keys=tuple(await sending_domains.keys(db, name)),
        return_domain=(business.return_domain if ours else "") or domain.domain,
        relays=tuple(dict.fromkeys(way.host for way in ways if not way.sends_from)),
        sends_from=tuple(dict.fromkeys(each for way in ways for each in way.sends_from)),
        hello=next((way.hello for way in ways if way.hello), settings.smtp.hostname),
        now=db.now,
    )
