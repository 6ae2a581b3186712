"""What a call takes: privacy. Written by `make calls`."""

from __future__ import annotations

from datetime import date
from typing import Literal, NotRequired, TypedDict

from crm.client.exchange import Id


class Answered(TypedDict):
    """An answer in words; `told` where she has it on paper already, and no mail is to go."""

    words: str
    told: NotRequired[bool]


class CopyWanted(TypedDict):
    """Whether she is told by mail, once it is ready, that a copy was taken, by whom and why."""

    tell_customer: NotRequired[bool]


Ground = Literal[
    "expression",
    "legal_duty",
    "public_health",
    "archive",
    "legal_claims",
    "not_identified",
    "excessive",
    "others_rights",
    "accurate",
    "compelling",
    "not_met",
]


class Longer(TypedDict):
    """Why it takes longer; `told` where she has that on paper already, and no mail is to go."""

    words: str
    told: NotRequired[bool]


class NewRequest(TypedDict):
    """What somebody asks, and who: a customer by her id, or anybody by an address."""

    kind: RequestKind
    customer_id: NotRequired[Id | None]
    address: NotRequired[str]
    name: NotRequired[str]
    words: NotRequired[str]
    received_on: NotRequired[date | None]


class Refusal(TypedDict):
    """A refusal: the ground that the law gives, and the reason in words."""

    ground: Ground
    words: str
    told: NotRequired[bool]


RequestKind = Literal[
    "access", "portability", "rectification", "erasure", "restriction", "objection"
]
