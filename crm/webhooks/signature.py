"""Signatures of the Standard Webhooks specification, version 1: HMAC-SHA256 over id, time, body.

Whoever receives needs the raw bytes of the body; docs/webhooks.md shows how to check them.
"""

from __future__ import annotations

import base64
import binascii
import hmac
from collections.abc import Mapping, Sequence

PREFIX = "whsec_"
# The specification asks for 24 to 64 bytes.
SECRET_SIZE = 32
_SIZES = range(24, 65)
# Seconds by which a receiver's clock may differ, and in which a post that was seen may come again.
TOLERANCE = 300
_VERSION = "v1"


class BadSecret(ValueError):
    """This is no secret of Standard Webhooks: `whsec_` and the base64 of 24 to 64 bytes."""


class BadSignature(ValueError):
    """The post is not signed with this secret, or it is too old or too new."""


def written(secret: bytes) -> str:
    """Write a secret as it is handed over."""
    return PREFIX + base64.b64encode(secret).decode()


def read(text: str) -> bytes:
    """Read a secret back, with its prefix or without."""
    try:
        secret = base64.b64decode(text.removeprefix(PREFIX), validate=True)
    except (binascii.Error, ValueError):
        raise BadSecret(BadSecret.__doc__) from None
    if len(secret) not in _SIZES:
        raise BadSecret(BadSecret.__doc__)
    return secret


def headers(secrets: Sequence[bytes], message_id: str, at: int, body: bytes) -> dict[str, str]:
    """Make the three headers of a post, with a signature by each secret that is good now."""
    signed = (f"{_VERSION},{_signature(each, message_id, at, body)}" for each in secrets)
    return {
        "webhook-id": message_id,
        "webhook-timestamp": str(at),
        "webhook-signature": " ".join(signed),
    }


def check(secret: bytes, received: Mapping[str, str], body: bytes, now: int) -> None:
    """Return for a post that was signed with this secret a short while ago, or raise BadSignature.

    Signatures of other versions beside it count for nothing.
    """
    message_id, at = received.get("webhook-id", ""), received.get("webhook-timestamp", "")
    if not message_id or not (at.isascii() and at.isdigit()) or abs(int(at) - now) > TOLERANCE:
        raise BadSignature(BadSignature.__doc__)
    wanted = _signature(secret, message_id, int(at), body)
    for each in received.get("webhook-signature", "").split(" "):
        version, _, signature = each.partition(",")
        if version == _VERSION and hmac.compare_digest(signature.encode(), wanted.encode()):
            return
    raise BadSignature(BadSignature.__doc__)


def _signature(secret: bytes, message_id: str, at: int, body: bytes) -> str:
    told = f"{message_id}.{at}.".encode() + body
    return base64.b64encode(hmac.digest(secret, told, "sha256")).decode()
