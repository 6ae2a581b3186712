"""Entry points of the worker: start what is due, write deliveries, send ranges."""

from __future__ import annotations

import asyncio
import os
import socket
from datetime import timedelta
from typing import NotRequired, TypedDict
from uuid import UUID

from crm import above, consent
from crm.above import DueDigest, DueLeases
from crm.campaigns import actions, approving, cancelling, checking, deferring, digests, filling
from crm.campaigns.canary import waits_for_canary
from crm.campaigns.claiming import Change, Lease, count, leave
from crm.campaigns.composing import Envelope
from crm.campaigns.going_on import insist_goes_on
from crm.campaigns.issue import Issue
from crm.campaigns.line import Line, Rests
from crm.campaigns.model import Course, State, WrongState, overdue
from crm.campaigns.sending import RangeSender, sql
from crm.campaigns.verdict import fix
from crm.consent import SoftOptInOff
from crm.db import Database, Db
from crm.errors import Invalid, Refused
from crm.events import Actor
from crm.keys import KeyWrong
from crm.log import logger
from crm.mail import relays, sending_domains
from crm.mail.mime import stamp
from crm.mail.relays import Relay
from crm.mail.routes import Routes, open_routes
from crm.mail.sending_domain import DomainNotReady
from crm.mail.wire import Limits, Unreachable
from crm.rounds import apart
from crm.settings import Settings

_log = logger(__name__)

# A job is short, so that a killed worker's is forgotten soon: leases and rows go on.
SECONDS = 40.0
# Several workers share a campaign by its ranges; each has one range at a time, so that what a
# crash leaves in doubt is bounded per worker, and campaigns take turns.
_SLOTS = 4
_ALONE_SECONDS, _TURN_SECONDS = 10.0, 2.0
# So often at most a busy worker hands a wake on. All look into the queue equally often, so where
# one of two is idle it gets it all but surely; whom it misses, the sweep wakes.
_HANDED_ON = 8
# How long a filled campaign looks for older transactions to end before the sweep looks again.
_PATIENCE = 20
_POLL_SECONDS = 0.05
# A walk silent for so many seconds has lost its worker: a piece takes a tenth of one.
_QUIET = 10


class Ctx(TypedDict):
    """What the worker puts into every job."""

    database: Database
    settings: Settings
    # One range at a time; which campaigns this worker was woken for, and which relays rest.
    sending: asyncio.Lock
    line: NotRequired[Line]
    rests: NotRequired[Rests]


async def sweep(ctx: Ctx) -> None:
    """Find what is due in the rows themselves: emptying Redis loses nothing."""
    database = ctx["database"]
    for due in await above.campaigns_to_start(database):
        with apart("campaigns.sweep", due.business_id, "start"):
            await _start_scheduled(ctx, due.business_id, due.campaign_id)
    for left in await above.cancellations_due(database):
        with apart("campaigns.sweep", left.business_id, "clear"):
            async with database.write(left.business_id) as db:
                cancelled = str(left.campaign_id)
                again = f"{cancelled}:{_round(db)}"
                db.wake("campaigns.clear", str(left.business_id), cancelled, slot=again)
    for free in await above.leases_due(database):
        with apart("campaigns.sweep", free.business_id, "send"):
            await _wake_senders(database, free)
    for over in await above.campaigns_over(database):
        with apart("campaigns.sweep", over.business_id, "finish"):
            async with database.write(over.business_id) as db:
                await filling.finish_if_done(db, over.campaign_id)


async def _wake_senders(database: Database, free: DueLeases) -> None:
    async with database.write(free.business_id) as db:
        for slot in range(min(free.leases, _SLOTS)):
            db.wake(
                "campaigns.send",
                str(free.business_id),
                str(free.campaign_id),
                slot=f"{free.campaign_id}:{slot}:{_round(db)}",
            )


async def check_values(ctx: Ctx, business: str, campaign: str) -> None:
    """Walk on through all who would get a draft, for as long as one job may take."""
    loop = asyncio.get_running_loop()
    until, more = loop.time() + SECONDS, True
    while more and loop.time() < until:
        async with ctx["database"].write(UUID(business)) as db:
            more = await checking.walk_piece(db, await actions.get(db, UUID(campaign)))
    if more:
        async with ctx["database"].write(UUID(business)) as db:
            db.wake("campaigns.check_values", business, campaign)


async def sweep_checks(ctx: Ctx) -> None:
    """Find walks that nobody is at: their worker was killed, or Redis emptied."""
    database = ctx["database"]
    quiet_since = database.clock() - timedelta(seconds=_QUIET)
    for due in await above.value_checks_waiting(database, quiet_since):
        with apart("campaigns.sweep_checks", due.business_id):
            async with database.write(due.business_id) as db:
                slot = f"{due.campaign_id}:{_round(db)}"
                business, campaign = str(due.business_id), str(due.campaign_id)
                db.wake("campaigns.check_values", business, campaign, slot=slot)


async def sweep_digests(ctx: Ctx) -> None:
    """Make the digests of weeks that are over; each starts as a scheduled campaign does."""
    for due in await above.digests_due(ctx["database"]):
        with apart("campaigns.sweep_digests", due.business_id):
            await _make_digests(ctx["database"], due)


async def _make_digests(database: Database, due: DueDigest) -> None:
    try:
        async with database.write(due.business_id) as db:
            await digests.make_digests(db, due.purpose_id)
    except Refused as no:
        # Looked at again at the next turn.
        _log.warning("digest_not_made", purpose=str(due.purpose_id), code=no.code)


async def _start_scheduled(ctx: Ctx, business_id: UUID, campaign_id: UUID) -> None:
    database = ctx["database"]
    patience = timedelta(minutes=ctx["settings"].sending.overdue_minutes)
    try:
        async with database.write(business_id) as db:
            campaign = await actions.locked(db, campaign_id)
            if campaign.state is State.scheduled and overdue(campaign, db.now, patience):
                # Nobody is surprised by news of last week: staff say whether it is still wanted.
                await approving.hold(db, Actor.system(), campaign_id)
            elif campaign.state is State.scheduled:
                await approving.start_planned(db, campaign_id)
            else:
                slot = f"{campaign_id}:{_round(db)}"
                db.wake("campaigns.fill", str(business_id), str(campaign_id), slot=slot)
    except Refused as no:
        # It stays scheduled and overdue, which the console shows with the reason.
        _log.warning("campaign_not_started", campaign=str(campaign_id), code=no.code)


def _round(db: Db) -> int:
    # A killed worker's job ids stay taken for a while, so the sweep's are new every ten seconds.
    return int(db.now.timestamp()) // 10


async def fill(ctx: Ctx, business: str, campaign: str) -> None:
    """Write a campaign's deliveries, then open it for claims."""
    database, size = ctx["database"], ctx["settings"].sending.range
    business_id, campaign_id = UUID(business), UUID(campaign)
    more = True
    while more:
        async with database.write(business_id) as db:
            more = await filling.fill_piece(db, campaign_id, size)
    async with database.write(business_id) as db:
        await db.run(sql.analyze_deliveries)
        if await waits_for_canary(db, campaign_id):
            # Its arrival wakes this job again, or somebody's decision.
            return
    deadline = asyncio.get_running_loop().time() + _PATIENCE
    while asyncio.get_running_loop().time() < deadline:
        async with database.write(business_id) as db:
            if await filling.begin_sending(db, campaign_id):
                await filling.finish_if_done(db, campaign_id)
                for slot in range(_SLOTS):
                    db.wake("campaigns.send", business, campaign, slot=f"{campaign}:{slot}")
                return
            if (await actions.get(db, campaign_id)).state is not State.starting:
                return
        # Other transactions end by themselves; PostgreSQL tells nobody when.
        await asyncio.sleep(_POLL_SECONDS)


async def clear(ctx: Ctx, business: str, campaign: str) -> None:
    """Leave out whoever still waits in a cancelled campaign, range by range."""
    more = True
    while more:
        async with ctx["database"].write(UUID(business)) as db:
            more = await cancelling.clear_range(db, UUID(campaign))


async def give_places(ctx: Ctx, business: str, *customers: str) -> None:
    """Let other campaigns have the places of the week that failed mails to these customers had."""
    async with ctx["database"].read(UUID(business)) as read:
        limited = await deferring.limited(read, [UUID(each) for each in customers])
    if limited:
        await deferring.give_places(ctx["database"], UUID(business), limited)


async def send(ctx: Ctx, business: str, campaign: str, handed_on: str = "0") -> None:
    """Take ranges of a campaign, one after the other, and send them.

    One job of a worker does so for all campaigns it was woken for, in turns; the others only put
    theirs in line, so that campaigns never take the slots of service messages, and hand the wake on
    to a worker that may be idle.
    """
    line = ctx.setdefault("line", Line())
    line.add(UUID(business), UUID(campaign))
    if ctx["sending"].locked():
        times = int(handed_on) + 1
        if times <= _HANDED_ON:
            # Without a slot: the job of an earlier one may be at work, and would swallow it.
            await ctx["database"].wake("campaigns.send", (business, campaign, str(times)), "")
        return
    async with ctx["sending"]:
        await _in_turns(ctx, line)
    # Nothing was awaited since the line was found empty, or its time was over.
    while (left := line.next()) is not None:
        async with ctx["database"].write(left[0]) as db:
            db.wake("campaigns.send", str(left[0]), str(left[1]))


async def _in_turns(ctx: Ctx, line: Line) -> None:
    """Send a range of each in turn, for the time of one job."""
    loop = asyncio.get_running_loop()
    until = loop.time() + SECONDS
    issues: dict[UUID, Issue] = {}
    wrong: Exception | None = None
    while loop.time() < until and (turn := line.next()) is not None:
        business_id, campaign_id = turn
        try:
            seconds = _TURN_SECONDS if len(line) else _ALONE_SECONDS
            ends = min(until, loop.time() + seconds)
            more = await _send_one_range(ctx, business_id, campaign_id, issues, ends)
        except Exception as error:  # noqa: BLE001  (the others' turns come all the same)
            wrong = wrong or error
            continue
        if more:
            line.add(business_id, campaign_id)
    if wrong is not None:
        raise wrong


async def _send_one_range(
    ctx: Ctx, business_id: UUID, campaign_id: UUID, issues: dict[UUID, Issue], until: float
) -> bool:
    """Take a range and send it; False when there is nothing more to take now."""
    loop = asyncio.get_running_loop()
    rests = ctx.setdefault("rests", Rests())
    try:
        async with ctx["database"].read(business_id) as db:
            known = await relays.usable(db, ctx["settings"])
    except KeyWrong as no:
        await _hold(ctx["database"], business_id, campaign_id, str(no))
        return False
    awake = rests.awake(business_id, known, loop.time())
    if not awake:
        return False
    lease = await _take(ctx, business_id, campaign_id, f"{socket.gethostname()}:{os.getpid()}")
    if lease is None:
        issues.pop(campaign_id, None)
        return False
    if campaign_id not in issues:
        try:
            issues[campaign_id] = await _issue(ctx["database"], business_id, campaign_id)
        except (Invalid, DomainNotReady, SoftOptInOff, KeyWrong) as no:
            await _hold(ctx["database"], business_id, campaign_id, str(no))
            return False
    others = len(awake) < len(known)
    return await _send_range(ctx, issues[campaign_id], lease, awake, until, others=others)


async def _take(ctx: Ctx, business_id: UUID, campaign_id: UUID, holder: str) -> Lease | None:
    """Take a range; where none is left, end the campaign.

    That is seen in a transaction after the one that left a range: of two workers that leave the
    last two at once, neither sees the other's end in its own.
    """
    database, settings = ctx["database"], ctx["settings"].sending
    async with database.write(business_id) as db:
        lease = await db.maybe(
            sql.take_lease,
            Lease,
            campaign_id=campaign_id,
            holder=holder,
            expires_at=db.now + timedelta(seconds=settings.lease_seconds),
        )
        if lease is None:
            await filling.finish_if_done(db, campaign_id)
        elif lease.sending:
            doubted = await db.run(
                sql.doubt_deliveries, campaign_id=campaign_id, low=lease.low, high=lease.high
            )
            change = Change(
                campaign_id=campaign_id,
                number=lease.number,
                epoch=lease.epoch,
                cursor=lease.cursor,
                blocked=lease.blocked,
                sending=-doubted,
                uncertain=doubted,
            )
            await count(db, change)
    return lease


async def _issue(database: Database, business_id: UUID, campaign_id: UUID) -> Issue:
    async with database.write(business_id) as db:
        campaign = await actions.get(db, campaign_id)
        # The business may have changed what stands on all its mail since the start, and may again
        # meanwhile: just what is judged is sent.
        fixed = await fix(db, campaign)
        business = fixed.business
        await insist_goes_on(db, campaign, business)
        purpose = await consent.purpose(db, campaign.purpose_id)
        date = stamp(campaign.started_at or db.now)
        course = await db.one(sql.course, Course, campaign_id=campaign_id)
        signer = await sending_domains.signer(db, business.sender_address)
    envelope = Envelope(database.keys, business, campaign_id, purpose.code, date)
    return Issue(
        business,
        campaign,
        fixed.compiled,
        fixed.asking,
        envelope,
        course.expires_hours,
        signer,
    )


async def _hold(database: Database, business_id: UUID, campaign_id: UUID, why: str) -> None:
    """Pause a campaign that could not start any more as it is now; its page says what is wrong."""
    _log.warning("campaign_held", campaign=str(campaign_id), why=why)
    try:
        async with database.write(business_id) as db:
            await actions.pause(db, Actor.system(), campaign_id, why=why)
    except WrongState:
        return


async def _send_range(
    ctx: Ctx, issue: Issue, lease: Lease, awake: list[Relay], until: float, *, others: bool
) -> bool:
    """Send one range; False if no relay can be reached: then the range rests for a while."""
    settings, database, business_id = ctx["settings"], ctx["database"], issue.business.id
    rests = ctx.setdefault("rests", Rests())
    now = asyncio.get_running_loop().time
    try:
        limits = Limits(open=settings.smtp.timeout, patience=settings.smtp.patience)
        routes = await open_routes(awake, limits, others=others)
    except Unreachable as no:
        _log.warning("relay_unreachable", reason=no.trouble.reason)
        pause = min([rests.failed(business_id, relay, now()) for relay in awake])
        async with database.write(business_id) as db:
            for relay in awake:
                await relays.note(db, relay.id, f"{no.trouble.reason} {no.trouble.text}".strip())
            why = f"relay {no.trouble.reason}"
            await leave(db, issue.campaign.id, lease, db.now + pause, why)
        return False
    try:
        await RangeSender(database, issue, lease, routes, settings.sending).run(until)
    finally:
        await _note_troubles(ctx, business_id, routes, rests)
    return routes.trouble is None


async def _note_troubles(ctx: Ctx, business_id: UUID, routes: Routes, rests: Rests) -> None:
    """Let relays rest that broke off, and keep why, where staff see it."""
    changed: list[tuple[Relay, str | None]] = []
    for way in routes.ways:
        trouble = way.lanes.trouble
        if trouble is not None:
            rests.failed(business_id, way.relay, asyncio.get_running_loop().time())
            changed.append((way.relay, f"{trouble.reason} {trouble.text}".strip()))
        elif rests.reached(business_id, way.relay) or way.relay.trouble:
            changed.append((way.relay, None))
    if changed:
        async with ctx["database"].write(business_id) as db:
            for relay, told in changed:
                await relays.note(db, relay.id, told)
