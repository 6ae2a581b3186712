"""What a call takes: imports. Written by `make calls`."""

from __future__ import annotations

from datetime import datetime
from typing import Literal, NotRequired, TypedDict

from crm.client.exchange import Id


class Column(TypedDict):
    """One column by its header, and what it holds; for an attribute, which that is declared."""

    header: str
    means: Means
    attribute: NotRequired[str]


Means = Literal[
    "leave",
    "address",
    "name",
    "first_name",
    "last_name",
    "status",
    "subscribed",
    "unsubscribed",
    "left_at",
    "bounced_at",
    "opted_in_at",
    "opted_in_ip",
    "confirmed_at",
    "confirmed_ip",
    "listed_at",
    "left_because",
    "tags",
    "attribute",
]


class NewMapping(TypedDict):
    """What each column of a list means."""

    columns: list[Column]
    otherwise: NotRequired[Literal["unknown", "subscribed", "unsubscribed"]]


class Release(TypedDict):
    """The evidence that the row lacked: the text she was shown, and when she agreed."""

    notice: Id
    at: datetime
    evidence: dict[str, str | int | bool]
    form: NotRequired[str]
    page: NotRequired[str]
