"""The pages that say that a mail is on its way; each comes after a redirect, and can send it again.

What was typed stays, encrypted, in the browser that typed it: reloading sends nothing, and nobody
types it twice (WCAG 2.2, 3.3.7). Such a page says the same of every address.
"""

from __future__ import annotations

from base64 import urlsafe_b64decode, urlsafe_b64encode
from typing import Any
from uuid import UUID

import msgspec
from litestar import Request, Response, get
from litestar.datastructures import Cookie
from msgspec import Struct, field

from crm.keys import Keys, KeyWrong
from crm.languages import gettext
from crm.web.cookies import cookie, cookie_of
from crm.web.forms import Form
from crm.web.pages import page, redirect

SIGN_UP = "/sign-up"
SIGN_IN = "/sign-in"
LEAVE = "/leave"
_NAME = "typed"
_LABEL = "typed for a mail"
# Longer than a way in is good, so that whoever comes too late types nothing either.
_SECONDS = 3600
# What browsers keep of one cookie, less its name and attributes (RFC 6265 §6.1).
_LARGEST = 3800


class Typed(Struct, frozen=True):
    """What was typed where: an address, and for a sign-up the whole form with its place."""

    where: str
    address: str
    form: dict[str, list[str]] = field(default_factory=dict)
    page: str = ""


def on_its_way(
    request: Request[Any, Any, Any], typed: Typed, *, again: bool = False
) -> Response[Any]:
    """Lead to the page that says so; where it was asked for again, that too is said."""
    said = gettext("Asked for once more. Within a day we write a few times only.") if again else ""
    answer = redirect(f"{typed.where}/mailed", say=said)
    sealed = _sealed(request, typed)
    if len(sealed) > _LARGEST:
        sealed = _sealed(request, Typed(typed.where, typed.address))
    answer.cookies.append(cookie(request, _NAME, sealed, _SECONDS))
    return answer


def typed_before(request: Request[Any, Any, Any], where: str) -> Typed | None:
    """Return what this browser typed last, if it was there; None where it is not known."""
    keys, business_id = _keys(request)
    text = cookie_of(request, _NAME)
    try:
        kept = urlsafe_b64decode(text + "=" * (-len(text) % 4))
        found = msgspec.msgpack.decode(keys.decrypt(business_id, _LABEL, kept), type=Typed)
    except (ValueError, KeyWrong, msgspec.MsgspecError):
        # Whatever a browser was made to send instead, letters that are no base64 among it.
        return None
    return found if found.where == where else None


def forgotten(request: Request[Any, Any, Any]) -> Cookie:
    """Make the cookie that takes it away again."""
    return cookie(request, _NAME, "", 0)


@get(f"{SIGN_UP}/mailed", sync_to_thread=False)
def get_confirmation_mailed(request: Request[Any, Any, Any]) -> Response[Any]:
    """Say that nothing starts before the mailbox answers, and take the code of the mail."""
    found = typed_before(request, SIGN_UP)
    form = filled(found)
    return page("access/pages/sent.html", form=form, again=bool(found and found.form))


@get(f"{SIGN_IN}/mailed", sync_to_thread=False)
def get_way_in_mailed(request: Request[Any, Any, Any]) -> Response[Any]:
    """Say that a way in is on its way, if it is, and take the code of the mail."""
    return page("access/pages/mailed.html", form=filled(typed_before(request, SIGN_IN)))


@get(f"{LEAVE}/mailed", sync_to_thread=False)
def get_way_out_mailed(request: Request[Any, Any, Any]) -> Response[Any]:
    """Say that a way out is on its way, if it is."""
    return page("access/pages/leave_mailed.html", form=filled(typed_before(request, LEAVE)))


def filled(found: Typed | None) -> Form:
    """Fill the field for the address with what was typed, if that is known."""
    return Form.of(address=found.address) if found else Form()


def _sealed(request: Request[Any, Any, Any], typed: Typed) -> str:
    keys, business_id = _keys(request)
    kept = keys.encrypt(business_id, _LABEL, msgspec.msgpack.encode(typed))
    return urlsafe_b64encode(kept).rstrip(b"=").decode()


def _keys(request: Request[Any, Any, Any]) -> tuple[Keys, UUID]:
    return request.app.state.database.keys, request.scope["state"]["business"].id


by_link = [get_confirmation_mailed, get_way_in_mailed, get_way_out_mailed]
