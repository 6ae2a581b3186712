"""The sign-up form: shown, taken, shown in another language, and its mail sent once more."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

import msgspec
from litestar import Request, Response, get, post
from litestar.di import NamedDependency
from litestar.params import FromQuery

from crm import access, consent
from crm.access.mailed import SIGN_UP, Typed, on_its_way, typed_before
from crm.access.signup_form import Asked, as_shown, asked, in_another_language, offered
from crm.businesses import Business
from crm.consent.asking import network_of
from crm.db import Db, ReadDb
from crm.languages import ENGLISH, LANGUAGES, chosen, speak, speaking, spoken_of
from crm.web.csrf import same_site
from crm.web.forms import Form, read_form
from crm.web.headers import PUBLIC
from crm.web.pages import page, redirect
from crm.web.ratelimit import Limit, by_address
from crm.web.reader import language_cookie

# The most that the form can need.
_BODY = 20_000
_MANY = 60
_QUARTER = 900


@get(SIGN_UP)
async def get_sign_up(
    db: NamedDependency[ReadDb], business: NamedDependency[Business], purposes: FromQuery[str] = ""
) -> Response[Any]:
    """Show the form; `?purposes=letter,offers` shows these only."""
    slugs = [slug for slug in purposes.split(",") if slug]
    locale = spoken_of(business.locale)
    shown = await access.offers(db, locale, slugs)
    return offered(db, Asked(Form(), shown, locale), headers=PUBLIC)


# No guard against foreign sites: the form may stand on the business's own, and uses no cookie.
@post(
    SIGN_UP,
    guards=[Limit("sign-up", quota=_MANY, seconds=_QUARTER)],
    status_code=303,
    request_max_body_size=_BODY,
)
async def post_sign_up(
    request: Request[Any, Any, Any],
    db: NamedDependency[Db],
    business: NamedDependency[Business],
) -> Response[Any]:
    """Take a sign-up. Whoever is known, suppressed or waiting already gets the same answer."""
    form = await read_form(request)
    language = next((each for each in LANGUAGES if each == form.typed("language")), "")
    if language:
        return await _spoken(request, db, business, form, language)
    return await _begun(request, db, form, _page_of(request, business))


@post(
    f"{SIGN_UP}/again",
    guards=[same_site, Limit("sign-up", quota=_MANY, seconds=_QUARTER)],
    status_code=303,
    request_max_body_size=_BODY,
)
async def post_again(request: Request[Any, Any, Any], db: NamedDependency[Db]) -> Response[Any]:
    """Take the form of a moment ago once more, as this browser has kept it."""
    found = typed_before(request, SIGN_UP)
    if found is None or not found.form:
        return redirect(SIGN_UP)
    return await _begun(request, db, Form(dict(found.form)), found.page, again=True)


async def _begun(
    request: Request[Any, Any, Any], db: Db, form: Form, where: str, *, again: bool = False
) -> Response[Any]:
    sent = dict(form.values)
    try:
        wish = await asked(db, form)
    except (access.NotOurForm, consent.UnknownNotice):
        return page("access/pages/foreign_form.html", status=422)
    new = wish.from_page(where, network_of(request))
    if new is None:
        return offered(db, wish, status=422)
    if not wish.trapped:
        # As it was shown, wherever it stood and whatever the browser asks for by now.
        with speaking(chosen(wish.locale) or ENGLISH):
            kept = as_shown(wish.offers)
        form_sha256 = await consent.keep_form(db, wish.locale, kept)
        new = msgspec.structs.replace(new, form_sha256=form_sha256)
        await access.start(db, new, asker=by_address(request))
    typed = Typed(SIGN_UP, new.address.display, sent, where)
    return on_its_way(request, typed, again=again)


async def _spoken(
    request: Request[Any, Any, Any], db: ReadDb, business: Business, form: Form, language: str
) -> Response[Any]:
    """Show the form again in another language, with what was typed; nothing is taken."""
    speak(language)
    try:
        wish = await in_another_language(db, form, spoken_of(business.locale))
    except (access.NotOurForm, consent.UnknownNotice):
        return page("access/pages/foreign_form.html", status=422)
    answer = offered(db, wish, status=422 if form.problems else 200)
    answer.cookies.append(language_cookie(request))
    return answer


def _page_of(request: Request[Any, Any, Any], business: Business) -> str:
    """Say where the form stood, without query; our own pages send no referrer."""
    said = request.headers.get("referer") or request.headers.get("origin") or ""
    try:
        parts = urlsplit(said)
    except ValueError:
        return ""
    here = f"{parts.scheme}://{parts.netloc}{parts.path}"
    if parts.scheme not in {"http", "https"} or here.startswith(f"{business.origin}/"):
        return ""
    return "" if here == business.origin else here[:500]


by_link = [get_sign_up, post_sign_up, post_again]
