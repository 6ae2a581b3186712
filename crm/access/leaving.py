"""What is done when somebody leaves, by a link or told elsewhere: at once, whoever is known."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from crm import consent, customers, mail
from crm.access.actions import sql
from crm.access.model import Stopped
from crm.consent import EMAIL, OPTED_OUT, Consent, Method, Purpose
from crm.customers import Address, Customer
from crm.db import Db, ReadDb
from crm.events import Actor
from crm.mail import Scope, Why
from crm.tokens import Stop


async def leave(
    db: Db, stop: Stop, *, method: Method, said: dict[str, Any] | None = None
) -> Stopped:
    """Stop what a link names, for good; again changes nothing. Never refused (promises 2 and 8).

    A link to an address that was a customer's stops what she gets at the one she has now. An
    address of nobody we know is suppressed for marketing by its fingerprint: erased since, or
    known to a former life of this database. So is all marketing when the purpose is gone. What was
    `said` besides is evidence of each withdrawal.
    """
    holders = await _held(db, stop.address_hash)
    purpose = await purpose_of(db, stop)
    if stop.purpose_code is None:
        # Nothing begins there any more by a mail of before.
        await db.run(sql.drop_signups, address_hash=stop.address_hash)
    if not holders:
        await mail.suppress(db, Actor.system(), stop.address_hash, Scope.marketing, Why.left)
    for customer in holders:
        by = Actor.customer(customer.id)
        if purpose is not None:
            await consent.withdraw(db, by, customer.id, purpose.id, method=method, said=said)
        else:
            await _leave_all(db, by, customer, method, said=said, channel=EMAIL)
            if stop.purpose_code is not None:
                fingerprint = _fingerprint(db, customer)
                await mail.suppress(db, by, fingerprint, Scope.marketing, Why.left)
    return _stopped(db, stop, holders, purpose)


async def leave_by_address(
    db: Db, by: Actor, address: Address, purpose_id: UUID | None, *, method: Method
) -> None:
    """Stop one purpose for an address, or all; of nobody we know, its fingerprint is suppressed.

    A complaint is about mails, and ends no use of data. Refused only where there is no such purpose
    (UnknownPurpose).
    """
    if purpose_id is not None:
        await consent.purpose(db, purpose_id)
    fingerprint = db.keys.address_hash(db.business_id, address.folded)
    holders = await _held(db, fingerprint)
    if not holders:
        await mail.suppress(db, by, fingerprint, Scope.marketing, Why.left)
    for customer in holders:
        if purpose_id is not None:
            await consent.withdraw(db, by, customer.id, purpose_id, method=method)
        else:
            of_mail = method is Method.complaint
            await _leave_all(db, by, customer, method, channel=EMAIL if of_mail else None)


async def holder(db: ReadDb, stop: Stop) -> Stopped:
    """Say whom a link is about, and which purpose; nobody where the address is known no more."""
    return _stopped(db, stop, await owners(db, stop.address_hash), await purpose_of(db, stop))


async def _held(db: Db, address_hash: bytes) -> list[Customer]:
    """Return whose address this is or was, with nobody else deciding about her from now on.

    Before what waits under the address, as an erasure does. Of a record that is being merged, its
    end is waited for, and then it is the other one.
    """
    holders = await owners(db, address_hash)
    held: set[UUID] = set()
    while waits := {each.id for each in holders} - held:
        for customer_id in sorted(waits):
            await consent.hold(db, customer_id)
        held |= waits
        holders = await owners(db, address_hash)
    return holders


async def owners(db: ReadDb, address_hash: bytes) -> list[Customer]:
    """Return whose address this is, then whose it was before it changed."""
    ids = dict.fromkeys(await db.many(sql.owners, UUID, address_hash=address_hash))
    if not ids:
        return []
    found = await customers.of_ids(db, list(ids))
    # Erased between the two looks: known no more.
    return [found[each] for each in ids if found[each].erased_at is None]


async def whose(db: ReadDb, address_hash: bytes) -> Customer | None:
    """Return whose address this is; if nobody has it, in whose record the one is that had it last.

    That is where its record was merged. An address that she changed leads to nobody: its mailbox
    may be somebody else's by now.
    """
    her = await customers.by_hash(db, address_hash)
    if her is not None:
        return her
    kept_id = await db.maybe(sql.went_into, UUID, address_hash=address_hash)
    if kept_id is None:
        return None
    kept = (await customers.of_ids(db, [kept_id]))[kept_id]
    # Erased between the two looks: known no more.
    return kept if kept.erased_at is None else None


async def purpose_of(db: ReadDb, stop: Stop) -> Purpose | None:
    """Return the purpose that a link names, or None: it names all, or one that is gone."""
    if stop.purpose_code is None:
        return None
    return await consent.purpose_by_code(db, stop.purpose_code)


async def standings(db: ReadDb, stop: Stop) -> list[tuple[Purpose, Consent | None]]:
    """Return what a link may read: the purpose of its mail, with what its holder has decided.

    A mail is passed on, so its link says nothing of other purposes. One that names none was asked
    for by the owner of the mailbox, and reads every purpose in use.
    """
    about = await holder(db, stop)
    states = await consent.states(db, about.customer.id) if about.customer else []
    by_purpose = {state.purpose_id: state for state in states}
    named = [about.purpose] if about.purpose else []
    offered = await consent.purposes(db) if stop.purpose_code is None else named
    return [(each, by_purpose.get(each.id)) for each in offered]


def _stopped(db: ReadDb, stop: Stop, holders: list[Customer], purpose: Purpose | None) -> Stopped:
    her = holders[0] if holders else None
    moved = her is not None and _fingerprint(db, her) != stop.address_hash
    return Stopped(customer=her, purpose=purpose, moved=moved)


def _fingerprint(db: ReadDb, customer: Customer) -> bytes:
    return db.keys.address_hash(db.business_id, customers.fold(customer.address))


async def _leave_all(
    db: Db,
    by: Actor,
    customer: Customer,
    method: Method,
    *,
    channel: str | None,
    said: dict[str, Any] | None = None,
) -> None:
    """Withdraw all there is of a channel, and say no for what was never asked about."""
    await consent.withdraw_all(db, by, customer.id, method=method, said=said, channel=channel)
    known = {state.purpose_id for state in await consent.states(db, customer.id)}
    for purpose in sorted(await consent.purposes(db), key=lambda each: each.id):
        if purpose.id not in known and channel in (None, purpose.channel):
            await consent.withdraw(db, by, customer.id, purpose.id, method=method, said=said)


def on(state: Consent | None) -> bool:
    """Say whether there is anything to stop."""
    return state is not None and state.status not in OPTED_OUT
