"""Pages of whoever is not signed in: confirm, sign in, leave; and the way out again."""

from __future__ import annotations

from typing import Any

from litestar import Request, Response, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath

from crm import access, consent, customers
from crm.access import mailbox_portal, mailed, sessions, sign_up_portal
from crm.access.auth import (
    BROWSER,
    SESSION,
    Tries,
    browser_cookie,
    cookie_of,
    session_cookie,
)
from crm.access.mailed import LEAVE, SIGN_IN, Typed, on_its_way, typed_before
from crm.access.model import (
    LONGEST_TYPED,
    Confirmed,
    Entered,
    LinkOver,
    OtherBrowser,
    WordsOver,
    WrongCode,
)
from crm.businesses import Business
from crm.consent.asking import network_of
from crm.customers import Address, Customer
from crm.db import Db, ReadDb
from crm.ids import secret
from crm.languages import gettext, marked
from crm.web.csrf import same_site
from crm.web.forms import Form, read_form
from crm.web.pages import page, redirect
from crm.web.ratelimit import Limit, by_address
from crm.web.reader import prefer_hers
from crm.web.wanted import forgotten, remembered, wanted

# The most that any of these forms can need.
_BODY = 20_000
# Nothing of the portal may be read from the cache afterwards; cookies are taken away by name,
# because the console may be open in the same browser.
_CLEARED = '"cache", "storage"'
_CAME_BACK = marked(
    "A mail to your address came back, so no newsletter is sent there. It works again? Then say so "
    "under “What we may do”, or change your address."
)
_HERS = "/me"
_WITH_THE_BUTTON = frozenset({_HERS, "/me/consent"})
_RENEWAL_OVER = "access/pages/renewal_over.html"
_WORDS_OVER = "access/pages/words_over.html"
_MANY = 60
_QUARTER = 900


@get("/confirm")
async def get_confirm() -> Response[Any]:
    """Ask for the code of a confirmation mail."""
    return page("access/pages/confirm_code.html", form=Form())


@post(
    "/confirm",
    guards=[same_site, Tries("confirm_code")],
    status_code=200,
    request_max_body_size=_BODY,
)
async def post_confirm(request: Request[Any, Any, Any], db: NamedDependency[Db]) -> Response[Any]:
    """Confirm by the code."""
    form = await read_form(request)
    address = form.parsed("address", customers.parse, max=LONGEST_TYPED)
    code = form.text("code", max=40)
    if address is not None and code:
        try:
            done = await access.confirm_by_code(db, address, code, network_of(request))
        except WordsOver:
            return page(_WORDS_OVER, status=409)
        except (WrongCode, LinkOver):
            form.take(WrongCode())
        else:
            return _done(request, done)
    return page("access/pages/confirm_code.html", status=422, form=form)


@get("/confirm/{token:str}")
async def get_confirmation(
    request: Request[Any, Any, Any], db: NamedDependency[ReadDb], token: FromPath[str]
) -> Response[Any]:
    """Show what one press would confirm; changes nothing, so scanners may come."""
    signup = await access.waiting(db, token)
    if signup is None:
        return await _confirmed_before(db, token)
    prefer_hers(request, signup.locale)
    if not await access.goes_on(db, signup):
        return page(_RENEWAL_OVER, status=404)
    try:
        chosen = await access.open_choices(db, signup)
    except WordsOver:
        return page(_WORDS_OVER, status=409)
    asked_for = [await consent.notice(db, choice.notice_id) for choice in chosen]
    names = {each.id: each.name for each in await consent.purposes(db)}
    return page(
        "access/pages/confirm.html", signup=signup, token=token, notices=asked_for, names=names
    )


@post("/confirm/{token:str}", status_code=200, request_max_body_size=_BODY)
async def post_confirmation(
    request: Request[Any, Any, Any], db: NamedDependency[Db], token: FromPath[str]
) -> Response[Any]:
    """Confirm by the link, once; a second press is told what the first did."""
    if (signup := await access.waiting(db, token)) is not None:
        prefer_hers(request, signup.locale)
    try:
        done = await access.confirm(db, token, network_of(request))
    except WordsOver:
        return page(_WORDS_OVER, status=409)
    except LinkOver:
        over = _RENEWAL_OVER if signup and signup.again else "access/pages/confirm_over.html"
        return page(over, status=404)
    return _done(request, done)


@get(SIGN_IN, sync_to_thread=False)
def get_sign_in() -> Response[Any]:
    """Ask for an address to mail a way in to."""
    return page("access/pages/sign_in.html", form=Form())


@post(
    SIGN_IN,
    guards=[same_site, Limit("portal-sign-in", quota=_MANY, seconds=_QUARTER)],
    status_code=303,
    request_max_body_size=_BODY,
)
async def post_sign_in(
    request: Request[Any, Any, Any],
    db: NamedDependency[Db],
    business: NamedDependency[Business],
) -> Response[Any]:
    """Mail a way in, if the address is a customer's; the answer is the same if it is not."""
    form = await read_form(request)
    address = form.parsed("address", customers.parse, max=LONGEST_TYPED)
    if address is None:
        return page("access/pages/sign_in.html", status=422, form=form)
    again = bool(form.typed("again"))
    return await _mailed(request, db, business, address, again=again)


@get("/sign-in/code", sync_to_thread=False)
def get_sign_in_code() -> Response[Any]:
    """Ask for the code of a sign-in mail."""
    return page("access/pages/sign_in_code.html", form=Form())


@post(
    "/sign-in/code",
    guards=[same_site, Tries("sign_in_code")],
    status_code=303,
    request_max_body_size=_BODY,
)
async def post_sign_in_code(
    request: Request[Any, Any, Any],
    db: NamedDependency[Db],
    business: NamedDependency[Business],
) -> Response[Any]:
    """Let a customer in by the code."""
    form = await read_form(request)
    address = form.parsed("address", customers.parse, max=LONGEST_TYPED)
    code = form.text("code", max=40)
    if address is not None and code:
        try:
            entered = await access.open_by_code(db, address, code)
        except (WrongCode, LinkOver):
            form.take(WrongCode())
        else:
            before = cookie_of(request, business, SESSION)
            token = await access.open_session(db, entered, instead_of=before)
            return _entered(request, business, token, say=await _came_back(request, db, entered))
    return page("access/pages/sign_in_code.html", status=422, form=form)


@get("/sign-in/{token:str}")
async def get_sign_in_link(
    request: Request[Any, Any, Any],
    db: NamedDependency[ReadDb],
    business: NamedDependency[Business],
    token: FromPath[str],
) -> Response[Any]:
    """Show the button that signs in, or, in another browser, ask for the code."""
    try:
        found = await access.link(db, token)
    except LinkOver:
        return await _over(request, db, business)
    prefer_hers(request, (await customers.get(db, found.customer_id)).locale)
    here = access.of_browser(found, cookie_of(request, business, BROWSER))
    return page("access/pages/sign_in_link.html", token=token, here=here, form=Form())


@post(
    "/sign-in/{token:str}",
    guards=[same_site, Tries("sign_in_link")],
    status_code=303,
    request_max_body_size=_BODY,
)
async def post_sign_in_link(
    request: Request[Any, Any, Any],
    db: NamedDependency[Db],
    business: NamedDependency[Business],
    token: FromPath[str],
) -> Response[Any]:
    """Use up the way in: once, in the browser that asked, or with the code."""
    form = await read_form(request)
    browser = cookie_of(request, business, BROWSER)
    code = form.text("code", required=False, max=40)
    try:
        entered = await access.open_link(db, token, browser, code)
    except LinkOver:
        again = await sessions.pressed_twice(db, token, browser)
        return _entered(request, business, again) if again else await _over(request, db, business)
    except (OtherBrowser, WrongCode) as wrong:
        form.wrong("code", wrong.message)
        return page(
            "access/pages/sign_in_link.html", status=422, token=token, here=False, form=form
        )
    before = cookie_of(request, business, SESSION)
    mark = "" if code else browser
    opened = await access.open_session(db, entered, instead_of=before, link=token, browser=mark)
    return _entered(request, business, opened, say=await _came_back(request, db, entered))


@post("/sign-out", status_code=303, request_max_body_size=_BODY, opt={"beside": True})
async def post_sign_out(
    request: Request[Any, Any, Any],
    db: NamedDependency[Db],
    business: NamedDependency[Business],
    me: NamedDependency[Customer],
) -> Response[Any]:
    """End the session of this browser; `afresh`, mail her the link for the next at once."""
    await sessions.close(db, request.scope["state"]["session_token"])
    afresh = (await read_form(request)).typed("afresh")
    if afresh:
        answer = await _mailed(request, db, business, customers.parse(me.address))
        if back := remembered(request, afresh):
            answer.cookies.append(back)
    else:
        answer = redirect(SIGN_IN, say=gettext("You are signed out."))
        answer.cookies.append(mailed.forgotten(request))
    answer.cookies.append(session_cookie(business, ""))
    answer.headers["clear-site-data"] = _CLEARED
    return answer


@get(LEAVE, sync_to_thread=False)
def get_leave() -> Response[Any]:
    """Ask for the address that wants no more mails."""
    return page("access/pages/leave.html", form=Form())


@post(
    LEAVE,
    guards=[same_site, Limit("portal-leave", quota=_MANY, seconds=_QUARTER)],
    status_code=303,
    request_max_body_size=_BODY,
)
async def post_leave(request: Request[Any, Any, Any], db: NamedDependency[Db]) -> Response[Any]:
    """Mail a way out, if the address is a customer's; the answer is the same if it is not."""
    form = await read_form(request)
    address = form.parsed("address", customers.parse, max=LONGEST_TYPED)
    if address is None:
        return page("access/pages/leave.html", status=422, form=form)
    await access.send_way_out(db, address, asker=by_address(request))
    again = bool(form.typed("again"))
    return on_its_way(request, Typed(LEAVE, address.display), again=again)


def _done(request: Request[Any, Any, Any], done: Confirmed) -> Response[Any]:
    """Say what was confirmed; what was typed for it is needed no more."""
    answer = page("access/pages/confirmed.html", done=done)
    answer.cookies.append(mailed.forgotten(request))
    return answer


async def _confirmed_before(db: ReadDb, token: str) -> Response[Any]:
    try:
        done = await access.confirmed_before(db, token)
    except LinkOver:
        return page("access/pages/confirm_over.html", status=404)
    return page("access/pages/confirmed.html", done=done)


async def _mailed(
    request: Request[Any, Any, Any],
    db: Db,
    business: Business,
    address: Address,
    *,
    again: bool = False,
) -> Response[Any]:
    """Mail a way in. A browser keeps its mark: the links it asked for before are still its own."""
    browser = cookie_of(request, business, BROWSER) or secret().hex()
    await access.send_link(db, address, browser, asker=by_address(request))
    answer = on_its_way(request, Typed(SIGN_IN, address.display), again=again)
    answer.cookies.append(browser_cookie(business, browser))
    return answer


async def _over(request: Request[Any, Any, Any], db: ReadDb, business: Business) -> Response[Any]:
    """Lead on whoever is in already; ask the others right here, for the address they typed."""
    if await sessions.session(db, cookie_of(request, business, SESSION)):
        return redirect(wanted(request, _HERS))
    # No other: what a form of a foreign page typed here is not hers.
    form = mailed.filled(typed_before(request, SIGN_IN))
    return page("access/pages/sign_in_over.html", status=404, form=form)


async def _came_back(request: Request[Any, Any, Any], db: ReadDb, entered: Entered) -> str:
    """Say why what is on does not come, where a mail to her has come back: this one has arrived.

    The pages with the button that ends it say so themselves.
    """
    if wanted(request, _HERS) in _WITH_THE_BUTTON:
        return ""
    found = await consent.silence(db, entered.customer_id)
    return gettext(_CAME_BACK) if found and found.by_itself else ""


def _entered(
    request: Request[Any, Any, Any], business: Business, token: str, *, say: str = ""
) -> Response[Any]:
    """Lead her where she wanted to go. The mark stays for its ten minutes: she may press twice."""
    answer = redirect(wanted(request, _HERS), say=say, tone="wait")
    answer.cookies += [session_cookie(business, token), forgotten(request)]
    answer.cookies.append(mailed.forgotten(request))
    return answer


handlers = [post_sign_out, *mailbox_portal.handlers]

by_link = [
    *sign_up_portal.by_link,
    *mailed.by_link,
    get_confirm,
    post_confirm,
    get_confirmation,
    post_confirmation,
    get_sign_in,
    post_sign_in,
    get_sign_in_code,
    post_sign_in_code,
    get_sign_in_link,
    post_sign_in_link,
    get_leave,
    post_leave,
]
