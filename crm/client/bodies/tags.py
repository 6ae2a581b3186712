"""What a call takes: tags. Written by `make calls`."""

from __future__ import annotations

from typing import NotRequired, TypedDict

from crm.client.exchange import Id


class NewTag(TypedDict):
    """A declaration: how the word reads, what it is for, and how long it stays on a customer."""

    label: str
    purpose: str
    retention: str
    purpose_id: NotRequired[Id | None]
