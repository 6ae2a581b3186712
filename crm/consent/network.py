"""Network address and browser of a decision, where the business keeps them (off by default).

Encrypted, apart from the record and in no receipt; deleted when their own time is over.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from uuid import UUID

import msgspec
from msgspec import Struct

from crm.consent.model import Network
from crm.db import Db, ReadDb, Statements

sql = Statements("consent")

_LONGEST_AGENT = 500
# So many are deleted in one transaction.
_AT_ONCE = 1000


class KeptNetwork(Struct, frozen=True, kw_only=True):
    """The same with the decision it belongs to, for the customer herself."""

    event_id: UUID
    expires_at: datetime
    network: Network


class _Row(Struct, frozen=True):
    event_id: UUID
    expires_at: datetime
    sealed: bytes


def sealed(db: ReadDb, subject: UUID, network: Network) -> bytes:
    """Encrypt for one decision, or for the sign-up that leads to it."""
    agent = network.agent[:_LONGEST_AGENT]
    plain = msgspec.json.encode(msgspec.structs.replace(network, agent=agent))
    return db.keys.encrypt(db.business_id, _label(subject), plain)


def unsealed(db: ReadDb, subject: UUID, kept: bytes) -> Network:
    """Read what `sealed` wrote."""
    plain = db.keys.decrypt(db.business_id, _label(subject), kept)
    return msgspec.json.decode(plain, type=Network)


async def keep(db: Db, rows: Sequence[tuple[UUID, UUID, Network]], *, days: int) -> None:
    """Keep these, each an event, its customer, and from where, for so many days."""
    if rows:
        await db.run(
            sql.keep_networks,
            event_ids=[event_id for event_id, _, _ in rows],
            customer_ids=[customer_id for _, customer_id, _ in rows],
            sealed=[sealed(db, event_id, network) for event_id, _, network in rows],
            expires_at=db.now + timedelta(days=days),
        )


async def networks(db: ReadDb, customer_id: UUID) -> list[KeptNetwork]:
    """Return what is kept of one customer, decrypted: for herself only."""
    rows = await db.many(sql.networks_of_customer, _Row, customer_id=customer_id)
    return [
        KeptNetwork(
            event_id=row.event_id,
            expires_at=row.expires_at,
            network=unsealed(db, row.event_id, row.sealed),
        )
        for row in rows
    ]


async def lapse(db: Db) -> int:
    """Delete some of what has had its time; return how many."""
    return await db.run(sql.drop_old_networks, limit=_AT_ONCE)


def _label(subject: UUID) -> str:
    return f"network {subject}"
