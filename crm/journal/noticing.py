"""Whether a database is the continuation of the journal, looked at again and again.

While it is not, nothing is served or sent. Whoever asks `stops` gets the answer of the last look,
and of a new one where connections were opened since: a database is put back behind closed ones.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from time import monotonic
from typing import TypeVar
from uuid import UUID

from msgspec import Struct

from crm import above
from crm.above import JournalMark
from crm.db import BROKEN, Database
from crm.journal.journal import CHECKPOINT, Journal
from crm.journal.keeper import Keeper
from crm.log import logger

_log = logger(__name__)

_EVERY = 2.0
# A look takes some 50 microseconds for each business; with thousands of them it rests longer.
_REST = 20
_LONGEST = 30.0

T = TypeVar("T")
# Reads a signed head: the number of its origin, and its size.
ReadHead = Callable[[str], tuple[int, int]]


class Unreachable(Exception):
    """The journal cannot be read, for this reason."""


class Found(Struct, frozen=True):
    """What one look found: the businesses of each kind, and why the journal is away, if it is."""

    # The database lacks what the journal knows.
    put_back: tuple[UUID, ...] = ()
    # The journal lacks what the database has written.
    lost: tuple[UUID, ...] = ()
    # Entries that wait for the journal to come back.
    owed: int = 0
    away: str = ""


class _Known(Struct, frozen=True):
    """How far the journal of a business is."""

    last: int = 0
    committed: int = 0
    origin_number: int = 0
    size: int = 0

    def ahead_of(self, mark: JournalMark) -> bool:
        """Say whether the database lacks something: entries, or leaves that were signed."""
        heads = (self.origin_number, self.size) > (mark.origin_number, mark.size)
        return self.committed > mark.number or heads


class Watch:
    """Looks every two seconds; a process has one."""

    def __init__(self, database: Database, keeper: Keeper, read_head: ReadHead) -> None:
        """Know nothing yet: until the first look, nothing is served."""
        self.keeper = keeper
        self.found: Found | None = None
        self._database = database
        self._read_head = read_head
        self._heads: dict[UUID, tuple[str, tuple[int, int]]] = {}
        self._looking = asyncio.Lock()
        self._opened = -1

    async def stops(self) -> bool:
        """Say whether everything stops. Raises what PostgreSQL raises where it has to be asked."""
        if self._opened != self._database.connections.opened:
            async with self._looking:
                if self._opened != self._database.connections.opened:
                    await self._look()
        return self.found is None or bool(self.found.put_back)

    async def look(self) -> Found:
        """Compare every business now."""
        async with self._looking:
            return await self._look()

    async def follow(self) -> None:
        """Look again and again, until cancelled; without PostgreSQL the last answer stands."""
        took = 0.0
        while True:
            await asyncio.sleep(min(max(_EVERY, took * _REST), _LONGEST))
            began = monotonic()
            with suppress(*BROKEN):
                await self.look()
            took = monotonic() - began

    async def _look(self) -> Found:
        opened = self._database.connections.opened
        found = await self._seen()
        if opened != self._database.connections.opened:
            # The look itself may have opened one; the next asks the same database as that.
            opened = self._database.connections.opened
            found = await self._seen()
        if found != self.found and (found.put_back or found.lost or found.away):
            _log.error(
                "journal_does_not_fit",
                put_back=len(found.put_back),
                lost=len(found.lost),
                away=found.away,
            )
        self._opened, self.found = opened, found
        return found

    async def _seen(self) -> Found:
        try:
            return await look(self._database, self.keeper, self._known)
        except Unreachable as away:
            # What was seen before stands.
            return Found(self.found.put_back if self.found else (), away=str(away))

    def _known(self, journal: Journal, business_id: UUID) -> _Known:
        tail = journal.log(business_id).tail()
        text = journal.read(business_id, CHECKPOINT)
        before = self._heads.get(business_id)
        if before is None or before[0] != text:
            head = (0, 0)
            if text:
                # What is damaged the ledger's own look tells, with its reason.
                with suppress(ValueError):
                    head = self._read_head(text)
            self._heads[business_id] = before = (text, head)
        return _Known(tail.last, tail.committed, *before[1])


@asynccontextmanager
async def watched_by(watch: Watch) -> AsyncIterator[Watch]:
    """Look once, and go on looking until the block ends."""
    await watch.look()
    following = asyncio.create_task(watch.follow())
    try:
        yield watch
    finally:
        following.cancel()


async def look(
    database: Database, keeper: Keeper, known: Callable[[Journal, UUID], _Known]
) -> Found:
    """Compare the journal with what the database says; docs/architecture.md has the rule.

    Raises Unreachable where the journal cannot be read.
    """

    def read(business_ids: list[UUID]) -> dict[UUID, _Known]:
        return {each: known(keeper.journal, each) for each in business_ids}

    # The journal first: what it knows as committed by now, the database has by then.
    first = await _reached(keeper, lambda: read(keeper.journal.businesses()))
    marks = await above.journal_marks(database)
    put_back = [each for each in marks if _of(first, each).ahead_of(each)]
    beyond = [each for each in marks if each.number > _of(first, each).last]
    # And once more what seemed to lack something: it may have been written in between.
    again = await _reached(keeper, lambda: read([each.business_id for each in beyond]))
    lost = [each for each in beyond if each.number > _of(again, each).last]
    return Found(
        put_back=tuple(each.business_id for each in put_back),
        lost=tuple(each.business_id for each in lost),
        owed=sum(mark.owed for mark in marks),
    )


async def _reached(keeper: Keeper, read: Callable[[], T]) -> T:
    try:
        return await keeper.do(read)
    except OSError as away:
        raise Unreachable(away.strerror or "it does not answer") from None


def _of(known: dict[UUID, _Known], mark: JournalMark) -> _Known:
    return known.get(mark.business_id) or _Known()
