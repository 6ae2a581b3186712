"""Names that a business enters keep nobody else's from being found."""

from __future__ import annotations

import asyncio
import socket
from threading import Event
from typing import Any

import pytest

from crm import names


async def test_endpoints_whose_names_are_silent_leave_room_for_relays(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    ends = Event()

    def ask(host: str, port: int, **_: Any) -> list[Any]:
        if host.startswith("silent"):
            ends.wait()
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("93.184.215.14", port))]

    monkeypatch.setattr(socket, "getaddrinfo", ask)
    monkeypatch.setattr(names, "_MOST", 4)
    waiting = [
        asyncio.create_task(names.allowed(f"silent{each}.example", 443, 5, local=False))
        for each in range(2)
    ]
    try:
        # Both have begun to ask before this does.
        await asyncio.sleep(0)
        with pytest.raises(names.NameSilent):
            await names.allowed("shop.example", 443, 5, local=False)
        assert await names.places("relay.example", 587, 5)
    finally:
        ends.set()
        await asyncio.gather(*waiting)
