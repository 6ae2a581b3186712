"""The certificate of an erasure, for whoever holds its link."""

from __future__ import annotations

from typing import Any

import msgspec
from litestar import Response, get
from litestar.di import NamedDependency
from litestar.params import FromPath

from crm import privacy
from crm.db import ReadDb
from crm.web.pages import page


@get("/erased/{token:str}")
async def get_certificate(db: NamedDependency[ReadDb], token: FromPath[str]) -> Response[Any]:
    """Show what an erasure did."""
    record = privacy.open_certificate(db.keys, db.business_id, token)
    signed = await privacy.certificate(db, record)
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


by_link = [get_certificate, get_certificate_file]
