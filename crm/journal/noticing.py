"""Whether a database is the continuation of the journal, looked at again and again.

While it is not, nothing is served or sent. Whoever asks `stops` gets the answer of the last look,
and of a new one where connections were opened since: a database is put back behind closed ones.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from time import monotonic
from uuid import UUID

from msgspec import Struct
from msgspec.structs import replace

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
# A look at a journal of thousands of businesses may take this long.
_PATIENCE = 10.0

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
    # Why the journal of one business, or all of it, cannot be read: what was found before stands.
    unread: dict[UUID, str] = {}
    away: str = ""

    @property
    def whole(self) -> bool:
        """Whether every business was compared."""
        return not (self.away or self.unread)


class _Known(Struct, frozen=True):
    """How far the journal of a business is."""

    last: int = 0
    committed: int = 0
    origin_number: int = 0
    size: int = 0
    # Why its journal cannot be read, where it cannot.
    unread: str = ""

    def ahead_of(self, mark: JournalMark) -> bool:
        """Say whether the database lacks something: entries, or leaves that were signed."""
        heads = (self.origin_number, self.size) > (mark.origin_number, mark.size)
        return self.committed > mark.number or heads


class Watch:
    """Looks every two seconds; a process has one."""

    def __init__(self, database: Database, keeper: Keeper, read_head: ReadHead) -> None:
        """Know nothing yet: until every business was compared once, nothing is served."""
        self.keeper = keeper
        self.found: Found | None = None
        self._database = database
        self._read_head = read_head
        self._heads: dict[UUID, tuple[str, tuple[int, int]]] = {}
        self._looking = asyncio.Lock()
        self._opened = -1
        # Whether every business was, once.
        self.compared = False

    async def stops(self) -> bool:
        """Say whether everything stops. Raises what PostgreSQL raises where it has to be asked.

        A journal that hangs holds nobody up: while it does, the last answer stands.
        """
        if self._asks():
            async with self._looking:
                if self._asks():
                    await self._look()
        return not self.compared or self.found is None or bool(self.found.put_back)

    def _asks(self) -> bool:
        return self._opened != self._database.connections.opened and not self.keeper.rests

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
        if found != self.found and (found.put_back or found.lost or not found.whole):
            _log.error(
                "journal_does_not_fit",
                put_back=len(found.put_back),
                lost=len(found.lost),
                unread=len(found.unread),
                away=found.away,
            )
        self._opened, self.found = opened, found
        self.compared = self.compared or found.whole
        return found

    async def _seen(self) -> Found:
        before = self.found or Found()
        try:
            found = await look(self._database, self.keeper, self._known)
        except Unreachable as away:
            return Found(before.put_back, away=str(away))
        stands = [each for each in before.put_back if each in found.unread]
        return replace(found, put_back=(*found.put_back, *stands))

    def _known(self, journal: Journal, business_id: UUID) -> _Known:
        try:
            tail = journal.log(business_id).tail()
            text = journal.read(business_id, CHECKPOINT)
        except OSError as wrong:
            return _Known(unread=_why(wrong))
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

    Raises Unreachable where the journal does not answer, or its businesses cannot be listed.
    """

    def read(business_ids: list[UUID]) -> dict[UUID, _Known]:
        return {each: known(keeper.journal, each) for each in business_ids}

    # The journal first: what it knows as committed by now, the database has by then.
    first = await _reached(keeper, lambda: read(keeper.journal.businesses()))
    all_marks = await above.journal_marks(database)
    unread = {each: known.unread for each, known in first.items() if known.unread}
    marks = [each for each in all_marks if each.business_id not in unread]
    put_back = [each for each in marks if _of(first, each).ahead_of(each)]
    beyond = [each for each in marks if each.number > _of(first, each).last]
    # And once more what seemed to lack something: it may have been written in between.
    again = await _reached(keeper, lambda: read([each.business_id for each in beyond]))
    lost = [each for each in beyond if each.number > _of(again, each).last]
    return Found(
        put_back=tuple(each.business_id for each in put_back),
        lost=tuple(each.business_id for each in lost),
        owed=sum(mark.owed for mark in all_marks),
        unread=unread,
    )


async def _reached(keeper: Keeper, read: Callable[[], dict[UUID, _Known]]) -> dict[UUID, _Known]:
    try:
        return await keeper.do(read, _PATIENCE)
    except OSError as away:
        raise Unreachable(_why(away)) from None


def _why(wrong: OSError) -> str:
    return wrong.strerror or "it does not answer"


def _of(known: dict[UUID, _Known], mark: JournalMark) -> _Known:
    return known.get(mark.business_id) or _Known()
