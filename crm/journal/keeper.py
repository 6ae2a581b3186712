"""What a transaction noted is in the journal, on disk, before the transaction is committed.

The row of the business in `journal_mark` is held from before the entry is written until the commit:
so entries stand in the journal in the order of their commits, and no more than one transaction of
a business is ever in between. docs/architecture.md says what follows from that.
"""

from __future__ import annotations

import asyncio
import errno
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import datetime
from functools import partial
from time import monotonic
from typing import TypeVar
from uuid import UUID

from msgspec import Struct

from crm.db import Db, Kept, ReadDb, Statements
from crm.errors import Refused
from crm.ids import time_ordered
from crm.journal.journal import Journal
from crm.journal.line import Decision, Entry, Planned, Restricted, Withdrawn, never_refused
from crm.journal.log import Behind, JournalLost
from crm.log import logger

sql = Statements("journal")

T = TypeVar("T")

_log = logger(__name__)

# A store that has hung for so long is away; nobody else waits for it until it has rested.
_PATIENCE = 3.0
_REST = 20.0
_THREADS = 8
_PAID_AT_ONCE = 1000


class JournalAway(Refused):
    """Our journal cannot be written, so this was not done. Try again in some minutes."""


class PutBack(Refused):
    """Our database was put back to an earlier state, and is not up to date yet. Come back soon."""


class Mark(Struct, frozen=True):
    """How far the database has written, held; and the keyed hashes of customers' addresses."""

    number: int
    addresses: dict[UUID, str]


class _Owed(Struct, frozen=True):
    debt_id: UUID
    entry: Entry


class _CatchingUp(Exception):
    """So much is owed that what comes now is owed behind it."""


class Keeper:
    """Writes what transactions noted; `Database` asks it before each commit."""

    def __init__(self, journal: Journal) -> None:
        """Write into this journal, in threads of its own: a store that hangs holds up no other."""
        self.journal = journal
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="journal")
        # Until when a store that hung is left alone.
        self._rests_until = 0.0
        # Numbers whose commit PostgreSQL refused, which the journal has not been told yet.
        self._refused: dict[UUID, list[int]] = {}

    async def __call__(self, db: Db) -> Kept | None:
        """Write, and return whom to tell whether it was committed.

        Where the journal cannot be written, what may be refused is (JournalAway); the rest is
        owed: kept in the database, and written by a job. PutBack where the database is behind.
        """
        noted: list[Entry] = db.noted
        mark = await hold(db, _customers(noted))
        for each in _named(noted):
            each.address = mark.addresses.get(each.customer_id, "")
        try:
            return await self._write(db, mark, noted)
        except Behind:
            raise PutBack from None
        except (OSError, JournalLost, _CatchingUp) as away:
            _log.error("journal_not_written", business=str(db.business_id), why=str(away))
            await _owe(db, noted)
            return None

    async def pay(self, db: Db) -> Kept | None:
        """Write what is owed with this transaction, and return whom to tell how it ended.

        Raises what says that the journal is still away.
        """
        mark = await hold(db)
        return await self._write(db, mark, [])

    async def _write(self, db: Db, mark: Mark, noted: list[Entry]) -> Kept | None:
        """Append one line: what is owed stands before what is new, as it was done before."""
        owed = await db.many(sql.debts, _Owed, limit=_PAID_AT_ONCE)
        if noted and len(owed) == _PAID_AT_ONCE:
            raise _CatchingUp
        entries = [each.entry for each in owed] + noted
        if not entries:
            return None
        log = self.journal.log(db.business_id)
        await self.say_refused(db.business_id)
        write = partial(log.write, mark.number, db.now, entries, owed=len(owed))
        number = await self.do(write)
        if owed:
            await db.run(sql.drop_debts, debt_ids=[each.debt_id for each in owed])
        await db.run(sql.move_mark, number=number)
        return partial(self._ended, db.business_id, number)

    async def note_alone(self, business_id: UUID, entry: Entry, at: datetime) -> None:
        """Write an entry that no transaction commits: it stays open until it is carried out.

        Raises JournalAway where it is not on disk.
        """
        log = self.journal.log(business_id)
        try:
            await self.do(lambda: log.write(None, at, [entry]))
        except OSError:
            raise JournalAway from None

    async def say_refused(self, business_id: UUID) -> None:
        """Tell the journal whose commits were refused while it was away; OSError if it still is."""
        numbers = self._refused.get(business_id, [])[:]
        if numbers:
            await self.do(partial(self.journal.log(business_id).refuse, numbers))
            left = [n for n in self._refused.pop(business_id, []) if n not in numbers]
            if left:
                self._refused[business_id] = left

    @property
    def rests(self) -> bool:
        """Whether the store hung a moment ago, and is asked by nobody for a while."""
        return monotonic() < self._rests_until

    async def do(self, act: Callable[[], T], patience: float = _PATIENCE) -> T:
        """Do what blocks in a thread; OSError where it takes too long, or did for somebody else.

        Of a store that has rested one asks whether it is back; the others go on without it.
        """
        if self.rests:
            raise TimeoutError(errno.ETIMEDOUT, "it does not answer")
        if self._rests_until:
            self._rests_until = monotonic() + _REST
        loop = asyncio.get_running_loop()
        try:
            done = await asyncio.wait_for(loop.run_in_executor(self._threads, act), patience)
        except TimeoutError as hung:
            self._rests_until = monotonic() + _REST
            raise TimeoutError(errno.ETIMEDOUT, "it does not answer") from hung
        except Exception:
            # Whatever it says, it answers.
            self._rests_until = 0.0
            raise
        self._rests_until = 0.0
        return done

    async def walk(self, act: Callable[[], T]) -> T:
        """Do in a thread what may take its time."""
        return await asyncio.get_running_loop().run_in_executor(self._threads, act)

    async def _ended(self, business_id: UUID, number: int, committed: bool) -> None:  # noqa: FBT001
        if not committed:
            self._refused.setdefault(business_id, []).append(number)
        with suppress(OSError):
            if committed:
                await self.do(partial(self.journal.log(business_id).committed, number))
            else:
                await self.say_refused(business_id)


async def hold(db: Db, customer_ids: Iterable[UUID] = ()) -> Mark:
    """Let no other transaction of the business write to the journal before this one ends."""
    return await db.one(sql.hold_mark, Mark, customer_ids=list(customer_ids))


async def mark(db: ReadDb) -> int:
    """Return the number that the database of a business has committed last."""
    return await db.maybe(sql.mark, int) or 0


async def move(db: Db, number: int) -> None:
    """Say how far the database has written; only with the mark held."""
    await db.run(sql.move_mark, number=number)


async def _owe(db: Db, noted: list[Entry]) -> None:
    if not all(map(never_refused, noted)):
        raise JournalAway
    for each in noted:
        await db.run(sql.owe, debt_id=time_ordered(), entry=each)


def _named(noted: list[Entry]) -> Iterator[Decision | Restricted | Planned]:
    for each in noted:
        if isinstance(each, Withdrawn):
            yield from each.decisions
        elif isinstance(each, Restricted | Planned):
            yield each


def _customers(noted: list[Entry]) -> set[UUID]:
    return {each.customer_id for each in _named(noted)}
