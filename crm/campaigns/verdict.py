"""The verdict on a campaign: its final messages to invented readers, judged and published."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec
from msgspec import Struct

from crm import businesses, consent
from crm.businesses import Business
from crm.campaigns.composing import Envelope, compiled, values_of
from crm.campaigns.lint import RULES, Allowed, Rendered, lint
from crm.campaigns.model import Campaign, NewCampaign, NoVerdict
from crm.campaigns.render import Compiled
from crm.campaigns.skeleton import Skeleton, digest, packed, skeleton_of, unpacked
from crm.campaigns.tracker import known, named
from crm.campaigns.wrongs import Finding
from crm.db import Db, ReadDb, Statements
from crm.errors import Invalid, Problem
from crm.mail.mime import Slots, stamp

sql = Statements("campaigns")

# Readers who do not exist, with nothing in common; example.* belongs to nobody (RFC 2606). The last
# one's name is what a careless template would take for markup.
_READERS = (
    ("Nora Example", "nora@example.com"),
    ("Bo", "b.o+news@mail.example.net"),
    ('<b>"O\'Neil" & Søn</b>', "soen@example.org"),
)
_NOBODY = UUID(int=0)


class Reader(Struct, frozen=True):
    """One invented reader of a campaign."""

    values: dict[str, str]
    slots: Slots


class Fixed(Struct, frozen=True):
    """What was judged, and nothing else may be sent by it: both wordings, of one letterhead."""

    business: Business
    compiled: Compiled
    # The same with the question whether a consent that ends soon goes on.
    asking: Compiled


class Verdict(Struct, frozen=True, kw_only=True):
    """What is published of a campaign: what was let pass, by which rules, for which skeleton."""

    campaign_id: UUID
    digest: bytes
    rules: str
    lists: str
    findings: list[dict[str, Any]]
    at: datetime


async def findings(
    db: ReadDb, campaign: Campaign | NewCampaign, message: Compiled
) -> tuple[Finding, ...]:
    """Judge one wording of a campaign by its final bytes; each thing found is told once."""
    business = await businesses.get(db)
    return judged(business, message, await _readers(db, business, campaign, message))


def judged(business: Business, message: Compiled, readers: Sequence[Reader]) -> tuple[Finding, ...]:
    """Judge a compiled message as invented readers would get it."""
    rendered = [
        Rendered(
            message.bytes_for(each.values, each.slots),
            frozenset(
                {
                    each.slots.unsubscribe,
                    each.slots.preferences,
                    each.slots.why,
                    each.slots.unsubscribe_mail,
                }
            ),
            each.slots.to,
        )
        for each in readers
    ]
    allowed = Allowed(business.origin, named(business.image_hosts.split()))
    once: dict[tuple[str, str], Finding] = {}
    for each in lint(rendered, allowed, known.lists):
        # The HTML comes last and is what most people read.
        once[each.code, each.text] = each
    return tuple(sorted(once.values(), key=lambda each: (not each.blocking, each.line)))


async def fix(db: Db, campaign: Campaign, *, keep: bool = True) -> Fixed:
    """Judge a campaign, and keep verdict and skeleton for good; refuse what would watch readers.

    Called at the start, and by each worker before it sends: a business may have changed its
    letterhead in between, and what goes out must have been judged and published. So what is
    returned is sent, and nothing that is read anew. Without `keep` it is judged only: nothing of a
    draft is public.
    """
    fixed = await _wordings(db, campaign)
    await _judge(db, campaign, fixed, keep=keep)
    return fixed


async def _wordings(db: ReadDb, campaign: Campaign) -> Fixed:
    """Compile both wordings."""
    business = await businesses.get(db)
    message = await compiled(db, campaign)
    return Fixed(business, message, await compiled(db, campaign, asks=True))


async def _judge(db: Db, campaign: Campaign, fixed: Fixed, *, keep: bool) -> None:
    wordings = {False: fixed.compiled, True: fixed.asking}
    readers = await _readers(db, fixed.business, campaign, fixed.compiled)
    skeleton = packed(skeleton_of(campaign.id.hex, wordings, [each.slots for each in readers]))
    seal = digest(skeleton)
    if any(each.digest == seal for each in await verdicts(db, campaign.id)):
        return
    found: dict[tuple[str, str], Finding] = {}
    for message in wordings.values():
        found |= {(each.code, each.text): each for each in judged(fixed.business, message, readers)}
    blocking = [each for each in found.values() if each.blocking]
    if blocking:
        raise Invalid(
            "The campaign would watch its readers, so it cannot be sent.",
            [Problem("source", told(each, campaign.source)) for each in blocking],
        )
    if not keep:
        return
    await db.run(
        sql.add_verdict,
        campaign_id=campaign.id,
        digest=seal,
        skeleton=skeleton,
        rules=RULES,
        lists=known.lists.digest,
        findings=[msgspec.structs.asdict(each) for each in found.values()],
    )


async def verdicts(db: ReadDb, campaign_id: UUID) -> list[Verdict]:
    """Return the verdicts on a campaign, the first one first; none before it started."""
    return await db.many(sql.verdicts, Verdict, campaign_id=campaign_id)


async def skeletons(db: ReadDb, campaign_id: UUID) -> list[Skeleton]:
    """Return every skeleton of a campaign: a mail of it is one of these."""
    return [unpacked(raw) for raw in await db.many(sql.skeletons, bytes, campaign_id=campaign_id)]


async def skeleton(db: ReadDb, campaign_id: UUID, seal: bytes) -> bytes:
    """Return one skeleton as it is published, or refuse with NoVerdict."""
    raw = await db.maybe(sql.skeleton, bytes, campaign_id=campaign_id, digest=seal)
    if raw is None:
        raise NoVerdict
    return raw


def told(finding: Finding, source: str) -> str:
    """Say a finding with the line of the source in which it was written, if it stands there."""
    line = line_in(finding, source)
    where = f"Line {line}: " if line else ""
    return f"{where}{finding.sentence} {finding.text}".strip()


def line_in(finding: Finding, source: str) -> int:
    """Find the line of the source that holds what was found; 0 where it is in no line."""
    wanted = [finding.text, finding.text.replace("&", "&amp;")]
    address = re.search(r"https?://[^\s\"'<>]+", finding.text)
    if address:
        wanted.append(address[0])
    for text in wanted:
        at = source.find(text) if len(text) > 3 else -1  # noqa: PLR2004
        if at >= 0:
            return source.count("\n", 0, at) + 1
    return 0


async def _readers(
    db: ReadDb, business: Business, campaign: Campaign | NewCampaign, message: Compiled
) -> list[Reader]:
    purpose = await consent.purpose(db, campaign.purpose_id)
    campaign_id = campaign.id if isinstance(campaign, Campaign) else _NOBODY
    envelope = Envelope(db.keys, business, campaign_id, purpose.code, stamp(db.now))
    readers = []
    for number, (name, address) in enumerate(_READERS):
        held = dict.fromkeys(message.attributes, f"{name} {number}")
        fingerprint = db.keys.address_hash(business.id, f"invented reader {number}")
        readers.append(Reader(values_of(name, address, held), envelope.slots(address, fingerprint)))
    return readers
