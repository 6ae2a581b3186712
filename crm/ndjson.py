"""Lists as one JSON object a line (NDJSON), and the last line, by which a list is known as whole.

That closing record says how many lines stand before it, and the SHA-256 of all their bytes with
their line feeds. A list that was stopped for a reason has a record with that reason instead.
"""

from __future__ import annotations

from hashlib import sha256

import msgspec
from msgspec import Struct

MEDIA = "application/x-ndjson"


class Closing(Struct, frozen=True):
    """What a list comes to: how many lines, and the SHA-256 over all of their bytes in hex."""

    count: int
    sha256: str


class Stopped(Struct, frozen=True):
    """Why a list ends before its end."""

    code: str
    detail: str


class Last(Struct, frozen=True, omit_defaults=True):
    """The last line of a list: one of the two."""

    closing: Closing | None = None
    stopped: Stopped | None = None

    def written(self) -> bytes:
        """Write it as a line."""
        return msgspec.json.encode(self) + b"\n"


class Tally:
    """Counts lines and the sum of their bytes, as they go by."""

    def __init__(self) -> None:
        """Begin with no lines."""
        self._count = 0
        self._sum = sha256()

    def take(self, content: bytes, lines: int = 1) -> None:
        """Count so many lines, with their line feeds."""
        self._count += lines
        self._sum.update(content)

    @property
    def closing(self) -> Closing:
        """What they come to so far."""
        return Closing(self._count, self._sum.hexdigest())
