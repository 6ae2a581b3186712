"""What is done for a request: by an answer of staff or by her own press; and the reminders."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from uuid import UUID

from msgspec import Struct

from crm import access, consent, customers, journal, mail, staff
from crm.consent import EMAIL, Method
from crm.customers import Customer, fold
from crm.db import Db, ReadDb, Statements
from crm.events import Actor, ActorKind
from crm.mail import Scope, Why
from crm.privacy import requests, restriction
from crm.privacy.actions import erase, forget_stranger, freeze, unfreeze
from crm.privacy.erasure import wishes
from crm.privacy.model import Erased, Fingerprint
from crm.privacy.requests import wording
from crm.privacy.requests.model import (
    REMINDERS,
    IdentityMissing,
    MayNotErase,
    Request,
    RequestKind,
    What,
    check_open,
    check_words,
    urgency,
)
from crm.staff import Right

sql = Statements("privacy")


class _Due(Struct, frozen=True):
    request_id: UUID
    due_on: date
    reminded: int


async def fulfil(
    db: Db,
    by: Actor,
    request_id: UUID,
    words: str,
    *,
    told: bool = False,
    marketing: bool = False,
    may_erase: bool = True,
) -> Request:
    """Answer a request as done, and do what it asks where that is one thing: delete, or freeze.

    `marketing` says that an objection is to all advertising, which ends with it (Art. 21(3)), also
    to an address that is no customer's: no list brings mails to it.
    Without `may_erase` an answer that deletes is refused (MayNotErase): it takes the same right
    as any other way to delete.
    """
    check_words(words)
    request = await requests.get(db, request_id)
    her = await _held(db, request)
    if request.kind is RequestKind.erasure:
        if not may_erase:
            raise MayNotErase
        return await _deleted(db, by, request, her, words, told=told)
    check_open(request)
    if request.proved_at is None:
        raise IdentityMissing
    if request.kind is RequestKind.restriction and her is not None:
        await customers.restrict(db, by, her.id)
        await _keep_frozen(db, her.id)
    if request.kind is RequestKind.objection and marketing:
        await _end_marketing(db, by, request, her)
    return await requests.answer(db, by, request_id, words, told=told)


async def _held(db: Db, request: Request) -> Customer | None:
    """Hold whose request it is, before the request, as an erasure does.

    Whose the address is that asked may be another matter once her row is free.
    """
    her, held = await requests.customer_of(db, request), None
    while her is not None and her.id != held:
        held = her.id
        await customers.hold(db, held)
        her = await requests.customer_of(db, request)
    return her


async def _end_marketing(db: Db, by: Actor, request: Request, her: Customer | None) -> None:
    """Mail no advertising to whoever objects, a customer or not, nor to the address that asked.

    Whoever has that one by now has said nothing: it is left alone.
    """
    asked = await requests.asked_from(db, request, her)
    if her is not None:
        await object_to_marketing(db, by, her.id)
    if asked:
        fingerprint = db.keys.address_hash(db.business_id, fold(asked))
        await mail.suppress(db, by, fingerprint, Scope.marketing, Why.objected)


async def _deleted(
    db: Db, by: Actor, request: Request, her: Customer | None, words: str, *, told: bool
) -> Request:
    """Delete her record, and all that is kept under the address that asked; then write to her.

    By then she is known to nobody any more.
    """
    to = await requests.recipients(db, request)
    asked = await requests.asked_from(db, request, her)
    closed = await requests.answer(db, by, request.id, words, told=True)
    if her is not None:
        await erase(db, by, her.id)
    if asked:
        await _forgotten(db, asked)
    if not told and to:
        # By the number of the empty record the sweep finds the letter once it has gone.
        await wording.answer(db, closed, to, kept=False)
    return await requests.get(db, request.id)


async def _forgotten(db: Db, address: str) -> None:
    """Delete what is kept under the address of somebody who is no customer, or no more.

    What somebody else has there by now stays.
    """
    fingerprint = db.keys.address_hash(db.business_id, fold(address))
    if await customers.by_hash(db, fingerprint) is not None:
        return
    await forget_stranger(db, fingerprint)
    # Whatever the suppression says already: a database that is put back deletes it once more.
    db.note(journal.Forgotten(fingerprint.hex()))


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
    """Take the one press by which a customer objects to all advertising; again changes nothing."""
    by = Actor.customer(me.id)
    # Of two presses the second finds the objection of the first.
    await customers.hold(db, me.id)
    before = await objected_at(db, me)
    await object_to_marketing(db, by, me.id)
    if before is None:
        await requests.settle(db, by, RequestKind.objection, me.id)


async def objected_at(db: ReadDb, me: Customer) -> datetime | None:
    """Return since when she objects to all advertising, or None.

    It lasts until she says yes again, whatever comes back from her mailbox meanwhile. Where her
    address was silenced before, for a complaint, her press stands in the log of requests alone.
    """
    silence = await mail.decided_against(db, db.keys.address_hash(db.business_id, fold(me.address)))
    if silence is None:
        return None
    if silence.reason is Why.objected:
        return silence.at
    pressed = [
        each.closed_at
        for each in await requests.of_customer(db, me.id)
        if each.kind is RequestKind.objection and each.by_itself and each.closed_at is not None
    ]
    mailed = {each.id for each in await consent.purposes(db) if each.channel == EMAIL}
    allowed = [
        each.at
        for each in await consent.states(db, me.id)
        if each.purpose_id in mailed and each.authorises(db.now)
    ]
    last = max(pressed, default=None)
    return None if last is None or last < max(allowed, default=last) else last


async def erase_herself(db: Db, me: Customer, fingerprint: Fingerprint) -> Erased:
    """Take the press by which a customer deletes everything; the log keeps that somebody did.

    Of two presses the second finds it done, and changes nothing. Refuses with SignedOut where her
    address was put back at that moment.
    """
    first = await access.hold_herself(db, me) is not None
    erased = await erase(db, Actor.customer(me.id), me.id, fingerprint=fingerprint)
    if first:
        await requests.settle(db, Actor.customer(me.id), RequestKind.erasure, None)
    return erased


async def freeze_herself(db: Db, me: Customer) -> None:
    """Take the press by which a customer has her record frozen."""
    await freeze(db, me.id)
    await _keep_frozen(db, me.id)
    if me.restricted_at is None:
        await requests.settle(db, Actor.customer(me.id), RequestKind.restriction, me.id)


async def _keep_frozen(db: Db, customer_id: UUID) -> None:
    """Let neither an end that was announced before nor a deletion called off end this freeze."""
    await restriction.keep(db, customer_id)
    await wishes.stay_frozen(db, customer_id)


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
