"""What a call takes: suppressions. Written by `make calls`."""

from __future__ import annotations

from typing import Literal, NotRequired, TypedDict


class NewSuppression(TypedDict):
    """Whom not to mail, and how far that reaches."""

    address: str
    scope: NotRequired[Scope]


Scope = Literal["marketing", "all"]
