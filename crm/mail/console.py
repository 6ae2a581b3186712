"""Relays for owners: list, add, change, try; and how fast mail goes to a recipient domain."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from litestar import Request, Response, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath

from crm.businesses import Business
from crm.db import Db, ReadDb
from crm.errors import NotFound, Refused
from crm.mail import away, domains, relays
from crm.mail.pacing import day_of
from crm.mail.relays import WARM_UP, NewRelay, Relay, Tls
from crm.mail.trying import try_relay
from crm.staff import Member, Right
from crm.staff.auth import may
from crm.web.forms import Form, read_form
from crm.web.pages import page, redirect
from crm.web.transaction import ask_now

_PATH = "/staff/relays"
_OWNERS = [may(Right.change_business)]
_TLS: tuple[Tls, ...] = ("starttls", "implicit", "none")
_NUMBERS = {
    "port": (1, 65535),
    "weight": (0, 100),
    "connections": (1, 200),
    "rate": (0, 100_000),
    "daily_cap": (0, 2_000_000_000),
}
_NEW = {
    "port": "587",
    "tls": "starttls",
    "weight": "1",
    "connections": "10",
    "rate": "0",
    "daily_cap": "0",
    "active": "on",
}


@get("/relays", guards=_OWNERS)
async def get_relays(
    db: NamedDependency[ReadDb], business: NamedDependency[Business]
) -> Response[Any]:
    """Show the relays, what each has taken today, and the domains that go slower."""
    return await _list(db, business, Form.of(**_NEW), Form())


@post("/relays", guards=_OWNERS, status_code=303)
async def post_relay(
    request: Request[Any, Any, Any],
    db: NamedDependency[Db],
    who: NamedDependency[Member],
    business: NamedDependency[Business],
) -> Response[Any]:
    """Add a relay, or show what is wrong with it."""
    form = await read_form(request)
    new = _read(form)
    if new is not None:
        try:
            await relays.add(db, who.actor, new, day_of(db.now, business.time_zone))
        except Refused as refusal:
            form.take(refusal)
        else:
            return redirect(_PATH, say=f"{new.name} is added. Try it before mail goes through it.")
    return await _list(db, business, form, Form(), status=422)


@get("/relays/{id:uuid}", guards=_OWNERS)
async def get_relay(db: NamedDependency[ReadDb], id: FromPath[UUID]) -> Response[Any]:
    """Show one relay in a form; its password is never shown."""
    relay = await _one(db, id)
    known = {name: str(getattr(relay, name)) for name in ("name", "host", "tls", "username")}
    known |= {name: str(getattr(relay, name)) for name in _NUMBERS}
    known |= {"hello": relay.hello, "active": "on" if relay.active else ""}
    known["warm_up"] = ", ".join(map(str, relay.warm_up))
    known["sends_from"] = ", ".join(relay.sends_from)
    return page("mail/pages/relay.html", relay=relay, form=Form.of(**known), plan=_plan())


@post("/relays/{id:uuid}", guards=_OWNERS, status_code=303)
async def post_change(
    request: Request[Any, Any, Any],
    db: NamedDependency[Db],
    who: NamedDependency[Member],
    business: NamedDependency[Business],
    id: FromPath[UUID],
) -> Response[Any]:
    """Replace what is known of a relay, or show what is wrong with it."""
    relay = await _one(db, id)
    form = await read_form(request)
    new = _read(form)
    if new is not None:
        try:
            await relays.change(db, who.actor, id, new, day_of(db.now, business.time_zone))
        except Refused as refusal:
            form.take(refusal)
        else:
            return redirect(_PATH, say="Saved. Mail goes by it from the next moment on.")
    return page("mail/pages/relay.html", status=422, relay=relay, form=form, plan=_plan())


@post("/relays/{id:uuid}/trial", guards=_OWNERS, status_code=303)
async def post_trial(
    request: Request[Any, Any, Any], business: NamedDependency[Business], id: FromPath[UUID]
) -> Response[Any]:
    """Open a session, greet, TLS, sign in, and say what it offers; nothing is sent."""
    await ask_now(request)
    state = request.app.state
    tried = await try_relay(state["database"], business.id, id, state["settings"])
    return redirect(_PATH, say=tried.words, tone="yes" if tried.usable else "stop")


@post("/relays/domains", guards=_OWNERS, status_code=303)
async def post_domain(
    request: Request[Any, Any, Any],
    db: NamedDependency[Db],
    who: NamedDependency[Member],
    business: NamedDependency[Business],
) -> Response[Any]:
    """Limit a recipient domain, or lift the limit where both fields are empty."""
    form = await read_form(request)
    domain = form.text("domain", max=253)
    rate = form.integer("limit_rate", required=False, min=1, max=100_000)
    connections = form.integer("limit_connections", required=False, min=1, max=200)
    if not form.problems:
        try:
            await relays.limit_domain(db, who.actor, domain, rate, connections)
        except Refused as refusal:
            form.take(refusal)
        else:
            return redirect(_PATH, say=f"Saved for {domain}.")
    return await _list(db, business, Form.of(**_NEW), form, status=422)


async def _list(
    db: ReadDb, business: Business, form: Form, limit: Form, *, status: int = 200
) -> Response[Any]:
    day = day_of(db.now, business.time_zone)
    uses = await relays.uses(db)
    rows = []
    for relay in await relays.all_of(db):
        use = uses.get(relay.id)
        taken = use.taken if use is not None and use.day == day else 0
        rows.append({"relay": relay, "taken": taken, "cap": relay.cap(day),
                     "warming": relay.warming(day),
                     "away": away.sentence(relay.trouble or "")})  # fmt: skip
    return page(
        "mail/pages/relays.html",
        status=status,
        rows=rows,
        domains=list((await domains.slowed(db)).values()),
        now=db.now,
        form=form,
        limit=limit,
        plan=_plan(),
    )


async def _one(db: ReadDb, relay_id: UUID) -> Relay:
    for relay in await relays.all_of(db):
        if relay.id == relay_id:
            return relay
    raise NotFound


def _plan() -> str:
    return ", ".join(map(str, WARM_UP))


def _read(form: Form) -> NewRelay | None:
    numbers = {
        name: form.integer(name, min=least, max=most) for name, (least, most) in _NUMBERS.items()
    }
    tls = form.choice("tls", _TLS)
    name, host = form.text("name", max=100), form.text("host", max=253)
    username = form.text("username", required=False)
    hello = form.text("hello", required=False, max=253)
    warm_up = _caps(form)
    sends_from = form.text("sends_from", required=False, max=1000).replace(",", " ").split()
    if form.problems:
        return None
    return NewRelay(
        name=name, host=host, tls=tls or "starttls", username=username,
        password=form.typed("password"), hello=hello, warm_up=warm_up, sends_from=sends_from,
        active=form.boolean("active"), **{name: number or 0 for name, number in numbers.items()},
    )  # fmt: skip


def _caps(form: Form) -> list[int]:
    parts = form.text("warm_up", required=False, max=1000).replace(",", " ").split()
    if not all(part.isdecimal() and part.isascii() and int(part) for part in parts):
        form.wrong("warm_up", "These are whole numbers with commas between them, one for each day.")
        return []
    return [int(part) for part in parts]


handlers = [get_relays, post_relay, get_relay, post_change, post_trial, post_domain]
