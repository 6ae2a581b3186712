"""By link alone: the certificate of an erasure, and the way to call one off."""

from __future__ import annotations

from typing import Any

import msgspec
from litestar import Request, Response, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath

from crm import customers, privacy
from crm.db import Db, ReadDb
from crm.web.pages import page
from crm.web.reader import prefer_hers

_BODY = 4 * 1024


@get("/erased/{token:str}")
async def get_certificate(db: NamedDependency[ReadDb], token: FromPath[str]) -> Response[Any]:
    """Show what an erasure did; or, of a record that is still there, that nothing was done."""
    record = privacy.open_certificate(db.keys, db.business_id, token)
    try:
        signed = await privacy.certificate(db, record)
    except privacy.UnknownErasure:
        # Whoever is led here presses a button again that an ended session had kept from her.
        await customers.get(db, record)
        return page("privacy/pages/not_erased.html")
    return page("privacy/pages/erased.html", certificate=signed.certificate, token=token)


@get("/erased/{token:str}/certificate.json")
async def get_certificate_file(
    db: NamedDependency[ReadDb], token: FromPath[str]
) -> Response[bytes]:
    """Hand over the certificate with its signature."""
    record = privacy.open_certificate(db.keys, db.business_id, token)
    signed = await privacy.certificate(db, record)
    told = msgspec.json.format(msgspec.json.encode(signed), indent=2) + b"\n"
    name = f"erasure-{signed.certificate.erased_at:%Y-%m-%d}.json"
    headers = {
        "content-disposition": f'attachment; filename="{name}"',
        "cache-control": "no-store",
    }
    return Response(told, media_type="application/json", headers=headers)


@get("/call-off/{token:str}")
async def get_call_off(
    request: Request[Any, Any, Any], db: NamedDependency[ReadDb], token: FromPath[str]
) -> Response[Any]:
    """Show the button that calls a deletion off; opening the page has changed nothing."""
    try:
        found = await privacy.wish_of_link(db, token)
    except privacy.NothingToCallOff:
        return page("privacy/pages/call_off_over.html", status=404)
    prefer_hers(request, (await customers.get(db, found.customer_id)).locale)
    return page("privacy/pages/call_off.html", wish=found, token=token)


@post("/call-off/{token:str}", status_code=200, request_max_body_size=_BODY)
async def post_call_off(
    request: Request[Any, Any, Any], db: NamedDependency[Db], token: FromPath[str]
) -> Response[Any]:
    """Call a deletion off; the link from her mailbox is the right."""
    try:
        found = await privacy.wish_of_link(db, token)
        await privacy.call_off(db, found.customer_id)
    except privacy.NothingToCallOff:
        return page("privacy/pages/call_off_over.html", status=404)
    prefer_hers(request, (await customers.get(db, found.customer_id)).locale)
    return page("privacy/pages/called_off.html")


by_link = [get_certificate, get_certificate_file, get_call_off, post_call_off]
