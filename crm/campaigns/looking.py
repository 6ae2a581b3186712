"""A text looked at before it goes: the mail alone, what some would miss, and who may read it.

For staff, and as one customer would read it for programs.
"""

from __future__ import annotations

from typing import Any, Literal
from uuid import UUID

import msgspec
from litestar import Request, Response, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery

from crm import campaigns, consent, customers
from crm.campaigns import Campaign, Preview, checking
from crm.campaigns.aim import may_be_told
from crm.campaigns.checking import ValueCheck
from crm.campaigns.screen import seen
from crm.db import Db, ReadDb
from crm.staff import Caller, Member, Right, Scope
from crm.staff.auth import Looks, may, needs
from crm.web.forms import read_form
from crm.web.headers import MAIL_PREVIEW
from crm.web.pages import HTML, page, redirect

SEE = [may(Right.see_campaigns)]
WRITE = [may(Right.write_campaigns)]
SEND = [may(Right.send_campaigns)]

LIST = "/staff/campaigns"


async def gaps(db: ReadDb, who: Member, looks: Looks, campaign: Campaign) -> ValueCheck | None:
    """Return what a draft's text lacks, as a member may read it, or None before anybody was asked.

    It names customers only to who may see them and how they stand to it; whoever is named can see
    that look (promise 11), which is committed before this returns.
    """
    check = await checking.newest(db, campaign)
    # While the walk goes on, only numbers are shown.
    if check is None or check.state != "done":
        return check
    named = who.may(Right.see_customers)
    named = named and await may_be_told(db, who, campaign, check.audience)
    secret = [] if who.may(Right.see_special) else await _special_fields(db)
    found = [
        each
        if named and not any(field in each.field for field in secret)
        else msgspec.structs.replace(each, examples=[])
        for each in check.findings
    ]
    await looks.listed([customer_id for each in found for customer_id in each.examples])
    return msgspec.structs.replace(check, findings=found)


async def _special_fields(db: ReadDb) -> list[str]:
    """Name the fields that tell who allows a special purpose: whoever does not lacks them."""
    special = {each.id for each in await consent.purposes(db) if each.special_category}
    return [
        f"attribute.{each.name}"
        for each in await customers.attributes(db)
        if each.purpose_id in special
    ]


@get("/campaigns/{id:uuid}/mail", guards=SEE)
async def get_mail(
    db: NamedDependency[ReadDb],
    id: FromPath[UUID],
    scheme: FromQuery[Literal["", "light", "dark"]] = "",
    pictures: FromQuery[str] = "on",
) -> Response[str]:
    """Answer with the mail's HTML alone, for a frame that can do nothing."""
    shown = await campaigns.preview(db, id)
    html = seen(shown.html, scheme, pictures=pictures != "off")
    return Response(html, media_type=HTML, headers=MAIL_PREVIEW)


@get("/campaigns/{id:uuid}/values", guards=SEE)
async def get_values(
    db: NamedDependency[ReadDb],
    who: NamedDependency[Member],
    looks: NamedDependency[Looks],
    id: FromPath[UUID],
) -> Response[Any]:
    """Answer the review that follows the walk: the panel anew, or the whole page at its end."""
    campaign = await campaigns.get(db, id)
    check = await gaps(db, who, looks, campaign)
    over = check is None or check.state == "done"
    return page(
        "campaigns/pages/values.html",
        headers={"hx-refresh": "true"} if over else None,
        campaign=campaign,
        values=check,
    )


@post("/campaigns/{id:uuid}/values", guards=WRITE)
async def post_values(
    db: NamedDependency[Db], who: NamedDependency[Member], id: FromPath[UUID]
) -> Response[Any]:
    """Have everybody looked at anew: the customers may have changed, though the text has not."""
    await campaigns.check_again(db, who.actor, id)
    return redirect(f"{LIST}/{id}/review", say="Everybody is looked at anew.")


@post("/campaigns/{id:uuid}/archive", guards=SEND)
async def post_archive(
    request: Request[Any, Any, Any],
    db: NamedDependency[Db],
    who: NamedDependency[Member],
    id: FromPath[UUID],
) -> Response[Any]:
    """Put an issue into the archive, or take it out."""
    public = (await read_form(request)).boolean("public")
    await campaigns.make_public(db, who.actor, id, public=public)
    say = "Everybody can read it in the archive." if public else "It is out of the archive."
    return redirect(f"{LIST}/{id}", say=say)


@get(
    "/campaigns/{id:uuid}/preview",
    guards=[needs("campaigns:read")],
    tags=["Campaigns"],
    summary="Read a campaign as a customer would",
    description="Subject, HTML and text for somebody invented, or with `customer_id` for a "
    "customer: that takes the scope `customers:read` as well, and she can see the look. The links "
    "of the footer lead nowhere.",
)
async def get_preview(
    db: NamedDependency[ReadDb],
    looks: NamedDependency[Looks],
    caller: NamedDependency[Caller],
    id: FromPath[UUID],
    customer_id: FromQuery[UUID | None] = None,
) -> Preview:
    """Read a campaign as a customer would."""
    if customer_id is not None:
        # The text may say her name, her address and what else is recorded of her.
        caller.check_scope(Scope.customers_read)
    shown = await campaigns.preview(db, id, customer_id)
    if customer_id is not None:
        await looks.record([customer_id])
    return shown


handlers = [get_mail, get_values, post_values, post_archive]
api_handlers = [get_preview]
