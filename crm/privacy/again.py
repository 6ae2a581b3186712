"""What the journal says of the address of a stranger, done on a database that may lack it."""

from __future__ import annotations

from datetime import datetime

from crm import consent, customers, mail
from crm.consent.states import AUTHORISES, OWN_WORD
from crm.db import Db
from crm.events import Actor
from crm.ids import instant_of
from crm.mail import Scope, Why
from crm.privacy.actions import forget_address


async def forget_stranger_again(db: Db, address_hash: bytes, at: datetime, since: datetime) -> None:
    """Delete what was kept under an address until an instant, and mail it no advertising.

    Unless whoever has the address by now said yes herself after `since`: her yes stands.
    """
    # Whoever has the address is held before what hangs on it.
    silent = not await _allowed(db, address_hash, since)
    await forget_address(db, address_hash, at)
    if silent:
        await _silence(db, address_hash)


async def silence_erased_again(db: Db, address_hash: bytes, since: datetime) -> None:
    """Mail the address of somebody who was deleted no advertising, with the same exception."""
    if not await _allowed(db, address_hash, since):
        await _silence(db, address_hash)


async def _silence(db: Db, address_hash: bytes) -> None:
    await mail.suppress(db, Actor.system(), address_hash, Scope.marketing, Why.erased)


async def _allowed(db: Db, address_hash: bytes, since: datetime) -> bool:
    """Say whether a customer has the address and has said yes herself after an instant.

    Until the end of this transaction she says no yes that it would miss.
    """
    holder = await customers.by_hash(db, address_hash)
    if holder is None or await customers.hold(db, holder.id) is None:
        return False
    return any(
        each.status in AUTHORISES and each.method in OWN_WORD and instant_of(each.event_id) > since
        for each in await consent.states(db, holder.id)
    )
