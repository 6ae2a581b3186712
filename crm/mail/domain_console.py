"""Sending domains for owners: their DNS records, what the last check found, and who signs."""

from __future__ import annotations

from typing import Any

from litestar import Request, Response, get, post
from litestar.di import NamedDependency

from crm.businesses import Business
from crm.db import Db, ReadDb
from crm.mail import checking, relays, sending_domains
from crm.mail.sending_domain import NoDomain
from crm.settings import Settings
from crm.staff import Member, Right
from crm.staff.auth import may
from crm.web.forms import Form, read_form
from crm.web.pages import page, redirect
from crm.web.transaction import ask_now

_PATH = "/staff/domains"
_OWNERS = [may(Right.change_business)]
_ACTS = {
    "rotate": (sending_domains.rotate, "New keys are made. Publish their records, then check."),
    "retire": (sending_domains.retire, "Retired. Put the records below in their place."),
    "confirm": (sending_domains.confirm, "Kept with your name: your relay signs, and we do not."),
    "revoke": (sending_domains.revoke, "Taken back. We sign as soon as our keys are in DNS."),
}


@get("/domains", guards=_OWNERS)
async def get_domains(
    request: Request[Any, Any, Any],
    db: NamedDependency[ReadDb],
    business: NamedDependency[Business],
) -> Response[Any]:
    """Show every domain with its records and findings."""
    name = sending_domains.domain_of(business.sender_address)
    settings = request.app.state["settings"]
    return await _list(db, business, settings, Form.of(name=name))


@post("/domains", guards=_OWNERS, status_code=303)
async def post_domain(
    request: Request[Any, Any, Any],
    db: NamedDependency[Db],
    who: NamedDependency[Member],
    business: NamedDependency[Business],
) -> Response[Any]:
    """Add a domain and make its keys, or show what is wrong with its name."""
    form = await read_form(request)
    name = form.text("name", max=253)
    if not form.problems:
        try:
            added = await sending_domains.add(db, who.actor, name)
            return redirect(_PATH, say=f"Publish the records of {added.domain}, then check.")
        except NoDomain as refusal:
            form.wrong("name", refusal.message)
    return await _list(db, business, request.app.state["settings"], form, status=422)


@post("/domains/check", guards=_OWNERS, status_code=303)
async def post_check(
    request: Request[Any, Any, Any], business: NamedDependency[Business]
) -> Response[Any]:
    """Look at DNS now; no transaction is open meanwhile."""
    form = await read_form(request)
    name = form.text("name", max=253)
    form.refuse()
    await ask_now(request)
    state = request.app.state
    found = await checking.check(state.database, business.id, name, state.settings, None)
    if found.blocking:
        say = f"{found.domain} still has something to put right; it stands below."
        return redirect(_PATH, say=say, tone="wait")
    return redirect(_PATH, say=f"{found.domain} is ready.")


@post("/domains/change", guards=_OWNERS, status_code=303)
async def post_change(
    request: Request[Any, Any, Any], db: NamedDependency[Db], who: NamedDependency[Member]
) -> Response[Any]:
    """Make new keys, retire old ones, or say who signs."""
    form = await read_form(request)
    name = form.text("name", max=253)
    what = form.choice("what", list(_ACTS))
    form.refuse()
    act, say = _ACTS[what or "rotate"]
    await act(db, who.actor, name)
    return redirect(_PATH, say=say)


async def _list(
    db: ReadDb, business: Business, settings: Settings, form: Form, *, status: int = 200
) -> Response[Any]:
    domains = [
        (each, await sending_domains.keys(db, each.domain))
        for each in await sending_domains.known(db)
    ]
    known = await relays.all_of(db) or [relays.of_installation(settings)]
    ways = [each for each in known if each.active]
    return page(
        "mail/pages/sending_domains.html",
        status=status,
        form=form,
        said=list(dict.fromkeys(each for way in ways for each in way.sends_from)),
        unsaid=[way.name for way in ways if not way.sends_from],
        domains=domains,
        unready=await sending_domains.unready(db, business),
    )


handlers = [get_domains, post_domain, post_check, post_change]
