"""What is done with a deletion that can be called off: asked for, called off, carried out.

Until then her record is frozen, no program reads it, and she alone decides.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from uuid import UUID

from msgspec import structs

from crm import businesses, customers, events, journal, mail
from crm.access import credentials, hold_herself, wording
from crm.customers import Customer
from crm.db import Db, ReadDb, Statements
from crm.errors import NotFound
from crm.events import Actor, Kind
from crm.ids import secret
from crm.mail import LetterKind
from crm.privacy import restriction
from crm.privacy.erasure import wishes
from crm.privacy.erasure.wishes import wish
from crm.privacy.fulfilling import erase_herself
from crm.privacy.model import Fingerprint, Wish

sql = Statements("privacy")

GRACE = timedelta(days=7)


class NothingToCallOff(NotFound):
    """This deletion was called off already, or is done."""


async def plan(db: Db, me: Customer, fingerprint: Fingerprint) -> Wish:
    """Delete everything in some days, and use nothing until then.

    She is told by mail, with a link that calls it off. Again changes neither the day nor the link,
    only what becomes of the fingerprint: what she said last counts. Refuses with SignedOut where
    her address was put back at that moment.
    """
    by = Actor.customer(me.id)
    # Of two presses the second finds the wish of the first.
    await hold_herself(db, me)
    frozen = await customers.restrict(db, by, me.id)
    waits = await wish(db, me.id)
    if waits is not None:
        anew = structs.replace(waits, fingerprint=fingerprint)
        await wishes.change(db, anew)
        return anew
    # No freeze ends while she waits; where she calls it off, the end has to be announced anew.
    await restriction.keep(db, me.id)
    token = credentials.secret_token(db.business_id, secret(credentials.SECRET_SIZE))
    planned = Wish(
        customer_id=me.id,
        asked_at=db.now,
        due_at=db.now + GRACE,
        fingerprint=fingerprint,
        was_frozen=frozen.restricted_at is not None and frozen.restricted_at < db.now,
    )
    await wishes.keep(db, planned, credentials.fingerprint(token))
    await events.record(db, by, Kind.erasure_planned, customer_id=me.id)
    await _tell(db, me, "leaving", planned.due_at, link=f"/call-off/{token}")
    return planned


async def wish_of_link(db: ReadDb, token: str) -> Wish:
    """Return what the link of a mail calls off, or refuse with NothingToCallOff or BadLink."""
    credentials.check_token(db.business_id, token)
    found = await db.maybe(sql.wish_of_link, Wish, call_off_hash=credentials.fingerprint(token))
    if found is None:
        raise NothingToCallOff
    return found


async def call_off(db: Db, customer_id: UUID) -> None:
    """Keep her record after all, and use it again as before; NothingToCallOff where it is late."""
    by = Actor.customer(customer_id)
    await customers.hold(db, customer_id)
    was_frozen = await db.maybe(sql.drop_wish, bool, customer_id=customer_id)
    if was_frozen is None:
        raise NothingToCallOff
    db.note(journal.CalledOff(customer_id))
    if not was_frozen:
        await customers.unrestrict(db, by, customer_id)
    await events.record(db, by, Kind.erasure_called_off, customer_id=customer_id)


async def call_off_since(db: Db, customer_id: UUID, since: datetime) -> bool:
    """Call off a deletion that was planned since then, and say whether there was one."""
    await customers.hold(db, customer_id)
    waits = await wish(db, customer_id)
    if waits is None or waits.asked_at < since:
        return False
    await call_off(db, customer_id)
    return True


async def due(db: ReadDb) -> list[UUID]:
    """Return whose time to call it off is over, who has waited longest first."""
    return await db.many(sql.wishes_due, UUID)


async def carry_out(db: Db, customer_id: UUID) -> bool:
    """Erase a customer whose time to call it off is over; False where there is none.

    Of two workers the second finds nothing to do.
    """
    her = await customers.hold(db, customer_id)
    waits = await wish(db, customer_id)
    if waits is None or waits.due_at > db.now:
        return False
    if her is None:
        await wishes.forget(db, customer_id)
        return False
    await erase_herself(db, her, waits.fingerprint)
    return True


async def _tell(db: Db, her: Customer, letter: str, due_at: datetime, *, link: str) -> None:
    business = await businesses.get(db)
    words = wording.words(
        letter,
        her.locale or business.locale,
        business,
        until=wording.moment(due_at, business),
        link=f"{business.origin}{link}",
    )
    address = customers.parse(her.address)
    fingerprint = db.keys.address_hash(db.business_id, address.folded)
    await mail.post_letter(db, wording.answer(LetterKind.notice, words, address, fingerprint, her))
