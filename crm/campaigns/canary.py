"""The canary: one copy of a campaign to a mailbox of the business's own, before anybody else's.

A relay may put a pixel into a mail or lead its links elsewhere, and nobody who sends sees it. What
arrives is compared with the published skeleton (promise 4); until then nobody is mailed.
"""

from __future__ import annotations

import asyncio
import re
from contextlib import suppress
from datetime import datetime, timedelta
from uuid import UUID

import msgspec
from msgspec import Struct

from crm import businesses, consent, customers, events, mail
from crm.campaigns.comparing import LARGEST_MAIL, Comparison, Difference, compare
from crm.campaigns.composing import Envelope, message_id
from crm.campaigns.invented import invented
from crm.campaigns.model import Campaign, NoCanary, State
from crm.campaigns.reader import read
from crm.campaigns.underway import Sent, underway
from crm.campaigns.verdict import Fixed, fix, skeletons
from crm.characters import storable
from crm.db import Db, ReadDb, Statements
from crm.events import Actor, Kind
from crm.ids import opaque
from crm.keys import Keys
from crm.mail import LetterKind, sending_domains
from crm.mail.mime import stamp
from crm.tokens import BadLink, Stop, Why, open_stop, open_why

sql = Statements("campaigns")

# What has not arrived by then may have been lost, or the mailbox is not read: staff decide.
PATIENCE = timedelta(minutes=15)
_MESSAGE_ID = re.compile(r"<[0-9a-f]{32}\.([0-9a-f]{32})@[A-Za-z0-9.-]+>")
_STOP = re.compile(r"/u/([A-Za-z0-9_-]{20,120})(?![A-Za-z0-9_-])")
_WHY = re.compile(r"/why/([A-Za-z0-9_-]{20,120})(?![A-Za-z0-9_-])")
# A mail of ours has a link or two of a kind; what has hundreds is somebody trying.
_MOST_LINKS = 10


class Canary(Struct, frozen=True, kw_only=True):
    """The first copy of a campaign, and what became of it on its way."""

    sent_at: datetime
    arrived_at: datetime | None
    differences: list[Difference]
    # What its way did that is none.
    remarks: list[str]
    passed_at: datetime | None
    passed_by: UUID | None

    @property
    def changed(self) -> bool:
        """Whether its way changed it: the campaign does not begin."""
        return bool(self.differences)

    def overdue(self, now: datetime) -> bool:
        """Whether it should have arrived by now."""
        return self.arrived_at is None and self.passed_at is None and now > self.sent_at + PATIENCE


async def release(db: Db, campaign: Campaign, fixed: Fixed) -> None:
    """Send a canary where the business has a mailbox for it; the rest waits for what arrives.

    It is what was judged and published, whatever of the business is changed meanwhile.
    """
    business = fixed.business
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
        content=await _written(db, fixed, campaign, to.deliverable, mark),
    )


async def canary(db: ReadDb, campaign_id: UUID) -> Canary | None:
    """Return the canary of a campaign, or None where it began without one."""
    return await db.maybe(sql.canary, Canary, campaign_id=campaign_id)


async def waits_for_canary(db: ReadDb, campaign_id: UUID) -> bool:
    """Say whether a campaign may not begin yet, for what has not arrived as it was sent."""
    present = await canary(db, campaign_id)
    return present is not None and present.passed_at is None


def canary_marks(keys: Keys, business_id: UUID, raw: bytes) -> list[bytes]:
    """Read what may be the mark of a canary: in its Message-ID, or in the links that we signed.

    A relay may write a Message-ID of its own. What a mark proves PostgreSQL knows. Of mail larger
    than any of ours the beginning is read.
    """
    message = read(raw[:LARGEST_MAIL])
    if found := _MESSAGE_ID.fullmatch(message.first("Message-ID").strip()):
        return [bytes.fromhex(found[1])]
    header = " ".join(message.every("List-Unsubscribe"))
    text = next((part.text for part in message.parts if part.media_type == "text/plain"), "")
    named: list[Stop | Why] = []
    for links, where, opened in ((_STOP, header, open_stop), (_WHY, text, open_why)):
        for token in links.findall(where)[:_MOST_LINKS]:
            with suppress(BadLink):
                named.append(opened(keys, token))
    marks = [each.address_hash for each in named if each.business_id == business_id]
    return list(dict.fromkeys(marks))


async def canary_arrived(db: Db, mark: bytes, raw: bytes) -> bool:
    """Compare a canary with what was published, and let the campaign begin where it is the same.

    False where it is none: only who had the mail knows its mark. The first arrival decides. A
    Message-ID or a date of the relay's own is a remark, unless our own signature covers it.
    """
    known = await db.maybe(sql.canary_on_its_way, _OnItsWay, mark=mark)
    if known is None:
        return False
    published = await skeletons(db, known.campaign_id)
    sent = await _sent(db, known, mark)
    # Of a large mail it takes a while, and others are served meanwhile.
    found, way = await asyncio.to_thread(
        lambda: ([compare(raw, each, named=False) for each in published], underway(raw, sent))
    )
    nearest = min(found, key=lambda each: len(each.differences), default=_UNPUBLISHED)
    differences = (*nearest.differences, *way.differences)
    told = [
        {name: storable(said) for name, said in msgspec.structs.asdict(each).items()}
        for each in differences
    ]
    await db.run(
        sql.land_canary,
        campaign_id=known.campaign_id,
        differences=told,
        remarks=[storable(each) for each in way.remarks],
    )
    happened = Kind.canary_changed if differences else Kind.canary_passed
    await events.record(db, Actor.system(), happened, ref=known.campaign_id)
    if not differences:
        db.wake("campaigns.fill", str(db.business_id), str(known.campaign_id))
    return True


class _OnItsWay(Struct, frozen=True):
    campaign_id: UUID
    sent_at: datetime


async def _sent(db: ReadDb, known: _OnItsWay, mark: bytes) -> Sent:
    """Say how the canary was handed over."""
    business = await businesses.get(db)
    domain = sending_domains.domain_of(business.sender_address)
    keys = await sending_domains.keys(db, domain)
    return Sent(
        message_id=f"<{message_id(known.campaign_id, mark, business)}>",
        date=stamp(known.sent_at),
        domain=domain,
        selectors=frozenset(key.selector for key in keys),
    )


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
    await release(db, campaign, await fix(db, campaign))
    await events.record(db, by, Kind.canary_sent, ref=campaign.id)


_UNPUBLISHED = Comparison((Difference("Nothing of this campaign is published."),))


async def _written(
    db: ReadDb, fixed: Fixed, campaign: Campaign, address: str, mark: bytes
) -> bytes:
    """Write the campaign as a customer would get it: its links hold the mark, and stop nobody."""
    purpose = await consent.purpose(db, campaign.purpose_id)
    envelope = Envelope(db.keys, fixed.business, campaign.id, purpose.code, stamp(db.now))
    return fixed.compiled.bytes_for(invented(fixed.compiled), envelope.slots(address, mark))
