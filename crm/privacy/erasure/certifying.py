"""What is done with the certificates of erasures: kept, completed, signed when asked for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from uuid import UUID

import msgspec
from msgspec import Struct

from crm import businesses, consent
from crm.db import Db, ReadDb, Statements
from crm.errors import NotFound
from crm.events import ActorKind
from crm.pieces import Piece
from crm.privacy.erasure.certificate import CERTIFICATE_LASTS, TYPE, Erasure, Signed, written
from crm.privacy.model import Controller, Fingerprint

sql = Statements("privacy")


class UnknownErasure(NotFound):
    """No certificate of such an erasure is kept."""


class Ended(Struct, frozen=True):
    """What an erasure did: when, how many rows went from which table, and what it kept."""

    erased_at: datetime
    fingerprint: Fingerprint
    gone: Mapping[str, int]
    # Of all records.
    proof: consent.ToKeep
    # The numbers of those that were merged into this one.
    merged: Sequence[UUID] = ()
    # How many different addresses all of them had, as far as they are known yet.
    addresses: int = 1


async def certify(db: Db, by: ActorKind, customer_id: UUID, ended: Ended) -> None:
    """Keep what an erasure deleted; what a later one still found is added to it."""
    before = await db.maybe(sql.erasure, Erasure, customer_id=customer_id)
    known = before.gone if before else {}
    kept = ended.proof
    records = [customer_id, *ended.merged]
    await db.run(
        sql.keep_erasure,
        customer_id=customer_id,
        erased_at=ended.erased_at,
        actor_kind=by,
        fingerprint=ended.fingerprint,
        gone={each: known.get(each, 0) + ended.gone.get(each, 0) for each in {*known, *ended.gone}},
        records=len(records),
        addresses=max(1, ended.addresses),
        deliveries=await db.one(sql.deliveries_left, int, customer_ids=records),
        proofs=kept.proofs,
        proofs_until=kept.until,
        expires_at=ended.erased_at + CERTIFICATE_LASTS,
    )


async def certificate(db: ReadDb, customer_id: UUID) -> Signed:
    """Return the certificate of an erasure, signed with the key of receipts, or UnknownErasure.

    Where that key cannot be used now, it comes without a signature.
    """
    kept = await db.maybe(sql.erasure, Erasure, customer_id=customer_id)
    if kept is None:
        raise UnknownErasure
    found = written(kept, Controller.of(await businesses.get(db)))
    try:
        jws = await consent.signed_paper(db, TYPE, msgspec.json.encode(found))
    except consent.NoReceiptKey:
        jws = ""
    return Signed(found, jws)


async def lapse_certificates(db: Db, after: UUID, limit: int) -> Piece:
    """Delete certificates whose time is over, a piece at a time."""
    return await db.one(sql.lapse_erasures, Piece, after=after, limit=limit)
