"""A command that is told to stop puts away what it began, and says by its status if it was done."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path

import asyncpg
import pytest

from tests.commands import SECRETS, ended, process
from tests.conftest import Cluster

WORK = """
import asyncio, os, signal, sys
from crm.terminal import run

async def work():
    print("at work", flush=True)
    try:
        await asyncio.sleep(60)
    except asyncio.CancelledError:
        if {finishes}:
            return
        raise
    finally:
        print("put away", flush=True)

run(work(), serves={serves}, quick={quick})
print("went on", flush=True)
"""
# What `crm migrate` waits for.
LOCK = 0x66697273
AT_WORK = (
    "SELECT count(*) FROM pg_stat_activity"
    " WHERE usename = 'crm_owner' AND datname = current_database()"
)
PATIENCE = 30.0
CUT = {int(signal.SIGTERM): 143, int(signal.SIGINT): 130}


async def told(
    number: int, *, serves: bool = False, quick: bool = False, finishes: bool = False
) -> tuple[int | None, str]:
    """Tell a command in the middle of its work to stop; its status, and what it said after that."""
    text = WORK.format(serves=serves, quick=quick, finishes=finishes)
    running = await asyncio.create_subprocess_exec(
        sys.executable, "-c", text, stdout=asyncio.subprocess.PIPE, start_new_session=True
    )
    assert running.stdout is not None
    try:
        assert await running.stdout.readline() == b"at work\n"
        os.kill(running.pid, number)
        said, _ = await running.communicate()
    finally:
        if running.returncode is None:
            running.kill()
            await running.wait()
    return running.returncode, said.decode()


def says(log: Path, words: str) -> bool:
    return log.exists() and words in log.read_text()


async def until(so: Callable[[], Awaitable[object]]) -> None:
    """Wait until it is so."""
    async with asyncio.timeout(PATIENCE):
        while True:
            if await so():
                return
            await asyncio.sleep(0.05)


@pytest.mark.parametrize("quick", [False, True])
@pytest.mark.parametrize("number", CUT)
async def test_work_that_is_cut_off_is_not_done(number: int, *, quick: bool) -> None:
    assert await told(number, quick=quick) == (CUT[number], "put away\n")


@pytest.mark.parametrize("quick", [False, True])
@pytest.mark.parametrize("number", CUT)
async def test_a_service_that_is_told_to_stop_is_done(number: int, *, quick: bool) -> None:
    assert await told(number, serves=True, quick=quick) == (0, "put away\nwent on\n")


@pytest.mark.parametrize("number", CUT)
async def test_work_that_was_finished_all_the_same_is_done(number: int) -> None:
    assert await told(number, finishes=True) == (0, "put away\nwent on\n")


async def test_a_migration_that_is_cut_off_is_not_done(
    own_cluster: Cluster, redis_url: str
) -> None:
    """A deployment that goes by the status does not go on to the next step."""
    urls = {
        "CRM_DATABASE_URL": own_cluster.app_url,
        "CRM_MIGRATE_DATABASE_URL": own_cluster.owner_url,
        "CRM_REDIS_URL": redis_url,
    }
    conn = await asyncpg.connect(own_cluster.superuser_url)
    await conn.execute("SELECT pg_advisory_lock($1)", LOCK)
    try:
        async with process("migrate", environ=urls | SECRETS) as running:
            await until(lambda: conn.fetchval(AT_WORK))
            running.terminate()
            assert await ended(running, PATIENCE) == 143
    finally:
        await conn.close()


async def test_a_letterbox_that_is_told_to_stop_is_done(tmp_path: Path) -> None:
    log = tmp_path / "log"
    arguments = ("letterbox", str(tmp_path / "box"), "--smtp-port=0", "--http-port=0")
    async with process(*arguments, environ={}, log=log) as running:
        await until(lambda: asyncio.to_thread(says, log, "Letterbox: http"))
        running.terminate()
        assert await ended(running, PATIENCE) == 0
