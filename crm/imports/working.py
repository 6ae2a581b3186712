"""The work of an import: all of it in one transaction, with signs of life beside it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import datetime
from functools import partial
from pathlib import Path
from uuid import UUID

import asyncpg
from msgspec import Struct

from crm import consent
from crm.consent import Notice
from crm.db import RETRIABLE, Database, Db, Statements
from crm.errors import Refused
from crm.events import Actor
from crm.imports import actions, elsewhere, mappings
from crm.imports.batch import Books
from crm.imports.gathering import Ahead
from crm.imports.lists import Lists
from crm.imports.mapping import Reading
from crm.imports.model import QUIET, AnotherRuns, Import, State
from crm.imports.table import SIZE_LIMIT
from crm.keys import KeyWrong

sql = Statements("imports")

# Larger batches were no faster, and smaller ones show progress sooner and keep memory flat.
BATCH = 2000
_BEAT_SECONDS = 0.5

_ENDED = "The command was ended before it was done. Nothing of it was kept; run it again."
_UNREADABLE = (
    "The key it was encrypted with is gone. Nothing of it was kept; upload the list again."
)
_OURS = "Something failed on our side. Nothing of it was kept; start the import again."
_CUT_OFF = (
    *RETRIABLE,
    OSError,
    asyncpg.InterfaceError,
    asyncpg.PostgresConnectionError,
    asyncpg.QueryCanceledError,
)


class Progress(Struct, frozen=True):
    """How far an import is; `share` of all, from 0 to 1, is measured in bytes of the file."""

    rows_read: int
    share: float


Watch = Callable[[Progress], None]
Begin = Callable[[], Awaitable[Import | None]]


async def work_file(
    database: Database,
    business_id: UUID,
    by: Actor,
    purpose: str,
    path: Path,
    *,
    watch: Watch | None = None,
    reading: Reading | None = None,
    size_limit: int = SIZE_LIMIT,
    only_try: bool = False,
) -> Import:
    """Import a file in this process, for the purpose of this short name; return the books.

    To `only_try` nothing is kept but these books and their report. Refuses an unknown purpose, one
    without notice, an unreadable file, and while another import works (AnotherRuns). Whatever ends
    it early, nothing of it is kept.
    """
    with path.open("rb") as file:
        async with database.read(business_id) as db:
            notice = await actions.asked_by(db, await consent.purpose_by_slug(db, purpose))
            reading = reading or await mappings.reading(db)
            now = db.now
        lists = await actions.opened(
            file, now=now, purpose=purpose, reading=reading, size_limit=size_limit
        )
        begin = partial(
            _begun, database, business_id, notice, by, lists, name=path.name, only_try=only_try
        )

        async def given(_: Import) -> Lists:
            return lists

        work = Work(database, business_id, watch=watch)
        done = await work.through(begin, given)
    if done is None:
        raise AnotherRuns
    return done


async def _begun(
    database: Database,
    business_id: UUID,
    notice: Notice,
    by: Actor,
    lists: Lists,
    *,
    name: str,
    only_try: bool,
) -> Import:
    state = State.running
    async with database.write(business_id) as db:
        return await actions.add(
            db, by, notice, lists.given, file_name=name, state=state, only_try=only_try
        )


async def work_waiting(database: Database, business_id: UUID, import_id: UUID) -> Import | None:
    """Work through an import that waits, or was left by a worker; None if it is not to be had."""

    async def begin() -> Import | None:
        async with database.write(business_id) as db:
            return await db.maybe(
                sql.begin_import, Import, import_id=import_id, quiet_since=db.now - QUIET
            )

    async def kept(begun: Import) -> Lists:
        async with database.read(business_id) as db:
            try:
                purpose = await consent.purpose(db, begun.purpose_id)
                content = await actions.kept_file(db, begun.id)
                reading = await mappings.reading_of(db, begun.id)
            except KeyWrong:
                raise Refused(_UNREADABLE) from None
        if content is None:
            raise Refused(_ENDED)
        now = begun.created_at
        return await actions.opened(content, now=now, purpose=purpose.slug, reading=reading)

    try:
        return await Work(database, business_id, resumable=True).through(begin, kept)
    except AnotherRuns:
        # It stays as it is; the sweep comes by again.
        return None


class Work:
    """One import at work; a resumable one has a file that the next worker can take up."""

    def __init__(
        self,
        database: Database,
        business_id: UUID,
        *,
        watch: Watch | None = None,
        resumable: bool = False,
    ) -> None:
        self._database = database
        self._business_id = business_id
        self._watch = watch
        self._resumable = resumable
        self._beat_at = 0.0
        self._begun: Import | None = None
        # The number of the transaction that does the work.
        self._xact: int | None = None

    async def through(
        self, begin: Begin, opened: Callable[[Import], Awaitable[Lists]]
    ) -> Import | None:
        """Do all of it while holding the turn, or keep nothing and write down why."""
        try:
            try:
                return await self._once(begin, opened)
            except RETRIABLE:
                # Nothing was kept, and the other transaction has its way now.
                return await self._once(begin, opened)
        except (*_CUT_OFF, asyncio.CancelledError):
            if not self._resumable:
                await self._fail(_ENDED)
            raise
        except Refused as no:
            await self._fail(no.message)
            raise
        except Exception:
            await self._fail(_OURS)
            raise

    async def _once(
        self, begin: Begin, opened: Callable[[Import], Awaitable[Lists]]
    ) -> Import | None:
        async with _turn(self._database, self._business_id) as (db, self._xact):
            if self._begun is None:
                await self._clear_abandoned(db)
                self._begun = await begin()
            begun = self._begun
            if begun is None:
                return None
            # Before the first row: who need not wait for this transaction knows it by then.
            await self._alive(begun, 0)
            lists = await opened(begun)
            if begun.only_try:
                return await elsewhere.done(db, begun, await self._tried(db, begun, lists))
            books = await self._merge(db, begun, lists)
            await db.run(sql.drop_file, import_id=begun.id)
            await db.run(sql.analyze_customers)
            return await elsewhere.done(db, begun, books)

    async def _tried(self, db: Db, begun: Import, lists: Lists) -> Books:
        """Do all of it and take it back; what is said of its lines is kept beside, as it goes."""
        async with self._database.write(self._business_id) as beside:
            # Of a worker that was killed over it.
            await beside.run(sql.drop_rows, import_id=begun.id)
        async with db.together(only_try=True):
            return await self._merge(db, begun, lists, self._database)

    async def _clear_abandoned(self, db: Db) -> None:
        """Whoever holds the turn knows that no other import works, whatever their rows say."""
        for import_id in await db.many(sql.abandoned_imports, UUID):
            async with self._database.write(self._business_id) as beside:
                await actions.fail(beside, import_id, _ENDED)

    async def _merge(
        self, db: Db, begun: Import, lists: Lists, beside: Database | None = None
    ) -> Books:
        task = await elsewhere.task(db, begun, lists.tool, lists.sha256)
        books = Books(db, task, beside)
        await books.tell(lists.remarks())
        rows = lists.rows(task.notice.accepts)
        ahead = Ahead(partial(books.gather, rows, BATCH))
        try:
            while (batch := await ahead.batch()).read:
                await books.take(batch, ahead.begin)
                await self._beat(Progress(books.tally.rows, lists.share))
        finally:
            await ahead.close()
        await books.tell(task.fields.undeclared())
        return books

    async def _beat(self, progress: Progress) -> None:
        if self._watch is not None:
            self._watch(progress)
        now = asyncio.get_running_loop().time()
        if self._begun is None or now - self._beat_at < _BEAT_SECONDS:
            return
        self._beat_at = now
        await self._alive(self._begun, progress.rows_read)

    async def _alive(self, begun: Import, rows_read: int) -> None:
        async with self._database.write(self._business_id) as beside:
            await beside.run(sql.beat, import_id=begun.id, rows_read=rows_read, xact=self._xact)

    async def _fail(self, problem: str) -> None:
        if self._begun is None:
            return
        async with self._database.write(self._business_id) as db:
            await actions.fail(db, self._begun.id, problem)


@asynccontextmanager
async def _turn(database: Database, business_id: UUID) -> AsyncIterator[tuple[Db, int]]:
    """Hold the turn of the business in the one transaction of the work, or refuse.

    Yields that transaction with its number.
    """
    async with database.write(business_id) as db:
        await db.run(sql.add_turn)
    async with database.write(business_id) as db:
        xact = await db.maybe(sql.take_turn, int)
        if xact is None:
            since = await db.maybe(sql.running_since, datetime)
            when = f" since {since:%H:%M:%S} UTC" if since else ""
            raise AnotherRuns(f"Another import is running{when}. Wait for it to end, then start.")
        yield db, xact
