"""What the service answers: segments. Written by `make calls`."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

from msgspec import Struct


class Counted(Struct, frozen=True, kw_only=True):
    """How many customers a rule selects, and some of them: always the same ones of the same."""

    customers: int
    sample: list[UUID]


class Segment(Struct, frozen=True, kw_only=True):
    """A saved rule that selects customers. A campaign keeps it as it was at its start."""

    id: UUID
    name: str
    rule: dict[str, Any]
    version: int
    created_at: datetime
    changed_at: datetime
