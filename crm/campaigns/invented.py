"""A reader who does not exist: for previews, tests and canaries."""

from __future__ import annotations

from uuid import UUID

from crm.campaigns.composing import values_of
from crm.campaigns.render import Compiled
from crm.keys import Keys

# example.com belongs to nobody (RFC 2606).
NAME, ADDRESS = "Nora Example", "nora@example.com"


def invented(message: Compiled) -> dict[str, str]:
    """Return merge values of somebody who does not exist."""
    shown = {name: f"[{name}]" for name in message.attributes}
    return values_of(NAME, ADDRESS, shown)


def nobody(keys: Keys, business_id: UUID) -> bytes:
    """Return the fingerprint of no address: what a test's links name, so that they stop nobody."""
    # No folded address lacks its @, so none has this fingerprint.
    return keys.address_hash(business_id, "a test of a campaign")
