"""A receiver, and a clock that can be set."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import pytest

from crm.db import Database
from tests.webhooks.receiver import Receiver, receiver


class Clock:
    """An hour that stands still until a test moves it."""

    def __init__(self) -> None:
        self.now = datetime.now(UTC).replace(microsecond=0)

    def __call__(self) -> datetime:
        return self.now

    def move(self, by: timedelta) -> None:
        """Let time pass."""
        self.now += by


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def clocked(database: Database, clock: Clock) -> Database:
    """The shared database, by the clock of the test."""
    return Database(database.connections, database.keys, database.wake, clock)


@pytest.fixture
async def there() -> AsyncIterator[Receiver]:
    """A system that takes everything, unless a test has it answer otherwise."""
    async with receiver() as listening:
        yield listening
