"""Identifiers: time-ordered where order helps, opaque where a creation time would tell too much."""

from __future__ import annotations

import os
import secrets
import time
from datetime import UTC, datetime, timedelta
from struct import Struct
from uuid import UUID, uuid4

# As it comes from PostgreSQL: made, written and compared ten times as fast.
from asyncpg.pgproto.pgproto import UUID as QUICK

TIME_ORDERED = 7
_VERSION_7 = TIME_ORDERED << 12
_VARIANT = 0x8000_0000_0000_0000
_VERSION_4 = 4 << 12
_MILLISECOND = 1_000_000
_HALF = Struct(">Q")
_BOTH = Struct(">QQ")


def time_ordered() -> UUID:
    """Make a UUIDv7 (RFC 9562 §5.7): campaigns, events and imports keep together on disk.

    Twelve bits below the millisecond (§6.2, method 3) keep what one process makes in its order.
    """
    low = _VARIANT | int.from_bytes(os.urandom(8), "big") >> 2
    return UUID(int=(_time() << 64) | low)


def many_time_ordered(count: int) -> list[UUID]:
    """Make so many UUIDv7, in their order: two may be made in one step of the clock."""
    return sorted(
        QUICK(_BOTH.pack(_time(), _VARIANT | low >> 2))
        for (low,) in _HALF.iter_unpack(os.urandom(8 * count))
    )


def _time() -> int:
    millis, nanos = divmod(time.time_ns(), _MILLISECOND)
    return (millis << 16) | _VERSION_7 | (nanos << 12) // _MILLISECOND


def instant_of(made: UUID) -> datetime:
    """Read from a `time_ordered` id when it was made, to the millisecond."""
    return datetime.fromtimestamp((made.int >> 80) / 1000, UTC)


def earliest_at(instant: datetime, *, slack: timedelta = timedelta(0)) -> UUID:
    """Return what no `time_ordered` id that is made at this instant or later comes before.

    Nor one that is made before it by no more than `slack`. Before 1970 none was made.
    """
    millis = round((instant.timestamp() - slack.total_seconds()) * 1000)
    return UUID(int=max(0, millis) << 80)


def opaque() -> UUID:
    """Make a UUIDv4: customers and purposes, whose ids must not say when they came."""
    return uuid4()


def many_opaque(count: int) -> list[UUID]:
    """Make so many UUIDv4."""
    return [
        QUICK(_BOTH.pack(high & ~0xF000 | _VERSION_4, _VARIANT | low >> 2))
        for high, low in _BOTH.iter_unpack(os.urandom(16 * count))
    ]


def many_secrets(count: int, size: int = 32) -> list[bytes]:
    """Make so many random bytes, each as `secret` does."""
    drawn = secret(size * max(count, 1))
    return [drawn[at : at + size] for at in range(0, size * count, size)]


def secret(size: int = 32) -> bytes:
    """Make `size` random bytes for a token or salt; at least 16 (128 bit) by ASVS 11.5.1."""
    if size < 16:  # noqa: PLR2004  (128 bit)
        message = "a secret has at least 16 bytes"
        raise ValueError(message)
    return secrets.token_bytes(size)
