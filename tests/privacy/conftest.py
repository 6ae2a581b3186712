"""A customer with a full life, and a clock that can be set."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from crm.businesses import Business
from crm.customers import Customer
from crm.db import Database
from tests import make
from tests.alone import Alone
from tests.privacy.life import Life, lived
from tests.privacy.taken import taken

NORA = "Nora Lindqvist"


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
    """Time, in the test's hands."""
    return Clock()


@pytest.fixture
def clocked(database: Database, business: Business, clock: Clock) -> Alone:
    """The shared database, at the test's own time; its jobs know of the test's own business."""
    at_its_time = Database(database.connections, database.keys, database.wake, clock)
    return Alone(at_its_time, business.id)


@pytest.fixture
async def nora(database: Database, business: Business) -> Life:
    """A customer with something in every table."""
    return await lived(database, business, "nora@example.com", NORA)


@pytest.fixture(scope="module")
async def known(database: Database) -> Life:
    """Another like her, whom the tests of a module only look at."""
    return await lived(database, await make.business(database), "nora@example.com", NORA)


@pytest.fixture(scope="module")
async def packed(database: Database, known: Life) -> bytes:
    """The copy that she takes, of everything there can be."""
    return await taken(database, known.business.id, known.customer.id)


@pytest.fixture
async def ada(database: Database, business: Business) -> Customer:
    """A customer of whom little is known."""
    async with database.write(business.id) as db:
        return await make.customer(db, address="ada@example.com", name="Ada")


@pytest.fixture
async def foreign(database: Database, other_business: Business) -> Customer:
    """A customer of another business, of whom this one must see nothing."""
    async with database.write(other_business.id) as db:
        return await make.customer(db, address="zoe@example.com", name="Zoe")
