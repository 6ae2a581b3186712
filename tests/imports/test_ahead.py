"""The next rows of a list are gathered while those before are written, by one thread at most."""

from __future__ import annotations

import asyncio
import gc
from datetime import UTC, datetime
from threading import Event
from typing import Any

import pytest

from crm.businesses import Business
from crm.db import Database
from crm.events import Actor
from crm.imports import actions, elsewhere
from crm.imports.batch import Books
from crm.imports.gathering import Ahead, Batch
from crm.imports.mapping import Given
from crm.imports.model import Row, State, Tool
from tests.imports.lists import letter

ASKED = datetime(2021, 5, 4, tzinfo=UTC)


async def test_batches_come_in_turn_and_each_is_gathered_once() -> None:
    """Whether it was begun ahead, begun twice, or not at all."""
    numbers = iter(range(1, 5))
    ahead = Ahead(lambda: Batch(next(numbers), {}, []))
    first = await ahead.batch()
    ahead.begin()
    ahead.begin()
    second, third = await ahead.batch(), await ahead.batch()
    await ahead.close()

    assert [each.read for each in (first, second, third)] == [1, 2, 3]
    assert next(numbers) == 4


class Slow:
    """A reader that the test holds inside of its thread."""

    def __init__(self) -> None:
        self.reading, self.may_end = Event(), Event()
        self.times = 0

    def __call__(self) -> Batch:
        self.times += 1
        self.reading.set()
        self.may_end.wait(10)
        return Batch(0, {}, [])


@pytest.mark.parametrize("cancelled", [False, True])
async def test_nobody_closes_the_file_under_the_thread_that_reads_it(*, cancelled: bool) -> None:
    """It owns the position in the file until it has ended, also where nobody waits any more."""
    slow = Slow()
    ahead = Ahead(slow)
    waiting = asyncio.ensure_future(ahead.batch())
    await asyncio.to_thread(slow.reading.wait, 10)
    if cancelled:
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
    closing = asyncio.ensure_future(ahead.close())
    done, _ = await asyncio.wait([closing], timeout=0.05)
    assert not done
    slow.may_end.set()
    await closing
    assert cancelled or (await waiting).read == 0


async def test_after_its_end_nothing_is_begun() -> None:
    """A call that was due comes too late, and reads from no file that is closed."""
    slow = Slow()
    ahead = Ahead(slow)
    await ahead.close()
    ahead.begin()
    await ahead.close()

    assert slow.times == 0


@pytest.mark.parametrize("taken", [True, False])
async def test_what_goes_wrong_in_the_thread_is_told_to_whoever_takes_it(*, taken: bool) -> None:
    """And to nobody else: neither by closing, nor by the loop as of something forgotten."""
    forgotten: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, what: forgotten.append(what))

    def gathered() -> Batch:
        raise UnicodeError("not UTF-8")

    ahead = Ahead(gathered)
    ahead.begin()
    if taken:
        with pytest.raises(UnicodeError, match="not UTF-8"):
            await ahead.batch()
    await ahead.close()
    del ahead
    gc.collect()
    assert not forgotten


async def test_whoever_writes_says_when_others_may_read(
    database: Database, business: Business
) -> None:
    """While rows are appended; at once where the last batch had nothing to append."""
    notice = await letter(database, business.id)
    rows = [Row(1, "reader@example.com", opted_in_at=ASKED, confirmed_at=ASKED)]
    told: list[int] = []
    async with database.write(business.id) as db:
        given = Given(Tool.mailchimp, "0" * 64)
        by = Actor.system()
        begun = await actions.add(db, by, notice, given, file_name="x", state=State.running)
        books = Books(db, await elsewhere.task(db, begun, given.tool, given.sha256))

        async def take() -> None:
            batch = books.gather(iter(rows), 1)
            await books.take(batch, lambda: told.append(books.tally.rows))

        await take()
        assert told == [0]
        assert books.tally.added == 1
        # She is known now, so nothing is appended, and nothing had to be waited for.
        await take()
        told.clear()
        await take()
        assert told[0] == 2

    assert books.tally.unchanged == 2
