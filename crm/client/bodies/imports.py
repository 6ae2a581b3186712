"""What a call takes: imports. Written by `make calls`."""

from __future__ import annotations

from datetime import datetime
from typing import NotRequired, TypedDict

from crm.client.exchange import Id


class Release(TypedDict):
    """The evidence that the row lacked: the text she was shown, and when she agreed."""

    notice: Id
    at: datetime
    evidence: dict[str, str | int | bool]
    form: NotRequired[str]
    page: NotRequired[str]
