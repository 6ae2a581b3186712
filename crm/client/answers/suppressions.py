"""What the service answers: suppressions. Written by `make calls`."""

from __future__ import annotations

from datetime import datetime

from msgspec import Struct


class Suppression(Struct, frozen=True, kw_only=True):
    """How and why an address is not mailed."""

    scope: str
    reason: str
    at: datetime
