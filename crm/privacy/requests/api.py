"""Privacy requests for programs: /v1/privacy-requests."""

from __future__ import annotations

from collections.abc import Coroutine
from datetime import date, datetime
from typing import Any
from uuid import UUID

import msgspec
from litestar import Request as HttpRequest
from litestar import Response, get, post
from litestar.di import NamedDependency
from litestar.openapi.datastructures import ResponseSpec
from litestar.params import FromPath, FromQuery, JSONBody
from msgspec import Struct
from msgspec.structs import replace

from crm import privacy
from crm.db import Db, ReadDb
from crm.privacy import NewRequest, Request, RequestKind, RequestState, requests
from crm.privacy.erasure import wishes
from crm.privacy.requests.model import Answer, Ground, Step, Way, Why
from crm.staff import Caller, Scope
from crm.staff.auth import Looks, needs
from crm.web.idempotency import once
from crm.web.paging import Cursors, capped, link

_PATH = "/v1/privacy-requests"
_BODY = 64 * 1024
READ = [needs("requests:read")]
WRITE = [needs("requests:write")]


class After(Struct, frozen=True):
    """The last request of a page."""

    on: date
    id: UUID


class Answered(Struct, kw_only=True, forbid_unknown_fields=True):
    """An answer in words; `told` where she has it on paper already, and no mail is to go."""

    words: Answer
    told: bool = False


class Refusal(Struct, kw_only=True, forbid_unknown_fields=True):
    """A refusal: the ground that the law gives, and the reason in words."""

    ground: Ground
    words: Answer
    told: bool = False


class Longer(Struct, kw_only=True, forbid_unknown_fields=True):
    """Why it takes longer; `told` where she has that on paper already, and no mail is to go."""

    words: Why
    told: bool = False


class Standing(Struct, frozen=True, kw_only=True):
    """How a request stands now, and nothing of whose it is: no look at anybody."""

    id: UUID
    kind: RequestKind
    state: RequestState
    received_on: date
    due_on: date
    closed_at: datetime | None


class Logged(Struct, frozen=True, kw_only=True):
    """A request with every step of it."""

    request: Request
    steps: list[Step]


@post(
    "/privacy-requests",
    guards=WRITE,
    request_max_body_size=_BODY,
    opt={"example": {"kind": "access", "address": "nora@example.com", "words": "What is held?"}},
    tags=["Privacy"],
    summary="Record a privacy request",
    description="What a customer asked of your own shop or desk: her id, or an address; that of a "
    "record that was merged leads to the one that is kept. It is due "
    "a month after the day it came. Nothing is given out before it is known who asks: staff see to "
    "that. With an Idempotency-Key a repeated request is answered as the first was.",
    responses={201: ResponseSpec(Standing, generate_examples=False, description="Recorded")},
)
async def post_request(
    request: HttpRequest[Any, Any, Any],
    db: NamedDependency[Db],
    caller: NamedDependency[Caller],
    data: JSONBody[NewRequest],
) -> Response[bytes]:
    """Record a privacy request."""
    answer = await _once(
        request, db, caller, requests.receive(db, caller.actor, data, way=Way.api), status=201
    )
    # Also where it is an answer given before.
    taken = msgspec.json.decode(answer.content, type=Standing)
    answer.headers["location"] = f"{_PATH}/{taken.id}"
    return answer


@get(
    "/privacy-requests",
    guards=READ,
    tags=["Privacy"],
    summary="Page through the privacy requests that wait",
    description="The most urgent first; the Link header leads on. `kind` shows only one right. "
    "Each customer of the answer can see that this key looked. Of one who waits for her deletion "
    "no word is shown.",
)
async def get_requests(
    db: NamedDependency[ReadDb],
    looks: NamedDependency[Looks],
    kind: FromQuery[RequestKind | None] = None,
    limit: FromQuery[int | None] = None,
    after: FromQuery[str | None] = None,
) -> Response[list[Request]]:
    """Page through the privacy requests that wait."""
    size = capped(limit)
    cursors = Cursors(db.keys, db.business_id, "privacy-requests")
    begun = cursors.open(after, After)
    place = (begun.on, begun.id) if begun else None
    found = await requests.waiting(db, kind=kind, after=place, limit=size + 1)
    shown = cursors.cut(found, size, lambda each: After(each.due_on, each.id))
    hers = [each.customer_id for each in shown.rows if each.customer_id]
    leaving = await wishes.waiting_among(db, hers)
    # Of who waits for her deletion nothing is shown.
    await looks.record([each for each in hers if each not in leaving])
    query: dict[str, str | int] = {"limit": size} | ({"kind": kind.value} if kind else {})
    rows = [_silent(each) if each.customer_id in leaving else each for each in shown.rows]
    return Response(rows, headers=link(_PATH, shown.after, **query))


@get(
    "/privacy-requests/{id:uuid}",
    guards=READ,
    tags=["Privacy"],
    summary="Read a privacy request",
    description="With every step of it, and who made it. After an erasure without her data.",
)
async def get_request(
    db: NamedDependency[ReadDb], looks: NamedDependency[Looks], id: FromPath[UUID]
) -> Logged:
    """Read a privacy request."""
    found = await requests.get(db, id)
    await looks.record([found.customer_id] if found.customer_id else [])
    return Logged(request=found, steps=await requests.steps(db, id))


@post(
    "/privacy-requests/{id:uuid}/answer",
    guards=WRITE,
    status_code=200,
    request_max_body_size=_BODY,
    opt={"example": {"words": "We have corrected it."}},
    tags=["Privacy"],
    summary="Answer a privacy request",
    description="Ends it as done and mails the answer. A deletion deletes her record, and what "
    "is kept under the address of somebody who is no customer; a freeze freezes it. That an "
    "objection is to all advertising staff say in the console: then it ends, also for the address "
    "of somebody who is no customer. A deletion takes the scope `customers:write` as well "
    "(403 `may_not_erase`). "
    "403 `identity_missing` while it is not known who asks.",
    responses={200: ResponseSpec(Standing, generate_examples=False, description="Answered")},
)
async def post_answer(
    request: HttpRequest[Any, Any, Any],
    db: NamedDependency[Db],
    caller: NamedDependency[Caller],
    id: FromPath[UUID],
    data: JSONBody[Answered],
) -> Response[bytes]:
    """Answer a privacy request."""
    return await _once(
        request,
        db,
        caller,
        privacy.fulfil(
            db,
            caller.actor,
            id,
            data.words,
            told=data.told,
            may_erase=caller.allows(Scope.customers_write),
        ),
    )


@post(
    "/privacy-requests/{id:uuid}/refusal",
    guards=WRITE,
    status_code=200,
    request_max_body_size=_BODY,
    opt={"example": {"ground": "excessive", "words": "You asked the same yesterday."}},
    tags=["Privacy"],
    summary="Refuse a privacy request",
    description="On a ground that the law gives for this right (422 for another). The letter adds "
    "where she can complain and go to court (Art. 12(4) GDPR).",
    responses={200: ResponseSpec(Standing, generate_examples=False, description="Refused")},
)
async def post_refusal(
    request: HttpRequest[Any, Any, Any],
    db: NamedDependency[Db],
    caller: NamedDependency[Caller],
    id: FromPath[UUID],
    data: JSONBody[Refusal],
) -> Response[bytes]:
    """Refuse a privacy request."""
    return await _once(
        request,
        db,
        caller,
        requests.refuse(db, caller.actor, id, data.ground, data.words, told=data.told),
    )


@post(
    "/privacy-requests/{id:uuid}/extension",
    guards=WRITE,
    status_code=200,
    request_max_body_size=_BODY,
    opt={"example": {"words": "Your letters are in an archive far away."}},
    tags=["Privacy"],
    summary="Make the time for a privacy request longer",
    description="By two months, once, within the first month, and she is told why (Art. 12(3) "
    "GDPR). 409 `extended_already` or `too_late_to_extend` otherwise.",
    responses={200: ResponseSpec(Standing, generate_examples=False, description="Longer")},
)
async def post_extension(
    request: HttpRequest[Any, Any, Any],
    db: NamedDependency[Db],
    caller: NamedDependency[Caller],
    id: FromPath[UUID],
    data: JSONBody[Longer],
) -> Response[bytes]:
    """Make the time for a privacy request longer."""
    return await _once(
        request, db, caller, requests.extend(db, caller.actor, id, data.words, told=data.told)
    )


def _silent(asked: Request) -> Request:
    """Leave out every word: until she is deleted, or calls it off, no program reads her."""
    return replace(asked, name="", address="", words="", answer="", extended_why="")


async def _once(
    request: HttpRequest[Any, Any, Any],
    db: Db,
    caller: Caller,
    doing: Coroutine[Any, Any, Request],
    *,
    status: int = 200,
) -> Response[bytes]:
    """Do it once for its Idempotency-Key, and answer with how the request stands."""

    async def act() -> Standing:
        done = await doing
        return Standing(**{name: getattr(done, name) for name in Standing.__struct_fields__})

    try:
        return await once(request, db, str(caller.id), act, status=status)
    finally:
        # It was not begun where the answer was given before.
        doing.close()


handlers = [post_request, get_requests, get_request, post_answer, post_refusal, post_extension]
