"""Fewer bytes for a browser that takes them: a page and its sheet, by gzip (RFC 1952).

Pages hold one secret, the token of their forms, and that is masked anew in each (`csrf_token`): so
the length of a packed page tells nothing of it. A file that somebody takes away is sent as it is.
"""

from __future__ import annotations

import gzip
from typing import Any

from litestar.connection import ASGIConnection

# Below that, a packet is a packet.
_WORTH = 1000
_EFFORT = 6


def taken(connection: ASGIConnection[Any, Any, Any, Any]) -> bool:
    """Say whether this browser reads gzip (RFC 9110 §12.5.3)."""
    for offered in connection.headers.get("accept-encoding", "")[:500].lower().split(","):
        coding, _, weight = offered.partition(";")
        if coding.strip() == "gzip":
            return weight.replace(" ", "") not in ("q=0", "q=0.0", "q=0.00", "q=0.000")
    return False


def worth(content: bytes) -> bool:
    """Say whether packing saves anything."""
    return len(content) >= _WORTH


def packed(content: bytes) -> bytes:
    """Pack it; the same content gives the same bytes."""
    return gzip.compress(content, _EFFORT, mtime=0)
