"""What the service answers: sign ups. Written by `make calls`."""

from __future__ import annotations

from datetime import datetime

from msgspec import Struct


class TakenSignUp(Struct, frozen=True, kw_only=True):
    """When it was taken; the same whoever's address it is."""

    taken_at: datetime
