"""What the service answers: staff. Written by `make calls`."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from msgspec import Struct


class Colleague(Struct, frozen=True, kw_only=True):
    """Somebody who works here or did; never what she signs in with."""

    id: UUID
    name: str
    address: str
    role: str
    created_at: datetime
    disabled_at: datetime | None
    second_factor: bool
    invited: bool
