"""Endpoints for staff: add, change, try, switch, replace a secret, and have things told again."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from uuid import UUID

from litestar import Request, Response, get, post
from litestar.datastructures import State
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery
from msgspec import Struct

from crm import webhooks
from crm.businesses import Business
from crm.db import Db, ReadDb
from crm.errors import Refused
from crm.events import Kind
from crm.events.console import WORDS
from crm.staff import Member, Right
from crm.staff.auth import may
from crm.web.forms import Form, read_form
from crm.web.pages import page, redirect
from crm.web.paging import Cursors
from crm.webhooks import Endpoint, NewEndpoint
from crm.webhooks.actions import EndpointStale
from crm.webhooks.model import COUNTED, OVERLAP

_PATH = "/staff/webhooks"
_OWNERS = [may(Right.manage_keys)]
_DRAWN = 60
_SHOWN = 25
_OVERLAPS = {"0": timedelta(0), "1": timedelta(days=1), "7": OVERLAP}
# What stood in the way of a post, in words.
TROUBLES = {
    "name_private": "Its name leads to this machine or into a private network.",
    "name_silent": "No name server answers for its name.",
    "name_unknown": "There is no such name.",
    "no_tls": "TLS failed: its certificate is not one for that name, or is not trusted.",
    "too_slow": "It did not answer in twenty seconds.",
    "no_connection": "Nothing answers there.",
    "no_http": "It does not speak HTTP.",
    "cut_off": "It ended the connection.",
    "redirect": "It leads elsewhere; posts follow no redirect.",
}


class AfterNumber(Struct, frozen=True):
    """The last delivery of a page."""

    number: int


@get("/webhooks", guards=_OWNERS)
async def get_webhooks(db: NamedDependency[ReadDb]) -> Response[Any]:
    """Show the endpoints, how it goes there, and a form to add one."""
    return await _list(db, Form())


@post("/webhooks", guards=_OWNERS, status_code=200)
async def post_webhook(
    request: Request[Any, Any, State], db: NamedDependency[Db], who: NamedDependency[Member]
) -> Response[Any]:
    """Add an endpoint and show its secret, this once; or what is wrong with it."""
    form = await read_form(request)
    new = _read(form)
    if new is not None:
        try:
            made, secret = await webhooks.add(db, who.actor, new, local=_local(request))
        except Refused as refusal:
            form.take(refusal)
        else:
            return page("webhooks/pages/secret.html", endpoint=made, secret=secret)
    return await _list(db, form, status=422)


@get("/webhooks/{endpoint_id:uuid}", guards=_OWNERS)
async def get_webhook(
    db: NamedDependency[ReadDb], endpoint_id: FromPath[UUID], after: FromQuery[str | None] = None
) -> Response[Any]:
    """Show one endpoint: its last attempts, what waits, and a form with what is known of it."""
    return await _one(db, endpoint_id, None, after=after)


@post("/webhooks/{endpoint_id:uuid}", guards=_OWNERS, status_code=303)
async def post_change(
    request: Request[Any, Any, State],
    db: NamedDependency[Db],
    who: NamedDependency[Member],
    endpoint_id: FromPath[UUID],
) -> Response[Any]:
    """Replace what is known of an endpoint, or show what is wrong with it."""
    form = await read_form(request)
    version = form.integer("version", max=2**31 - 1)
    new = _read(form)
    if new is not None:
        local = _local(request)
        try:
            await webhooks.change(db, who.actor, endpoint_id, new, local=local, expected=version)
        except Refused as refusal:
            form.take(refusal)
            if isinstance(refusal, EndpointStale):
                # What was typed stays; pressing again puts it over what somebody else wrote.
                present = await webhooks.endpoint(db, endpoint_id)
                form.values["version"] = [str(present.version)]
        else:
            return redirect(f"{_PATH}/{endpoint_id}", say="Saved. The next event goes by it.")
    return await _one(db, endpoint_id, form, status=422)


@post("/webhooks/{endpoint_id:uuid}/switch", guards=_OWNERS, status_code=303)
async def post_switch(
    request: Request[Any, Any, State],
    db: NamedDependency[Db],
    who: NamedDependency[Member],
    endpoint_id: FromPath[UUID],
) -> Response[Any]:
    """Switch an endpoint on or off."""
    form = await read_form(request)
    found = await webhooks.switch(db, who.actor, endpoint_id, on=form.typed("decision") == "on")
    say = "is on. What has waited goes now" if found.is_on else "is off. What happens now waits"
    return redirect(f"{_PATH}/{endpoint_id}", say=f"{found.name} {say}.")


@post("/webhooks/{endpoint_id:uuid}/test", guards=_OWNERS, status_code=303)
async def post_test(
    db: NamedDependency[Db], who: NamedDependency[Member], endpoint_id: FromPath[UUID]
) -> Response[Any]:
    """Have a test event told."""
    await webhooks.try_out(db, who.actor, endpoint_id)
    say = "A test event is on its way. Look again in some seconds for what came back."
    return redirect(f"{_PATH}/{endpoint_id}", say=say)


@post("/webhooks/{endpoint_id:uuid}/secrets", guards=_OWNERS, status_code=200)
async def post_secret(
    request: Request[Any, Any, State],
    db: NamedDependency[Db],
    who: NamedDependency[Member],
    endpoint_id: FromPath[UUID],
) -> Response[Any]:
    """Make a new secret and show it, this once."""
    form = await read_form(request)
    days = form.choice("overlap", list(_OVERLAPS))
    if days is None:
        return await _one(db, endpoint_id, form, status=422)
    found, secret = await webhooks.rotate(db, who.actor, endpoint_id, _OVERLAPS[days])
    return page("webhooks/pages/secret.html", endpoint=found, secret=secret)


@post("/webhooks/{endpoint_id:uuid}/replay", guards=_OWNERS, status_code=303)
async def post_replay_since(
    request: Request[Any, Any, State],
    db: NamedDependency[Db],
    who: NamedDependency[Member],
    business: NamedDependency[Business],
    endpoint_id: FromPath[UUID],
) -> Response[Any]:
    """Have everything since an instant told once more."""
    form = await read_form(request)
    since = form.instant("since", business.time_zone)
    if since is None:
        return await _one(db, endpoint_id, form, status=422)
    await webhooks.replay_since(db, who.actor, endpoint_id, since)
    say = "Everything since then is told once more, in its order."
    return redirect(f"{_PATH}/{endpoint_id}", say=say)


@post(
    "/webhooks/{endpoint_id:uuid}/deliveries/{event_id:uuid}/replay",
    guards=_OWNERS,
    status_code=303,
)
async def post_replay(
    db: NamedDependency[Db],
    who: NamedDependency[Member],
    endpoint_id: FromPath[UUID],
    event_id: FromPath[UUID],
) -> Response[Any]:
    """Have one event told once more."""
    await webhooks.replay(db, who.actor, endpoint_id, event_id)
    return redirect(f"{_PATH}/{endpoint_id}", say="It is told once more, under the same id.")


@post("/webhooks/{endpoint_id:uuid}/removal", guards=_OWNERS, status_code=303)
async def post_removal(
    db: NamedDependency[Db], who: NamedDependency[Member], endpoint_id: FromPath[UUID]
) -> Response[Any]:
    """Remove an endpoint."""
    await webhooks.remove(db, who.actor, endpoint_id)
    return redirect(_PATH, say="Removed. Nothing goes there any more.")


async def _list(db: ReadDb, form: Form, *, status: int = 200) -> Response[Any]:
    return page(
        "webhooks/pages/webhooks.html",
        status=status,
        endpoints=await webhooks.endpoints(db),
        counted=COUNTED,
        form=form,
        kinds=_kinds(),
    )


async def _one(
    db: ReadDb, endpoint_id: UUID, form: Form | None, *, after: str | None = None, status: int = 200
) -> Response[Any]:
    found = await webhooks.endpoint(db, endpoint_id)
    path = f"{_PATH}/{endpoint_id}"
    cursors = Cursors(db.keys, db.business_id, path)
    begun = cursors.open(after, AfterNumber)
    posts = await webhooks.posts(
        db, endpoint_id, before=begun.number if begun else None, limit=_SHOWN + 1
    )
    cut = cursors.cut(posts, _SHOWN, lambda each: AfterNumber(each.number))
    tries = await webhooks.tries(db, endpoint_id, limit=_DRAWN)
    return page(
        "webhooks/pages/webhook.html",
        status=status,
        endpoint=found,
        form=form or _known(found),
        kinds=_kinds(),
        words=WORDS,
        posts=cut.rows,
        tries=tries,
        troubles=TROUBLES,
        now=db.now,
        older=f"{path}?after={cut.after}" if cut.after else "",
        newest=path if begun else "",
    )


def _known(endpoint: Endpoint) -> Form:
    return Form.of(
        name=endpoint.name,
        url=endpoint.url,
        kinds=[each.value for each in endpoint.kinds],
        acknowledges="on" if endpoint.acknowledges else "",
        version=str(endpoint.version),
    )


def _kinds() -> list[tuple[str, str]]:
    """List what can be told, with words; a test is no matter of choice."""
    left_out = {Kind.customer_looked, Kind.webhook_tested}
    return [(each.value, WORDS[each]) for each in Kind if each not in left_out]


def _read(form: Form) -> NewEndpoint | None:
    name, url = form.text("name", max=100), form.text("url", max=2000)
    kinds = form.choices("kinds", Kind)
    if form.problems:
        return None
    return NewEndpoint(
        name=name, url=url, kinds=kinds, acknowledges=form.boolean("acknowledges")
    )  # fmt: skip


def _local(request: Request[Any, Any, State]) -> bool:
    local: bool = request.app.state.settings.webhooks.local
    return local


handlers = [
    get_webhooks,
    post_webhook,
    get_webhook,
    post_change,
    post_switch,
    post_test,
    post_secret,
    post_replay_since,
    post_replay,
    post_removal,
]
