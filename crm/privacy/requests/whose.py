"""Whose a privacy request is, and where whoever asked is written to."""

from __future__ import annotations

from crm import access, customers
from crm.customers import Customer
from crm.db import ReadDb
from crm.privacy.requests.model import NewRequest, Request
from crm.privacy.requests.wording import Recipient


async def asked_by(db: ReadDb, new: NewRequest) -> Customer | None:
    """Return who asks: a customer by her id, or by an address that leads to her record."""
    if new.customer_id is not None:
        return await customers.get(db, new.customer_id)
    return await _at(db, new.address) if new.address else None


async def customer_of(db: ReadDb, request: Request) -> Customer | None:
    """Return whose request it is, also where the address leads to a record only since it came."""
    if request.customer_id is not None:
        return (await customers.of_ids(db, [request.customer_id]))[request.customer_id]
    return await _at(db, request.address) if request.address else None


async def had_before(db: ReadDb, request: Request) -> list[Customer]:
    """Return who had the address before, of a request from one that is nobody's now."""
    if not request.address or await customer_of(db, request) is not None:
        return []
    return await access.owners(db, _hash(db, request.address))


async def asked_from(db: ReadDb, request: Request, her: Customer | None) -> str:
    """Return the address that asked; "" where none stands with the request, or it is not hers now.

    What would be written or done to that one could meet whoever has it by now, or had it since.
    """
    if her is None or not request.address:
        return request.address
    now = await _at(db, request.address)
    return request.address if now is not None and now.id == her.id else ""


async def recipient(db: ReadDb, request: Request) -> Recipient | None:
    """Find where a link goes that proves a mailbox: to the one that asked, else that on record."""
    found = await recipients(db, request)
    return found[0] if found else None


async def recipients(db: ReadDb, request: Request) -> list[Recipient]:
    """Find where she is written to: the address that asked, and the one on record.

    Of a record that was merged they are two, and whoever reads either has to know what was done.
    Where the one that asked leads to her no more, it is the one on record alone.
    """
    her = await customer_of(db, request)
    asked = await asked_from(db, request, her)
    if her is None:
        return [Recipient.of(asked)] if asked else []
    asked = asked or her.address
    one = customers.fold(asked) == customers.fold(her.address)
    return [
        Recipient(each, her.locale, her.id) for each in ([asked] if one else [asked, her.address])
    ]


async def _at(db: ReadDb, address: str) -> Customer | None:
    return await access.whose(db, _hash(db, address))


def _hash(db: ReadDb, address: str) -> bytes:
    return db.keys.address_hash(db.business_id, customers.fold(address))
