"""Signatures of the Standard Webhooks specification, version 1: HMAC-SHA256 over id, time, body.

Whoever receives needs the raw bytes of the body; `crm.client.verify` and docs/webhooks.md show how
to check them.
"""

from __future__ import annotations

import base64
import hmac
from collections.abc import Sequence

PREFIX = "whsec_"
# The specification asks for 24 to 64 bytes.
SECRET_SIZE = 32
_VERSION = "v1"


def written(secret: bytes) -> str:
    """Write a secret as it is handed over."""
    return PREFIX + base64.b64encode(secret).decode()


def headers(secrets: Sequence[bytes], message_id: str, at: int, body: bytes) -> dict[str, str]:
    """Make the three headers of a post, with a signature by each secret that is good now."""
    signed = (f"{_VERSION},{_signature(each, message_id, at, body)}" for each in secrets)
    return {
        "webhook-id": message_id,
        "webhook-timestamp": str(at),
        "webhook-signature": " ".join(signed),
    }


def _signature(secret: bytes, message_id: str, at: int, body: bytes) -> str:
    told = f"{message_id}.{at}.".encode() + body
    return base64.b64encode(hmac.digest(secret, told, "sha256")).decode()
