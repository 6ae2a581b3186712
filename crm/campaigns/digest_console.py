"""Weekly digests for staff: offered with the first issue, in a name; worded, moved and stopped."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from litestar import Request, Response, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath

from crm import campaigns, consent, staff
from crm.businesses import Business
from crm.campaigns import NewPlan, Plan
from crm.campaigns.offering import HOUR, WEEKDAY, subject_of
from crm.consent import Purpose
from crm.db import Db, ReadDb
from crm.staff import Member, Right
from crm.staff.auth import may
from crm.web.forms import Form, read_form
from crm.web.pages import page, redirect

SEE = [may(Right.see_campaigns)]
SEND = [may(Right.send_campaigns)]

_PATH = "/staff/digests"
_BODY = 64 * 1024
_INTRO = 10_000
DAYS = {
    "1": "Monday",
    "2": "Tuesday",
    "3": "Wednesday",
    "4": "Thursday",
    "5": "Friday",
    "6": "Saturday",
    "7": "Sunday",
}
HOURS = {str(hour): f"{hour}:00" for hour in range(24)}


@get("/digests", guards=SEE)
async def get_digests(db: NamedDependency[ReadDb], who: NamedDependency[Member]) -> Response[Any]:
    """Show which purposes offer a digest, since when and in whose name, and where it is off."""
    plans = {plan.purpose_id: plan for plan in await campaigns.digest_plans(db)}
    by = {plan.switched_by for plan in plans.values()}
    return page(
        "campaigns/pages/digests.html",
        purposes=[each for each in await consent.purposes(db) if each.channel == "email"],
        plans=plans,
        off=await campaigns.digests_off(db),
        names={each: (await staff.member(db, each)).name for each in by},
        days=DAYS,
        may_send=who.may(Right.send_campaigns),
    )


@get("/digests/{purpose_id:uuid}", guards=SEND)
async def get_digest(
    db: NamedDependency[ReadDb], business: NamedDependency[Business], purpose_id: FromPath[UUID]
) -> Response[Any]:
    """Show the form of one."""
    purpose = await consent.purpose(db, purpose_id)
    plan = await _plan(db, purpose_id)
    subject = subject_of(purpose, business)
    form = Form.of(weekday=str(WEEKDAY), hour=str(HOUR), subject=subject)
    if plan is not None:
        form = Form.of(
            weekday=str(plan.weekday), hour=str(plan.hour), subject=plan.subject, intro=plan.intro
        )
    return _form(purpose, plan, form, off=purpose_id in await campaigns.digests_off(db))


@post("/digests/{purpose_id:uuid}", guards=SEND, request_max_body_size=_BODY)
async def post_digest(
    request: Request[Any, Any, Any],
    db: NamedDependency[Db],
    who: NamedDependency[Member],
    purpose_id: FromPath[UUID],
) -> Response[Any]:
    """Switch it on, or change when and how it goes; from now on in this member's name."""
    form = await read_form(request)
    weekday, hour = form.choice("weekday", DAYS), form.choice("hour", HOURS)
    subject = form.text("subject", max=300)
    intro = form.text("intro", required=False, max=_INTRO, lines=True)
    if not weekday or not hour or form.problems:
        purpose = await consent.purpose(db, purpose_id)
        off = purpose_id in await campaigns.digests_off(db)
        return _form(purpose, await _plan(db, purpose_id), form, off=off, status=422)
    plan = NewPlan(int(weekday), int(hour), subject, intro)
    await campaigns.offer_digest(db, who.actor, purpose_id, plan)
    return redirect(_PATH, say="Kept. Customers can choose it on their page from now on.")


@post("/digests/{purpose_id:uuid}/end", guards=SEND, request_max_body_size=_BODY)
async def post_digest_end(
    db: NamedDependency[Db], who: NamedDependency[Member], purpose_id: FromPath[UUID]
) -> Response[Any]:
    """Switch it off; what was kept for this week is left as drafts that staff may send."""
    left = await campaigns.stop_digest(db, who.actor, purpose_id)
    if not left:
        return redirect(_PATH, say="Switched off. Everybody gets the next issue singly.")
    say = "Switched off. Some wait for the digest of this week: here it is, as a draft."
    if len(left) > 1:
        say = "Switched off. Some wait for the digests of this week: here they are, as drafts."
        return redirect("/staff/campaigns", say=say)
    return redirect(f"/staff/campaigns/{left[0]}", say=say)


async def _plan(db: ReadDb, purpose_id: UUID) -> Plan | None:
    plans = await campaigns.digest_plans(db)
    return next((each for each in plans if each.purpose_id == purpose_id), None)


def _form(
    purpose: Purpose, plan: Plan | None, form: Form, *, off: bool, status: int = 200
) -> Response[Any]:
    return page(
        "campaigns/pages/digest.html",
        status=status,
        purpose=purpose,
        plan=plan,
        off=off,
        form=form,
        days=list(DAYS.items()),
        hours=list(HOURS.items()),
    )


handlers = [get_digests, get_digest, post_digest, post_digest_end]
