"""Leaving without an old mail: whoever types an address has its owner sent a link that leaves."""

from __future__ import annotations

from uuid import UUID

from msgspec import Struct

from crm import businesses, customers
from crm.access import bounds, wording
from crm.access.actions import posted, sql
from crm.businesses import Business
from crm.customers import Address
from crm.db import Db, ReadDb
from crm.languages import language
from crm.mail import Letter, LetterKind
from crm.tokens import Stop, stop_token


class Held(Struct, frozen=True):
    """As what an address is held: hers now, hers before, or entered for a sign-up that waits.

    Without the address itself where only its fingerprint is left.
    """

    address: str | None
    locale: str
    customer_id: UUID | None


async def send_way_out(db: Db, address: Address, *, asker: str = "") -> None:
    """Mail the links that stop everything to an address that we hold in any way (promise 8).

    Nothing comes back that tells whose address it is, and each way costs the same statements. What
    the mail holds is what every newsletter holds: it leaves, and opens nothing.
    """
    fingerprint = db.keys.address_hash(db.business_id, address.folded)
    wait = await bounds.count_letter(db, bounds.LEAVE, fingerprint, asker)
    held = await db.maybe(sql.held_as, Held, address_hash=fingerprint)
    letter = _letter(db, await businesses.get(db), address, fingerprint, held)
    await posted(db, letter, send=held is not None and not wait)


def _letter(
    db: ReadDb, business: Business, address: Address, fingerprint: bytes, held: Held | None
) -> Letter:
    """Write the mail, also where nobody gets it: that costs time too."""
    token = stop_token(db.keys, Stop(db.business_id, fingerprint, None))
    words = wording.words(
        "leave",
        held.locale if held and held.locale else language(),
        business,
        asked=wording.moment(db.now, business),
        link=f"{business.origin}/u/{token}",
        choose=f"{business.origin}/p/{token}",
    )
    # As it is held, not as somebody typed it: one letter more or less is another mailbox.
    to = customers.parse(held.address) if held and held.address else address
    about = held.customer_id if held else None
    return wording.answer(LetterKind.asked, words, to, fingerprint, None, about=about)
