"""Several processes answer at one port: none is missed, and one that dies is replaced."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import httpx2
import pytest

from tests.commands import SECRETS, ended, process
from tests.conftest import Cluster

PATIENCE = 60.0


def _children(pid: int) -> set[int]:
    return {int(each) for each in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()}


def _is_there(pid: int) -> bool:
    return Path(f"/proc/{pid}").exists()


def _listening(pid: int, port: int) -> bool:
    """Whether this process has a socket that listens there."""
    inodes = {
        line.split()[9]
        for line in Path("/proc/net/tcp").read_text().splitlines()[1:]
        if line.split()[1].endswith(f":{port:04X}") and line.split()[3] == "0A"
    }
    try:
        return any(
            str(each.readlink()).removeprefix("socket:[").removesuffix("]") in inodes
            for each in Path(f"/proc/{pid}/fd").iterdir()
        )
    except OSError:  # it has closed one, or ended, meanwhile
        return False


async def _until(true: Callable[[], bool]) -> None:
    async with asyncio.timeout(PATIENCE):
        # No process tells another when it listens.
        while not true():  # noqa: ASYNC110
            await asyncio.sleep(0.05)


async def _answer(port: int) -> int:
    async with httpx2.AsyncClient(timeout=PATIENCE) as client:
        return (await client.get(f"http://127.0.0.1:{port}/health")).status_code


@pytest.mark.skipif(not Path("/proc/self/task").is_dir(), reason="looks into /proc of Linux")
async def test_several_answer_and_one_that_dies_is_replaced(
    own_cluster: Cluster, redis_url: str, tmp_path: Path
) -> None:
    with closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    environ = SECRETS | {
        "CRM_DATABASE_URL": own_cluster.app_url,
        "CRM_REDIS_URL": redis_url,
        "CRM_JOURNAL": str(tmp_path / "journal"),
        "CRM_WEB__PORT": str(port),
        "CRM_WEB__PROCESSES": "2",
    }
    async with process("web", environ=environ) as running:
        pid = running.pid
        assert pid is not None
        await _until(lambda: sum(_listening(each, port) for each in _children(pid)) == 2)
        first = _children(pid)
        assert {await _answer(port) for _ in range(20)} == {200}

        killed = min(first)
        os.kill(killed, signal.SIGKILL)
        await _until(lambda: killed not in _children(pid))
        assert {await _answer(port) for _ in range(20)} == {200}
        await _until(lambda: sum(_listening(each, port) for each in _children(pid)) == 2)
        second = _children(pid)
        assert len(second) == 2
        assert len(second & first) == 1

        running.terminate()
        assert await ended(running, PATIENCE) == 0
        assert not any(map(_is_there, second))
