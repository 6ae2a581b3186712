"""The keys of receipts, for everybody and for ever (RFC 7517)."""

from __future__ import annotations

from litestar import get
from litestar.di import NamedDependency

from crm import consent
from crm.consent.bundle import Jwks
from crm.db import ReadDb

_ANEW = {"cache-control": "no-cache"}


@get("/.well-known/jwks.json", media_type="application/jwk-set+json", response_headers=_ANEW)
async def get_jwks(db: NamedDependency[ReadDb]) -> Jwks:
    """Give every key that receipts were ever signed with, old ones too."""
    return await consent.jwks(db)


handlers = [get_jwks]
