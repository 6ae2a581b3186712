"""What becomes of the ways in and of the address of a record that is merged into another."""

from __future__ import annotations

from crm import customers, mail
from crm.access.actions import sql
from crm.access.new_address import carry_over, objection
from crm.customers import Customer
from crm.db import Db, ReadDb
from crm.events import Actor
from crm.mail import Scope, Why


async def take_over(db: Db, by: Actor, kept: Customer, gone: Customer) -> None:
    """End every way into the record that goes, and leave its address, as one that was hers.

    Links in mails to it stop what she gets, no list brings newsletters back to it, and what she
    said there against all advertising holds for the address that is kept.
    """
    old, new = (_hash(db, each) for each in (gone, kept))
    await carry_over(db, by, old, new)
    await mail.suppress(db, by, old, Scope.marketing, Why.moved)
    await db.run(sql.drop_renewals, address_hash=old)
    await db.run(sql.leave_address, customer_id=gone.id)
    for statement in (sql.forget_changes, sql.forget_sessions, sql.forget_link):
        await db.run(statement, customer_id=gone.id)


async def objects(db: ReadDb, gone: Customer) -> bool:
    """Say whether she said something against all advertising in the record that goes."""
    return await objection(db, _hash(db, gone)) is not None


def _hash(db: ReadDb, customer: Customer) -> bytes:
    return db.keys.address_hash(db.business_id, customers.fold(customer.address))
