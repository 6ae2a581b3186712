"""The letterbox as the demo reads it: over its own API and from its own log."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import Iterable
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote

from msgspec import Struct

from crm.demo import browser
from crm.demo.browser import Unexpected, expect
from crm.letterbox import Entry, Log

_POLL = 0.1
_PATIENCE = 30.0


class Accepted(Struct, frozen=True):
    """What the letterbox accepted of one campaign, by its own log."""

    messages: int
    doubled: int
    first: datetime | None
    last: datetime | None
    recipients: frozenset[str]

    @property
    def seconds(self) -> float:
        """From the first message to the last."""
        if self.first is None or self.last is None:
            return 0.0
        return (self.last - self.first).total_seconds()


class Mailbox:
    """Caught mail."""

    def __init__(self, url: str, log: Path) -> None:
        """Read from the letterbox at this address, whose log is this file."""
        self.url = url
        self._log = log

    async def pace(self, messages_per_second: float | None) -> None:
        """Let it accept so many a second, or all it can."""
        expect(await browser.put_json(f"{self.url}/api/pace", {"pace": messages_per_second}), 200)

    async def wait_for(self, address: str, subject_part: str = "") -> dict[str, Any]:
        """Return the newest mail to an address with these words in its subject, once there."""
        for _ in range(int(_PATIENCE / _POLL)):
            found = await self._newest(address, subject_part)
            if found is not None:
                return found
            await asyncio.sleep(_POLL)
        message = f"no mail came for {address} within {_PATIENCE:.0f} seconds"
        raise Unexpected(message)

    async def _newest(self, address: str, subject_part: str) -> dict[str, Any] | None:
        page = expect(
            await browser.get(f"{self.url}/api/messages?limit=1000&to={quote(address)}"), 200
        )
        for entry in reversed(json.loads(page.body)["messages"]):
            letter = await self.letter(entry["sequence"])
            if subject_part in letter["subject"]:
                return letter
        return None

    async def letter(self, sequence: int) -> dict[str, Any]:
        """Return one mail, taken apart."""
        page = expect(await browser.get(f"{self.url}/api/messages/{sequence}"), 200)
        letter: dict[str, Any] = json.loads(page.body)["letter"]
        return letter

    def entries(self) -> Iterable[Entry]:
        """Walk the log that the letterbox wrote for itself."""
        return Log.read(self._log)

    def accepted(self, campaign: str) -> Accepted:
        """Count what was accepted of a campaign, by the Message-IDs in the log."""
        ours = [entry for entry in self.entries() if entry.message_id.startswith(f"<{campaign}.")]
        times = Counter(entry.message_id for entry in ours)
        return Accepted(
            messages=len(ours),
            doubled=sum(times.values()) - len(times),
            first=min((entry.instant for entry in ours), default=None),
            last=max((entry.instant for entry in ours), default=None),
            recipients=frozenset(entry.recipient for entry in ours),
        )


def link(letter: dict[str, Any], part: str) -> str:
    """Find the first link of a mail with these words in its address."""
    for each in letter["links"]:
        if part in each:
            return str(each)
    message = f"the mail has no link with {part!r}"
    raise Unexpected(message)
