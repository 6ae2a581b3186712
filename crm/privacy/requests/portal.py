"""Ask or object: what a customer asks us about her data, how far that is, and where to complain."""

from __future__ import annotations

from datetime import datetime, timedelta
from functools import partial
from itertools import accumulate, islice
from typing import Any
from uuid import UUID

from litestar import Request, Response, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery
from msgspec import Struct

from crm import customers, privacy
from crm.customers import Customer
from crm.db import Db, ReadDb
from crm.events import Actor
from crm.ids import TIME_ORDERED, instant_of, time_ordered
from crm.languages import gettext
from crm.privacy import NewRequest, RequestKind, requests
from crm.privacy.requests import wording
from crm.privacy.requests.model import LONGEST, Proof, Way
from crm.privacy.requests.model import Request as Asked
from crm.web.forms import Form, read_form
from crm.web.pages import page, redirect
from crm.web.paging import Cursors
from crm.web.reader import prefer_hers
from crm.web.transaction import attempt

PATH = "/me/requests"
_BODY = 32 * 1024
# A form that is older was left open; what comes of it is a request of its own.
_FORM_LASTS = timedelta(days=1)
# So many requests stand on a page, and so many characters of them: each is there word for word, and
# a page of hers is at most 30 kB.
_MOST = 20
_CHARACTERS = 12_000


class _After(Struct, frozen=True):
    """The last request of a page."""

    id: UUID


@get("/requests")
async def get_requests(
    db: NamedDependency[ReadDb],
    me: NamedDependency[Customer],
    about: FromQuery[str] = "",
    detail: FromQuery[str] = "",
    after: FromQuery[str | None] = None,
) -> Response[Any]:
    """Show what she can ask, what she has asked, and whom she can complain to.

    A link beside a detail says `about` what, and which: then the form begins with that.
    """
    begun = _cursors(db).open(after, _After)
    kind = about if about in set(RequestKind) else ""
    words = gettext("“%(detail)s” is wrong. Right would be:", detail=detail[:200])
    form = Form.of(kind=kind, words=words if kind and detail else "")
    return await _shown(db, me, form, before=begun.id if begun else None)


@post("/requests", request_max_body_size=_BODY, status_code=303)
async def post_request(
    request: Request[Any, Any, Any], db: NamedDependency[Db], me: NamedDependency[Customer]
) -> Response[Any]:
    """Take what she asks in her own words; she is signed in by her mailbox, so it is she."""
    form = await read_form(request)
    kind = form.choice("kind", RequestKind)
    words = form.text("words", max=LONGEST, lines=True)
    if kind is None or form.problems:
        return await _shown(db, me, form)
    new = NewRequest(kind=kind, customer_id=me.id, words=words)
    # That she is signed in is the proof.
    taken = await requests.receive(
        db,
        Actor.customer(me.id),
        new,
        way=Way.portal,
        proof=Proof.session,
        once=_once(form, db.now),
    )
    due = str(wording.day(taken.due_on))
    said = gettext("We have your request. You get our answer by %(day)s at the latest.", day=due)
    return redirect(PATH, say=said)


@post("/objection", request_max_body_size=_BODY, status_code=303)
async def post_objection(
    request: Request[Any, Any, Any], db: NamedDependency[Db], me: NamedDependency[Customer]
) -> Response[Any]:
    """Take her objection to all advertising: one press, nothing is weighed (Art. 21(3) GDPR)."""
    await attempt(request, db, partial(privacy.object_herself, me=me))
    said = gettext("We send you no advertising any more, from the moment you pressed.")
    return redirect(PATH, say=said)


@get("/identity/{token:str}")
async def get_identity(
    request: Request[Any, Any, Any], db: NamedDependency[ReadDb], token: FromPath[str]
) -> Response[Any]:
    """Show what was asked, and the button that says it was she; changes nothing."""
    asked = await requests.of_link(db, token)
    await _in_her_language(request, db, asked)
    return page("privacy/pages/identity.html", token=token, asked=asked, names=wording.NAMES)


@post("/identity/{token:str}", status_code=200, request_max_body_size=_BODY)
async def post_identity(
    request: Request[Any, Any, Any], db: NamedDependency[Db], token: FromPath[str]
) -> Response[Any]:
    """Take it that she asked: the link came from her mailbox."""
    asked = await requests.prove(db, token)
    await _in_her_language(request, db, asked)
    return page("privacy/pages/identified.html", asked=asked)


async def _in_her_language(request: Request[Any, Any, Any], db: ReadDb, asked: Asked) -> None:
    if asked.customer_id is not None:
        prefer_hers(request, (await customers.get(db, asked.customer_id)).locale)


async def _shown(
    db: ReadDb, me: Customer, form: Form, *, before: UUID | None = None
) -> Response[Any]:
    found = await requests.of_customer(db, me.id, before=before, limit=_MOST + 1)
    fit = _fitting(found)
    shown = _cursors(db).cut(found, fit, lambda each: _After(each.id))
    return page(
        "privacy/pages/requests.html",
        status=422 if form.problems else 200,
        # Also where a refused form is shown again at its own address.
        request_path=PATH,
        form=form,
        once=form.typed("once") or time_ordered(),
        asked=shown.rows,
        older=f"{PATH}?after={shown.after}#asked" if shown.after else "",
        newest=f"{PATH}#asked" if before else "",
        names=wording.NAMES,
        objected_at=await privacy.objected_at(db, me),
    )


def _fitting(found: list[Asked]) -> int:
    """Count the requests that go on one page, of which there is one at least."""
    lengths = accumulate(len(each.words + each.answer + each.extended_why) for each in found)
    return max(1, sum(length <= _CHARACTERS for length in islice(lengths, _MOST)))


def _cursors(db: ReadDb) -> Cursors:
    return Cursors(db.keys, db.business_id, "me/requests")


def _once(form: Form, now: datetime) -> UUID | None:
    """Read the id that the form was shown with: pressed twice, it is one request."""
    try:
        shown = UUID(form.typed("once"))
    except ValueError:
        return None
    fits = shown.version == TIME_ORDERED and abs(now - instant_of(shown)) < _FORM_LASTS
    return shown if fits else None


handlers = [get_requests, post_request, post_objection]

# A signed link, and no session.
by_link = [get_identity, post_identity]
