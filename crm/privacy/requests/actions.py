"""What is done with privacy requests: received, proved, taken, extended, answered, and reminded of.

Each step is in the log of the request, in the transaction that makes it.
"""

from __future__ import annotations

from datetime import date, datetime
from uuid import UUID
from zoneinfo import ZoneInfo

from msgspec import Struct

from crm import businesses, customers
from crm.customers import Address, Customer
from crm.db import Db, ReadDb, Statements
from crm.events import Actor, ActorKind
from crm.ids import time_ordered
from crm.pieces import Piece
from crm.privacy.requests import wording
from crm.privacy.requests.model import (
    KEPT_YEARS,
    LONGEST,
    MONTHS,
    MONTHS_EXTENDED,
    Ground,
    HeldRequest,
    IdentityMissing,
    NewRequest,
    Proof,
    Request,
    RequestKind,
    RequestState,
    Settled,
    Step,
    UnknownRequest,
    Way,
    What,
    check_extension,
    check_ground,
    check_open,
    check_words,
    checked_receipt,
    months_after,
)
from crm.privacy.requests.whose import asked_by, recipients

sql = Statements("privacy")

_FIRST = UUID(int=0)
_LAST = UUID(int=2**128 - 1)


class _Held(Struct, frozen=True):
    request_id: UUID
    open: bool


async def today(db: ReadDb) -> date:
    """Return the day it is where the business is: its requests are counted in such days."""
    business = await businesses.get(db)
    return db.now.astimezone(ZoneInfo(business.time_zone)).date()


async def receive(
    db: Db,
    by: Actor,
    new: NewRequest,
    *,
    way: Way,
    proof: Proof | None = None,
    once: UUID | None = None,
) -> Request:
    """Take what somebody asks; the clock runs from the day it came.

    `once` is the id of the form it came with: the same form again is the same request.
    """
    received_on = checked_receipt(new.received_on, await today(db))
    customer = await asked_by(db, new)
    request_id = once or time_ordered()
    elsewhere = _elsewhere(new, customer)
    added = await db.run(
        sql.add_request,
        request_id=request_id,
        kind=new.kind,
        state=RequestState.received,
        way=way,
        by_itself=False,
        customer_id=customer.id if customer else None,
        address=elsewhere.display if elsewhere else "",
        address_hash=(
            db.keys.address_hash(db.business_id, elsewhere.folded) if elsewhere else None
        ),
        name="" if customer else new.name,
        words=new.words,
        received_on=received_on,
        due_on=months_after(received_on, MONTHS),
        proof=proof,
        closed_at=None,
        keep_until=None,
    )
    if added:
        await step(db, by, request_id, What.received)
    return await _same(db, request_id, customer)


def _elsewhere(new: NewRequest, customer: Customer | None) -> Address | None:
    """Return the address that stands with the request: one that is not on the customer's record.

    Who is named by her id is written to where she can be, whatever address came with it.
    """
    address = customers.parse(new.address) if new.address else None
    if address is None or new.customer_id is not None:
        return None
    if customer is not None and customers.fold(customer.address) == address.folded:
        return None
    return address


async def _same(db: ReadDb, request_id: UUID, customer: Customer | None) -> Request:
    """Return the request of this id, but to nobody what somebody else asked."""
    found = await get(db, request_id)
    if found.customer_id != (customer.id if customer else None):
        raise UnknownRequest
    return found


async def settle(db: Db, by: Actor, kind: RequestKind, customer_id: UUID | None) -> None:
    """Write down what the portal has just done by itself, so that the business can show it."""
    here, request_id = await today(db), time_ordered()
    await db.run(
        sql.add_request,
        request_id=request_id,
        kind=kind,
        state=RequestState.done,
        way=Way.portal,
        by_itself=True,
        customer_id=customer_id,
        address="",
        address_hash=None,
        name="",
        words="",
        received_on=here,
        due_on=months_after(here, MONTHS),
        proof=Proof.session,
        closed_at=db.now,
        keep_until=_kept_until(here),
    )
    await step(db, by, request_id, What.settled)


async def take(db: Db, by: Actor, request_id: UUID) -> None:
    """Have a member work on it."""
    await held(db, request_id)
    await db.run(sql.take_request, request_id=request_id, member_id=by.id)
    await step(db, by, request_id, What.taken)


async def extend(db: Db, by: Actor, request_id: UUID, why: str, *, told: bool = False) -> Request:
    """Give it two months more, and tell her so and why (Art. 12(3)): once, in the first month.

    `told` says that she was told on paper, where there is no address to mail.
    """
    check_words(why, LONGEST)
    request = await held(db, request_id)
    here = await today(db)
    check_extension(request, here)
    await db.run(
        sql.extend_request,
        request_id=request_id,
        extended_on=here,
        due_on=months_after(request.received_on, MONTHS_EXTENDED),
        why=why,
    )
    longer = await get(db, request_id)
    if not told:
        await wording.extension(db, longer, await recipients(db, request))
    await step(db, by, request_id, What.extended)
    return longer


async def answer(db: Db, by: Actor, request_id: UUID, words: str, *, told: bool = False) -> Request:
    """End it as done and mail her the answer, unless it was `told` on paper.

    Refuses with IdentityMissing while it is not known who asks.
    """
    check_words(words)
    request = await held(db, request_id)
    if request.proved_at is None:
        raise IdentityMissing
    return await _close(db, by, request, RequestState.done, words, told=told)


async def refuse(
    db: Db, by: Actor, request_id: UUID, ground: Ground, words: str, *, told: bool = False
) -> Request:
    """End it as refused; the letter says why, and where to complain and to sue (Art. 12(4))."""
    check_words(words)
    request = await held(db, request_id)
    check_ground(request.kind, ground)
    return await _close(db, by, request, RequestState.refused, words, told=told, ground=ground)


async def get(db: ReadDb, request_id: UUID) -> Request:
    """Return one request, or refuse with UnknownRequest."""
    found = await db.maybe(sql.request, Request, request_id=request_id)
    if found is None:
        raise UnknownRequest
    return found


async def waiting(
    db: ReadDb,
    *,
    kind: RequestKind | None = None,
    after: tuple[date, UUID] | None = None,
    limit: int = 50,
) -> list[Request]:
    """Return open requests, the most urgent first."""
    due_on, request_id = after or (date.min, _FIRST)
    return await db.many(
        sql.open_requests, Request, kind=kind, due_on=due_on, request_id=request_id, limit=limit
    )


async def ended(
    db: ReadDb, *, kind: RequestKind | None = None, before: UUID | None = None, limit: int = 50
) -> list[Request]:
    """Return requests that have ended, the newest first."""
    return await db.many(
        sql.ended_requests, Request, kind=kind, request_id=before or _LAST, limit=limit
    )


async def settled(db: ReadDb, since: datetime) -> list[Settled]:
    """Count what was done without staff since then."""
    return await db.many(sql.requests_settled, Settled, since=since)


async def steps(db: ReadDb, request_id: UUID) -> list[Step]:
    """Return what was done with a request, in order."""
    return await db.many(sql.steps_of_requests, Step, request_ids=[request_id])


async def of_customer(
    db: ReadDb, customer_id: UUID, *, before: UUID | None = None, limit: int | None = None
) -> list[Request]:
    """Return what a customer asked, the newest first; all of it, or some before one of hers."""
    some = {"before": before, "limit": limit}
    return await db.many(sql.requests_of_customer, Request, customer_id=customer_id, **some)


async def export(db: ReadDb, customer_id: UUID) -> list[HeldRequest]:
    """Return what a customer asked, with every step."""
    found = await of_customer(db, customer_id)
    taken = await db.many(sql.steps_told, Step, request_ids=[each.id for each in found])
    return [
        HeldRequest(request=each, steps=[step for step in taken if step.request_id == each.id])
        for each in found
    ]


async def forget(db: Db, customer_id: UUID) -> dict[str, int]:
    """Empty the requests of an erased customer; what was asked and what came of it stays."""
    return await _forget(db, customer_id=customer_id, address_hash=None, until=None)


async def forget_address(db: Db, address_hash: bytes, until: datetime | None) -> dict[str, int]:
    """The same for requests from her address until then, before she was a customer."""
    return await _forget(db, customer_id=None, address_hash=address_hash, until=until)


async def end(db: Db, after: UUID, limit: int) -> Piece:
    """Delete requests with their log on the day that stands in each, a piece at a time."""
    deleted = await db.one(sql.end_requests, int, today=await today(db), limit=limit)
    return Piece(deleted, after if deleted == limit else None)


async def _forget(
    db: Db, *, customer_id: UUID | None, address_hash: bytes | None, until: datetime | None
) -> dict[str, int]:
    found = await db.many(
        sql.requests_to_forget,
        _Held,
        customer_id=customer_id,
        address_hash=address_hash,
        until=until,
    )
    kept_until = _kept_until(await today(db)) if found else None
    for each in found:
        await db.run(
            sql.forget_request,
            request_id=each.request_id,
            keep_until=kept_until,
        )
        await step(db, Actor.system(), each.request_id, What.erased)
    return {"privacy_request": len(found)}


async def held(db: Db, request_id: UUID) -> Request:
    """Hold a request until its next step is written; RequestClosed where it has ended."""
    await db.maybe(sql.request_locked, UUID, request_id=request_id)
    request = await get(db, request_id)
    check_open(request)
    return request


async def _close(
    db: Db,
    by: Actor,
    request: Request,
    state: RequestState,
    words: str,
    *,
    told: bool,
    ground: Ground | None = None,
) -> Request:
    to = await recipients(db, request)
    await db.run(
        sql.close_request,
        request_id=request.id,
        state=state,
        ground=ground,
        answer=words,
        keep_until=_kept_until(await today(db)),
    )
    closed = await get(db, request.id)
    if not told:
        await wording.answer(db, closed, to)
    what = What.refused if state is RequestState.refused else What.answered
    await step(db, by, request.id, what)
    return closed


def _kept_until(closed_on: date) -> date:
    return months_after(closed_on, 12 * KEPT_YEARS)


async def step(db: Db, by: Actor, request_id: UUID, what: What) -> None:
    """Write a step into the log of a request."""
    named = by.kind in {ActorKind.member, ActorKind.key}
    await db.run(
        sql.add_step,
        request_id=request_id,
        step_id=time_ordered(),
        what=what,
        actor_kind=by.kind,
        actor_id=by.id if named else None,
        actor_name=by.name,
    )
