"""The trust page: the same for everybody, without cookies."""

from __future__ import annotations

from typing import Any

from litestar import Response, get
from litestar.di import NamedDependency

from crm import trust
from crm.db import ReadDb
from crm.web.headers import PUBLIC
from crm.web.pages import page


@get("/trust")
async def get_trust(db: NamedDependency[ReadDb]) -> Response[Any]:
    """Show what is asked for, in which words, and what comes of it in numbers."""
    return page(
        "trust/pages/trust.html", headers=PUBLIC, shown=await trust.shown(db), enough=trust.ENOUGH
    )


handlers = [get_trust]
