"""The next rows of a list are gathered while those before are written, by one thread at most."""

from __future__ import annotations

import asyncio
from threading import Event

import pytest

from crm.imports.gathering import Ahead, Batch


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


async def test_nobody_closes_the_file_under_the_thread_that_reads_it() -> None:
    """It owns the position in the file until it has ended."""
    reading, read = Event(), Event()

    def gathered() -> Batch:
        reading.set()
        read.wait(10)
        return Batch(0, {}, [])

    ahead = Ahead(gathered)
    ahead.begin()
    await asyncio.to_thread(reading.wait, 10)
    closing = asyncio.ensure_future(ahead.close())
    done, _ = await asyncio.wait([closing], timeout=0.05)
    assert not done
    read.set()
    await closing


async def test_what_goes_wrong_in_the_thread_is_told_to_whoever_takes_it() -> None:
    """And closing after it does not tell it again."""

    def gathered() -> Batch:
        raise UnicodeError("not UTF-8")

    ahead = Ahead(gathered)
    with pytest.raises(UnicodeError, match="not UTF-8"):
        await ahead.batch()
    await ahead.close()
