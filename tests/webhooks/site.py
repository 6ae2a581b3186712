"""A business that has its events told, and a worker that does so."""

from __future__ import annotations

from uuid import UUID

from crm import events, webhooks
from crm.businesses import Business
from crm.db import Database, Db
from crm.events import Actor, Kind
from crm.settings import Settings
from crm.settings import Webhooks as WebhooksSettings
from crm.webhooks import Endpoint, NewEndpoint, jobs
from tests.webhooks.receiver import Receiver

SYSTEM = Actor.system()


def ctx(database: Database, *, local: bool = True) -> jobs.Ctx:
    """What the worker has."""
    settings = Settings(
        link_keys="1:" + "31" * 32,
        storage_keys="1:" + "73" * 32,
        pepper="70" * 32,
        webhooks=WebhooksSettings(local=local),
    )
    return {"database": database, "settings": settings}


async def added(
    database: Database,
    business: Business,
    there: Receiver,
    *kinds: Kind,
    acknowledges: bool = False,
) -> tuple[Endpoint, str]:
    """Add an endpoint; its own beginning is numbered before it."""
    async with database.write(business.id) as db:
        new = NewEndpoint(
            name="Shop", url=there.url, kinds=list(kinds), acknowledges=acknowledges
        )  # fmt: skip
        found, secret = await webhooks.add(db, SYSTEM, new, local=True)
    return found, secret


async def happened(db: Db, customer_id: UUID | None, *whats: str) -> None:
    """Record events about a customer, or about nobody, one after the other."""
    for what in whats:
        await events.record(
            db, SYSTEM, Kind.interaction_recorded, customer_id=customer_id, reason=what
        )


async def turn(database: Database, business: Business, endpoint: Endpoint) -> None:
    """Do what a turn of the worker does, for one endpoint."""
    async with database.write(business.id) as db:
        while await events.number(db):
            continue
        await db.run(jobs.sql.wake_endpoints)
    await jobs.tell(ctx(database), str(business.id), str(endpoint.id))


async def reload(database: Database, business: Business, endpoint: Endpoint) -> Endpoint:
    """Read an endpoint anew."""
    async with database.read(business.id) as db:
        return await webhooks.endpoint(db, endpoint.id)
