"""Receipts for programs: /v1/customers/{id}/consent-events/{event}/receipt."""

from __future__ import annotations

from uuid import UUID

from litestar import get
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery

from crm import consent, customers
from crm.consent import Bundle
from crm.db import ReadDb
from crm.staff.auth import Looks, needs


@get(
    "/customers/{id:uuid}/consent-events/{event_id:uuid}/receipt",
    guards=[needs("consents:read")],
    tags=["Consent"],
    summary="Read the receipt of a decision",
    description="A bundle that proves the decision with the network off, as docs/verify.md says: "
    "the receipt, signed as JWS, the proof of its place in the ledger, and the public keys. The "
    "proof is empty until the decision is sealed, a few seconds after it was recorded; ask again "
    "then. With `since`, the size of a checkpoint you kept, the bundle shows that nothing before "
    "it was rewritten. 409 `no_receipt_key` while the key cannot be used. The customer can see "
    "that this key looked.",
)
async def get_receipt(
    db: NamedDependency[ReadDb],
    looks: NamedDependency[Looks],
    id: FromPath[UUID],
    event_id: FromPath[UUID],
    since: FromQuery[int | None] = None,
) -> Bundle:
    """Read the receipt of a decision."""
    await customers.get(db, id)
    found = await consent.bundle(db, id, event_id, since=since)
    await looks.record([id])
    return found


handlers = [get_receipt]
