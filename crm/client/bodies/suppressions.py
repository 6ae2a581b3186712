"""What a call takes: suppressions. Written by `make calls`."""

from __future__ import annotations

from typing import Literal, NotRequired, TypedDict


class NewSuppression(TypedDict):
    """Whom not to mail, and how far that reaches."""

    address: str
    scope: NotRequired[Scope]


class OneAddress(TypedDict):
    """Whose suppression is meant; in the body, because an address belongs in no URL."""

    address: str


class SomeAddresses(TypedDict):
    """Which addresses to look up."""

    addresses: list[str]


Scope = Literal["marketing", "all"]
