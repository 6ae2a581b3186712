"""What a call takes: service messages. Written by `make calls`."""

from __future__ import annotations

from typing import NotRequired, TypedDict

from crm.client.bodies.shared import LawfulBasis
from crm.client.exchange import Id


class NewServiceMessage(TypedDict):
    """One mail to one customer; `text` is Markdown, in which nothing is filled in."""

    purpose: str
    subject: str
    text: str
    customer: NotRequired[Id | None]
    address: NotRequired[str | None]
    reference: NotRequired[str]
    locale: NotRequired[str]


class NewServicePurpose(TypedDict):
    """A declaration: how it is called, why she gets it, and by what right."""

    label: str
    purpose: str
    basis: LawfulBasis
