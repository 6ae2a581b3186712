"""The next rows of a list, gathered by their address, with all that needs no look into the books.

It is done in a thread, while PostgreSQL writes the rows before.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from itertools import islice
from uuid import UUID

from msgspec import Struct

from crm import customers
from crm.customers import Address, NotAnAddress
from crm.ids import many_opaque
from crm.imports.fields import Fields
from crm.imports.model import Bad, Row, merge

# Gives the fingerprint of a folded address.
Hashed = Callable[[str], bytes]


class Group(Struct, frozen=True, gc=False):
    """All rows of a batch that name one address, and what they come to together.

    `fitted` has the values and the tags that are declared; `new_id` is for who is not known yet.
    """

    address: Address
    address_hash: bytes
    row: Row
    fitted: Row
    rows: list[Row]
    new_id: UUID


class Batch(Struct, frozen=True):
    """Rows as gathered: `read` of the file, good ones by folded address, bad ones with reasons."""

    read: int
    groups: dict[str, Group]
    bad: list[Bad]


class Ahead:
    """The batches of a list in turn, each gathered in a thread while the one before is written.

    Not all the while: at first the writer needs the interpreter itself, and of two threads that
    compute one waits for the other. So it says when it has only to wait for PostgreSQL.
    """

    def __init__(self, gathered: Callable[[], Batch]) -> None:
        """Gather nothing yet."""
        self._gathered = gathered
        self._next: asyncio.Future[Batch] | None = None
        self._closed = False

    def begin(self) -> None:
        """Gather the next batch now, unless that has begun."""
        if self._next is None and not self._closed:
            self._next = asyncio.get_running_loop().run_in_executor(None, self._gathered)

    async def batch(self) -> Batch:
        """Return the next batch."""
        self.begin()
        assert self._next is not None  # noqa: S101  (it has begun, and nobody closed this)
        # Whoever waits here may be cancelled; the thread cannot, and `close` waits for it.
        batch = await asyncio.shield(self._next)
        self._next = None
        return batch

    async def close(self) -> None:
        """Wait for the thread, which owns the position in the file until it has ended.

        What went wrong in it concerns nobody any more who did not wait for it.
        """
        self._closed = True
        if (left := self._next) is not None:
            await asyncio.wait([left])
            left.exception()


def gather(rows: Iterator[Row | Bad], size: int, hashed: Hashed, fields: Fields) -> Batch:
    """Take the next rows, at most `size`; none read means the end of the file."""
    good: dict[str, list[Row]] = {}
    addresses: dict[str, Address] = {}
    bad: list[Bad] = []
    read = 0
    for row in islice(rows, size):
        read += 1
        if isinstance(row, Bad):
            bad.append(row)
            continue
        try:
            address = customers.parse(row.address)
        except NotAnAddress as wrong:
            bad.append(Bad(row.line, wrong.message, row.part))
            continue
        if row.tags or row.other or row.watched:
            fields.count(row)
        good.setdefault(address.folded, []).append(row)
        addresses.setdefault(address.folded, address)
    groups: dict[str, Group] = {}
    for (folded, same), new_id in zip(good.items(), many_opaque(len(good)), strict=True):
        row = merge(same) if len(same) > 1 else same[0]
        fits = fields.names or (row.tags and fields.tags)
        fitted = fields.of(row) if fits else row
        groups[folded] = Group(addresses[folded], hashed(folded), row, fitted, same, new_id)
    return Batch(read, groups, bad)
