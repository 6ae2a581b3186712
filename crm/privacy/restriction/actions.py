"""How a freeze ends (Art. 18 GDPR): by her at once, by anybody else only after she was told.

While it lasts nobody is mailed a newsletter and nobody takes her data out, but for her.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from uuid import UUID

from msgspec import Struct

from crm import customers
from crm.customers import Customer, UnknownCustomer
from crm.db import Db, ReadDb, Statements
from crm.errors import Conflict
from crm.events import Actor, ActorKind
from crm.privacy import requests
from crm.privacy.erasure.wishes import wish
from crm.privacy.requests import wording
from crm.privacy.requests.model import RequestKind
from crm.staff import BeingErased

sql = Statements("privacy")

# Between the letter and the end: time to read it, and to press "Keep it frozen".
NOTICE = timedelta(days=3)

_COPIES = frozenset({RequestKind.access, RequestKind.portability})


class Frozen(Conflict):
    """This record is frozen: nobody takes a copy of it unless she has asked for one."""


class FreezeEnds(Struct, frozen=True, kw_only=True):
    """When a freeze ends unless she says no, and who said that it should."""

    customer_id: UUID
    told_at: datetime
    due_at: datetime
    actor_kind: ActorKind
    actor_id: UUID | None
    actor_name: str

    @property
    def actor(self) -> Actor:
        """Whoever said so, as the one who does it."""
        return Actor(self.actor_kind, self.actor_id, self.actor_name)


async def announce(db: Db, by: Actor, customer_id: UUID) -> FreezeEnds | None:
    """Tell her by mail that her freeze will end, and let it end three days later.

    Said again it stays as it was said first; None where nothing is frozen. BeingErased while she
    waits for her deletion: until then nothing of hers is used, whoever froze it.
    """
    customer = await customers.hold(db, customer_id)
    if customer is None:
        raise UnknownCustomer
    if await wish(db, customer_id) is not None:
        raise BeingErased
    if customer.restricted_at is None:
        return None
    told = await db.run(
        sql.announce_end,
        customer_id=customer_id,
        due_at=db.now + NOTICE,
        actor_kind=by.kind,
        actor_id=by.id,
        actor_name=by.name,
    )
    if told:
        to = wording.Recipient(customer.address, customer.locale, customer.id)
        await wording.lifting(db, to, ends_at=db.now + NOTICE)
    return await ending(db, customer_id)


async def ending(db: ReadDb, customer_id: UUID) -> FreezeEnds | None:
    """Return when her freeze ends, if somebody has said so."""
    return await db.maybe(sql.announced_end, FreezeEnds, customer_id=customer_id)


async def due(db: ReadDb) -> list[UUID]:
    """Return whose freeze is to end, because its notice is over."""
    return await db.many(sql.ends_due, UUID)


async def end(db: Db, customer_id: UUID) -> bool:
    """End one freeze in the name of whoever said so; False where it stays.

    It stays where it is younger than the notice, and while she waits for her deletion.
    """
    customer = await customers.hold(db, customer_id)
    told = await ending(db, customer_id)
    if told is None or told.due_at > db.now:
        return False
    await keep(db, customer_id)
    ends = (
        customer is not None
        and customer.restricted_at is not None
        and customer.restricted_at <= told.told_at
        and await wish(db, customer_id) is None
    )
    if ends:
        await customers.unrestrict(db, told.actor, customer_id)
    return ends


async def keep(db: Db, customer_id: UUID) -> None:
    """Forget that a freeze was to end: she keeps it, or has ended it herself."""
    await db.run(sql.drop_end, customer_id=customer_id)


async def stop_ends(db: Db) -> int:
    """Let no freeze end that was said to end; returns of how many that was said."""
    return await db.run(sql.drop_ends)


async def forget(db: Db, customer_id: UUID) -> dict[str, int]:
    """Forget it with her; return how many rows of which table."""
    return {"restriction_end": await db.run(sql.drop_end, customer_id=customer_id)}


async def check_copy(db: ReadDb, by: Actor, customer: Customer) -> None:
    """Refuse anybody but her a copy of a frozen record, unless she waits for one (Frozen)."""
    if customer.restricted_at is None or by.kind is ActorKind.customer:
        return
    asked = await requests.of_customer(db, customer.id)
    if not any(each.open and each.kind in _COPIES for each in asked):
        raise Frozen
