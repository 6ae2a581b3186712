"""The console and the API with the handlers of imports."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from litestar import Litestar

from crm import staff
from crm.businesses import Business
from crm.db import Database
from crm.events import Actor
from crm.imports import api, console, mapping_api, mapping_console
from crm.settings import Imports, Settings
from crm.staff import NewKey, Scope
from tests.staff import site

# Small, so that a test can be larger.
MOST = 20_000


@pytest.fixture
def app(database: Database) -> Litestar:
    """The console and the API, where a file has at most 20 kB."""
    made = site.application(
        database,
        console=[*console.handlers, *mapping_console.handlers],
        api=[*api.handlers, *mapping_api.handlers],
    )
    made.state.settings = Settings(
        link_keys="", storage_keys="", pepper="", imports=Imports(max_bytes=MOST)
    )
    return made


@pytest.fixture
async def owner(
    app: Litestar, database: Database, business: Business
) -> AsyncIterator[site.Browser]:
    """A browser in which an owner is signed in."""
    await site.member(database, business.id)
    async with site.Browser(app, business) as browser:
        await browser.enter("owner@bakery.example")
        yield browser


@pytest.fixture
async def program(
    app: Litestar, database: Database, business: Business
) -> AsyncIterator[site.Browser]:
    """A program with a key that may import."""
    async with site.Browser(app, business) as client:
        client.headers["authorization"] = await key(database, business, Scope.imports_write)
        yield client


async def key(database: Database, business: Business, scope: Scope) -> str:
    """Make a key of one scope; return the header that shows it."""
    new = NewKey(name="shop", scopes=[scope], reason="Orders of the shop.")
    async with database.write(business.id) as db:
        _, text = await staff.add_key(db, Actor.system(), new)
    return f"Bearer {text}"
