"""Debian's Chromium on the whole web process: it serves on a port, and every host leads there.

One server, one browser and one business that has lived for each process of the tests; a context for
each language, with and without scripts.
"""

from __future__ import annotations

import itertools
import shutil
from collections.abc import AsyncIterator
from ipaddress import IPv4Address
from pathlib import Path

import pytest
from litestar.enums import ScopeType
from litestar.types import ASGIApp, Receive, Scope, Send
from playwright.async_api import Browser as Chromium
from playwright.async_api import async_playwright

from crm.app import application, served, state_of
from crm.db import Database, open_database
from crm.settings import Settings
from crm.wakes import open_pool
from tests import make
from tests.chromium.desk import Desk
from tests.chromium.world import World, built
from tests.conftest import KEYS, Cluster
from tests.listening import listening

# The shell has no windows to draw: a quarter faster on the same pages.
_PROGRAM = shutil.which("chromium-headless-shell") or shutil.which("chromium")
# Each request comes from a network of its own (RFC 2544): what is tested is not the limits.
_NETWORKS = itertools.cycle(range(int(IPv4Address("198.18.0.1")), int(IPv4Address("198.20.0.0"))))


def _from_everywhere(app: ASGIApp) -> ASGIApp:
    async def answer(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == ScopeType.HTTP:
            scope["client"] = (str(IPv4Address(next(_NETWORKS))), 50_000)
        await app(scope, receive, send)

    return answer


@pytest.fixture(scope="session")
def chromium_program() -> str:
    """Where Chromium is; without it, none of this is tested."""
    if _PROGRAM is None:
        pytest.skip("no Chromium here (Debian: apt-get install chromium-headless-shell)")
    return _PROGRAM


@pytest.fixture(scope="session")
async def web_port(
    chromium_program: str, shared_cluster: Cluster, redis_url: str
) -> AsyncIterator[int]:
    """Serve as `crm web` does, on a port of this session."""
    redis = open_pool(redis_url)
    settings = Settings(
        database_url=shared_cluster.app_url,
        redis_url=redis_url,
        link_keys="1:" + "31" * 32,
        storage_keys="1:" + "73" * 32,
        pepper="70" * 32,
    )
    async with (
        open_database(shared_cluster.app_url, KEYS, size=4) as requests,
        open_database(shared_cluster.app_url, KEYS, size=2) as looks,
    ):
        state = state_of(settings, requests, looks, redis)
        state["password_cost"] = make.CHEAP
        app = _from_everywhere(served(application(settings, state)))
        async with listening(app) as port:
            yield port
    await redis.aclose()


@pytest.fixture(scope="session")
async def chromium(chromium_program: str, web_port: int) -> AsyncIterator[Chromium]:
    """Start the browser; no name but ours leads anywhere, and nothing leaves this machine."""
    arguments = [
        "--no-sandbox",
        # Or it would begin a process for the next page of each context that a page was opened in.
        "--renderer-process-limit=1",
        f"--host-resolver-rules=MAP *.localhost 127.0.0.1:{web_port}, MAP * ~NOTFOUND",
    ]
    async with async_playwright() as playwright:
        started = await playwright.chromium.launch(executable_path=chromium_program, args=arguments)
        yield started
        await started.close()


@pytest.fixture(scope="session")
async def world(
    database: Database, shared_cluster: Cluster, tmp_path_factory: pytest.TempPathFactory
) -> World:
    """A business that has lived through everything, and the way to each of its pages."""
    directory: Path = tmp_path_factory.mktemp("journal")
    return await built(database, shared_cluster, directory)


@pytest.fixture(scope="session")
async def desk(chromium: Chromium, world: World) -> AsyncIterator[Desk]:
    """The browser, set up for any combination on the pages of that business."""
    async with Desk.opened(chromium, world) as opened:
        yield opened
