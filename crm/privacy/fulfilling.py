"""What is done for a request: by an answer of staff or by her own press; and the reminders."""

from __future__ import annotations

from datetime import date, timedelta
from uuid import UUID

from msgspec import Struct

from crm import consent, customers, mail, staff
from crm.consent import EMAIL, Method
from crm.customers import Customer
from crm.db import Db, Statements
from crm.events import Actor, ActorKind
from crm.mail import Scope, Why
from crm.privacy import requests, restriction
from crm.privacy.actions import erase, freeze, unfreeze
from crm.privacy.model import Erased, Fingerprint
from crm.privacy.requests import wording
from crm.privacy.requests.model import (
    REMINDERS,
    IdentityMissing,
    Request,
    RequestKind,
    What,
    check_open,
    urgency,
)
from crm.staff import Right

sql = Statements("privacy")


class _Due(Struct, frozen=True):
    request_id: UUID
    due_on: date
    reminded: int


async def fulfil(
    db: Db, by: Actor, request_id: UUID, words: str, *, told: bool = False, marketing: bool = False
) -> Request:
    """Answer a request as done, and do what it asks where that is one thing: delete, or freeze.

    `marketing` says that an objection is to all advertising, which ends with it (Art. 21(3)).
    """
    request = await requests.get(db, request_id)
    if request.kind is RequestKind.erasure and request.customer_id is not None:
        return await _deleted(db, by, request, words, told=told)
    if request.customer_id is not None:
        check_open(request)
        if request.proved_at is None:
            raise IdentityMissing
        if request.kind is RequestKind.restriction:
            await customers.restrict(db, by, request.customer_id)
        if request.kind is RequestKind.objection and marketing:
            await object_to_marketing(db, by, request.customer_id)
    return await requests.answer(db, by, request_id, words, told=told)


async def _deleted(db: Db, by: Actor, request: Request, words: str, *, told: bool) -> Request:
    """Delete her record, and then write to an address that is known to nobody any more."""
    to = await requests.recipient(db, request)
    closed = await requests.answer(db, by, request.id, words, told=True)
    assert request.customer_id is not None  # noqa: S101  (whoever calls has looked)
    await erase(db, by, request.customer_id)
    if not told and to is not None:
        # By the number of the empty record the sweep finds the letter once it has gone.
        reached = wording.Recipient(to.address, to.locale, request.customer_id)
        await wording.answer(db, closed, reached, kept=False)
    return await requests.get(db, request.id)


async def object_to_marketing(db: Db, by: Actor, customer_id: UUID) -> None:
    """Mail her no advertising, whatever it rested on, until she consents again herself.

    Art. 21(2) and (3): nothing is weighed, and nobody can refuse it.
    """
    method = Method.portal if by.kind is ActorKind.customer else Method.staff
    customer = await customers.get(db, customer_id)
    said = {"objected": "marketing"}
    await consent.withdraw_all(db, by, customer_id, method=method, said=said, channel=EMAIL)
    fingerprint = db.keys.address_hash(db.business_id, customers.fold(customer.address))
    await mail.suppress(db, by, fingerprint, Scope.marketing, Why.objected)


async def object_herself(db: Db, me: Customer) -> None:
    """Take the one press by which a customer objects to all advertising."""
    by = Actor.customer(me.id)
    await object_to_marketing(db, by, me.id)
    await requests.settle(db, by, RequestKind.objection, me.id)


async def erase_herself(db: Db, me: Customer, fingerprint: Fingerprint) -> Erased:
    """Take the press by which a customer deletes everything; the log keeps that somebody did."""
    erased = await erase(db, Actor.customer(me.id), me.id, fingerprint=fingerprint)
    await requests.settle(db, Actor.customer(me.id), RequestKind.erasure, None)
    return erased


async def freeze_herself(db: Db, me: Customer) -> None:
    """Take the press by which a customer has her record frozen."""
    await freeze(db, me.id)
    await restriction.keep(db, me.id)
    if me.restricted_at is None:
        await requests.settle(db, Actor.customer(me.id), RequestKind.restriction, me.id)


async def free_herself(db: Db, me: Customer) -> None:
    """Take the press by which she has it used again."""
    await unfreeze(db, me.id)
    await restriction.keep(db, me.id)


async def remind(db: Db) -> int:
    """Write to whoever answers requests about those that have become urgent; returns how many.

    Ten days and three days before the last one, on it, and once when it is over. Killed in
    between, nothing was written, and the next run begins anew.
    """
    today = await requests.today(db)
    due = await db.many(
        sql.requests_to_remind,
        _Due,
        today=today,
        soon=today + timedelta(days=REMINDERS[1]),
        due_before=today + timedelta(days=REMINDERS[0]),
    )
    if not due:
        return 0
    members = [
        each
        for each in await staff.members(db)
        if each.disabled_at is None and each.may(Right.answer_requests)
    ]
    await wording.remind(db, members, [each.due_on for each in due], today)
    for each in due:
        level = urgency((each.due_on - today).days)
        await db.run(sql.note_reminder, request_id=each.request_id, reminded=level)
        await requests.step(db, Actor.system(), each.request_id, What.reminded)
    return len(due)
