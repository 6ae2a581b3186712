"""Posts of events: whether one is signed with the secret of the endpoint, and what it tells.

After the Standard Webhooks specification, version 1. Written anew, as a receiver does it: the
client is all that a program of the business has of us.
"""

from __future__ import annotations

import base64
import binascii
import hmac
import time
from collections.abc import Mapping
from datetime import datetime
from uuid import UUID

import msgspec
from msgspec import Struct

# Seconds by which clocks may differ, and in which a post that was overheard may be sent again.
_TOLERANCE = 300
_VERSION = "v1"
# An hour in more digits is none: a stranger may send thousands of them.
_MOST_DIGITS = 12


class BadSignature(ValueError):
    """The post is not signed with this secret, or it is too old or too new."""


class EventData(Struct, frozen=True):
    """What an event is about, by ids; `acknowledge` asks for an acknowledgement (Art. 19 GDPR)."""

    id: UUID
    customer_id: UUID | None = None
    ref: UUID | None = None
    acknowledge: bool = False


class Told(Struct, frozen=True):
    """An event as it is posted. Keep `data.id`: the same event may be posted again."""

    type: str
    timestamp: datetime
    data: EventData


def verify(
    secret: str, headers: Mapping[str, str], body: bytes, *, now: float | None = None
) -> Told:
    """Read a post that was signed with `secret` a short while ago, or raise BadSignature.

    `body` is the bytes as they came: of a body that was parsed and written again nothing holds.
    """
    received = {name.lower(): value for name, value in headers.items()}
    message_id, at = received.get("webhook-id", ""), received.get("webhook-timestamp", "")
    moment = time.time() if now is None else now
    is_hour = at.isascii() and at.isdigit() and len(at) <= _MOST_DIGITS
    named = message_id and message_id.isascii()
    if not named or not is_hour or abs(int(at) - moment) > _TOLERANCE:
        raise BadSignature(BadSignature.__doc__)
    told = f"{message_id}.{at}.".encode() + body
    wanted = base64.b64encode(hmac.digest(_key(secret), told, "sha256"))
    for each in received.get("webhook-signature", "").split(" "):
        version, _, signature = each.partition(",")
        if version == _VERSION and hmac.compare_digest(signature.encode(errors="replace"), wanted):
            return msgspec.json.decode(body, type=Told)
    raise BadSignature(BadSignature.__doc__)


def _key(secret: str) -> bytes:
    try:
        return base64.b64decode(secret.removeprefix("whsec_"), validate=True)
    except (binascii.Error, ValueError):
        raise ValueError("The secret of an endpoint begins with whsec_.") from None
