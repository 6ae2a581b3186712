"""Receipts of her decisions: a page that prints well, and the files that prove it to anybody."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID

from litestar import Response, get
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery
from litestar.response import Stream

from crm import consent
from crm.consent.bundle import Bundle, pieces
from crm.consent.portal import HERE
from crm.customers import Customer
from crm.db import ReadDb
from crm.errors import NotFound
from crm.web.pages import page


class NotSealedYet(NotFound):
    """This decision is not sealed yet. Its proof is there a few seconds after it was recorded."""


@get("/receipts/bundle.json")
async def get_every_receipt(db: NamedDependency[ReadDb], me: NamedDependency[Customer]) -> Stream:
    """Give the receipts of all her decisions in one file, with all that proves them."""
    bundle = await consent.receipts(db, me.id)
    headers = _headers("receipts.json")
    return Stream(_by_turns(bundle), media_type="application/json", headers=headers)


@get("/receipts/{event_id:uuid}")
async def get_receipt(
    db: NamedDependency[ReadDb], me: NamedDependency[Customer], event_id: FromPath[UUID]
) -> Response[Any]:
    """Show what she decided, the exact words, and where it is sealed."""
    receipt = await consent.receipt(db, me.id, event_id)
    return page("consent/pages/receipt.html", request_path=HERE, receipt=receipt)


@get("/receipts/{event_id:uuid}/receipt.jws")
async def get_receipt_file(
    db: NamedDependency[ReadDb], me: NamedDependency[Customer], event_id: FromPath[UUID]
) -> Response[bytes]:
    """Give the signed receipt alone."""
    receipt = await consent.receipt(db, me.id, event_id)
    return _file(f"{receipt.jws}\n".encode(), "application/jose", f"receipt-{event_id}.jws")


@get("/receipts/{event_id:uuid}/proof.tlog-proof")
async def get_proof_file(
    db: NamedDependency[ReadDb], me: NamedDependency[Customer], event_id: FromPath[UUID]
) -> Response[bytes]:
    """Give the proof of its place in the ledger alone, or refuse with NotSealedYet."""
    receipt = await consent.receipt(db, me.id, event_id)
    if receipt.proof is None:
        raise NotSealedYet
    name = f"proof-{event_id}.tlog-proof"
    return _file(receipt.proof.text().encode(), "text/plain", name)


@get("/receipts/{event_id:uuid}/bundle.json")
async def get_bundle_file(
    db: NamedDependency[ReadDb],
    me: NamedDependency[Customer],
    event_id: FromPath[UUID],
    since: FromQuery[int | None] = None,
) -> Response[bytes]:
    """Give the receipt with all that proves it; `since` is the size of a checkpoint she kept."""
    bundle = await consent.bundle(db, me.id, event_id, since=since)
    return _file(consent.packed(bundle), "application/json", f"receipt-{event_id}.json")


async def _by_turns(bundle: Bundle) -> AsyncIterator[bytes]:
    """Write all of it while others are answered."""
    for piece in pieces(bundle):
        yield piece
        await asyncio.sleep(0)


def _file(content: bytes, media_type: str, name: str) -> Response[bytes]:
    return Response(content, media_type=media_type, headers=_headers(name))


def _headers(name: str) -> dict[str, str]:
    return {
        "content-disposition": f'attachment; filename="{name}"',
        "cache-control": "no-store",
    }


handlers = [get_every_receipt, get_receipt, get_receipt_file, get_proof_file, get_bundle_file]
