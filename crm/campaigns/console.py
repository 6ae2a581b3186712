"""Campaigns for staff: list, preview, try out, review and send."""

from __future__ import annotations

import re
from datetime import datetime
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

from litestar import Request, Response, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery

from crm import campaigns, consent, segments
from crm.businesses import Business, NoPostalAddress
from crm.campaigns import (
    Campaign,
    ChangedSinceReview,
    NeverOpen,
    State,
    ValuesAreAddresses,
    ValuesLacking,
    ValuesUnchecked,
    by_clock,
    digest_console,
    looking,
    theme_console,
    watching,
    writing,
)
from crm.campaigns.aim import may_be_told
from crm.campaigns.approving import Approval
from crm.campaigns.model import WAITS
from crm.campaigns.render import neutral
from crm.customers import NotAnAddress
from crm.db import Db, ReadDb
from crm.errors import Invalid, Refused
from crm.staff import Member, Right
from crm.staff.auth import Looks, may
from crm.web.forms import Form, read_form
from crm.web.pages import page, redirect

SEE = [may(Right.see_campaigns)]
WRITE = [may(Right.write_campaigns)]
SEND = [may(Right.send_campaigns)]

LIST = "/staff/campaigns"
_SHOWN = 25
# Refusals whose reason, and the way out, the review shows anyway.
_SAID_THERE = (
    NoPostalAddress, Invalid, NeverOpen, ValuesUnchecked, ValuesAreAddresses, ValuesLacking,
    ChangedSinceReview,
)  # fmt: skip
# Of these, what the review says only where it was asked for.
_SAID_AGAIN = (
    NeverOpen, ValuesUnchecked, ValuesAreAddresses, ValuesLacking, ChangedSinceReview,
)  # fmt: skip
_VERSION = re.compile(r"\d{1,9}", re.ASCII)
# A mail as designed, in the dark, with its pictures off, and as plain text.
_PARTS = ("html", "dark", "bare", "text")
_WHICH: dict[str, tuple[State, ...]] = {
    "all": tuple(State),
    "drafts": (State.draft, State.scheduled, State.held),
    "sending": (State.starting, State.sending, State.paused),
    "sent": (State.done, State.cancelled),
}


@get("/campaigns", guards=SEE)
async def get_campaigns(
    db: NamedDependency[ReadDb],
    who: NamedDependency[Member],
    which: FromQuery[str] = "all",
    before: FromQuery[UUID | None] = None,
) -> Response[Any]:
    """Show campaigns, the newest first."""
    states = _WHICH.get(which, _WHICH["all"])
    rows = await campaigns.page(db, before=before, states=states, limit=_SHOWN + 1)
    present = await campaigns.by_state(db)
    tabs = {name: sum(present.get(state, 0) for state in among) for name, among in _WHICH.items()}
    return page(
        "campaigns/pages/list.html",
        neutral=neutral,
        found=rows[:_SHOWN],
        older=rows[_SHOWN - 1].id if len(rows) > _SHOWN else None,
        first=before is None,
        which=which if which in _WHICH else "all",
        counted=tabs,
        at=db.now,
        may_write=who.may(Right.write_campaigns),
    )


@get("/campaigns/{id:uuid}", guards=SEE)
async def get_campaign(
    db: NamedDependency[ReadDb], who: NamedDependency[Member], id: FromPath[UUID]
) -> Response[Any]:
    """Lead to the page that fits what the campaign is doing."""
    campaign = await campaigns.get(db, id)
    if campaign.state is State.draft and who.may(Right.write_campaigns):
        return redirect(f"{LIST}/{id}/text")
    waits = campaign.state in WAITS
    return redirect(f"{LIST}/{id}/{'review' if waits else 'progress'}")


@get("/campaigns/{id:uuid}/preview", guards=SEE)
async def get_preview(
    db: NamedDependency[ReadDb],
    who: NamedDependency[Member],
    id: FromPath[UUID],
    part: FromQuery[str] = "html",
) -> Response[Any]:
    """Show how the campaign reads, for somebody invented."""
    campaign = await campaigns.get(db, id)
    checked = await campaigns.check(db, campaign)
    return page(
        "campaigns/pages/preview.html",
        neutral=neutral,
        campaign=campaign,
        checked=checked,
        shown=await campaigns.preview(db, id) if checked.readable else None,
        part=part if part in _PARTS else "html",
        form=Form.of(address=who.address),
        may_write=who.may(Right.write_campaigns),
    )


@post("/campaigns/{id:uuid}/trial", guards=WRITE)
async def post_trial(
    request: Request[Any, Any, Any],
    db: NamedDependency[Db],
    who: NamedDependency[Member],
    id: FromPath[UUID],
) -> Response[Any]:
    """Send a test to somebody who works here."""
    form = await read_form(request)
    address = form.address("address")
    if address:
        try:
            await campaigns.try_out(db, who.actor, id, address)
            return redirect(f"{LIST}/{id}/preview", say=f"A test is on its way to {address}.")
        except (campaigns.NotOurs, NotAnAddress) as refusal:
            form.wrong("address", refusal.message)
    campaign = await campaigns.get(db, id)
    return page(
        "campaigns/pages/preview.html",
        neutral=neutral,
        status=422,
        campaign=campaign,
        checked=await campaigns.check(db, campaign),
        shown=await campaigns.preview(db, id),
        part="html",
        form=form,
        may_write=True,
    )


@get("/campaigns/{id:uuid}/review", guards=SEE)
async def get_review(
    db: NamedDependency[ReadDb],
    who: NamedDependency[Member],
    looks: NamedDependency[Looks],
    business: NamedDependency[Business],
    id: FromPath[UUID],
) -> Response[Any]:
    """Show who would get it and who not, what is wrong, and the decision."""
    return await _review(db, who, looks, business, id, form=Form())


@post("/campaigns/{id:uuid}/start", guards=SEND)
async def post_start(
    request: Request[Any, Any, Any],
    db: NamedDependency[Db],
    who: NamedDependency[Member],
    looks: NamedDependency[Looks],
    business: NamedDependency[Business],
    *,
    id: FromPath[UUID],
) -> Response[Any]:
    """Approve and begin; of two who press at once, one is told."""
    form = await read_form(request)
    starting = campaigns.start(db, who.actor, id, **_approval(form))
    try:
        return await watching.told(id, starting, "Started. You can pause it at any moment.")
    except _SAID_THERE as refusal:
        # The page says what is missing, with the way to put it right.
        return await _review(db, who, looks, business, id, form=_kept(form, refusal), status=409)


@post("/campaigns/{id:uuid}/schedule", guards=SEND)
async def post_schedule(
    request: Request[Any, Any, Any],
    db: NamedDependency[Db],
    who: NamedDependency[Member],
    looks: NamedDependency[Looks],
    business: NamedDependency[Business],
    *,
    id: FromPath[UUID],
) -> Response[Any]:
    """Approve and let it begin by itself, by the business's own clock or each customer's."""
    form = await read_form(request)
    at = form.instant("at", business.time_zone)
    if at is not None:
        try:
            by_clock = form.boolean("by_clock")
            act = campaigns.schedule_by_clock if by_clock else campaigns.schedule
            # As it was typed: by the business's clock, or as each customer's will show it.
            when = at.astimezone(ZoneInfo(business.time_zone))
            scheduling = act(db, who.actor, id, when, **_approval(form))
            return await watching.told(id, scheduling, "Scheduled. Until then, take it back here.")
        except (campaigns.TooLate, campaigns.TooFar) as refusal:
            form.wrong("at", refusal.message)
        except _SAID_THERE as refusal:
            # The same as at once.
            return await _review(
                db, who, looks, business, id, form=_kept(form, refusal), status=409
            )
    return await _review(db, who, looks, business, id, form=form, status=422)


@post("/campaigns/{id:uuid}/unscheduling", guards=SEND)
async def post_unscheduling(
    db: NamedDependency[Db], who: NamedDependency[Member], id: FromPath[UUID]
) -> Response[Any]:
    """Make it a draft again."""
    taking = campaigns.unschedule(db, who.actor, id)
    return await watching.told(id, taking, "Taken back. It is a draft again.")


async def _review(
    db: ReadDb,
    who: Member,
    looks: Looks,
    business: Business,
    id: UUID,
    *,
    form: Form,
    status: int = 200,
) -> Response[Any]:
    campaign = await campaigns.get(db, id)
    if campaign.state not in WAITS:
        return redirect(f"{LIST}/{id}/progress")
    checked = await campaigns.check(db, campaign)
    counted = await campaigns.review(db, id)
    late = campaign.scheduled_at is not None and campaign.scheduled_at <= db.now
    return page(
        "campaigns/pages/review.html",
        status=status,
        campaign=campaign,
        purpose=await consent.purpose(db, campaign.purpose_id),
        clocks=await by_clock.clocks(db, campaign.purpose_id),
        hours=by_clock.hours_of(business),
        by_clock=await _by_clock(db, campaign),
        review=counted,
        told=await may_be_told(db, who, campaign, counted.audience),
        segment=await segments.get(db, campaign.segment_id) if campaign.segment_id else None,
        checked=checked,
        shown=await campaigns.preview(db, id) if checked.readable else None,
        course=await campaigns.course(db, id),
        values=await looking.gaps(db, who, looks, campaign),
        form=form,
        late=late,
        hindrances=await campaigns.hindrances(db, campaign),
        at=db.now,
        zone=business.time_zone,
        may_send=who.may(Right.send_campaigns),
        may_write=who.may(Right.write_campaigns),
        may_change=who.may(Right.change_business),
    )


def _approval(form: Form) -> Approval:
    version = form.typed("version")
    # A form that does not say what was reviewed approves nothing.
    reviewed = int(version) if _VERSION.fullmatch(version) else -1
    return {"version": reviewed, "despite_gaps": form.boolean("despite_gaps")}


def _kept(form: Form, refusal: Refused) -> Form:
    if isinstance(refusal, _SAID_AGAIN):
        form.wrong("", refusal.message)
    return form


async def _by_clock(db: ReadDb, campaign: Campaign) -> tuple[datetime, datetime] | None:
    if campaign.local_at is None:
        return None
    return await by_clock.first_and_last(db, campaign.purpose_id, campaign.local_at)


handlers = [
    get_campaigns,
    get_campaign,
    get_preview,
    post_trial,
    get_review,
    post_start,
    post_schedule,
    post_unscheduling,
    *digest_console.handlers,
    *looking.handlers,
    *theme_console.handlers,
    *watching.handlers,
    *writing.handlers,
]
