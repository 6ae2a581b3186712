"""What a call takes: campaigns. Written by `make calls`."""

from __future__ import annotations

from datetime import datetime
from typing import Literal, NotRequired, TypedDict

from crm.client.exchange import Id


class Expiry(TypedDict):
    """After how many hours a campaign gives up what has not gone; null: the installation's rule."""

    hours: int | None


class NewCampaign(TypedDict):
    """What is written for a campaign."""

    purpose_id: Id
    subject: NotRequired[str]
    preheader: NotRequired[str]
    source: NotRequired[str]
    format: NotRequired[Literal["markdown", "html"]]
    question: NotRequired[str]
    answers: NotRequired[list[str]]
    public: NotRequired[bool]
    segment_id: NotRequired[Id | None]


class Start(TypedDict):
    """When a campaign starts by itself."""

    at: datetime
    by_customers_clock: NotRequired[bool]
    despite_gaps: NotRequired[bool]
    version: NotRequired[int | None]


class Trial(TypedDict):
    """To whom a test goes: somebody who works here."""

    address: str
