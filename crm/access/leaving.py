"""What is done when somebody leaves, by a link or told elsewhere: at once, whoever is known."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from crm import consent, customers, mail
from crm.access.model import Stopped
from crm.consent import OPTED_OUT, Consent, Method, Purpose
from crm.customers import Address, Customer
from crm.db import Db, ReadDb
from crm.events import Actor
from crm.mail import Scope, Why
from crm.tokens import Stop


async def leave(
    db: Db, stop: Stop, *, method: Method, said: dict[str, Any] | None = None
) -> Stopped:
    """Stop what a link names, for good; again changes nothing. Never refused (promises 2 and 8).

    An address of nobody we know is suppressed for marketing by its fingerprint: erased since, or
    known to a former life of this database. So is all marketing when the purpose is gone. What was
    `said` besides is evidence of each withdrawal.
    """
    customer = await customers.by_hash(db, stop.address_hash)
    purpose = await purpose_of(db, stop)
    if customer is None:
        await mail.suppress(db, Actor.system(), stop.address_hash, Scope.marketing, Why.left)
    elif purpose is not None:
        by = Actor.customer(customer.id)
        await consent.withdraw(db, by, customer.id, purpose.id, method=method, said=said)
    else:
        await _leave_all(db, Actor.customer(customer.id), customer, method, said)
        if stop.purpose_code is not None:
            by = Actor.customer(customer.id)
            await mail.suppress(db, by, stop.address_hash, Scope.marketing, Why.left)
    return Stopped(customer=customer, purpose=purpose)


async def leave_by_address(
    db: Db, by: Actor, address: Address, purpose_id: UUID | None, *, method: Method
) -> None:
    """Stop one purpose for an address, or all; of nobody we know, its fingerprint is suppressed.

    Refused only where there is no such purpose (UnknownPurpose).
    """
    if purpose_id is not None:
        await consent.purpose(db, purpose_id)
    fingerprint = db.keys.address_hash(db.business_id, address.folded)
    customer = await customers.by_hash(db, fingerprint)
    if customer is None:
        await mail.suppress(db, by, fingerprint, Scope.marketing, Why.left)
    elif purpose_id is not None:
        await consent.withdraw(db, by, customer.id, purpose_id, method=method)
    else:
        await _leave_all(db, by, customer, method)


async def purpose_of(db: ReadDb, stop: Stop) -> Purpose | None:
    """Return the purpose that a link names, or None: it names all, or one that is gone."""
    if stop.purpose_code is None:
        return None
    return await consent.purpose_by_code(db, stop.purpose_code)


async def standings(db: ReadDb, stop: Stop) -> list[tuple[Purpose, Consent | None]]:
    """Return every purpose in use with what the holder of a link has decided for it."""
    customer = await customers.by_hash(db, stop.address_hash)
    states = await consent.states(db, customer.id) if customer else []
    by_purpose = {state.purpose_id: state for state in states}
    return [(each, by_purpose.get(each.id)) for each in await consent.purposes(db)]


async def _leave_all(
    db: Db, by: Actor, customer: Customer, method: Method, said: dict[str, Any] | None = None
) -> None:
    """Withdraw all there is, and say no for purposes in use that were never asked about."""
    await consent.withdraw_all(db, by, customer.id, method=method, said=said)
    known = {state.purpose_id for state in await consent.states(db, customer.id)}
    for purpose in sorted(await consent.purposes(db), key=lambda each: each.id):
        if purpose.id not in known:
            await consent.withdraw(db, by, customer.id, purpose.id, method=method, said=said)


def on(state: Consent | None) -> bool:
    """Say whether there is anything to stop."""
    return state is not None and state.status not in OPTED_OUT
