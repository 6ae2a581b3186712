"""Leaving by the link of a mail: one click by the mailbox (RFC 8058), a page, and preferences.

The link alone is the right: no session, no cookie, no check of the origin, no limit (promise 8).
Looking at a page changes nothing.
"""

from __future__ import annotations

from typing import Any

from litestar import Request, Response, get, post
from litestar.di import NamedDependency
from litestar.exceptions import HTTPException
from litestar.params import FromPath

from crm import access, consent
from crm.access import mailed
from crm.access.auth import of_stop
from crm.access.leaving import on
from crm.access.model import Stopped
from crm.consent import Method
from crm.db import Database, ReadDb
from crm.journal import Left, PutBack
from crm.languages import gettext
from crm.tokens import Stop
from crm.web.closed import ANSWERS, put_back
from crm.web.forms import Form, read_form
from crm.web.pages import page, redirect
from crm.web.posted import BadForm
from crm.web.reader import prefer_hers

_BODY = 20_000
_ALL = "all"
_NOBODY = Stopped(customer=None, purpose=None)


@get("/u/{token:str}", guards=[of_stop], opt=ANSWERS)
async def get_stop(
    request: Request[Any, Any, Any], db: NamedDependency[ReadDb], token: FromPath[str]
) -> Response[Any]:
    """Show what one press would stop."""
    if await put_back(request):
        # What this database says of her may not be so any more.
        return page("access/pages/stop.html", token=token, stopped=False, **_said(_NOBODY))
    about = _in_her_language(request, await access.holder(db, _stop(request)))
    customer, purpose = about.customer, about.purpose
    state = await consent.state(db, customer.id, purpose.id) if customer and purpose else None
    return page(
        "access/pages/stop.html",
        token=token,
        stopped=customer is not None and purpose is not None and not on(state),
        **_said(about),
    )


@post("/u/{token:str}", guards=[of_stop], status_code=200, request_max_body_size=_BODY, opt=ANSWERS)
async def post_stop(request: Request[Any, Any, Any], token: FromPath[str]) -> Response[Any]:
    """Stop what the link names. Whatever the body says, a POST here is the wish to leave.

    The buttons of our page are answered with a page, everybody else in plain text, with 200 and
    without redirect (RFC 8058 §3.1), also the second time and after an erasure.
    """
    try:
        pressed = (await read_form(request)).typed("stop")
    except (BadForm, HTTPException):
        # Broken or too large: the body proves nothing, the link does.
        pressed = ""
    stop = _stop(request)
    if not pressed:
        _in_her_language(request, await _leave(request, stop, Method.one_click))
        return Response(
            gettext("You get no more of these mails.") + "\n",
            media_type="text/plain",
            headers={"cache-control": "no-store"},
        )
    done = await _leave(request, _meant(stop, pressed), Method.stop_page)
    _in_her_language(request, done)
    at = request.app.state.database.clock()
    answer = page("access/pages/stopped.html", token=token, at=at, **_said(done))
    answer.cookies.append(mailed.forgotten(request))
    return answer


@get("/p/{token:str}", guards=[of_stop])
async def get_preferences(
    request: Request[Any, Any, Any], db: NamedDependency[ReadDb], token: FromPath[str]
) -> Response[Any]:
    """Show what the link may read and, where that is on, a button that stops it."""
    stop = _stop(request)
    about = _in_her_language(request, await access.holder(db, stop))
    lines = [(purpose, state, on(state)) for purpose, state in await access.standings(db, stop)]
    return page(
        "access/pages/preferences.html",
        token=token,
        masked=about.masked,
        moved=about.moved,
        lines=lines,
        names_all=stop.purpose_code is None,
        any_on=any(line[2] for line in lines),
        now=db.now,
        form=Form(),
    )


@post("/p/{token:str}/stop", guards=[of_stop], status_code=303, request_max_body_size=_BODY)
async def post_preference(request: Request[Any, Any, Any], token: FromPath[str]) -> Response[Any]:
    """Stop what the page showed, or all; starting one needs a sign-in."""
    stop = _stop(request)
    form = await read_form(request)
    database: Database = request.app.state.database
    async with database.read(stop.business_id) as db:
        offered = [each for each, _ in await access.standings(db, stop)]
    # Pages of before name a purpose by its short name, those of now by its id: there one that is
    # called `all` does not take all. From a page of before, where `all` is both, all is stopped.
    named = {each.slug: each for each in offered} | {str(each.id): each for each in offered}
    pressed = form.choice("stop", [_ALL, *named])
    form.refuse()
    code = None if pressed is None or pressed == _ALL else named[pressed].code
    meant = Stop(stop.business_id, stop.address_hash, code)
    done = _in_her_language(request, await _leave(request, meant, Method.stop_page))
    said = (
        gettext("%(purpose)s is off, from the moment you pressed.", purpose=done.purpose.name)
        if done.purpose
        else gettext("All of it is off, from the moment you pressed.")
    )
    return redirect(f"/p/{token}", say=said)


async def _leave(request: Request[Any, Any, Any], stop: Stop, method: Method) -> Stopped:
    """Leave in a transaction of its own: a deadlock with an import must not cost the wish.

    While the database is behind the journal the wish goes into the journal alone, on disk before
    this returns, and is carried out before anything else is sent. PutBack where that fails too.
    """
    database: Database = request.app.state.database
    try:
        if not await put_back(request):
            return await database.attempt(
                stop.business_id, lambda db: access.leave(db, stop, method=method)
            )
    except PutBack:
        pass
    left = Left(stop.address_hash.hex(), stop.purpose_code, method)
    await request.app.state.watch.keeper.note_alone(stop.business_id, left, database.clock())
    return _NOBODY


def _in_her_language(request: Request[Any, Any, Any], about: Stopped) -> Stopped:
    """Go on in the language she chose; of an address that is hers no more nothing is taken."""
    if about.customer is not None and not about.moved:
        prefer_hers(request, about.customer.locale)
    return about


def _stop(request: Request[Any, Any, Any]) -> Stop:
    stop: Stop = request.scope["state"]["stop"]
    return stop


def _meant(stop: Stop, pressed: str) -> Stop:
    return Stop(stop.business_id, stop.address_hash, None) if pressed == _ALL else stop


def _said(about: Stopped) -> dict[str, Any]:
    return {"purpose": about.purpose, "masked": about.masked, "moved": about.moved}


by_token = [get_stop, post_stop, get_preferences, post_preference]
