"""`docs/first-steps.md` is true: its own lines are run, as a newcomer would type them."""

from __future__ import annotations

import asyncio
import json
import os
import re
import shutil
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx2
import pytest

from crm.letterbox import Ready, serve
from tests.commands import SECRETS, process
from tests.conftest import Cluster

_DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "first-steps.md"
_LINES = re.compile(r"^```sh\n(.*?)^```", re.MULTILINE | re.DOTALL)
_PATIENCE = 90.0


def _free() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        found: int = probe.getsockname()[1]
    return found


@asynccontextmanager
async def _letterbox(directory: Path) -> AsyncIterator[Ready]:
    ready: asyncio.Future[Ready] = asyncio.get_running_loop().create_future()
    serving = asyncio.create_task(serve(directory, ready=ready.set_result))
    try:
        yield await ready
    finally:
        serving.cancel()
        await asyncio.wait({serving})


async def _answers(port: int) -> None:
    """Wait until the web process is there; it tells nobody when."""
    async with httpx2.AsyncClient() as client:
        while True:
            try:
                await client.get(f"http://127.0.0.1:{port}/health")
            except httpx2.TransportError:
                await asyncio.sleep(0.1)
            else:
                return


async def _typed(lines: str, directory: Path, environ: dict[str, str]) -> str:
    """Run lines as a shell does in which somebody types; return what it showed."""
    plain = {name: value for name, value in os.environ.items() if not name.startswith("CRM_")}
    path = f"{Path(sys.executable).parent}:{plain['PATH']}"
    shell = await asyncio.create_subprocess_exec(
        "bash", "-euc", f"trap 'kill $(jobs -p)' EXIT\n{lines}", cwd=directory,
        env=plain | environ | {"PATH": path},
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    try:
        async with asyncio.timeout(_PATIENCE):
            shown, _ = await shell.communicate()
    finally:
        if shell.returncode is None:
            shell.kill()
            await shell.wait()
    assert shell.returncode == 0, shown.decode()
    return shown.decode()


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
async def test_a_newcomer_gets_there(own_cluster: Cluster, redis_url: str, tmp_path: Path) -> None:
    """A customer who said yes, a mail sent to her, and a withdrawal that the shop was told."""
    web, hook = _free(), _free()
    async with _letterbox(tmp_path / "letterbox") as caught:
        environ = SECRETS | {
            "CRM_DATABASE_URL": own_cluster.app_url,
            "CRM_REDIS_URL": redis_url,
            "CRM_JOURNAL": str(tmp_path / "journal"),
            "CRM_WEB__PORT": str(web),
            "CRM_SMTP__PORT": str(caught.smtp_port),
            "CRM_WEBHOOKS__LOCAL": "true",
        }
        lines = "\n".join(_LINES.findall(_DOCUMENT.read_text()))
        for said, here in ((8000, web), (8025, caught.http_port), (9000, hook)):
            lines = lines.replace(str(said), str(here))
        async with process("web", environ=environ), process("worker", environ=environ):
            await _answers(web)
            shown = await _typed(lines, tmp_path, environ)

    told = [json.loads(line) for line in (tmp_path / "told.ndjson").read_text().splitlines()]
    assert '"authorises":true' in shown
    assert '"sent":1' in shown
    assert '"status":4' not in shown, shown
    assert [each["type"] for each in told] == ["consent.given", "consent.withdrawn"]
