"""The file a copy travels in: a ZIP that a person can read and a program can take over.

docs/copy.md names its parts. It needs nothing but itself: the page in it asks no server for
anything, and the receipts in it are proven with the network off.
"""

from __future__ import annotations

import re
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from datetime import datetime
from hashlib import sha256
from pathlib import Path
from typing import Annotated, Any, BinaryIO, Protocol, TypeVar
from uuid import UUID

import msgspec
from msgspec import Meta, Struct

from crm.privacy.model import Controller

FORMAT = "firsthand/manifest"
COPY_FORMAT = "firsthand/copy"
# Of the manifest, and of the copy that it names.
VERSION = 2
MANIFEST = "manifest.json"
COPY = "copy.json"
RECEIPTS = "receipts.json"
SCHEMA = "schema.json"
# How a text is written, and so how its file is called.
ENDINGS = {"markdown": "md", "html": "html"}
_LARGEST_MANIFEST = 10_000_000
# Of one file: what a customer's copy has in it is far smaller.
_LARGEST = 1 << 30
_AT_ONCE = 1 << 20
_LARGEST_WHOLE = 4 << 30
_LONGEST_LINE = 16 << 20
# Of a mail's text, which is read into memory.
_LARGEST_TEXT = 4 << 20
# What JSON writes for a character that PostgreSQL keeps in no text: after an even number of
# backslashes, for after an odd one it is text about it.
_NUL = re.compile(rb"(?<!\\)(?:\\\\)*\\u0000")

T = TypeVar("T")

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
# And while it is opened: places before its beginning, names in no encoding.
_UNREADABLE = (*BROKEN, ValueError)
# Of others there are, a reader raises what it likes.
_PACKED = frozenset({zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED})


class File(Struct, frozen=True):
    """One file of an archive, as its manifest names it; `sha256` in hexadecimal."""

    path: str
    what: str
    bytes: Annotated[int, Meta(ge=0, le=_LARGEST)]
    sha256: str


class _Head(Struct, frozen=True):
    format: str
    version: int


class Manifest(Struct, frozen=True, kw_only=True):
    """What an archive consists of; `version` rises when its shape changes."""

    format: str = FORMAT
    version: int = VERSION
    generated_at: datetime
    business: Controller
    files: list[File]


class BrokenArchive(Exception):
    """This is not a copy as it was packed; the text says what is wrong with which file."""


def newsletter_file(campaign_id: UUID, written: str, *, as_sent: bool) -> str:
    """Name the file of a newsletter: its HTML `as_sent` to her, else its text as it is written."""
    return f"messages/{campaign_id}.{'html' if as_sent else ENDINGS[written]}"


def letter_file(message_id: UUID) -> str:
    """Name the file of a letter's text."""
    return f"messages/{message_id}.txt"


def brought_file(brought_id: UUID) -> str:
    """Name the file of the text of a mail that came along from elsewhere."""
    return f"messages/brought-{brought_id}.txt"


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
        "title": f"A copy of everything ({COPY_FORMAT}, version {VERSION})",
        "description": "copy.json; its lists are those of lines/. #/$defs/Manifest: manifest.json.",
        "type": "object",
        "properties": {"format": {"const": COPY_FORMAT}, "version": {"const": VERSION}}
        | properties,
        "required": ["format", "version", *properties],
        "$defs": components,
    }
    return msgspec.json.format(msgspec.json.encode(told), indent=2) + b"\n"


def unzipped(path: Path) -> bytes:
    """Return the receipts in a ZIP, once every file is what the manifest says.

    Otherwise BrokenArchive says what is wrong with which file. Nothing is written to disk, and no
    file is read further than its manifest allows.
    """
    with opened(path) as copy:
        receipts = copy.whole(RECEIPTS)
    if not receipts:
        message = "there are no receipts in it: the key that signs them was not at hand"
        raise BrokenArchive(message)
    return receipts


def compared(archive: zipfile.ZipFile, most: int = _LARGEST_WHOLE) -> Manifest:
    """Return the manifest once every file is as it says; BrokenArchive names the first that is not.

    Every file is read through, and nothing is kept of it.
    """
    if not all(info.compress_type in _PACKED for info in archive.infolist()):
        message = "a file in it is packed in another way than stored or deflated"
        raise BrokenArchive(message)
    manifest = _manifest(_read(archive, MANIFEST, _LARGEST_MANIFEST))
    listed = {each.path: each for each in manifest.files}
    names = [info.filename for info in archive.infolist()]
    for name in names:
        if name.startswith("/") or "\\" in name or ".." in name.split("/"):
            message = f"no name of a file in a copy: {name}"
            raise BrokenArchive(message)
    if len(set(names)) != len(names):
        message = "a file is in it twice"
        raise BrokenArchive(message)
    if sum(each.bytes for each in manifest.files) > most:
        message = f"what is in it has more than {most >> 20} MB"
        raise BrokenArchive(message)
    strange = set(names) ^ {*listed, MANIFEST}
    if strange or COPY not in listed:
        message = f"manifest and files differ: {', '.join(sorted(strange)) or COPY}"
        raise BrokenArchive(message)
    for path, each in listed.items():
        _compare(archive, path, each)
    return manifest


class Opened:
    """A copy whose sums were compared, to be taken over: its lists, row by row."""

    def __init__(self, archive: zipfile.ZipFile, manifest: Manifest) -> None:
        """Prefer `opened`, which compares first."""
        self._archive = archive
        self._names = frozenset(archive.namelist())
        self._told: set[str] = set()
        self.manifest = manifest

    def rows(self, name: str, kind: type[T]) -> Iterator[T]:
        """Yield the rows of a list, none where there is none; BrokenArchive if one is odd."""
        path = f"lines/{name}.ndjson"
        if path not in self._names:
            return
        with self._archive.open(path) as file:
            while line := file.readline(_LONGEST_LINE):
                if _NUL.search(line):
                    message = f"{path} has a character in it that cannot be kept"
                    raise BrokenArchive(message)
                try:
                    yield msgspec.json.decode(line, type=kind)
                except msgspec.MsgspecError as wrong:
                    message = f"{path} is not as it should be: {wrong}"
                    raise BrokenArchive(message) from None

    def one(self, name: str, kind: type[T]) -> T:
        """Return the only row of a list."""
        found = list(self.rows(name, kind))
        if len(found) != 1:
            message = f"lines/{name}.ndjson has {len(found)} rows, where there is one"
            raise BrokenArchive(message)
        return found[0]

    def whole(self, path: str) -> bytes:
        """Return a file, empty where there is none."""
        return _read(self._archive, path, _LARGEST) if path in self._names else b""

    def text(self, path: str) -> str:
        """Return a file that is the text of one mail, empty where there is none.

        Named by two, it would be read for each, however many they are: BrokenArchive.
        """
        if path not in self._names:
            return ""
        if path in self._told:
            message = f"{path} is named by two mails"
            raise BrokenArchive(message)
        self._told.add(path)
        content = _read(self._archive, path, _LARGEST_TEXT)
        try:
            text = content.decode()
        except UnicodeDecodeError:
            text = "\0"
        if "\0" in text:
            message = f"{path} is no text of a mail"
            raise BrokenArchive(message)
        return text


@contextmanager
def opened(file: Path | BinaryIO, most: int = _LARGEST_WHOLE) -> Iterator[Opened]:
    """Open a copy to be taken over, once every file is what the manifest says.

    BrokenArchive says what is wrong with which file: damaged, of another version, or not one of
    ours; or that they have more than `most` bytes. Nothing is written to disk, whatever its files
    are called.
    """
    with ExitStack() as stack:
        with _refused(_UNREADABLE):
            archive = stack.enter_context(zipfile.ZipFile(file))
        # Of a place before the beginning a file itself says that it is none.
        with _refused((*_UNREADABLE, OSError)):
            manifest = compared(archive, most)
        with _refused(BROKEN):
            yield Opened(archive, manifest)


@contextmanager
def _refused(kinds: tuple[type[Exception], ...]) -> Iterator[None]:
    try:
        yield
    except kinds as wrong:
        message = f"this is no copy of ours, or it is cut: {wrong}"
        raise BrokenArchive(message) from None


def _manifest(told: bytes) -> Manifest:
    """Read what the archive consists of, if it is of the version that is read here."""
    head = msgspec.json.decode(told, type=_Head)
    if head.format != FORMAT:
        message = f"this is no copy of ours: it says {head.format}"
        raise BrokenArchive(message)
    if head.version != VERSION:
        message = f"this copy is of version {head.version}; here version {VERSION} is read"
        raise BrokenArchive(message)
    return msgspec.json.decode(told, type=Manifest)


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
        content = file.read(most + 1)
    if len(content) > most:
        message = f"{path} has more than {most} bytes"
        raise BrokenArchive(message)
    return content
