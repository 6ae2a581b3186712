"""The sheet, the icon and the console's one script: served from memory, named by their content."""

from __future__ import annotations

import hashlib
from pathlib import Path

from litestar import Response, get
from litestar.params import FromPath
from msgspec import Struct

from crm.errors import NotFound
from crm.web.closed import ANSWERS

_FOLDER = Path(__file__).resolve().parent / "static"
_MEDIA = {
    ".css": "text/css",
    ".js": "text/javascript",
    ".svg": "image/svg+xml",
}
# RFC 8246: the name holds the content's hash, so what it names never changes.
_FOREVER = "public, max-age=31536000, immutable"


class Asset(Struct, frozen=True):
    """A file of `static/` and the name under which the web sees it."""

    name: str
    media: str
    data: bytes


def _read() -> dict[str, Asset]:
    found = {}
    for path in sorted(_FOLDER.iterdir()):
        if path.suffix in _MEDIA:
            data = path.read_bytes()
            mark = hashlib.sha256(data).hexdigest()[:16]
            name = f"{path.stem}.{mark}{path.suffix}"
            found[path.name] = Asset(name, _MEDIA[path.suffix], data)
    return found


_ASSETS = _read()
_BY_NAME = {asset.name: asset for asset in _ASSETS.values()}


def asset(name: str) -> str:
    """Give the address of a file of `static/`: `/static/firsthand.3f2a….css`."""
    return f"/static/{_ASSETS[name].name}"


@get("/static/{name:str}", include_in_schema=False, opt=ANSWERS, sync_to_thread=False)
def get_asset(name: FromPath[str]) -> Response[bytes]:
    """Answer with the file of exactly this content; an older name is gone."""
    found = _BY_NAME.get(name)
    if found is None:
        raise NotFound
    headers = {"cache-control": _FOREVER, "etag": f'"{found.name}"'}
    return Response(found.data, headers=headers, media_type=found.media)


handlers = [get_asset]
