"""Leaving without an old mail: whoever types an address has its owner sent a link that leaves."""

from __future__ import annotations

from crm import businesses, customers, staff
from crm.access import wording
from crm.access.actions import posted
from crm.access.model import MAILS_PER_ADDRESS
from crm.businesses import Business
from crm.customers import Address, Customer
from crm.db import Db, ReadDb
from crm.languages import language
from crm.mail import Letter, LetterKind
from crm.tokens import Stop, stop_token

_LETTERS = "leave_letter"


async def send_way_out(db: Db, address: Address) -> None:
    """Mail the links that stop everything to an address that is a customer's (promise 8).

    Nothing comes back that tells whose address it is, and each way costs the same statements. What
    the mail holds is what every newsletter holds: it leaves, and opens nothing.
    """
    fingerprint = db.keys.address_hash(db.business_id, address.folded)
    wait = await staff.count_attempt(db, _LETTERS, fingerprint, most=MAILS_PER_ADDRESS)
    customer = await customers.by_hash(db, fingerprint)
    letter = _letter(db, await businesses.get(db), address, fingerprint, customer)
    await posted(db, letter if customer else None, wait=wait)


def _letter(
    db: ReadDb, business: Business, address: Address, fingerprint: bytes, customer: Customer | None
) -> Letter:
    """Write the mail, also where nobody gets it: that costs time too."""
    token = stop_token(db.keys, Stop(db.business_id, fingerprint, None))
    words = wording.words(
        "leave",
        customer.locale if customer and customer.locale else language(),
        business,
        asked=wording.moment(db.now, business),
        link=f"{business.origin}/u/{token}",
        choose=f"{business.origin}/p/{token}",
    )
    return wording.answer(LetterKind.notice, words, address, fingerprint, customer)
