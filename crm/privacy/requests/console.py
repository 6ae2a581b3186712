"""Privacy requests for staff: the queue, the most urgent first, and a page for each."""

from __future__ import annotations

from collections.abc import Awaitable
from datetime import date, timedelta
from typing import Any
from uuid import UUID

from litestar import Request, Response, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery
from msgspec import Struct

from crm import businesses, customers, privacy
from crm.db import Db, ReadDb
from crm.errors import Invalid, NotFound, Problem, Refused
from crm.events import Actor
from crm.mail import TooManyLetters
from crm.privacy import NewRequest, RequestKind, requests
from crm.privacy.requests import wording
from crm.privacy.requests.model import (
    BY_STAFF,
    GROUNDS,
    LONGEST,
    LONGEST_ANSWER,
    Ground,
    NoAddressToAnswer,
    RequestClosed,
    Way,
)
from crm.staff import LISTED, Member, Right
from crm.staff.auth import Looks, may
from crm.web.forms import Form, read_form
from crm.web.pages import page, redirect
from crm.web.paging import DEFAULT_LIMIT, Cursors

PATH = "/staff/requests"
_ANSWERS = [may(Right.answer_requests)]
_BODY = 64 * 1024
_LATELY = timedelta(days=30)
# Why a member sees whose request it is; she reads it beside the look.
_REASON = "your privacy request"
_BEFORE = "a privacy request from an address that was yours"


class Due(Struct, frozen=True):
    """The last request of a page of those that wait."""

    on: date
    id: UUID


class Gone(Struct, frozen=True):
    """The last request of a page of those that have ended."""

    id: UUID


@get("/requests", guards=_ANSWERS)
async def get_requests(
    db: NamedDependency[ReadDb],
    looks: NamedDependency[Looks],
    kind: FromQuery[RequestKind | None] = None,
    show: FromQuery[str] = "open",
    after: FromQuery[str | None] = None,
) -> Response[Any]:
    """Show the requests that wait, or those that have ended, of all kinds or of one."""
    over = show == "ended"
    cursors = Cursors(db.keys, db.business_id, f"requests/{'ended' if over else 'open'}")
    if over:
        gone = cursors.open(after, Gone)
        found = await requests.ended(
            db, kind=kind, before=gone.id if gone else None, limit=DEFAULT_LIMIT + 1
        )
        cut = cursors.cut(found, DEFAULT_LIMIT, lambda each: Gone(each.id))
    else:
        due = cursors.open(after, Due)
        begun = (due.on, due.id) if due else None
        found = await requests.waiting(db, kind=kind, after=begun, limit=DEFAULT_LIMIT + 1)
        cut = cursors.cut(found, DEFAULT_LIMIT, lambda each: Due(each.due_on, each.id))
    whose = await customers.of_ids(db, [each.customer_id for each in cut.rows if each.customer_id])
    await looks.record(list(whose), reason=LISTED)
    settled = await requests.settled(db, db.now - _LATELY)
    return page(
        "privacy/pages/queue.html",
        shown=cut.rows,
        whose=whose,
        today=await requests.today(db),
        kind=kind,
        over=over,
        settled=settled,
        slowest=max((each.slowest for each in settled if each.slowest is not None), default=None),
        older=_older(kind, cut.after, over=over),
        names=wording.NAMES,
    )


@get("/requests/new", guards=_ANSWERS, sync_to_thread=False)
def get_new() -> Response[Any]:
    """Show the form for a request that came by letter, by phone, by mail or in person."""
    return _new(Form())


@post("/requests", guards=_ANSWERS, status_code=303, request_max_body_size=_BODY)
async def post_request(
    request: Request[Any, Any, Any], db: NamedDependency[Db], by: NamedDependency[Actor]
) -> Response[Any]:
    """Record a request; the clock runs from the day it came."""
    form = await read_form(request)
    kind = form.choice("kind", RequestKind)
    way = form.choice("way", BY_STAFF)
    new = NewRequest(
        kind=kind or RequestKind.access,
        address=form.address("address", required=False),
        name=form.text("name", required=False),
        words=form.text("words", max=LONGEST, lines=True),
        received_on=_day(form, "received_on"),
    )
    if not new.address and not new.name:
        form.wrong("address", "An address or a name is needed, or nobody can be answered.")
    if form.problems or way is None:
        return _new(form)
    try:
        taken = await requests.receive(db, by, new, way=way)
    except Invalid as refusal:
        form.take(refusal)
        return _new(form)
    return redirect(f"{PATH}/{taken.id}", say="Recorded.")


@get("/requests/{id:uuid}", guards=_ANSWERS)
async def get_request(
    db: NamedDependency[ReadDb],
    who: NamedDependency[Member],
    looks: NamedDependency[Looks],
    id: FromPath[UUID],
) -> Response[Any]:
    """Show one request, its clock, its log, and what to do next."""
    return await _shown(db, who, looks, id, None)


@post("/requests/{id:uuid}/link", guards=_ANSWERS, status_code=303)
async def post_link(
    db: NamedDependency[Db], by: NamedDependency[Actor], id: FromPath[UUID]
) -> Response[Any]:
    """Mail the link that proves whose mailbox it is."""
    try:
        async with db.together():
            await requests.send_link(db, by, id)
    except (NoAddressToAnswer, RequestClosed, TooManyLetters) as refusal:
        return redirect(f"{PATH}/{id}", say=refusal.message, tone="stop")
    return redirect(f"{PATH}/{id}", say="The link is on its way. It is good for seven days.")


@post("/requests/{id:uuid}/voucher", guards=_ANSWERS, status_code=303)
async def post_voucher(
    db: NamedDependency[Db], by: NamedDependency[Actor], id: FromPath[UUID]
) -> Response[Any]:
    """Take a member's word that they know who asks."""
    await requests.vouch(db, by, id)
    return redirect(f"{PATH}/{id}", say="Noted, with your name on it.")


@post("/requests/{id:uuid}/taking", guards=_ANSWERS, status_code=303)
async def post_taking(
    db: NamedDependency[Db], by: NamedDependency[Actor], id: FromPath[UUID]
) -> Response[Any]:
    """Take a request on."""
    await requests.take(db, by, id)
    return redirect(f"{PATH}/{id}", say="It is yours.")


@post(
    "/requests/{id:uuid}/extension", guards=_ANSWERS, status_code=303, request_max_body_size=_BODY
)
async def post_extension(
    request: Request[Any, Any, Any],
    db: NamedDependency[Db],
    who: NamedDependency[Member],
    looks: NamedDependency[Looks],
    id: FromPath[UUID],
) -> Response[Any]:
    """Give it two months more, and tell her why."""
    form = await read_form(request)
    why = form.text("why", max=LONGEST, lines=True)
    if not form.problems:
        longer = await _tried(
            db, form, "why", requests.extend(db, who.actor, id, why, told=form.boolean("told"))
        )
        if longer:
            return redirect(f"{PATH}/{id}", say=f"Due on {wording.day(longer.due_on)} now.")
    return await _shown(db, who, looks, id, form)


@post("/requests/{id:uuid}/answer", guards=_ANSWERS, status_code=303, request_max_body_size=_BODY)
async def post_answer(
    request: Request[Any, Any, Any],
    db: NamedDependency[Db],
    who: NamedDependency[Member],
    looks: NamedDependency[Looks],
    id: FromPath[UUID],
) -> Response[Any]:
    """Answer a request and do what it asks: a deletion deletes, a freeze freezes."""
    form = await read_form(request)
    words = form.text("answer", max=LONGEST_ANSWER, lines=True)
    how = {name: form.boolean(name) for name in ("marketing", "told")}
    if not form.problems:
        may_erase = who.may(Right.erase_customers)
        doing = privacy.fulfil(db, who.actor, id, words, may_erase=may_erase, **how)
        if await _tried(db, form, "answer", doing):
            return redirect(PATH, say="Answered.")
    return await _shown(db, who, looks, id, form)


@post("/requests/{id:uuid}/refusal", guards=_ANSWERS, status_code=303, request_max_body_size=_BODY)
async def post_refusal(
    request: Request[Any, Any, Any],
    db: NamedDependency[Db],
    who: NamedDependency[Member],
    looks: NamedDependency[Looks],
    id: FromPath[UUID],
) -> Response[Any]:
    """Refuse a request, on a ground that the law gives, with the reason in the letter."""
    form = await read_form(request)
    ground = form.choice("ground", Ground)
    words = form.text("reason", max=LONGEST_ANSWER, lines=True)
    if ground is not None and not form.problems:
        told = form.boolean("told")
        doing = requests.refuse(db, who.actor, id, ground, words, told=told)
        if await _tried(db, form, "reason", doing):
            return redirect(PATH, say="Refused, and told why.")
    return await _shown(db, who, looks, id, form)


async def _tried(
    db: Db, form: Form, field: str, doing: Awaitable[privacy.Request]
) -> privacy.Request | None:
    """Do it, or note beside the words why not: of what is refused nothing is kept."""
    try:
        async with db.together():
            return await doing
    except NotFound:
        raise
    except Refused as refusal:
        for wrong in refusal.problems or (Problem(field, refusal.message),):
            form.wrong(field if wrong.field == "words" else wrong.field, wrong.message)
        return None


async def _shown(
    db: ReadDb, who: Member, looks: Looks, request_id: UUID, form: Form | None
) -> Response[Any]:
    found = await requests.get(db, request_id)
    customer = await requests.customer_of(db, found)
    if customer is not None:
        await looks.record([customer.id], reason=_REASON)
    before = await requests.had_before(db, found)
    await looks.record([each.id for each in before], reason=_BEFORE)
    if form is None:
        locale = customer.locale if customer else ""
        begun = wording.prefilled(found.kind, locale, await businesses.get(db))
        form = Form.of(answer=begun)
    return page(
        "privacy/pages/request.html",
        status=422 if form.problems else 200,
        # Also where a refused form is shown again at its own address.
        request_path=f"{PATH}/{request_id}",
        form=form,
        found=found,
        customer=customer,
        before=before,
        from_hers=bool(await requests.asked_from(db, found, customer)),
        mailable=bool(customer or found.address),
        steps=await requests.steps(db, request_id),
        today=await requests.today(db),
        grounds=GROUNDS[found.kind],
        names=wording.NAMES,
        may_erase=who.may(Right.erase_customers),
    )


def _new(form: Form) -> Response[Any]:
    return page(
        "privacy/pages/new_request.html",
        status=422 if form.problems else 200,
        request_path=PATH,
        form=form,
        ways=[way for way in Way if way in BY_STAFF],
        names=wording.NAMES,
    )


def _day(form: Form, name: str) -> date | None:
    typed = form.text(name, required=False, max=10)
    if not typed:
        return None
    try:
        return date.fromisoformat(typed)
    except ValueError:
        form.wrong(name, "This is a day, like 2026-06-04.")
        return None


def _older(kind: RequestKind | None, after: str | None, *, over: bool) -> str:
    if after is None:
        return ""
    named = f"&kind={kind}" if kind else ""
    return f"{PATH}?show={'ended' if over else 'open'}{named}&after={after}"


handlers = [
    get_requests,
    get_new,
    post_request,
    get_request,
    post_link,
    post_voucher,
    post_taking,
    post_extension,
    post_answer,
    post_refusal,
]
