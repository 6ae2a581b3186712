"""What a call takes: interactions. Written by `make calls`."""

from __future__ import annotations

from datetime import datetime
from typing import NotRequired, TypedDict

from crm.client.exchange import Id


class NewInteraction(TypedDict):
    """Something that happened; without `at`, it is happening now."""

    kind: str
    title: str
    at: NotRequired[datetime | None]
    detail: NotRequired[str]
    amount: NotRequired[str | float | None]
    currency: NotRequired[str | None]


class NewKind(TypedDict):
    """A declaration of a kind of interaction: what for, and how long each is kept."""

    label: str
    purpose: str
    retention: str
    purpose_id: NotRequired[Id | None]
