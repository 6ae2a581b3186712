"""What the service answers: suppressions. Written by `make calls`."""

from __future__ import annotations

from datetime import datetime

from msgspec import Struct


class Checked(Struct, frozen=True, kw_only=True):
    """How it stands with one address; `suppression` is null where nothing keeps mail from it."""

    fingerprint: str
    suppression: Listed | None


class Listed(Struct, frozen=True, kw_only=True):
    """One suppression. The address itself is kept nowhere: its keyed fingerprint stands for it."""

    fingerprint: str
    scope: str
    reason: str
    at: datetime
    beneath: str | None
    beneath_at: datetime | None


class ListedSlice(Struct, frozen=True, kw_only=True):
    """ListedSlice."""

    rows: list[Listed]
    after: str | None


class Suppression(Struct, frozen=True, kw_only=True):
    """How and why an address is not mailed."""

    scope: str
    reason: str
    at: datetime
