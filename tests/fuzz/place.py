"""A shop with one of everything, served at a port, and the document with what is in that shop."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import msgspec
from litestar.types import ASGIApp
from msgspec import Struct

from crm import staff
from crm.businesses import Business
from crm.db import Database
from crm.staff import NewKey, Scope
from tests import make
from tests.fuzz.examples import with_examples
from tests.listening import listening
from tests.routes import DOCUMENT
from tests.web.test_docs import Shop, opened


class Place(Struct, frozen=True):
    """Where the service answers, what it says of itself, and who hands out keys."""

    url: str
    document: dict[str, Any]
    # Called from the thread that tries the service.
    make_key: Callable[[], str]


@asynccontextmanager
async def place(site: ASGIApp, database: Database) -> AsyncIterator[Place]:
    """Open the shop and serve it, until the block ends."""
    business = await make.business(database)
    async with database.write(business.id) as db:
        await make.employ(db, "owner@bakery.example")
    document = await _document(await opened(database, business))
    loop = asyncio.get_running_loop()

    def make_key() -> str:
        made = asyncio.run_coroutine_threadsafe(_key(database, business), loop)
        return made.result()

    async with listening(site) as port:
        yield Place(f"http://127.0.0.1:{port}", document, make_key)


async def _document(shop: Shop) -> dict[str, Any]:
    """Fill the document from what is made once: what is no endpoint's, and what is."""

    async def words(line: str) -> dict[str, str]:
        return endpoints if "ENDPOINT_ID" in line else others

    others = await shop.words("")
    endpoints = others | await shop.told()
    plain = msgspec.json.decode(msgspec.json.encode(DOCUMENT))
    return await with_examples(plain, words)


async def _key(database: Database, business: Business) -> str:
    new = NewKey(name="Shop", scopes=list(Scope), reason="to answer what was asked")
    async with database.write(business.id) as db:
        # There is room for so many, and whoever tries the API makes some herself.
        for each in await staff.api_keys(db):
            if each.revoked_at is None:
                await staff.revoke_key(db, make.SYSTEM, each.id)
        return (await staff.add_key(db, make.SYSTEM, new))[1]
