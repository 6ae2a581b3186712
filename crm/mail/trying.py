"""Whether a relay can be used: a session is opened, and nothing is sent."""

from __future__ import annotations

from uuid import UUID

from msgspec import Struct

from crm.db import Database
from crm.errors import NotFound
from crm.mail import away, relays
from crm.mail.session import Unreachable
from crm.settings import Settings


class Trial(Struct, frozen=True):
    """What came of it, in words, and whether mail can go by this relay."""

    usable: bool
    words: str


async def try_relay(
    database: Database, business_id: UUID, relay_id: UUID, settings: Settings
) -> Trial:
    """Greet, TLS, sign in, and leave; what is wrong is kept beside the relay.

    No transaction is open while the relay thinks.
    """
    async with database.read(business_id) as db:
        known = {each.id: each for each in await relays.all_of(db)}
        if relay_id not in known:
            raise NotFound
        relay = relays.opened_up(db, known[relay_id], settings)
    trouble, words = None, ""
    try:
        found = await relays.tried(relay)
    except Unreachable as no:
        trouble = f"{no.trouble.reason} {no.trouble.text}".strip()
        words = f"{relay.name} cannot be used. {away.sentence(trouble)}"
    else:
        words = f"{relay.name} answers {_said(found)}."
    async with database.write(business_id) as db:
        await relays.note(db, relay_id, trouble)
    return Trial(trouble is None, words)


def _said(found: relays.Found) -> str:
    inside = f"inside {found.tls}" if found.tls else "on this machine, without TLS"
    signed = ", signed in" if found.signed_in else ""
    offers = ", ".join(found.offers) or "nothing beyond plain SMTP"
    return f"{inside}{signed}. It offers {offers}"
