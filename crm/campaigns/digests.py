"""The weekly digest: offered, chosen by customers, and one mail a week carries it.

What is kept differs where an issue went to a segment, or a reader chose the digest in mid-week.
So a week has a campaign for each set of issues that is due to readers, and each reader gets one.
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated
from uuid import UUID

import msgspec
from msgspec import Meta, Struct

from crm import businesses, consent, events
from crm.campaigns.actions import draft, sql
from crm.campaigns.digest import REACHES, Issue, composed, monday_of, stands_in, week_ends
from crm.campaigns.model import Campaign, NewCampaign, State
from crm.campaigns.offering import HOUR, WEEKDAY, subject_of
from crm.db import Db, ReadDb
from crm.errors import Conflict, Forbidden, Invalid, Problem
from crm.events import Actor, ActorKind, Kind


class NotOffered(Conflict):
    """There is no digest of this purpose at the moment, so it cannot be chosen."""


class IssueStopped(Conflict):
    """An issue here does not go: let it go on, or cut it and the comment above it out of the text.

    The comment says which issue it is; what stands beneath is not known by its words.
    """


class NotAPerson(Forbidden):
    """A digest starts in the name of whoever switched it on: only a member of staff can."""


class NewPlan(Struct, frozen=True):
    """When the week of a digest ends by the clock of the business (1 is Monday), and its words."""

    weekday: Annotated[int, Meta(ge=1, le=7)]
    hour: Annotated[int, Meta(ge=0, le=23)]
    subject: Annotated[str, Meta(max_length=300)]
    intro: Annotated[str, Meta(max_length=10_000)] = ""


class Plan(Struct, frozen=True, kw_only=True):
    """A digest as it is offered, and in whose name it starts."""

    purpose_id: UUID
    purpose: str
    weekday: int
    hour: int
    subject: str
    intro: str
    switched_by: UUID
    switched_at: datetime
    due_at: datetime


class Offer(Struct, frozen=True, kw_only=True):
    """A digest that a customer can choose, and whether she has."""

    purpose_id: UUID
    purpose: str
    due_at: datetime
    chosen: bool


class DigestChoice(Struct, frozen=True, kw_only=True):
    """That a customer wants one digest a week; `left_at`: until then."""

    purpose_id: UUID
    chosen_at: datetime
    left_at: datetime | None


class _Stopped(Struct, frozen=True):
    id: UUID
    subject: str


async def digest_plans(db: ReadDb) -> list[Plan]:
    """Return of which purposes a digest is offered."""
    return await db.many(sql.digest_plans, Plan)


async def digests_off(db: ReadDb) -> frozenset[UUID]:
    """Return of which purposes staff switched the digest off, so that no issue offers one."""
    return frozenset(await db.many(sql.digests_off, UUID))


async def offer_digest(db: Db, by: Actor, purpose_id: UUID, new: NewPlan) -> None:
    """Offer a digest of a purpose, or offer it otherwise; its digests start in this member's name.

    Customers choose it for themselves, and what they chose counts from the next issue on.
    """
    if by.kind is not ActorKind.member or by.id is None:
        raise NotAPerson
    if not new.subject.strip():
        sentence = "A digest needs a subject."
        raise Invalid(sentence, [Problem("subject", sentence)])
    purpose = await consent.purpose(db, purpose_id)
    zone = (await businesses.get(db)).time_zone
    await db.run(
        sql.put_digest_plan,
        purpose_id=purpose_id,
        switched_by=by.id,
        due_at=week_ends(db.now, new.weekday, new.hour, zone),
        **msgspec.structs.asdict(new),
    )
    reason = f"on: {purpose.name}"
    await events.record(db, by, Kind.digest_switched, ref=purpose_id, reason=reason)


async def stop_digest(db: Db, by: Actor, purpose_id: UUID) -> list[UUID]:
    """Offer it no longer, and not with the next issue either: everybody gets that singly.

    What was kept for the digests of this week is left as drafts, for staff to send or not; returns
    which. A stopped digest starts nothing by itself, and is offered again only by `offer_digest`.
    """
    purpose = await consent.purpose(db, purpose_id)
    if by.kind is not ActorKind.member or by.id is None:
        raise NotAPerson
    plan = await db.maybe(sql.hold_digest_plan, Plan, purpose_id=purpose_id)
    left = await _made(db, plan, await _issues(db, plan, db.now), stopped=True) if plan else []
    await db.run(
        sql.switch_digest_off,
        purpose_id=purpose_id,
        weekday=WEEKDAY,
        hour=HOUR,
        subject=subject_of(purpose, await businesses.get(db)),
        switched_by=by.id,
    )
    reason = f"off: {purpose.name}"
    await events.record(db, by, Kind.digest_switched, ref=purpose_id, reason=reason)
    return [each.id for each in left]


async def make_digests(db: Db, purpose_id: UUID) -> list[UUID]:
    """Make the digests of the week that is over, once, and let them start; returns which.

    They are scheduled for the end of the week, so they start as any scheduled campaign does: judged
    anew, or held where that is long past. In an issue-less week none is made. While an issue's
    audience is still being written, nothing is decided: the next look does. An issue that is
    paused, or waits for its canary, comes in the digest of a later week, if it goes at all.
    """
    plan = await _over(db, purpose_id)
    if plan is None:
        return []
    issues = await _issues(db, plan, plan.due_at)
    if not all(each.settled for each in issues):
        return []
    going = [each for each in issues if each.goes]
    made = await _made(db, plan, going)
    await _next_week(db, plan, forgets=going == issues)
    for each in made:
        await db.one(
            sql.move_campaign,
            Campaign,
            campaign_id=each.id,
            state=State.scheduled,
            from_states=[State.draft],
            approved_by=plan.switched_by,
            scheduled_at=plan.due_at,
            local_at=None,
        )
        await events.record(db, Actor.system(), Kind.campaign_scheduled, ref=each.id)
    return [each.id for each in made]


async def unsent_digests(db: Db) -> list[Campaign]:
    """Make every digest of a week that is over, as a draft that nothing starts by itself.

    Also of issues that were stopped: of what is left to staff nothing comes again by itself.
    """
    made: list[Campaign] = []
    for offered in await digest_plans(db):
        while plan := await _over(db, offered.purpose_id):
            issues = await _issues(db, plan, plan.due_at)
            if not all(each.settled for each in issues):
                break
            made += await _made(db, plan, issues)
            await _next_week(db, plan, forgets=True)
    return made


async def stopped_issue(db: ReadDb, campaign: Campaign) -> IssueStopped | None:
    """Say what keeps a digest back: its text has an issue that was stopped since, or not begun."""
    issues = await db.many(sql.stopped_in_digest, _Stopped, campaign_id=campaign.id)
    stopped = any(stands_in(campaign.source, each.id, each.subject) for each in issues)
    return IssueStopped() if stopped else None


async def digests_offered(db: ReadDb, customer_id: UUID) -> list[Offer]:
    """Return which digests a customer can choose: of purposes that she is mailed for."""
    return await db.many(sql.digests_offered, Offer, customer_id=customer_id)


async def choose_digest(db: Db, customer_id: UUID, purpose_id: UUID, *, weekly: bool) -> bool:
    """Keep what a customer chose; says whether that is new. It counts from the next issue on.

    Single issues are given back always; a digest is refused (NotOffered) where there is none.
    """
    keys = {"customer_id": customer_id, "purpose_id": purpose_id}
    if not weekly:
        return bool(await db.run(sql.leave_digest, **keys))
    if all(each.purpose_id != purpose_id for each in await digests_offered(db, customer_id)):
        raise NotOffered
    return bool(await db.run(sql.choose_digest, **keys))


async def digest_choices(db: ReadDb, customer_id: UUID) -> list[DigestChoice]:
    """Return all that is held of what a customer chose (promise 9)."""
    return await db.many(sql.digest_choices_of, DigestChoice, customer_id=customer_id)


async def _issues(db: ReadDb, plan: Plan, until: datetime) -> list[Issue]:
    return await db.many(
        sql.issues_for_digest,
        Issue,
        purpose_id=plan.purpose_id,
        since=plan.due_at - REACHES,
        until=until,
    )


async def _over(db: Db, purpose_id: UUID) -> Plan | None:
    """Hold the plan of a week that is over; None where it is not, or none is offered."""
    plan = await db.maybe(sql.hold_digest_plan, Plan, purpose_id=purpose_id)
    return None if plan is None or plan.due_at > db.now else plan


async def _next_week(db: Db, plan: Plan, *, forgets: bool) -> None:
    """Let the next week begin; who left long ago is known while an issue kept for her waits."""
    zone = (await businesses.get(db)).time_zone
    after = week_ends(plan.due_at, plan.weekday, plan.hour, zone)
    await db.run(sql.next_digest, purpose_id=plan.purpose_id, due_at=after)
    if forgets:
        since = plan.due_at - REACHES - REACHES
        await db.run(sql.forget_left_digests, purpose_id=plan.purpose_id, since=since)


async def _made(db: Db, plan: Plan, among: list[Issue], *, stopped: bool = False) -> list[Campaign]:
    """Write the digests of the plan's present week as drafts, those of most readers first."""
    kept = [each for each in among if each.kept]
    business = await businesses.get(db)
    keys = {"purpose_id": plan.purpose_id}
    week = monday_of(plan.due_at, business.time_zone)
    if not kept or (not stopped and await db.one(sql.digest_of_week, bool, **keys, week=week)):
        return []
    issues = [each.id for each in kept]
    made: list[Campaign] = []
    for due in await db.many(sql.sets_for_digests, list[UUID], **keys, issues=issues):
        text = composed(
            plan.intro, [each for each in kept if each.id in due], f"{business.origin}/archive"
        )
        new = NewCampaign(
            purpose_id=plan.purpose_id, subject=plan.subject, source=text, format="html"
        )
        made.append(await draft(db, Actor.system(), new))
        row = {"campaign_id": made[-1].id, "first_id": made[0].id, "issues": due}
        await db.run(sql.add_digest, **keys, week=week, **row, stopped=stopped)
    return made
