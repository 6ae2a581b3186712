"""Whether she has just come from her mailbox: asked for before what must not happen by accident."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from litestar import Request, Response

from crm.customers import Customer
from crm.web.pages import page


def signed_in_at(request: Request[Any, Any, Any]) -> datetime:
    """Return when she last came from her mailbox in this browser."""
    at: datetime = request.scope["state"]["signed_in_at"]
    return at


def afresh(me: Customer, path: str, act: str) -> Response[Any]:
    """Say that it takes a new sign-in, and how it goes on; nothing was done."""
    return page(
        "privacy/pages/afresh.html", status=403, request_path=path, address=me.address, act=act
    )
