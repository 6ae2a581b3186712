"""A piece of a long sweep: what one short transaction deleted, and where the next one goes on."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeAlias
from uuid import UUID

from msgspec import Struct

from crm.db import Db


class Piece(Struct, frozen=True):
    """How many rows went, and after which key to go on; None where the end was reached."""

    deleted: int
    upto: UUID | None


# Given the key to go on after and how many rows to look at most.
Sweep: TypeAlias = Callable[[Db, UUID, int], Awaitable[Piece]]
