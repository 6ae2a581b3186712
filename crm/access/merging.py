"""What becomes of the ways in and of the address of a record that is merged into another."""

from __future__ import annotations

from crm import businesses, customers, mail
from crm.access import wording
from crm.access.actions import sql
from crm.access.new_address import carry_over, objection
from crm.customers import Customer
from crm.db import Db, ReadDb
from crm.events import Actor
from crm.mail import LetterKind, Scope, Why


async def take_over(db: Db, by: Actor, kept: Customer, gone: Customer, *, tells: bool) -> None:
    """End every way into the record that goes, and leave its address, as one that was hers.

    Links in mails to it stop what she gets, no list brings newsletters back to it, and what she
    said there against all advertising holds for the address that is kept. If it `tells`, that
    address gets a last letter: whoever reads it may be somebody else.
    """
    old, new = (_hash(db, each) for each in (gone, kept))
    await carry_over(db, by, old, new)
    await mail.suppress(db, by, old, Scope.marketing, Why.moved)
    await db.run(sql.drop_renewals, address_hash=old)
    await db.run(sql.leave_address, customer_id=gone.id)
    for statement in (sql.forget_changes, sql.forget_sessions, sql.forget_link):
        await db.run(statement, customer_id=gone.id)
    if tells:
        await _tell(db, gone)


async def objects(db: ReadDb, gone: Customer) -> bool:
    """Say whether she said something against all advertising in the record that goes."""
    return await objection(db, _hash(db, gone)) is not None


async def _tell(db: Db, gone: Customer) -> None:
    """Write to the address that goes, without a link and without the one that is kept."""
    business = await businesses.get(db)
    locale, at = gone.locale or business.locale, wording.moment(db.now, business)
    words = wording.words("merged", locale, business, at=at)
    address = customers.parse(gone.address)
    letter = wording.answer(LetterKind.notice, words, address, _hash(db, gone), gone)
    await mail.post_letter(db, letter)


def _hash(db: ReadDb, customer: Customer) -> bytes:
    return db.keys.address_hash(db.business_id, customers.fold(customer.address))
