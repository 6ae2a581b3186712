"""What a request says about how a decision was made."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

from litestar import Request

from crm.consent.model import Network
from crm.visitors import located


def network_of(request: Request[Any, Any, Any]) -> Network:
    """Read from where somebody decides; kept only where the business does so."""
    host = request.client.host if request.client else ""
    # What is no address, such as the name of a socket, stays as it is.
    with suppress(ValueError):
        host = str(located(host))
    return Network(address=host, agent=request.headers.get("user-agent", ""))
