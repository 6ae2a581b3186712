"""Somebody at the keyboard whom the business does not know yet, her mailbox, and the other side."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any
from uuid import uuid4

from msgspec import Struct

from crm import campaigns, consent, customers, mail
from crm.access.auth import SESSION, cookie_name
from crm.businesses import Business
from crm.consent import Notice, Purpose
from crm.customers import Customer
from crm.db import Database, no_wake
from crm.events import Actor
from crm.letterbox.letter import Letter, parse
from crm.mail.actions import claim_letters, record_letter
from crm.mail.outcome import Kind, Outcome
from crm.privacy import NewRequest, RequestKind, requests
from crm.privacy.requests.model import Way
from crm.tokens import Stop, stop_token
from tests import make
from tests.campaigns.test_send import sent_through
from tests.chromium.desk import Desk, Seat
from tests.chromium.hand import Hand
from tests.smtpd import smtpd

HER = "ines.moreau@example.com"
_CODE = re.compile(r"^([A-Z0-9]{4} [A-Z0-9]{4})\s*$", re.MULTILINE)
# A yes of this age to what holds for thirty days is asked about.
_BEFORE = timedelta(days=25)


class Journey(Struct):
    """Her hand, the business, and what she may sign up for: by the link, by the code, elsewhere."""

    seat: Seat
    hand: Hand
    database: Database
    business: Business
    purposes: list[Purpose]
    notices: list[Notice]
    address: str = HER

    async def mailed(self, path: str = "") -> Letter:
        """Open the newest letter to her, or the newest that leads to a path."""
        async with self.database.write(self.business.id) as db:
            claimed = await claim_letters(db, 10)
            for each in claimed:
                await record_letter(db, each, Outcome(Kind.sent, "accepted", code=250))
        letters = [parse(each.content) for each in sorted(claimed, key=lambda it: it.created_at)]
        found = [each for each in letters if any(path in link for link in each.links)]
        assert found, "no such letter waits"
        return found[-1]

    async def way(self, path: str) -> str:
        """Find where the newest letter leads, within the business."""
        return self.link_in(await self.mailed(self.business.origin + path), path)

    def link_in(self, letter: Letter, path: str) -> str:
        """Find where a letter leads."""
        start = f"{self.business.origin}{path}"
        return next(each for each in letter.links if each.startswith(start)).removeprefix(
            self.business.origin
        )

    def stop(self, purpose: Purpose) -> str:
        """Make the token that stands in her newsletters."""
        hashed = self.database.keys.address_hash(self.business.id, customers.fold(HER))
        return stop_token(self.database.keys, Stop(self.business.id, hashed, purpose.code))

    async def her(self) -> Customer:
        """Look her up, as the other side has her."""
        async with self.database.read(self.business.id) as db:
            found = await customers.by_address(db, self.address)
        assert found is not None
        return found

    async def elsewhere(self) -> None:
        """Sign her in in another browser."""
        me = await self.her()
        async with self.database.write(self.business.id) as db:
            await make.signed_in(db, me.id)

    async def long_ago(self) -> None:
        """Have her signed in for longer than what cannot be taken back allows."""
        me, ago = await self.her(), _earlier(self.database, timedelta(minutes=11))
        async with ago.write(self.business.id) as db:
            token = await make.signed_in(db, me.id)
        name = cookie_name(self.business, SESSION)
        await self.hand.opened.page.context.add_cookies(
            [{"name": name, "value": token, "url": self.business.origin}]
        )

    async def agreed_before(self) -> None:
        """Take what she had said yes to elsewhere, and what ends soon by itself."""
        me = await self.her()
        shop = Actor.key(uuid4(), "Shop")
        async with _earlier(self.database, _BEFORE).write(self.business.id) as db:
            await consent.give(db, shop, me.id, self.notices[-1].question, make.ELSEWHERE)

    async def bounced(self) -> None:
        """Have a mail to her come back."""
        async with self.database.write(self.business.id) as db:
            hashed = db.keys.address_hash(db.business_id, customers.fold(self.address))
            await mail.suppress(db, make.SYSTEM, hashed, mail.Scope.all, mail.Why.bounced)

    async def issue(self) -> bytes:
        """Send her an issue that asks something; it arrives."""
        async with self.database.write(self.business.id) as db:
            changes: dict[str, Any] = {"question": "Which next?", "answers": ["Rye", "Spelt"]}
            campaign = await make.campaign(db, self.notices[-1].purpose_id, **changes)
            who = await make.owner(db)
            await campaigns.start(db, who.actor, campaign.id, despite_gaps=True)
        async with smtpd() as relay:
            await sent_through(self.database, self.business, campaign.id, relay)
            (message,) = relay.messages
        return message.content

    async def answered(self, words: str) -> None:
        """Answer what she asked, as staff do."""
        me = await self.her()
        async with self.database.write(self.business.id) as db:
            who = await make.owner(db)
            (asked,) = [
                each for each in await requests.of_customer(db, me.id) if not each.by_itself
            ]
            await requests.answer(db, who.actor, asked.id, words)

    async def doubted(self) -> None:
        """Ask by a letter whether it was she who asked by mail."""
        new = NewRequest(
            kind=RequestKind.access, address=self.address, words="What is known of me?"
        )
        async with self.database.write(self.business.id) as db:
            asked = await requests.receive(db, make.SYSTEM, new, way=Way.mail)
            await requests.send_link(db, make.SYSTEM, asked.id)


def code_in(letter: Letter) -> str:
    """Read the code that stands alone in a line of a letter."""
    found = _CODE.search(letter.text)
    assert found is not None, letter.text
    return found[1]


@asynccontextmanager
async def begun(desk: Desk, database: Database, seat: Seat) -> AsyncIterator[Journey]:
    """Sit down at a business that has three newsletters, of which one holds for a month."""
    before = _earlier(database, _BEFORE)
    business = await make.business(before, origin=f"http://{uuid4().hex}.localhost")
    purposes, notices = [], []
    async with before.write(business.id) as db:
        for given in ({}, {"name": "Offers"}, {"name": "Ideas", "validity": "P30D"}):
            purposes.append(await make.purpose(db, **given))
            notices.append(await make.notice(db, purposes[-1].id))
    context = await desk.context(seat, origin=business.origin)
    hand = Hand(
        await desk.watched(context, origin=business.origin),
        script=seat.script,
        slugs={each.slug for each in purposes},
    )
    yield Journey(seat, hand, database, business, purposes, notices)
    await context.close()


def _earlier(database: Database, ago: timedelta) -> Database:
    """Go back to the same database some time ago."""
    return Database(database.connections, database.keys, no_wake, lambda: database.clock() - ago)
