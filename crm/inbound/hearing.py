"""One mail to one address, heard for the business that the address belongs to."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from uuid import UUID

from crm import campaigns
from crm.db import Database
from crm.inbound import actions
from crm.inbound.model import Arrival, Effect, Via, arrived, unread
from crm.inbound.proof import proven
from crm.log import logger

_log = logger(__name__)

# How long a mail may take to be read.
_PATIENCE = 60.0
# The canaries that it may be, for each business, and what it says.
_Read = tuple[list[list[bytes]], Arrival]


class Nobodys(Exception):
    """Several businesses share this domain, and no token says whose mail it is."""


class TooMany(Exception):
    """So many mails are still being read that no other may be."""


class Readings:
    """The mails that are being read, also those that nobody waits for any more."""

    def __init__(self, most: int) -> None:
        """Let so many be read at once, each in a thread of its own: the loop needs its few."""
        self._most = most
        self._running: list[Future[_Read]] = []

    async def in_time(self, read: Callable[[], _Read]) -> _Read:
        """Read; TimeoutError where it takes too long, and TooMany where it cannot begin.

        A thread cannot be stopped. One that was given up counts until it ends, or each mail that
        takes for ever would leave one more behind.
        """
        self._running = [each for each in self._running if not each.done()]
        if len(self._running) >= self._most:
            raise TooMany
        pool = ThreadPoolExecutor(1, "inbound")
        try:
            reading = pool.submit(read)
        finally:
            pool.shutdown(wait=False)
        self._running.append(reading)
        return await asyncio.wait_for(asyncio.wrap_future(reading), _PATIENCE)


async def hear_mail(
    database: Database,
    businesses: Sequence[UUID],
    recipient: str,
    raw: bytes,
    via: Via,
    *,
    readings: Readings,
) -> Effect:
    """Read a mail beside the loop and do what it asks for; committed when this returns.

    One that takes too long to read would take as long each time that it is sent again: to an
    address for leaving it is the wish, and else it is counted as unreadable. Raises Nobodys
    where it cannot be said for which of several businesses it is, and TooMany.
    """

    def reads() -> _Read:
        marks = [campaigns.canary_marks(database.keys, each, raw) for each in businesses]
        return marks, arrived(recipient, raw)

    try:
        marks, arrival = await readings.in_time(reads)
    except TimeoutError:
        _log.error("not_read", businesses=[str(each) for each in businesses], size=len(raw))
        marks, arrival = [], unread(recipient, raw)
    for each, found in zip(businesses, marks, strict=False):
        if await heard_as_canary(database, each, found, raw):
            return Effect.done
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
