"""What a call takes: segments. Written by `make calls`."""

from __future__ import annotations

from typing import Any, TypedDict


class NewSegment(TypedDict):
    """A name for staff, and the rule."""

    name: str
    rule: dict[str, Any]


class Asked(TypedDict):
    """A rule to count by, which need not be saved."""

    rule: dict[str, Any]
