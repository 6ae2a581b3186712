"""What ends when an old mailbox takes its record back: what was begun from the other one."""

from __future__ import annotations

from msgspec import Struct

from crm import customers
from crm.access import new_address
from crm.customers import Customer
from crm.db import Db
from crm.events import Actor
from crm.privacy import requests
from crm.privacy.erasure import grace


class TakenBack(Struct, frozen=True, kw_only=True):
    """Whose old address is hers again, and what of the other mailbox ended with that."""

    customer: Customer
    # How many yeses to mails.
    ended: int
    # Whether a deletion was to come.
    called_off: bool
    # Whether her record was frozen meanwhile, and still is.
    frozen: bool
    # How many requests wait for a proof again.
    unproved: int


async def take_back(db: Db, token: str) -> TakenBack:
    """Put the old address back, and call off what was set in motion while it was not hers.

    Only the other mailbox was told of a deletion that was planned there, and only it has proved who
    asks. A freeze stays: it does her no harm, and it may be the business that froze. Refuses like
    `new_address.undo`.
    """
    back = await new_address.undo(db, token)
    her = back.customer
    called_off = await grace.call_off_since(db, her.id, back.since)
    unproved = await requests.unprove(db, Actor.customer(her.id), her.id, back.since)
    frozen_at = (await customers.get(db, her.id)).restricted_at
    return TakenBack(
        customer=her,
        ended=back.ended,
        called_off=called_off,
        frozen=frozen_at is not None and frozen_at >= back.since,
        unproved=unproved,
    )
