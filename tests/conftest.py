"""A real PostgreSQL, a business of its own for every test, and clients that are signed in.

Tests commit for real and do not see each other, because each has a business of its own and row-
level security keeps businesses apart. Only what works above businesses (workers, sweeps) asks for
`own_database`, a database cloned from a template.
"""

from __future__ import annotations

import gc
import os
import shutil
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit
from uuid import uuid4

import asyncpg
import pytest
from hypothesis import settings
from litestar.types import ASGIApp
from msgspec import Struct

from crm import businesses
from crm.app import application, served, state_of
from crm.businesses import Business
from crm.customers import Customer
from crm.db import Database, Db, open_database
from crm.embedded import Embedded, embedded
from crm.keys import Keys
from crm.migrate import migrate
from crm.settings import Settings
from crm.wakes import open_pool
from tests import make, places
from tests.browser import Browser

# A machine that is busy makes nothing wrong.
settings.register_profile("no-clock", deadline=None)
settings.load_profile("no-clock")

KEYS = Keys(link_keys=((1, b"1" * 32),), storage_keys=((1, b"s" * 32),), pepper=b"p" * 32)


class Cluster(Struct, frozen=True):
    """A PostgreSQL server that tests may fill with databases."""

    superuser_url: str
    owner_url: str
    app_url: str

    def named(self, name: str) -> Cluster:
        """Point the same roles at another database."""
        return Cluster(*(_database(url, name) for url in self._urls()))

    def _urls(self) -> tuple[str, str, str]:
        return self.superuser_url, self.owner_url, self.app_url


def _database(url: str, name: str) -> str:
    parts = urlsplit(url)
    return urlunsplit(parts._replace(path=f"/{name}"))


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Choose what is run, and what comes first."""
    _deselect_what_asks_nothing(config, items)
    items.sort(key=_place)


def _place(item: pytest.Item) -> int:
    """Begin with what may take longest, so that nobody waits for it at the end.

    Then what needs Chromium, in one go: so it is one process of the tests that starts one.
    """
    if item.get_closest_marker("timeout"):
        return 0
    return 1 if isinstance(item, pytest.Function) and "desk" in item.fixturenames else 2


def pytest_collection_finish() -> None:
    """Keep what all tests are made of out of the collector's way: half of its time went there."""
    gc.freeze()


def _deselect_what_asks_nothing(config: pytest.Config, items: list[pytest.Item]) -> None:
    """On a server that CRM_TEST_POSTGRES names, run what asks PostgreSQL something, and no more."""
    if "CRM_TEST_POSTGRES" not in os.environ:
        return
    asking = {
        item
        for item in items
        if isinstance(item, pytest.Function) and "cluster" in item.fixturenames
    }
    config.hook.pytest_deselected(items=[item for item in items if item not in asking])
    items[:] = [item for item in items if item in asking]


@pytest.fixture(scope="session")
async def servers() -> AsyncIterator[Embedded]:
    """Start PostgreSQL and Valkey from their wheels, for the time of the session."""
    directory = Path(tempfile.mkdtemp(prefix="fh-", dir=places.quick()))
    # The servers run as another user when root runs the tests.
    directory.chmod(0o755)  # noqa: ASYNC240  (once, before anything runs)
    try:
        async with embedded(directory / "data", fsync=False) as running:
            yield running
    finally:
        shutil.rmtree(directory)


@pytest.fixture(scope="session")
async def cluster(servers: Embedded) -> Cluster:
    """Use the embedded PostgreSQL, or the server that CRM_TEST_POSTGRES names."""
    given = os.environ.get("CRM_TEST_POSTGRES")
    if given:
        return await _roles_on(given)
    return Cluster(
        servers.superuser_database_url, servers.migrate_database_url, servers.database_url
    )


@pytest.fixture(scope="session")
def redis_url(servers: Embedded) -> str:
    """Give the address of a Valkey that this session's tests share."""
    return servers.redis_url


async def _roles_on(superuser_url: str) -> Cluster:
    conn = await asyncpg.connect(superuser_url)
    try:
        # Two test processes may come at once; the roles are the server's.
        await conn.execute("SELECT pg_advisory_lock(1)")
        if not await conn.fetchval("SELECT count(*) FROM pg_roles WHERE rolname = 'crm_owner'"):
            await conn.execute("CREATE ROLE crm_owner LOGIN PASSWORD 'owner'")
            await conn.execute("CREATE ROLE crm_app LOGIN PASSWORD 'app'")
            await conn.execute(
                "CREATE ROLE crm_sweep; CREATE ROLE crm_eraser; CREATE ROLE crm_prover"
            )
            await conn.execute("GRANT crm_sweep, crm_eraser, crm_prover TO crm_owner")
    finally:
        await conn.close()
    parts = urlsplit(superuser_url)
    port = f":{parts.port}" if parts.port else ""

    def url(user: str, password: str) -> str:
        netloc = f"{user}:{password}@{parts.hostname or ''}{port}"
        return urlunsplit(parts._replace(netloc=netloc, path="/postgres"))

    return Cluster(superuser_url, url("crm_owner", "owner"), url("crm_app", "app"))


@pytest.fixture(scope="session")
async def template(cluster: Cluster) -> str:
    """Migrate one database from which the others are cloned."""
    name = f"template_{uuid4().hex[:12]}"
    await _execute(cluster, f"CREATE DATABASE {name} OWNER crm_owner")
    await migrate(cluster.named(name).owner_url)
    return name


@asynccontextmanager
async def cloned(cluster: Cluster, template: str) -> AsyncIterator[Cluster]:
    """Clone the template into a database that is dropped afterwards."""
    name = f"test_{uuid4().hex[:12]}"
    await _execute(cluster, f"CREATE DATABASE {name} TEMPLATE {template} OWNER crm_owner")
    try:
        yield cluster.named(name)
    finally:
        await _execute(cluster, f"DROP DATABASE {name} WITH (FORCE)")


async def _execute(cluster: Cluster, statement: str) -> None:
    conn = await asyncpg.connect(cluster.superuser_url)
    try:
        await conn.execute(statement)
    finally:
        await conn.close()


@pytest.fixture(scope="session")
async def shared_cluster(cluster: Cluster, template: str) -> AsyncIterator[Cluster]:
    """One database for all tests that stay within their business."""
    async with cloned(cluster, template) as urls:
        yield urls


@pytest.fixture
async def root(shared_cluster: Cluster) -> AsyncIterator[asyncpg.Connection]:
    """Change rows as a superuser can, past every trigger and constraint."""
    conn = await asyncpg.connect(shared_cluster.superuser_url)
    await conn.execute("SET session_replication_role = replica")
    yield conn
    await conn.close()


@pytest.fixture(scope="session")
async def database(shared_cluster: Cluster) -> AsyncIterator[Database]:
    """Serve as the application's role on the shared database."""
    async with open_database(shared_cluster.app_url, KEYS, size=10) as opened:
        yield opened


@pytest.fixture
async def own_cluster(cluster: Cluster, template: str) -> AsyncIterator[Cluster]:
    """A database of this test's own: for what works above one business. Costs about 0.1 s."""
    async with cloned(cluster, template) as urls:
        yield urls


@pytest.fixture
async def own_database(own_cluster: Cluster) -> AsyncIterator[Database]:
    """Serve as the application's role on a database of this test's own."""
    async with open_database(own_cluster.app_url, KEYS, size=10) as opened:
        yield opened


@pytest.fixture
async def business(database: Database) -> Business:
    """A business that no other test knows."""
    return await make.business(database)


@pytest.fixture
async def other_business(database: Database) -> Business:
    """A business whose data the first must never see."""
    return await make.business(database, name="Stranger & Sons")


@pytest.fixture
async def db(database: Database, business: Business) -> AsyncIterator[Db]:
    """A transaction of the test's business, committed when the test ends well."""
    async with database.write(business.id) as opened:
        assert await businesses.get(opened) == business
        yield opened


@pytest.fixture(scope="session")
async def site(shared_cluster: Cluster, redis_url: str) -> AsyncIterator[ASGIApp]:
    """The whole web process, as it serves, around the stores of the tests."""
    async with whole(shared_cluster.app_url, redis_url) as app:
        yield app


@asynccontextmanager
async def whole(app_url: str, redis_url: str) -> AsyncIterator[ASGIApp]:
    """Put the whole web process around these stores.

    With one connection for requests and one for looks: a request that took two of one pool, or
    kept one, would hang here, whatever the route.
    """
    redis = open_pool(redis_url)
    settings = Settings(
        database_url=app_url,
        redis_url=redis_url,
        link_keys="1:" + "31" * 32,
        storage_keys="1:" + "73" * 32,
        pepper="70" * 32,
    )
    async with (
        open_database(app_url, KEYS, size=1) as requests,
        open_database(app_url, KEYS, size=1) as looks,
    ):
        state = state_of(settings, requests, looks, redis)
        state["password_cost"] = make.CHEAP
        yield served(application(settings, state))
    await redis.aclose()


@pytest.fixture
async def web(site: ASGIApp, business: Business) -> AsyncIterator[Browser]:
    """A browser on the pages of the business, of nobody in particular."""
    async with Browser(site, business.origin) as browser:
        yield browser


@pytest.fixture
async def api(site: ASGIApp, database: Database, business: Business) -> AsyncIterator[Browser]:
    """A program with a key that may do everything."""
    async with Browser(site, business.origin) as program:
        await make.let_in_by_key(database, business, program)
        yield program


@pytest.fixture
async def console(site: ASGIApp, database: Database, business: Business) -> AsyncIterator[Browser]:
    """A browser in which an owner of the business is signed in."""
    async with Browser(site, business.origin) as browser:
        await make.let_in_as_owner(database, business, browser)
        yield browser


@pytest.fixture
async def customer(database: Database, business: Business) -> Customer:
    """A customer of the business, to whom nothing may be sent yet."""
    async with database.write(business.id) as opened:
        return await make.customer(opened)


@pytest.fixture
async def portal(
    site: ASGIApp, database: Database, business: Business, customer: Customer
) -> AsyncIterator[Browser]:
    """A browser in which `customer` is signed in."""
    async with Browser(site, business.origin) as browser:
        await make.let_in_as_customer(database, business, customer, browser)
        yield browser


@pytest.fixture
async def stranger_api(
    site: ASGIApp, database: Database, other_business: Business
) -> AsyncIterator[Browser]:
    """A program with a key of another business that may do everything there."""
    async with Browser(site, other_business.origin) as program:
        await make.let_in_by_key(database, other_business, program)
        yield program


@pytest.fixture
async def stranger_console(
    site: ASGIApp, database: Database, other_business: Business
) -> AsyncIterator[Browser]:
    """A browser in which an owner of another business is signed in."""
    async with Browser(site, other_business.origin) as browser:
        await make.let_in_as_owner(database, other_business, browser)
        yield browser


@pytest.fixture
async def stranger_portal(
    site: ASGIApp, database: Database, other_business: Business
) -> AsyncIterator[Browser]:
    """A browser in which a customer of another business is signed in."""
    async with database.write(other_business.id) as opened:
        theirs = await make.customer(opened)
    async with Browser(site, other_business.origin) as browser:
        await make.let_in_as_customer(database, other_business, theirs, browser)
        yield browser
