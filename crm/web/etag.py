"""Versions as strong ETags, and If-Match on what somebody else may have changed (RFC 9110 §13)."""

from __future__ import annotations

import re
from typing import Any

from litestar import Request

from crm.errors import Refused

# A weak tag (W/"…") never matches here: RFC 9110 §13.1.1 asks for strong comparison.
_TAG = re.compile(r'"v(\d{1,9})"', re.ASCII)


class MatchMissing(Refused):
    """Send If-Match with the ETag that you read, so that nobody's change is lost."""


class MatchFailed(Refused):
    """This has changed since you read it. Read it again, decide anew, and send its new ETag."""


def etag(version: int) -> dict[str, str]:
    """Make the header that names this version."""
    return {"etag": f'"v{version}"'}


def expected(request: Request[Any, Any, Any]) -> int | None:
    """Read which version the client means to change; None for `*`, which is any."""
    text = request.headers.get("if-match")
    if text is None:
        raise MatchMissing
    if text.strip() == "*":
        return None
    match = _TAG.fullmatch(text.strip())
    if match is None:
        raise MatchFailed
    return int(match[1])
