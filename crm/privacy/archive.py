"""The file a copy travels in: a ZIP that a person can read and a program can take over.

docs/copy.md names its parts. It needs nothing but itself: the page in it asks no server for
anything, and the receipts in it are proven with the network off.
"""

from __future__ import annotations

import asyncio
import io
import zipfile
import zlib
from datetime import datetime
from hashlib import sha256
from pathlib import Path, PurePosixPath
from typing import Annotated

import msgspec
from litestar import Response
from msgspec import Meta, Struct

from crm.privacy.model import Controller, Copy
from crm.privacy.tables import Table, tables
from crm.web.pages import fragment

_MANIFEST = "manifest.json"
_COPY = "copy.json"
_LARGEST_MANIFEST = 10_000_000
# Of one file: what a customer's copy has in it is far smaller.
_LARGEST = 1 << 30
_README = """This is everything that {name} holds about you, as of {at:%d %B %Y, %H:%M} UTC.

index.html     Read it: open it in any browser. It works without a network.
copy.json      All of it, for programs.
lines/         The same list by list, one JSON object a line (NDJSON).
tables/        The same as tables (CSV, UTF-8). What a spreadsheet would take for a formula has an
               apostrophe in front; whole newsletters are left out of them, and stand in lines/.
files/         Files that show a decision of yours, as far as we keep any.
manifest.json  The size and SHA-256 of each file here.

Your decisions come with receipts. `crm verify copy.json` checks them without asking us.

{legal_name}
{postal_address}
{privacy_contact}
"""


# Whatever comes of a file that only looks like a ZIP, is cut, or is packed in a way of its own.
_BROKEN = (
    zipfile.BadZipFile,
    EOFError,
    KeyError,
    NotImplementedError,
    RuntimeError,
    msgspec.MsgspecError,
    zlib.error,
)


class File(Struct, frozen=True):
    """One file of an archive, as its manifest names it; `sha256` in hexadecimal."""

    path: str
    what: str
    bytes: Annotated[int, Meta(ge=0, le=_LARGEST)]
    sha256: str


class Manifest(Struct, frozen=True, kw_only=True):
    """What an archive consists of; `version` rises when its shape changes."""

    format: str = "firsthand/manifest"
    version: int = 1
    generated_at: datetime
    business: Controller
    files: list[File]


class BrokenArchive(Exception):
    """This is not a copy as it was packed; the text says what is wrong with which file."""


def packed(copy: Copy) -> bytes:
    """Write a copy as indented JSON in UTF-8; bytes are base64, instants are RFC 3339."""
    return msgspec.json.format(msgspec.json.encode(copy), indent=2) + b"\n"


def zipped(copy: Copy) -> bytes:
    """Write a copy as a ZIP with a page to read, lists, tables, and a manifest with sums."""
    parts = _parts(copy)
    manifest = Manifest(
        generated_at=copy.generated_at,
        business=copy.business,
        files=[
            File(path, what, len(content), sha256(content).hexdigest())
            for path, what, content in parts
        ],
    )
    told = msgspec.json.format(msgspec.json.encode(manifest), indent=2) + b"\n"
    out = io.BytesIO()
    when = copy.generated_at.timetuple()[:6]
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for path, _, content in [*parts, (_MANIFEST, "", told)]:
            archive.writestr(zipfile.ZipInfo(path, when), content, zipfile.ZIP_DEFLATED)
    return out.getvalue()


def unzipped(path: Path) -> bytes:
    """Return the copy in a ZIP, once every file is what the manifest says, or raise BrokenArchive.

    Nothing is written to disk, and no file is read further than its manifest allows.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            told = _read(archive, _MANIFEST, _LARGEST_MANIFEST)
            manifest = msgspec.json.decode(told, type=Manifest)
            _compare(archive, manifest)
            return _read(archive, _COPY, _LARGEST)
    except _BROKEN as wrong:
        message = f"this is no copy of ours: {wrong}"
        raise BrokenArchive(message) from None


async def download(copy: Copy) -> Response[bytes]:
    """Answer with the ZIP; other requests go on while it is packed."""
    content = await asyncio.to_thread(zipped, copy)
    headers = as_file(copy)
    return Response(content, status_code=200, media_type="application/zip", headers=headers)


def as_file(copy: Copy, suffix: str = "zip") -> dict[str, str]:
    """Make the headers of a file that no cache keeps and whose name tells nobody's."""
    name = f"your-data-{copy.generated_at:%Y-%m-%d}.{suffix}"
    return {"content-disposition": f'attachment; filename="{name}"', "cache-control": "no-store"}


def _compare(archive: zipfile.ZipFile, manifest: Manifest) -> None:
    listed = {each.path: each for each in manifest.files}
    strange = {info.filename for info in archive.infolist()} ^ {*listed, _MANIFEST}
    if strange or _COPY not in listed:
        message = f"manifest and files differ: {', '.join(sorted(strange)) or _COPY}"
        raise BrokenArchive(message)
    for path, each in listed.items():
        content = _read(archive, path, each.bytes)
        if len(content) != each.bytes or sha256(content).hexdigest() != each.sha256:
            message = f"{path} is not what was packed"
            raise BrokenArchive(message)


def _read(archive: zipfile.ZipFile, path: str, most: int) -> bytes:
    with archive.open(path) as file:
        return file.read(most + 1)


def _parts(copy: Copy) -> list[tuple[str, str, bytes]]:
    lists = tables(copy)
    return [
        ("README.txt", "what is in here", _readme(copy)),
        ("index.html", "a page to read", _page(copy, lists)),
        (_COPY, "everything, for programs", packed(copy)),
        *((f"lines/{each.name}.ndjson", each.what, each.lines()) for each in lists),
        *((f"tables/{each.name}.csv", each.what, each.csv()) for each in lists),
        *(
            (f"files/{each.file.id}{_ending(each.file.name)}", "a file of yours", each.content)
            for each in copy.consent.files
        ),
    ]


def _readme(copy: Copy) -> bytes:
    business = msgspec.structs.asdict(copy.business)
    return _README.format(at=copy.generated_at, **business).encode()


def _page(copy: Copy, lists: list[Table]) -> bytes:
    return fragment("privacy/pages/copy.html", {"copy": copy, "lists": lists}).encode()


def _ending(name: str) -> str:
    """Keep what says how to open it, and nothing that could lead out of the folder."""
    ending = PurePosixPath(name).suffix
    return ending if ending[1:].isalnum() and ending.isascii() else ""
