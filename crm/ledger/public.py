"""The ledger for everybody: signed heads, tiles of hashes, keys and paths; never an entry.

Paths are those of C2SP tlog-tiles below the origin's own name, so that its clients can read it.
"""

from __future__ import annotations

from base64 import b64encode
from typing import Any

from litestar import Response, get
from litestar.di import NamedDependency
from litestar.params import FromPath

from crm import ledger
from crm.db import ReadDb
from crm.ledger import KeyKind, NothingSealed
from crm.ledger.model import NoSuchTile
from crm.ledger.room import room_of
from crm.ledger.tile import WIDTH, read_path
from crm.web.headers import PUBLIC
from crm.web.pages import page

# A full tile never changes again; a head is asked for anew.
_FOR_EVER = {"cache-control": "public, max-age=31536000, immutable"}
_ANEW = {"cache-control": "no-cache"}
_TEXT = "text/plain; charset=utf-8"


@get("/ledger")
async def get_ledger(db: NamedDependency[ReadDb]) -> Response[Any]:
    """Show what the ledger is, how far it goes, its keys, and whatever was lost of it."""
    return page("ledger/pages/ledger.html", headers=PUBLIC, room=await room_of(db))


@get("/ledger/{number:int}/checkpoint")
async def get_checkpoint(db: NamedDependency[ReadDb], number: FromPath[int]) -> Response[bytes]:
    """Give the newest signed head of an origin (C2SP tlog-checkpoint)."""
    return _text(await ledger.signed_head(db, number))


@get("/ledger/{number:int}/tile/{place:path}")
async def get_tile(
    db: NamedDependency[ReadDb], number: FromPath[int], place: FromPath[str]
) -> Response[bytes]:
    """Give a tile of hashes that a signed head covers (C2SP tlog-tiles)."""
    found = read_path(place.lstrip("/"))
    if found is None:
        raise NoSuchTile
    at, width = found
    hashes = await ledger.tile_at(db, number, at, width)
    headers = _FOR_EVER if width == WIDTH else _ANEW
    return Response(hashes, media_type="application/octet-stream", headers=headers)


@get("/ledger/consistency/{first:int}/{second:int}")
async def get_consistency(
    db: NamedDependency[ReadDb], first: FromPath[int], second: FromPath[int]
) -> Response[bytes]:
    """Give the path between two sizes, a hash in base64 on each line (RFC 9162 §2.1.4)."""
    path = await ledger.consistency(db, first, second)
    return _text("".join(f"{b64encode(each).decode()}\n" for each in path))


@get("/ledger/vkeys")
async def get_vkeys(db: NamedDependency[ReadDb]) -> Response[bytes]:
    """Give every key that heads were ever signed with, the first first, as vkeys."""
    known = [each for each in await ledger.keys(db) if each.kind is KeyKind.checkpoint]
    if not known:
        raise NothingSealed
    return _text("".join(f"{each.verifier}\n" for each in known))


@get("/ledger/endorsements")
async def get_endorsements(db: NamedDependency[ReadDb]) -> Response[bytes]:
    """Give the notes by which each key of heads names the next, in their order."""
    known = [each for each in await ledger.keys(db) if each.kind is KeyKind.checkpoint]
    return _text("\n".join(each.endorsement for each in known if each.endorsement))


def _text(text: str) -> Response[bytes]:
    return Response(text.encode(), media_type=_TEXT, headers=_ANEW)


handlers = [
    get_ledger,
    get_checkpoint,
    get_tile,
    get_consistency,
    get_vkeys,
    get_endorsements,
]
