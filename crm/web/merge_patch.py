"""Merge patches (RFC 7396): what is absent stays as it is, null takes away."""

from __future__ import annotations

from typing import Any

from litestar import Request
from litestar.exceptions import HTTPException

MERGE_PATCH = "application/merge-patch+json"


def check_merge_patch(request: Request[Any, Any, Any]) -> None:
    """Refuse a body that does not say it is one: as plain JSON it could mean the whole."""
    if request.content_type[0] != MERGE_PATCH:
        raise HTTPException(status_code=415, headers={"accept-patch": MERGE_PATCH})
