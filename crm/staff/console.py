"""Pages of staff about themselves: sign in and out, my account, which programs call."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from litestar import Request, Response, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath

from crm import staff
from crm.businesses import Business
from crm.db import Db, ReadDb
from crm.errors import Refused, TooMany
from crm.staff import Key, Member, NewKey, Right, Scope
from crm.staff.auth import may, session_cookie
from crm.staff.credentials import fingerprint
from crm.staff.entering import known_cookie, replace_password, sign_in
from crm.staff.factor import FactorNeeded
from crm.staff.keys import purposes_to_bind, rotate_key
from crm.staff.model import LONGEST_REASON, PasswordToReplace
from crm.staff.passwords import SHORTEST
from crm.staff.second_factor import factor_of, insisting
from crm.web.csrf import same_site
from crm.web.forms import Form, read_form
from crm.web.pages import page, redirect
from crm.web.ratelimit import Unavailable
from crm.web.transaction import reading
from crm.web.wanted import forgotten, wanted

HOME = "/staff"
ACCOUNT = "/staff/account"
# What a member may do before she has the second factor that her business insists on.
WITHOUT_FACTOR = {"without_factor": True}
# The most that a form can need which is open to everybody.
OPEN_BODY = 20_000
PASSWORD_SET = "Your password is set. You are signed in."  # noqa: S105  (a sentence)
_FIRST_ROOM = "/staff/campaigns"
_SIGN_IN = "/staff/sign-in"
# Nothing of the console may be read from the cache afterwards; cookies are taken away by name,
# because the portal of a customer may be open in the same browser.
_CLEARED = '"cache", "storage"'


@get("/sign-in", sync_to_thread=False)
def get_sign_in() -> Response[Any]:
    """Ask for address and password."""
    return page("staff/pages/sign_in.html", form=Form())


@post("/sign-in", guards=[same_site], status_code=303, request_max_body_size=OPEN_BODY)
async def post_sign_in(
    request: Request[Any, Any, Any], business: NamedDependency[Business]
) -> Response[Any]:
    """Sign in: a new session under a new token, whatever cookie came along."""
    form = await read_form(request)
    address = form.text("address", max=254)
    password = form.typed("password")
    if not password:
        form.wrong("password", "Please fill this in.")
    if form.problems:
        return page("staff/pages/sign_in.html", status=422, form=form)
    try:
        who, token = await sign_in(request, address, password)
    except PasswordToReplace:
        return page(
            "staff/pages/new_password.html", form=Form.of(address=address), shortest=SHORTEST
        )
    except FactorNeeded as needed:
        return page("staff/pages/second_factor.html", form=Form.of(ticket=needed.ticket))
    except (TooMany, Unavailable):
        raise
    except Refused as refusal:
        form.take(refusal)
        return page("staff/pages/sign_in.html", status=422, form=form)
    return welcome(request, business, who, token)


@get("/new-password", sync_to_thread=False)
def get_new_password() -> Response[Any]:
    """Ask for the present password and a new one."""
    return page("staff/pages/new_password.html", form=Form(), shortest=SHORTEST)


@post("/new-password", guards=[same_site], status_code=303, request_max_body_size=OPEN_BODY)
async def post_new_password(
    request: Request[Any, Any, Any], business: NamedDependency[Business]
) -> Response[Any]:
    """Put a password of one's own in place of one for one use, and sign in with it."""
    form = await read_form(request)
    address = form.text("address", max=254)
    try:
        opened = await _replaced(request, form, address)
    except FactorNeeded as needed:
        return page("staff/pages/second_factor.html", form=Form.of(ticket=needed.ticket))
    if opened is None:
        return page("staff/pages/new_password.html", status=422, form=form, shortest=SHORTEST)
    who, token = opened
    return welcome(request, business, who, token, say=PASSWORD_SET)


@get("/", opt=WITHOUT_FACTOR, status_code=303, sync_to_thread=False)
def get_home(request: Request[Any, Any, Any]) -> Response[Any]:
    """Lead to the room that every role may enter, or to where a missing second factor is set up."""
    lacking = request.scope["state"]["lacks_factor"]
    return redirect(ACCOUNT if lacking else _FIRST_ROOM)


@post("/sign-out", opt=WITHOUT_FACTOR, status_code=303)
async def post_sign_out(
    request: Request[Any, Any, Any],
    db: NamedDependency[Db],
    who: NamedDependency[Member],
    business: NamedDependency[Business],
) -> Response[Any]:
    """End the session of this browser."""
    await staff.sign_out(db, who, _token(request))
    answer = entered(business, "", _SIGN_IN, say="You are signed out.")
    answer.headers["clear-site-data"] = _CLEARED
    return answer


@get("/account", opt=WITHOUT_FACTOR)
async def get_account(
    request: Request[Any, Any, Any], db: NamedDependency[ReadDb], who: NamedDependency[Member]
) -> Response[Any]:
    """Show one's own role, sessions and password form."""
    return await account_page(request, db, who, Form())


@post("/account/password", opt=WITHOUT_FACTOR, status_code=303)
async def post_password(
    request: Request[Any, Any, Any],
    who: NamedDependency[Member],
    business: NamedDependency[Business],
) -> Response[Any]:
    """Change one's own password: every session ends, and this browser gets a new one."""
    form = await read_form(request)
    opened = await _replaced(request, form, who.address)
    if opened is None:
        # Not before: no transaction is open while Argon2 works.
        async with reading(request) as db:
            return await account_page(request, db, who, form, status=422)
    say = "Your password is changed. Everywhere else you are signed out."
    return entered(business, opened[1], ACCOUNT, say=say)


@post("/account/sessions", opt=WITHOUT_FACTOR, status_code=303)
async def post_sessions(
    request: Request[Any, Any, Any], db: NamedDependency[Db], who: NamedDependency[Member]
) -> Response[Any]:
    """End every other session of one's own."""
    await staff.close_others(db, who, _token(request))
    return redirect(ACCOUNT, say="Everywhere else you are signed out.")


@get("/keys", guards=[may(Right.manage_keys)])
async def get_keys(db: NamedDependency[ReadDb]) -> Response[Any]:
    """Show the keys and a form to make one."""
    return await _keys(db, Form())


@post("/keys", guards=[may(Right.manage_keys)], status_code=200)
async def post_key(
    request: Request[Any, Any, Any], db: NamedDependency[Db], who: NamedDependency[Member]
) -> Response[Any]:
    """Make a key; the answer shows its text, this once."""
    form = await read_form(request)
    name = form.text("name")
    reason = form.text("reason", max=LONGEST_REASON)
    scopes = form.choices("scopes", Scope, required=True)
    known = {str(each.id): each.id for each in await purposes_to_bind(db)}
    purposes = [known[each] for each in form.choices("purposes", list(known))]
    days = form.integer("days", required=False, min=1, max=3650)
    if form.problems:
        return await _keys(db, form, status=422)
    try:
        new = NewKey(name=name, scopes=scopes, reason=reason, purposes=purposes, days=days)
        key, text = await staff.add_key(db, who.actor, new)
    except Refused as refusal:
        form.take(refusal)
        return await _keys(db, form, status=422)
    return page("staff/pages/key.html", key=key, text=text)


@post("/keys/{key_id:uuid}/rotation", guards=[may(Right.manage_keys)], status_code=200)
async def post_rotation(
    db: NamedDependency[Db], who: NamedDependency[Member], key_id: FromPath[UUID]
) -> Response[Any]:
    """Give a key a new text; the answer shows it, this once."""
    key, text = await rotate_key(db, who.actor, key_id)
    return page("staff/pages/key.html", key=key, text=text)


@post("/keys/{key_id:uuid}/revocation", guards=[may(Right.manage_keys)], status_code=303)
async def post_revocation(
    db: NamedDependency[Db], who: NamedDependency[Member], key_id: FromPath[UUID]
) -> Response[Any]:
    """End a key at once."""
    key: Key = await staff.revoke_key(db, who.actor, key_id)
    say = f"{key.name} is revoked. It is refused from now on; what it made is not undone by that."
    return redirect("/staff/keys", say=say)


async def account_page(
    request: Request[Any, Any, Any], db: ReadDb, who: Member, form: Form, *, status: int = 200
) -> Response[Any]:
    """Show a member her own account."""
    return page(
        "staff/pages/account.html",
        status=status,
        form=form,
        open=await staff.open_sessions(db, who.id),
        here=fingerprint(_token(request)),
        factor=await factor_of(db, who.id),
        insisting=await insisting(db),
        shortest=SHORTEST,
    )


async def _replaced(
    request: Request[Any, Any, Any], form: Form, address: str
) -> tuple[Member, str] | None:
    """Replace a password as a form asks; without a session the form says what is wrong."""
    present, new = form.typed("present"), form.typed("password")
    for name, typed in (("present", present), ("password", new)):
        if not typed:
            form.wrong(name, "Please fill this in.")
    if form.problems:
        return None
    try:
        return await replace_password(request, address, present, new)
    except (TooMany, Unavailable, FactorNeeded):
        raise
    except Refused as refusal:
        form.take(refusal)
        return None


async def _keys(db: ReadDb, form: Form, *, status: int = 200) -> Response[Any]:
    return page(
        "staff/pages/keys.html",
        status=status,
        form=form,
        keys=await staff.api_keys(db),
        scopes=list(Scope),
        purposes=await purposes_to_bind(db),
        now=db.now,
    )


def entered(business: Business, token: str, path: str, *, say: str = "") -> Response[Any]:
    """Lead on with the cookie of a session; an empty token takes it away."""
    answer = redirect(path, say=say)
    answer.cookies.append(session_cookie(business, token))
    return answer


def welcome(
    request: Request[Any, Any, Any], business: Business, who: Member, token: str, *, say: str = ""
) -> Response[Any]:
    """Lead whoever has just signed in where she wanted to go; her browser is known from now on."""
    answer = entered(business, token, wanted(request, HOME), say=say)
    answer.cookies += [known_cookie(request, who.address), forgotten(request)]
    return answer


def _token(request: Request[Any, Any, Any]) -> str:
    token: str = request.scope["state"]["session_token"]
    return token


open_handlers = [get_sign_in, post_sign_in, get_new_password, post_new_password]

handlers = [
    get_home,
    post_sign_out,
    get_account,
    post_password,
    post_sessions,
    get_keys,
    post_key,
    post_rotation,
    post_revocation,
]
