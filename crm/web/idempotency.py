"""Idempotency-Key: an answer is stored in the transaction that made it, and replayed.

draft-ietf-httpapi-idempotency-key-header-07. A refusal is not stored: nothing was done. What is
stored holds personal data, so it is encrypted with the client's own key, which we do not keep.
"""

from __future__ import annotations

import hashlib
import hmac
import os
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any

import msgspec
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from litestar import Request, Response
from msgspec import Struct

from crm.db import Db, Statements
from crm.errors import Conflict, Invalid, Refused

sql = Statements("web")

KEPT_FOR = timedelta(hours=24)
JSON = "application/json"
# A UUID has 36 characters; the rest is for those who put a name before it.
_LONGEST = 200
_NONCE = 12
# So many are deleted in one transaction.
_AT_ONCE = 1000


class KeyMissing(Refused):
    """This needs an Idempotency-Key header, so that a repeated request does not do it twice."""


class KeyMalformed(Invalid):
    """An Idempotency-Key is a quoted string of 1 to 200 printable ASCII characters."""


class KeyReused(Invalid):
    """This Idempotency-Key came before with another request. Use a new key for a new request."""


class InFlight(Conflict):
    """A request with this Idempotency-Key is being worked on. Try again in a moment."""


class Claim(Struct, frozen=True):
    """Whether a key is this request's alone now; with a fingerprint, the answer given before."""

    mine: bool
    fingerprint: bytes | None
    status: int
    body: bytes
    content_type: str


def needs_key(request: Request[Any, Any, Any]) -> None:
    """Refuse what must not be done twice and has no key (KeyMissing)."""
    if "idempotency-key" not in request.headers:
        raise KeyMissing


async def once(
    request: Request[Any, Any, Any],
    db: Db,
    by: str,
    act: Callable[[], Awaitable[Any]],
    *,
    status: int = 200,
) -> Response[bytes]:
    """Do `act` and answer with its JSON, or replay what `by` was answered under the same key.

    Keys belong to `by` (an API key's id) and to the address of the request, for 24 hours.
    """
    text = request.headers.get("idempotency-key")
    if text is None:
        return _answer(status, msgspec.json.encode(await act()), JSON)
    secret = bare(text).encode()
    key = hashlib.sha256(secret).hexdigest()
    scope, fingerprint = f"{by} {request.method} {request.scope['path']}", await _mark(request)
    claim = await db.one(sql.claim_answer, Claim, scope=scope, key=key)
    if not claim.mine:
        raise InFlight
    if claim.fingerprint is not None:
        if not hmac.compare_digest(claim.fingerprint, fingerprint):
            raise KeyReused
        return _replayed(claim, secret)
    body = msgspec.json.encode(await act())
    await db.run(
        sql.keep_idempotency_key,
        scope=scope,
        key=key,
        fingerprint=fingerprint,
        status=status,
        body=_sealed(secret, body),
        content_type=JSON,
        expires_at=db.now + KEPT_FOR,
    )
    return _answer(status, body, JSON)


def bare(text: str) -> str:
    """Read the header: quoted as the draft wants it, or bare as most clients send it."""
    text = text.strip()
    quoted = len(text) > 1 and text[0] == text[-1] == '"'
    key = text[1:-1] if quoted else text
    printable = key.isascii() and key.isprintable() and '"' not in key
    if not printable or not 0 < len(key) <= _LONGEST:
        raise KeyMalformed
    return key


async def forget(db: Db) -> bool:
    """Delete some answers whose time is over; say whether there may be more."""
    return await db.run(sql.forget_idempotency_keys, limit=_AT_ONCE) == _AT_ONCE


async def _mark(request: Request[Any, Any, Any]) -> bytes:
    digest = hashlib.sha256(request.scope["query_string"] + b"\0")
    digest.update(await request.body())
    return digest.digest()


def _sealed(secret: bytes, body: bytes) -> bytes:
    nonce = os.urandom(_NONCE)
    return nonce + AESGCM(_cipher_key(secret)).encrypt(nonce, body, None)


def _opened(secret: bytes, sealed: bytes) -> bytes:
    return AESGCM(_cipher_key(secret)).decrypt(sealed[:_NONCE], sealed[_NONCE:], None)


def _cipher_key(secret: bytes) -> bytes:
    return hmac.digest(secret, b"firsthand/idempotency/v1", "sha256")


def _replayed(claim: Claim, secret: bytes) -> Response[bytes]:
    answer = _answer(claim.status, _opened(secret, claim.body), claim.content_type)
    answer.headers["idempotency-replayed"] = "true"
    return answer


def _answer(status: int, body: bytes, content_type: str) -> Response[bytes]:
    return Response(body, status_code=status, media_type=content_type)
