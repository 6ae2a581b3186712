"""Whom a mail that came in may change something for: only who is named by a token of ours."""

from __future__ import annotations

import re
from collections.abc import Iterable
from contextlib import suppress
from uuid import UUID

from crm.customers import NotAnAddress, fold
from crm.inbound.heard import Complaint
from crm.inbound.model import Arrival, Proof, Vouched
from crm.keys import Keys
from crm.return_path import Sent, Way, open_leave, open_sent, parted
from crm.tokens import BadLink

# crm.campaigns.composing writes it: the campaign, and the keyed fingerprint of the address.
_OURS = re.compile(r"<?([0-9a-f]{32})\.([0-9a-f]{32})@[^<>\s]+>?", re.IGNORECASE)


def proven(keys: Keys, business_id: UUID, arrival: Arrival) -> Proof | None:
    """Return whom the address it came to names, else its Feedback-ID, else what was vouched for."""
    with suppress(BadLink):
        way, token, _ = parted(arrival.recipient)
        if way is Way.leave:
            stop = open_leave(keys, business_id, token)
            return Proof(stop.address_hash, stop=stop)
        if way is not None:
            sent = open_sent(keys, business_id, way, token)
            return Proof(sent.address_hash, sent=sent)
    with suppress(BadLink):
        if isinstance(arrival.heard, Complaint) and arrival.heard.feedback_id:
            token = arrival.heard.feedback_id.strip()
            sent = open_sent(keys, business_id, Way.feedback, token)
            return Proof(sent.address_hash, sent=sent)
    return _vouched(keys, business_id, arrival.vouched) if arrival.vouched else None


def referred(message_ids: Iterable[str]) -> Sent | None:
    """Return the first mail of ours among these Message-IDs.

    Each holds the keyed fingerprint of its address, which nobody can make up; who has it has the
    mail, and with that the unsubscribe link too.
    """
    for each in message_ids:
        if found := _OURS.fullmatch(each.strip()):
            campaign_id, address_hash = UUID(hex=found[1]), bytes.fromhex(found[2])
            return Sent(Way.campaign, address_hash, campaign_id, campaign_id)
    return None


def fingerprint(keys: Keys, business_id: UUID, address: str) -> bytes | None:
    """Fingerprint an address as somebody wrote it, or None where it is none."""
    try:
        return keys.address_hash(business_id, fold(address))
    except NotAnAddress:
        return None


def _vouched(keys: Keys, business_id: UUID, vouched: Vouched) -> Proof | None:
    sent = referred([vouched.message_id])
    if sent is not None:
        return Proof(sent.address_hash, sent=sent)
    address_hash = fingerprint(keys, business_id, vouched.address) if vouched.address else None
    return Proof(address_hash) if address_hash else None
