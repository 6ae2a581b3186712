"""What a call takes: keys. Written by `make calls`."""

from __future__ import annotations

from typing import Literal, NotRequired, TypedDict

from crm.client.exchange import Id


class NewKey(TypedDict):
    """What staff say about a key before it is made."""

    name: str
    scopes: list[Scope]
    reason: str
    purposes: NotRequired[list[Id]]
    days: NotRequired[int | None]


class Rotation(TypedDict):
    """How many hours the text until now works on beside the new one; none: it ends at once."""

    overlap_hours: NotRequired[int]


Scope = Literal[
    "customers:read",
    "customers:write",
    "customers:export",
    "consents:read",
    "consents:write",
    "sign_ups:write",
    "campaigns:read",
    "campaigns:write",
    "campaigns:send",
    "imports:write",
    "purposes:read",
    "purposes:write",
    "suppressions:read",
    "suppressions:write",
    "service_messages:send",
    "requests:read",
    "requests:write",
    "events:read",
    "webhooks:read",
    "webhooks:write",
    "webhooks:manage",
    "webhooks:acknowledge",
    "business:read",
    "business:write",
    "staff:read",
    "staff:write",
    "keys:read",
    "keys:write",
]
