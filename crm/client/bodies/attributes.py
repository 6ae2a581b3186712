"""What a call takes: attributes. Written by `make calls`."""

from __future__ import annotations

from typing import Literal, NotRequired, TypedDict

from crm.client.bodies.shared import LawfulBasis
from crm.client.exchange import Id

AttributeType = Literal["text", "number", "date", "boolean"]


class NewAttribute(TypedDict):
    """A declaration: what the field is, what for, by what right, where from, and for how long."""

    label: str
    type: AttributeType
    purpose: str
    basis: LawfulBasis
    origin: str
    retention: str
    hers: NotRequired[bool]
    purpose_id: NotRequired[Id | None]
    not_allowed: NotRequired[WhenNotAllowed]


WhenNotAllowed = Literal["refuse", "drop"]
