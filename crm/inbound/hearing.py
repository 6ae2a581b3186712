"""One mail to one address, heard for the business that the address belongs to."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from uuid import UUID

from crm import campaigns
from crm.db import Database
from crm.inbound import actions
from crm.inbound.model import Arrival, Effect, Via, arrived
from crm.inbound.proof import proven


class Nobodys(Exception):
    """Several businesses share this domain, and no token says whose mail it is."""


async def hear_mail(
    database: Database, businesses: Sequence[UUID], recipient: str, raw: bytes, via: Via
) -> Effect:
    """Read a mail beside the loop and do what it asks for; committed when this returns.

    Raises Nobodys where it cannot be said for which of several businesses it is.
    """
    for each in businesses:
        marks = await asyncio.to_thread(campaigns.canary_marks, database.keys, each, raw)
        if await heard_as_canary(database, each, marks, raw):
            return Effect.done
    arrival = await asyncio.to_thread(arrived, recipient, raw)
    return await hear_arrival(database, _whose(database, businesses, arrival), arrival, via)


async def hear_arrival(database: Database, business_id: UUID, arrival: Arrival, via: Via) -> Effect:
    """Do what a mail that was read asks for, in a transaction of its own."""
    return await database.attempt(business_id, lambda db: actions.hear(db, arrival, via))


async def heard_as_canary(
    database: Database, business_id: UUID, marks: Sequence[bytes], raw: bytes
) -> bool:
    """Take the first copy of a campaign, which nobody but us has sent to this mailbox."""
    for mark in marks:
        async with database.write(business_id) as db:
            if await campaigns.canary_arrived(db, mark, raw):
                return True
    return False


def _whose(database: Database, businesses: Sequence[UUID], arrival: Arrival) -> UUID:
    for each in businesses:
        if proven(database.keys, each, arrival) is not None:
            return each
    if len(businesses) != 1:
        raise Nobodys
    return businesses[0]
