"""The canary: one copy of a campaign to a mailbox of the business's own, before anybody else's.

A relay may put a pixel into a mail or lead its links elsewhere, and nobody who sends sees it. What
arrives is compared with the published skeleton (promise 4); until then nobody is mailed.
"""

from __future__ import annotations

import asyncio
import re
from datetime import datetime, timedelta
from uuid import UUID

import msgspec
from msgspec import Struct

from crm import businesses, consent, customers, events, mail
from crm.businesses import Business
from crm.campaigns.comparing import Comparison, Difference, compare
from crm.campaigns.composing import Envelope, compiled
from crm.campaigns.invented import invented, nobody
from crm.campaigns.model import Campaign, NoCanary, State
from crm.campaigns.reader import read
from crm.campaigns.verdict import skeletons
from crm.db import Db, ReadDb, Statements
from crm.events import Actor, Kind
from crm.ids import opaque
from crm.mail import LetterKind
from crm.mail.mime import stamp

sql = Statements("campaigns")

# What has not arrived by then may have been lost, or the mailbox is not read: staff decide.
PATIENCE = timedelta(minutes=15)
_MESSAGE_ID = re.compile(r"<([0-9a-f]{32})\.([0-9a-f]{32})@[A-Za-z0-9.-]+>")


class Canary(Struct, frozen=True, kw_only=True):
    """The first copy of a campaign, and what became of it on its way."""

    sent_at: datetime
    arrived_at: datetime | None
    differences: list[Difference]
    passed_at: datetime | None
    passed_by: UUID | None

    @property
    def changed(self) -> bool:
        """Whether its way changed it: the campaign does not begin."""
        return bool(self.differences)

    def overdue(self, now: datetime) -> bool:
        """Whether it should have arrived by now."""
        return self.arrived_at is None and self.passed_at is None and now > self.sent_at + PATIENCE


async def release(db: Db, campaign: Campaign) -> None:
    """Send a canary where the business has a mailbox for it; the rest waits for what arrives."""
    business = await businesses.get(db)
    if not business.canary:
        return
    mark = opaque().bytes
    await db.run(sql.release_canary, campaign_id=campaign.id, mark=mark)
    to = customers.parse(business.canary)
    await mail.post_written(
        db,
        LetterKind.canary,
        address=to.deliverable,
        address_hash=db.keys.address_hash(db.business_id, to.folded),
        content=await _written(db, business, campaign, to.deliverable, mark),
    )


async def canary(db: ReadDb, campaign_id: UUID) -> Canary | None:
    """Return the canary of a campaign, or None where it began without one."""
    return await db.maybe(sql.canary, Canary, campaign_id=campaign_id)


async def waits_for_canary(db: ReadDb, campaign_id: UUID) -> bool:
    """Say whether a campaign may not begin yet, for what has not arrived as it was sent."""
    present = await canary(db, campaign_id)
    return present is not None and present.passed_at is None


def named_in(raw: bytes) -> tuple[UUID, bytes] | None:
    """Read which campaign and which mark a Message-ID names; what it proves PostgreSQL knows."""
    found = _MESSAGE_ID.fullmatch(read(raw).first("Message-ID").strip())
    return (UUID(found[1]), bytes.fromhex(found[2])) if found else None


async def canary_arrived(db: Db, campaign_id: UUID, mark: bytes, raw: bytes) -> bool:
    """Compare a canary with what was published, and let the campaign begin where it is the same.

    False where it is none: only who had the mail knows the mark in its Message-ID. The first
    arrival decides.
    """
    known = await db.maybe(sql.canary_on_its_way, UUID, campaign_id=campaign_id, mark=mark)
    if known is None:
        return False
    published = await skeletons(db, campaign_id)
    # Of a large mail it takes a while, and others are served meanwhile.
    found = await asyncio.to_thread(lambda: [compare(raw, each) for each in published])
    nearest = min(found, key=lambda each: len(each.differences), default=_UNPUBLISHED)
    told = [msgspec.structs.asdict(each) for each in nearest.differences]
    await db.run(sql.land_canary, campaign_id=campaign_id, differences=told)
    happened = Kind.canary_passed if nearest.same else Kind.canary_changed
    await events.record(db, Actor.system(), happened, ref=campaign_id)
    if nearest.same:
        db.wake("campaigns.fill", str(db.business_id), str(campaign_id))
    return True


async def go_without(db: Db, by: Actor, campaign_id: UUID) -> None:
    """Let a campaign begin although its canary has not arrived in time; the name is kept.

    Refuses with NoCanary while there is time, and always where the canary arrived changed.
    """
    keys = {"campaign_id": campaign_id, "sent_before": db.now - PATIENCE}
    if not await db.run(sql.pass_canary, **keys, passed_by=by.id):
        raise NoCanary
    await events.record(db, by, Kind.canary_waived, ref=campaign_id)
    db.wake("campaigns.fill", str(db.business_id), str(campaign_id))


async def send_again(db: Db, by: Actor, campaign: Campaign) -> None:
    """Send another canary: the relay was put right, or the first was lost."""
    present = await canary(db, campaign.id)
    if present is None or present.passed_at is not None or campaign.state is not State.starting:
        raise NoCanary
    await release(db, campaign)
    await events.record(db, by, Kind.canary_sent, ref=campaign.id)


_UNPUBLISHED = Comparison((Difference("Nothing of this campaign is published."),))


async def _written(
    db: ReadDb, business: Business, campaign: Campaign, address: str, mark: bytes
) -> bytes:
    """Write the campaign as a customer would get it, with links that stop nobody."""
    message = await compiled(db, campaign)
    purpose = await consent.purpose(db, campaign.purpose_id)
    envelope = Envelope(db.keys, business, campaign.id, purpose.code, stamp(db.now))
    slots = envelope.slots(address, nobody(db.keys, business.id))
    domain = business.sender_address.rpartition("@")[2]
    message_id = f"<{campaign.id.hex}.{mark.hex()}@{domain}>"
    return message.bytes_for(
        invented(message), msgspec.structs.replace(slots, message_id=message_id)
    )
