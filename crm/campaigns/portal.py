"""Why did I get this: by the link in each mail without signing in; and all we sent, for who has."""

from __future__ import annotations

from typing import Any

from litestar import Response, get
from litestar.di import NamedDependency
from litestar.params import FromPath
from msgspec import Struct

from crm import campaigns, consent, customers, mail
from crm.campaigns import Received
from crm.customers import Customer
from crm.db import ReadDb
from crm.tokens import Why, open_why, why_token
from crm.web.pages import page


class Sent(Struct, frozen=True):
    """One campaign to the customer, with the page that says why."""

    received: Received
    purpose: str
    why: str


@get("/why/{token:str}")
async def get_why(db: NamedDependency[ReadDb], token: FromPath[str]) -> Response[Any]:
    """Say why a mail was sent, to whoever holds its link; changes nothing, and needs no sign-in."""
    told = await campaigns.explain(db, open_why(db.keys, token))
    return page("campaigns/pages/why.html", told=told)


@get("/mails")
async def get_mails(db: NamedDependency[ReadDb], me: NamedDependency[Customer]) -> Response[Any]:
    """Show every campaign and every service message to the customer, the newest first."""
    names = {each.id: each.name for each in await consent.purposes(db)}
    fingerprint = db.keys.address_hash(db.business_id, customers.fold(me.address))
    sent = [
        Sent(
            each,
            names.get(each.purpose_id, ""),
            why_token(db.keys, Why(db.business_id, fingerprint, each.campaign_id)),
        )
        for each in await campaigns.received(db, me.id)
    ]
    return page("campaigns/pages/mails.html", sent=sent, letters=await mail.export(db, me.id))


by_link = [get_why]
handlers = [get_mails]
