"""Who was told of a customer's withdrawals, and when, for her: /me/told (Art. 19 GDPR)."""

from __future__ import annotations

from typing import Any

from litestar import Response, get
from litestar.di import NamedDependency

from crm import consent, webhooks
from crm.customers import Customer
from crm.db import ReadDb
from crm.web.pages import page


@get("/told")
async def get_told(db: NamedDependency[ReadDb], me: NamedDependency[Customer]) -> Response[Any]:
    """Show to which systems each withdrawal was told, and which of them said it was heeded."""
    purposes = await consent.purposes_for(db, me.id)
    return page(
        "webhooks/pages/told.html",
        told=await webhooks.told(db, me.id),
        purposes={each.id: each.name for each in purposes},
    )


handlers = [get_told]
