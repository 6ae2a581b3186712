"""What the pages of a business take from its look: the sheet with its colours, and its logo."""

from __future__ import annotations

from litestar import Response, get
from litestar.di import NamedDependency
from litestar.params import FromPath

from crm.businesses import logo
from crm.businesses.model import Business
from crm.businesses.theme import sheet
from crm.db import ReadDb
from crm.errors import NotFound
from crm.web.headers import DOWNLOAD

# The name holds the digest of the content (RFC 8246).
_FOREVER = "public, max-age=31536000, immutable"


@get("/look/{name:str}")
async def get_look(
    db: NamedDependency[ReadDb], business: NamedDependency[Business], name: FromPath[str]
) -> Response[bytes]:
    """Answer with the sheet or the logo of exactly this content; an older one is gone."""
    headers = {**DOWNLOAD, "cache-control": _FOREVER}
    if business.sheet == f"/look/{name}":
        return Response(sheet(business.colours).encode(), headers=headers, media_type="text/css")
    if business.logo != name:
        raise NotFound
    image = await logo.get(db)
    return Response(image.content, headers=headers, media_type=image.media_type)


handlers = [get_look]
