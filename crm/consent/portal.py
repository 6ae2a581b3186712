"""What we may do: a customer sees the exact words, starts and stops, and reads how it came."""

from __future__ import annotations

import hmac
from typing import Any
from uuid import UUID

from litestar import Request, Response, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath

from crm import consent, customers, staff
from crm.businesses import Business
from crm.consent import EMAIL, Circumstances, Method, Notice, OptIn
from crm.consent import Form as FormShown
from crm.consent.asking import network_of
from crm.customers import Customer
from crm.db import Db, ReadDb
from crm.errors import TooMany
from crm.events import Actor
from crm.languages import gettext, marked, spoken_of
from crm.staff import DAY
from crm.web.forms import Form, read_form
from crm.web.pages import Flash, page, redirect
from crm.web.transaction import attempt

HERE = "/me/consent"
_BODY = 4 * 1024
# So often a purpose is started within a day.
STARTS_A_DAY = 24
# So many decisions of each purpose stand here: a page of hers is at most 30 kB.
_NEWEST = 20
_CHANGED = marked(
    "The words have changed since you opened this page, so nothing was started. Read them as they "
    "are now, and decide anew."
)


class TooManyStarts(TooMany):
    """You have started this very often today, so nothing was changed. Start it again tomorrow."""


@get("/consent")
async def get_consent(
    request: Request[Any, Any, Any],
    db: NamedDependency[ReadDb],
    me: NamedDependency[Customer],
    business: NamedDependency[Business],
) -> Response[Any]:
    """Show every purpose with its state, its words, its control and its history."""
    return await _shown(request, db, me, business)


@post("/consent/{purpose_id:uuid}/grant", request_max_body_size=_BODY, opt={"beside": True})
async def post_grant(
    request: Request[Any, Any, Any],
    db: NamedDependency[Db],
    me: NamedDependency[Customer],
    business: NamedDependency[Business],
    purpose_id: FromPath[UUID],
) -> Response[Any]:
    """Start a purpose with exactly the words that were shown; others are shown anew instead.

    Refuses with TooManyStarts who does so again and again within a day.
    """
    purpose = await consent.purpose(db, purpose_id)
    notice = await consent.current_notice(db, purpose_id, _locale(me, business))
    if not _was_shown(await read_form(request), notice):
        flash = Flash(gettext(_CHANGED), "wait")
        return await _shown(request, db, me, business, status=409, flash=flash)
    state = await consent.state(db, me.id, purpose_id)
    stands = state is not None and state.authorises(db.now) and state.notice_id == notice.id
    silenced = await consent.silence(db, me.id) is not None
    if state is None or not stands or state.asked_again(db.now) or silenced:
        await _count(db, me, purpose_id)
        how = Circumstances(
            Method.portal,
            form=FormShown("portal", HERE),
            opt_in=request.scope["state"].get("mailbox"),
            network=network_of(request),
        )
        await consent.give(db, Actor.customer(me.id), me.id, notice.question, how)
    return redirect(HERE, say=gettext("%(purpose)s is on.", purpose=purpose.name))


@post("/consent/{purpose_id:uuid}/withdrawal", request_max_body_size=_BODY, opt={"beside": True})
async def post_withdrawal(
    request: Request[Any, Any, Any],
    db: NamedDependency[Db],
    me: NamedDependency[Customer],
    purpose_id: FromPath[UUID],
) -> Response[Any]:
    """Stop one purpose; always accepted, and at once."""
    purpose = await consent.purpose(db, purpose_id)

    async def act(db: Db) -> None:
        await consent.withdraw(db, Actor.customer(me.id), me.id, purpose_id, method=Method.portal)

    await attempt(request, db, act)
    return redirect(
        HERE,
        say=gettext("%(purpose)s is off, from the moment you pressed.", purpose=purpose.name),
    )


@post("/consent/withdrawal", request_max_body_size=_BODY, opt={"beside": True})
async def post_withdrawal_of_all(
    request: Request[Any, Any, Any], db: NamedDependency[Db], me: NamedDependency[Customer]
) -> Response[Any]:
    """Stop every purpose that is not off already; of `mails` those that send some."""
    mails = (await read_form(request)).typed("which") == "mails"
    by, channel = Actor.customer(me.id), EMAIL if mails else None

    async def act(db: Db) -> None:
        await consent.withdraw_all(db, by, me.id, method=Method.portal, channel=channel)

    await attempt(request, db, act)
    said = (
        gettext("All mails are off, from the moment you pressed.")
        if mails
        else gettext("All of it is off, from the moment you pressed.")
    )
    return redirect(HERE, say=said)


async def _count(db: Db, me: Customer, purpose_id: UUID) -> None:
    """Count a start of hers: each is kept and sealed. A stop is counted nowhere (promise 2)."""
    hers = db.keys.address_hash(db.business_id, customers.fold(me.address))
    which = db.keys.address_hash(db.business_id, f"\0purpose {purpose_id}")
    wait = await staff.count_attempt(db, "grant", hers + which, most=STARTS_A_DAY, lasts=DAY)
    if wait:
        raise TooManyStarts(retry_after=wait)


def _was_shown(form: Form, notice: Notice) -> bool:
    shown = f"{notice.id} {notice.sha256.hex()}"
    told = f"{form.typed('notice')} {form.typed('sha256')}"
    return hmac.compare_digest(shown.encode(), told.encode())


def _locale(me: Customer, business: Business) -> str:
    return me.locale or spoken_of(business.locale)


async def _shown(
    request: Request[Any, Any, Any],
    db: ReadDb,
    me: Customer,
    business: Business,
    *,
    status: int = 200,
    flash: Flash | None = None,
) -> Response[Any]:
    standings = await consent.standings(db, me.id, _locale(me, business))
    # What she can stop comes first.
    standings.sort(key=lambda each: not each.on)
    silence = await consent.silence(db, me.id)
    proof: OptIn | None = request.scope["state"].get("mailbox")
    values: dict[str, Any] = {"flash": flash} if flash else {}
    return page(
        "consent/pages/preferences.html",
        status=status,
        standings=standings,
        newest=_NEWEST,
        silence=silence,
        proved=silence is not None and silence.answered(proof),
        goes=await customers.ending_with(db, me.id),
        **values,
    )


handlers = [get_consent, post_grant, post_withdrawal, post_withdrawal_of_all]
