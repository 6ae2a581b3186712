"""The sheets, the icon and the console's one script: from memory, named by their content."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path
from typing import Any

from litestar import Request, Response, get
from litestar.params import FromPath
from msgspec import Struct

from crm.errors import NotFound
from crm.web import gzipped
from crm.web.closed import ANSWERS

_FOLDER = Path(__file__).resolve().parent / "static"
_MEDIA = {
    ".css": "text/css",
    ".js": "text/javascript",
    ".svg": "image/svg+xml",
}
# RFC 8246: the name holds the content's hash, so what it names never changes.
_FOREVER = "public, max-age=31536000, immutable"


# Strings stay as they are; comments go, and of blanks one.
_BLANK = re.compile(r'"[^"]*"|/\*.*?\*/|\s+', re.DOTALL)
_AROUND = re.compile(r'("[^"]*")|\s*([{};])\s*')


class Asset(Struct, frozen=True):
    """A file of `static/` and the name under which the web sees it."""

    name: str
    media: str
    data: bytes
    # The same in fewer bytes.
    small: bytes


def _read() -> dict[str, Asset]:
    found = {}
    for path in sorted(_FOLDER.iterdir()):
        if path.suffix in _MEDIA:
            data = path.read_bytes()
            if path.suffix == ".css":
                data = packed(data.decode()).encode()
            mark = hashlib.sha256(data).hexdigest()[:16]
            name = f"{path.stem}.{mark}{path.suffix}"
            found[path.name] = Asset(name, _MEDIA[path.suffix], data, gzipped.packed(data))
    return found


def packed(sheet: str) -> str:
    """Return a sheet that says the same in fewer bytes: every page of hers brings it with it."""
    plain = _BLANK.sub(lambda found: found[0] if found[0][0] == '"' else " ", sheet)
    return _AROUND.sub(lambda found: found[1] or found[2], plain).strip()


_ASSETS = _read()
_BY_NAME = {asset.name: asset for asset in _ASSETS.values()}


def asset(name: str) -> str:
    """Give the address of a file of `static/`: `/static/firsthand.3f2a….css`."""
    return f"/static/{_ASSETS[name].name}"


@get("/static/{name:str}", include_in_schema=False, opt=ANSWERS, sync_to_thread=False)
def get_asset(request: Request[Any, Any, Any], name: FromPath[str]) -> Response[bytes]:
    """Answer with the file of exactly this content; an older name is gone."""
    found = _BY_NAME.get(name)
    if found is None:
        raise NotFound
    headers = {
        "cache-control": _FOREVER,
        "etag": f'"{found.name}"',
        "vary": "Accept-Encoding",
    }
    if not gzipped.taken(request):
        return Response(found.data, headers=headers, media_type=found.media)
    # Another representation has another tag (RFC 9110 §8.8.3).
    headers |= {"content-encoding": "gzip", "etag": f'"{found.name}.gz"'}
    return Response(found.small, headers=headers, media_type=found.media)


@get("/favicon.ico", include_in_schema=False, sync_to_thread=False)
def get_icon() -> Response[bytes]:
    """Answer browsers that ask for an icon where a page names none: an issue, a file."""
    icon = _ASSETS["icon.svg"]
    headers = {"cache-control": "public, max-age=86400"}
    return Response(icon.data, headers=headers, media_type=icon.media)


handlers = [get_asset, get_icon]
