"""A console and an API to send requests to, and a clock that can be set."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import pytest
from litestar import Litestar

from crm.businesses import Business
from crm.db import Database
from tests.staff import site


class Clock:
    """An hour that stands still until a test moves it."""

    def __init__(self) -> None:
        self.now = datetime(2026, 6, 9, 11, 0, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now

    def move(self, by: timedelta) -> None:
        """Let time pass."""
        self.now += by


@pytest.fixture
def clock() -> Clock:
    """Time, in the test's hands."""
    return Clock()


@pytest.fixture
def clocked(database: Database, clock: Clock) -> Database:
    """The shared database, at the test's own time."""
    return Database(database.connections, database.keys, database.wake, clock)


@pytest.fixture
def app(clocked: Database) -> Litestar:
    """The console and the API."""
    return site.application(clocked)


@pytest.fixture
async def browser(app: Litestar, business: Business) -> AsyncIterator[site.Browser]:
    """A browser in which nobody is signed in."""
    async with site.Browser(app, business) as opened:
        yield opened


@pytest.fixture
async def owner(clocked: Database, business: Business, browser: site.Browser) -> site.Browser:
    """A browser in which an owner is signed in."""
    await site.member(clocked, business.id)
    answer = await browser.enter("owner@bakery.example")
    assert answer.status_code == 303
    return browser
