"""What a call takes: sign ups. Written by `make calls`."""

from __future__ import annotations

from datetime import datetime
from typing import NotRequired, TypedDict

from crm.client.exchange import Id


class HandedIn(TypedDict):
    """What somebody entered on a form of the program's; nothing of it is known to be true yet."""

    address: str
    notices: list[Id]
    page: str
    form: NotRequired[str]
    name: NotRequired[str]
    asked_at: NotRequired[datetime | None]
    locale: NotRequired[str | None]
    country: NotRequired[str | None]
    old_enough: NotRequired[bool]
    seen_from: NotRequired[SeenFrom | None]


class SeenFrom(TypedDict):
    """From where and with what she ticked, as the program saw it."""

    address: str
    agent: NotRequired[str]
