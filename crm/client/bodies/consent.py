"""What a call takes: consent. Written by `make calls`."""

from __future__ import annotations

from datetime import datetime
from typing import Literal, NotRequired, TypedDict

from crm.client.exchange import Id


class NewConsentEvent(TypedDict):
    """A decision of a customer, as the caller can prove it."""

    purpose: Id
    status: Literal["given", "refused", "deferred", "unobjected", "withdrawn"]
    notice: NotRequired[Id | None]
    evidence: NotRequired[dict[str, str | int | bool]]
    at: NotRequired[datetime | None]
    jurisdiction: NotRequired[str | None]
    form: NotRequired[str]
    page: NotRequired[str]
    request: NotRequired[str]
    complaint: NotRequired[bool]


class NewWithdrawal(TypedDict):
    """Who leaves, and what."""

    address: str
    purpose: NotRequired[Id | None]
    complaint: NotRequired[bool]


class Asked(TypedDict):
    """Whom to check: up to 1,000 customers by id, or one address."""

    purpose: Id
    customers: NotRequired[list[Id] | None]
    address: NotRequired[str | None]
