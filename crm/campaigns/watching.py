"""A campaign on its way, for staff: its account, pausing and ending it, and what is uncertain."""

from __future__ import annotations

from collections.abc import Awaitable
from typing import Any
from uuid import UUID

from litestar import Request, Response, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery

from crm import campaigns, consent, customers, mail, staff
from crm.businesses import Business
from crm.campaigns import Campaign, DeliveryState, NoCanary, NothingUncertain, WrongState, breaker
from crm.campaigns.aim import may_be_told
from crm.campaigns.composing import message_id
from crm.campaigns.model import WAITS, OtherNumber
from crm.campaigns.progress import Glance, crossed, progress
from crm.campaigns.render import neutral
from crm.consent import SoftOptInOff
from crm.customers import Customer
from crm.db import Db, ReadDb
from crm.errors import NotFound
from crm.mail import away
from crm.mail.sending_domain import DomainNotReady
from crm.staff import LISTED, Member, NotYourRole, ReasonMissing, Right
from crm.staff.auth import Looks, may
from crm.web.forms import read_form
from crm.web.pages import page, redirect

SEE = [may(Right.see_campaigns)]
SEND = [may(Right.send_campaigns)]
CUSTOMERS = [may(Right.see_customers)]

LIST = "/staff/campaigns"
_SHOWN = 50
_ENDINGS = {"sent": DeliveryState.sent, "failed": DeliveryState.failed}


@get("/campaigns/{id:uuid}/progress", guards=SEE)
async def get_progress(
    db: NamedDependency[ReadDb],
    who: NamedDependency[Member],
    id: FromPath[UUID],
    live: FromQuery[str] = "yes",
) -> Response[Any]:
    """Show the account of a campaign, which follows by itself while it runs."""
    campaign = await campaigns.get(db, id)
    if campaign.state in WAITS:
        return redirect(f"{LIST}/{id}/review")
    shown = progress(campaign, await campaigns.counts(db, id), db.now)
    canary = await campaigns.canary(db, id)
    told_by_reason = await may_be_told(db, who, campaign, shown.counts.audience)
    return page(
        "campaigns/pages/progress.html",
        neutral=neutral,
        campaign=campaign,
        purpose=await consent.purpose(db, campaign.purpose_id),
        approved_by=await _name(db, campaign.approved_by),
        progress=shown,
        reasons=shown.counts.reasons,
        told=told_by_reason,
        waits=await campaigns.waits(db, id) if shown.running else [],
        importing=await campaigns.waits_for_import(db, id),
        away=away.sentence,
        course=await campaigns.course(db, id),
        warning=breaker.warns(await campaigns.health(db, id)),
        canary=canary,
        overdue=canary is not None and canary.overdue(db.now),
        live=live != "no" and shown.running,
        may_send=who.may(Right.send_campaigns),
        may_look=told_by_reason and who.may(Right.see_customers),
    )


@get("/campaigns/{id:uuid}/account", guards=SEE)
async def get_account(
    db: NamedDependency[ReadDb],
    who: NamedDependency[Member],
    *,
    id: FromPath[UUID],
    at: FromQuery[float] = 0.0,
    handed: FromQuery[int] = 0,
    settled: FromQuery[int] = 0,
    doing: FromQuery[str] = "",
) -> Response[Any]:
    """Answer the page that follows: the table anew, or the whole page when the state changed."""
    campaign = await campaigns.get(db, id)
    earlier = Glance(at, handed, settled, doing)
    shown = progress(campaign, await campaigns.counts(db, id), db.now, earlier)
    changed = campaign.state.value != doing or not shown.running
    return page(
        "campaigns/pages/account.html",
        headers={"hx-refresh": "true"} if changed else None,
        campaign=campaign,
        progress=shown,
        live=True,
        aloud=crossed(shown, earlier),
        may_look=who.may(Right.see_customers)
        and await may_be_told(db, who, campaign, shown.counts.audience),
    )


@get("/campaigns/{id:uuid}/figures", guards=SEE)
async def get_figures(
    db: NamedDependency[ReadDb], who: NamedDependency[Member], id: FromPath[UUID]
) -> Response[Any]:
    """Show what the campaign came to so far."""
    campaign = await campaigns.get(db, id)
    if campaign.state in WAITS:
        return redirect(f"{LIST}/{id}/review")
    figures = await campaigns.figures(db, id)
    return page(
        "campaigns/pages/figures.html",
        neutral=neutral,
        campaign=campaign,
        purpose=await consent.purpose(db, campaign.purpose_id),
        figures=figures,
        told=await may_be_told(db, who, campaign, figures.counts.audience),
        at=db.now,
    )


@post("/campaigns/{id:uuid}/pause", guards=SEND)
async def post_pause(
    db: NamedDependency[Db], who: NamedDependency[Member], id: FromPath[UUID]
) -> Response[Any]:
    """Claim nothing more."""
    doing = campaigns.pause(db, who.actor, id)
    return await told(id, doing, "Paused. Nobody more is mailed until you go on.")


@post("/campaigns/{id:uuid}/resumption", guards=SEND)
async def post_resumption(
    db: NamedDependency[Db], who: NamedDependency[Member], id: FromPath[UUID]
) -> Response[Any]:
    """Go on where it was paused."""
    doing = campaigns.resume(db, who.actor, id)
    try:
        return await told(id, doing, "It goes on exactly where it was paused.")
    except (DomainNotReady, SoftOptInOff) as no:
        return redirect(f"{LIST}/{id}/progress", say=no.message, tone="wait")


@post("/campaigns/{id:uuid}/cancellation", guards=SEND)
async def post_cancellation(
    db: NamedDependency[Db], who: NamedDependency[Member], id: FromPath[UUID]
) -> Response[Any]:
    """End it for good."""
    doing = campaigns.cancel(db, who.actor, id)
    return await told(
        id, doing, "Cancelled. Nobody more is mailed; whoever still waited is left out."
    )


@post("/campaigns/{id:uuid}/canary", guards=SEND)
async def post_canary(
    db: NamedDependency[Db], who: NamedDependency[Member], id: FromPath[UUID]
) -> Response[Any]:
    """Send another copy to the business's own mailbox."""
    try:
        await campaigns.send_again(db, who.actor, await campaigns.get(db, id))
    except NoCanary as no:
        return redirect(f"{LIST}/{id}/progress", say=no.message, tone="wait")
    return redirect(f"{LIST}/{id}/progress", say="Another copy is on its way to your mailbox.")


@post("/campaigns/{id:uuid}/canary/waiver", guards=SEND)
async def post_waiver(
    db: NamedDependency[Db], who: NamedDependency[Member], id: FromPath[UUID]
) -> Response[Any]:
    """Begin although the copy has not arrived."""
    await campaigns.get(db, id)
    try:
        await campaigns.go_without(db, who.actor, id)
    except NoCanary as no:
        return redirect(f"{LIST}/{id}/progress", say=no.message, tone="wait")
    return redirect(f"{LIST}/{id}/progress", say="It begins without the copy, by your decision.")


@get("/campaigns/{id:uuid}/deliveries/{kind:str}", guards=CUSTOMERS)
async def get_deliveries(
    db: NamedDependency[ReadDb],
    who: NamedDependency[Member],
    looks: NamedDependency[Looks],
    business: NamedDependency[Business],
    *,
    id: FromPath[UUID],
    kind: FromPath[str],
    after: FromQuery[UUID | None] = None,
) -> Response[Any]:
    """List the customers in one state with what the relay said; each can see that it was read."""
    if kind not in list(DeliveryState):
        raise NotFound
    wanted = DeliveryState(kind)
    campaign = await campaigns.get(db, id)
    counts = await campaigns.counts(db, id)
    if not await may_be_told(db, who, campaign, counts.audience):
        # By name it would tell even more than the figures, which are refused.
        raise NotYourRole
    rows = await campaigns.deliveries(db, id, wanted, after=after, limit=_SHOWN + 1)
    shown = rows[:_SHOWN]
    ids = [row.customer_id for row in shown]
    known = await customers.of_ids(db, ids)
    await looks.record(ids, reason=LISTED)
    return page(
        "campaigns/pages/deliveries.html",
        neutral=neutral,
        campaign=campaign,
        state=wanted.value,
        rows=shown,
        known=known,
        names={each.id: each.name for each in await staff.members(db)},
        uncertain=counts.uncertain,
        message_ids=_message_ids(db, id, business, known),
        more=shown[-1].customer_id if len(rows) > _SHOWN else None,
        first=after is None,
        may_send=who.may(Right.send_campaigns),
    )


@post("/campaigns/{id:uuid}/deliveries/{customer_id:uuid}/resolution", guards=SEND)
async def post_resolution(
    request: Request[Any, Any, Any],
    db: NamedDependency[Db],
    who: NamedDependency[Member],
    id: FromPath[UUID],
    customer_id: FromPath[UUID],
) -> Response[Any]:
    """Say what became of an uncertain delivery; the member's name stays on it."""
    if not await _may_look(db, who, await campaigns.get(db, id)):
        return _not_shown(id)
    form = await read_form(request)
    ending = form.choice("ending", tuple(_ENDINGS))
    form.refuse()
    here = f"{LIST}/{id}/deliveries/uncertain"
    try:
        await campaigns.resolve(db, who.actor, id, customer_id, _ENDINGS[ending or ""])
    except NothingUncertain as refusal:
        return redirect(here, say=refusal.message, tone="wait")
    return redirect(here, say=f"Recorded as {ending}, with your name on it.")


@post("/campaigns/{id:uuid}/uncertain/resolution", guards=SEND)
async def post_resolution_of_all(
    request: Request[Any, Any, Any],
    db: NamedDependency[Db],
    who: NamedDependency[Member],
    id: FromPath[UUID],
) -> Response[Any]:
    """Say what became of all that is uncertain; the number that was shown confirms it."""
    if not await _may_look(db, who, await campaigns.get(db, id)):
        return _not_shown(id)
    form = await read_form(request)
    ending = form.choice("ending", tuple(_ENDINGS))
    number = form.integer("number", min=1)
    form.refuse()
    here = f"{LIST}/{id}/deliveries/uncertain"
    if not form.boolean("sure"):
        return redirect(here, say="Tick the box that says so, then press once more.", tone="wait")
    ending = ending or ""
    try:
        await campaigns.resolve_all(db, who.actor, id, _ENDINGS[ending], number=number or 0)
    except (NothingUncertain, OtherNumber) as refusal:
        return redirect(here, say=refusal.message, tone="wait")
    which = "It is" if number == 1 else f"All {number} are"
    return redirect(here, say=f"{which} recorded as {ending}, with your name on it.")


@get("/customers/{id:uuid}/mails", guards=CUSTOMERS)
async def get_customer_mails(
    db: NamedDependency[ReadDb],
    who: NamedDependency[Member],
    looks: NamedDependency[Looks],
    id: FromPath[UUID],
) -> Response[Any]:
    """Show every mail to a customer, with the warrant of each; this is a look.

    One for a special purpose tells what she decided about it, and is not for every role.
    """
    customer = await customers.get(db, id)
    try:
        await looks.record([id])
    except ReasonMissing:
        # The record's own page asks for it.
        return redirect(f"/staff/customers/{id}")
    known = [] if who.may(Right.see_special) else await consent.purposes_for(db, id)
    hidden = {each.id for each in known if each.special_category}
    return page(
        "campaigns/pages/customer.html",
        neutral=neutral,
        customer=customer,
        received=[
            each for each in await campaigns.received(db, id) if each.purpose_id not in hidden
        ],
        names={each.id: each.name for each in await consent.purposes(db)},
        letters=[each async for each in mail.export(db, id)],
    )


async def told(id: UUID, doing: Awaitable[Campaign], say: str) -> Response[Any]:
    """Do what was pressed and say so, or say why it came too late; then show the account."""
    try:
        await doing
    except WrongState as refusal:
        return redirect(f"{LIST}/{id}", say=refusal.message, tone="wait")
    return redirect(f"{LIST}/{id}", say=say)


async def _may_look(db: ReadDb, who: Member, campaign: Campaign) -> bool:
    """Say whether a member may see the customers of a campaign by name, and so resolve theirs."""
    audience = (await campaigns.counts(db, campaign.id)).audience
    return who.may(Right.see_customers) and await may_be_told(db, who, campaign, audience)


def _not_shown(id: UUID) -> Response[Any]:
    say = "Your role does not show these customers. Ask an owner to say what became of them."
    return redirect(f"{LIST}/{id}/progress", say=say, tone="wait")


def _message_ids(
    db: ReadDb, campaign_id: UUID, business: Business, known: dict[UUID, Customer]
) -> dict[UUID, str]:
    """What to look for in the relay's log; an erased customer's cannot be known any more."""
    hashed = {
        each.id: db.keys.address_hash(db.business_id, customers.fold(each.address))
        for each in known.values()
        if not each.erased_at
    }
    return {key: message_id(campaign_id, each, business) for key, each in hashed.items()}


async def _name(db: ReadDb, member_id: UUID | None) -> str:
    return (await staff.member(db, member_id)).name if member_id else ""


handlers = [
    get_progress,
    get_account,
    get_figures,
    post_pause,
    post_resumption,
    post_cancellation,
    post_canary,
    post_waiver,
    get_deliveries,
    post_resolution,
    post_resolution_of_all,
    get_customer_mails,
]
