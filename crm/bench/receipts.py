"""How many receipts one core signs, beside nothing but the signature over as many bytes."""

from __future__ import annotations

import time

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from crm.bench.figure import Beside, Figure, Goal, Missing, Notes, Run, Say, Series, interleaved
from crm.bench.stage import SYSTEM, Cast, Stage, agreed, found
from crm.consent.receipt import Issuer, Sealed, seal, signed
from crm.consent.record import Place, canonical
from crm.ids import opaque, secret, time_ordered

# Receipts per second and core to reach.
_SIGNED = 5_000.0


async def receipt(stage: Stage, count: int, rounds: int, say: Say) -> list[Figure | Missing]:
    """Measure writing and signing receipts of different decisions, by the processor's time."""
    cast = await found(stage.quiet)
    key, now = Ed25519PrivateKey.generate(), stage.quiet.clock()
    issuer, with_ = _issuer(cast), seal(key, "")
    records = [_sealed(stage, cast) for _ in range(count)]
    size = len(signed(issuer, records[0], with_, now))

    async def ours(_: int) -> float:
        began = time.process_time()
        for record in records:
            signed(issuer, record, with_, now)
        return count / (time.process_time() - began)

    async def ceiling(_: int) -> float:
        text = bytes(size)
        began = time.process_time()
        for _record in records:
            key.sign(text)
        return count / (time.process_time() - began)

    alone = "Ed25519 alone"
    contenders: dict[str, tuple[str, Run]] = {
        "receipt": ("receipts/s", ours),
        alone: ("signatures/s", ceiling),
    }
    runs = await interleaved(rounds, contenders, say)
    beside = [
        Beside(runs[alone]),
        Beside(Series("the goal", "receipts/s", [_SIGNED]), Goal(1)),
    ]
    notes: Notes = {"receipts": count, "bytes": size, "ceiling": "a signature over as many bytes"}
    return [Figure("receipt", runs["receipt"], beside, notes)]


def _sealed(stage: Stage, cast: Cast) -> Sealed:
    place, now = Place(time_ordered(), opaque(), None), stage.quiet.clock()
    event = agreed(cast, opaque(), now)
    return Sealed(
        event_id=place.event_id,
        customer_id=event.customer_id,
        salt=secret(),
        canonical=canonical(cast.business.id, place, event, SYSTEM, now),
        terms=cast.version.terms,
        notice=cast.notice,
    )


def _issuer(cast: Cast) -> Issuer:
    business = cast.business
    return Issuer(
        origin=business.origin,
        name=business.name,
        legal_name=business.legal_name,
        postal_address=business.postal_address,
        contact=business.privacy_contact,
    )
