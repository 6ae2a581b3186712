"""The stream of all customers: a batch in a short transaction, and none while the reader reads."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from uuid import UUID

from msgspec import Struct

from crm.customers.bound import allowing
from crm.db import Database, Db, Statements
from crm.errors import Refused
from crm.exports.model import Reading
from crm.ndjson import Last, Stopped, Tally

sql = Statements("exports")

# Larger batches are no faster, and hold more in memory and for longer.
BATCH = 2000
# A batch of records with very much in them is made smaller the next time.
_BYTES = 2_000_000
_BEFORE_ALL = UUID(int=0)

# Records, in the transaction, a look at each of these; says whether one only waits for her erasure.
Look = Callable[[Db, Sequence[UUID]], Awaitable[bool]]


class _Line(Struct, frozen=True):
    id: UUID
    line: bytes


class _Batch(Struct, frozen=True):
    """Some lines, and the last customer that was looked for; none at the end."""

    lines: list[_Line]
    reached: UUID | None


class _Leaves(Exception):
    """Somebody wished to be erased while her line was read: nothing of it is kept."""


class EveryCustomer:
    """All customers of a business, as one key may read them."""

    def __init__(
        self,
        database: Database,
        business_id: UUID,
        reading: Reading,
        look: Look,
        *,
        batch: int = BATCH,
    ) -> None:
        """Read nothing yet; then so many at once."""
        self._batch = batch
        self._database = database
        self._business_id = business_id
        self._reading = reading
        self._look = look

    async def lines(self) -> AsyncIterator[bytes]:
        """Yield every customer as a line, by batches, and the closing record.

        Whoever is here from the beginning to the end is in it once; who comes or goes meanwhile may
        be. A refusal by `look` stops it, and its last line says why.
        """
        tally = Tally()
        after, size = _BEFORE_ALL, self._batch
        try:
            while True:
                batch = await self._next(after, size)
                if batch.reached is None:
                    break
                after = batch.reached
                content = b"".join([each.line + b"\n" for each in batch.lines])
                size = max(1, min(self._batch, size * _BYTES // max(len(content), 1)))
                if content:
                    tally.take(content, len(batch.lines))
                    yield content
        except Refused as no:
            yield Last(stopped=Stopped(no.code, no.message)).written()
            return
        yield Last(closing=tally.closing).written()

    async def _next(self, after: UUID, size: int) -> _Batch:
        async def act(db: Db) -> _Batch:
            batch = await _read(db, self._reading, after, size)
            if await self._look(db, [each.id for each in batch.lines]):
                raise _Leaves
            return batch

        while True:
            try:
                return await self._database.attempt(self._business_id, act)
            except _Leaves:
                # Read again: she is not among them any more.
                continue


async def _read(db: Db, reading: Reading, after: UUID, size: int) -> _Batch:
    found = await db.many(sql.customers_following, UUID, after=after, limit=size)
    if not found:
        return _Batch([], None)
    allowed = await allowing(db, reading.purpose_id, found)
    lines = await db.many(
        sql.lines,
        _Line,
        customer_ids=list(allowed),
        purpose_id=reading.purpose_id,
        consents=reading.consents,
    )
    return _Batch(lines, found[-1])
