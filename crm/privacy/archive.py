"""The file a copy travels in: a ZIP that a person can read and a program can take over.

docs/copy.md names its parts. It needs nothing but itself: the page in it asks no server for
anything, and the receipts in it are proven with the network off.
"""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Sequence
from datetime import datetime
from hashlib import sha256
from pathlib import Path
from typing import Annotated, Any, Protocol

import msgspec
from msgspec import Meta, Struct

from crm.privacy.model import Controller

MANIFEST = "manifest.json"
COPY = "copy.json"
RECEIPTS = "receipts.json"
SCHEMA = "schema.json"
_LARGEST_MANIFEST = 10_000_000
# Of one file: what a customer's copy has in it is far smaller.
_LARGEST = 1 << 30
_AT_ONCE = 1 << 20

# Whatever comes of a file that only looks like a ZIP, is cut, or is packed in a way of its own.
BROKEN = (
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


class Named(Protocol):
    """A list with the type of its rows."""

    @property
    def name(self) -> str:
        """Return what its files are called."""

    @property
    def kind(self) -> Any:
        """Return the type of a row."""


def schema(lists: Sequence[Named]) -> bytes:
    """Describe manifest.json, and each list of copy.json and lines/, as JSON Schema (2020-12)."""
    types = [Manifest, *(each.kind for each in lists)]
    references, components = msgspec.json.schema_components(types, ref_template="#/$defs/{name}")
    properties = {
        each.name: {"type": "array", "items": reference}
        for each, reference in zip(lists, references[1:], strict=True)
    }
    told = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "A copy of everything (firsthand/copy, version 2)",
        "description": "copy.json; its lists are those of lines/. #/$defs/Manifest: manifest.json.",
        "type": "object",
        "properties": {"format": {"const": "firsthand/copy"}, "version": {"const": 2}} | properties,
        "required": ["format", "version", *properties],
        "$defs": components,
    }
    return msgspec.json.format(msgspec.json.encode(told), indent=2) + b"\n"


def unzipped(path: Path) -> bytes:
    """Return the receipts in a ZIP, once every file is what the manifest says.

    Otherwise BrokenArchive says what is wrong with which file. Nothing is written to disk, and no
    file is read further than its manifest allows.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            compared(archive)
            if RECEIPTS not in archive.namelist():
                message = "there are no receipts in it: the key that signs them was not at hand"
                raise BrokenArchive(message)
            return _read(archive, RECEIPTS, _LARGEST)
    except BROKEN as wrong:
        message = f"this is no copy of ours: {wrong}"
        raise BrokenArchive(message) from None


def compared(archive: zipfile.ZipFile) -> Manifest:
    """Return the manifest once every file is as it says; BrokenArchive names the first that is not.

    Every file is read through, and nothing is kept of it.
    """
    told = _read(archive, MANIFEST, _LARGEST_MANIFEST)
    manifest = msgspec.json.decode(told, type=Manifest)
    listed = {each.path: each for each in manifest.files}
    strange = {info.filename for info in archive.infolist()} ^ {*listed, MANIFEST}
    if strange or COPY not in listed:
        message = f"manifest and files differ: {', '.join(sorted(strange)) or COPY}"
        raise BrokenArchive(message)
    for path, each in listed.items():
        _compare(archive, path, each)
    return manifest


def _compare(archive: zipfile.ZipFile, path: str, told: File) -> None:
    digest, size = sha256(), 0
    with archive.open(path) as file:
        while size <= told.bytes and (piece := file.read(_AT_ONCE)):
            digest.update(piece)
            size += len(piece)
    if size != told.bytes or digest.hexdigest() != told.sha256:
        message = f"{path} is not what was packed"
        raise BrokenArchive(message)


def _read(archive: zipfile.ZipFile, path: str, most: int) -> bytes:
    with archive.open(path) as file:
        return file.read(most + 1)
