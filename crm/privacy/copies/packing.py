"""A copy written as a ZIP, piece by piece: as much in memory however much there is.

docs/copy.md names its parts. Each list is read once, and where it is too long to be kept once more
for each further form that it is written in: in one snapshot, so that all forms say the same.
"""

from __future__ import annotations

import asyncio
import zipfile
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from hashlib import sha256
from pathlib import PurePosixPath
from typing import Any

import msgspec
from markupsafe import escape
from msgspec import Struct

from crm import campaigns, consent, mail
from crm.privacy import brought
from crm.privacy.copies.archive import (
    COPY,
    COPY_FORMAT,
    MANIFEST,
    RECEIPTS,
    SCHEMA,
    VERSION,
    File,
    Manifest,
    brought_file,
    letter_file,
    newsletter_file,
    schema,
)
from crm.privacy.copies.contents import Contents, Listed
from crm.privacy.copies.readme import readme
from crm.privacy.copies.tables import csv_lines, flat, items
from crm.privacy.copies.vcard import vcard
from crm.web.pages import fragment

# Rows are gathered to about so many bytes before they are pressed.
_PIECE = 64 * 1024
_SMALL = 8 * 1024
# A page of a list has so many rows, and the first page the newest so many of each.
_PAGE = 500
_SHOWN = 100
# One more takes up to twice as long and saves a twenty-fifth.
_LEVEL = 3
# Bytes of lines that are kept for the forms that follow: those of some ten thousand rows.
_KEPT = 8 * 1024 * 1024
Pieces = AsyncIterator[bytes]


class Sink:
    """What a ZIP is written to: it gives away what it has, and cannot go back."""

    def __init__(self) -> None:
        """Begin empty."""
        self._pieces: list[bytes] = []
        self.size = 0

    def write(self, data: bytes) -> int:
        """Take some bytes."""
        self._pieces.append(bytes(data))
        self.size += len(data)
        return len(data)

    def flush(self) -> None:
        """Nothing waits here for anything."""

    def close(self) -> None:
        """Nor does anything end."""

    def taken(self) -> bytes:
        """Give away all that was written since the last time."""
        pieces, self._pieces = self._pieces, []
        self.size = 0
        return b"".join(pieces)


class _Read(Struct):
    """What was learned of a list when it was read first, with its lines as far as there is room."""

    rows: int = 0
    columns: dict[str, None] = {}
    first: list[Any] = []
    lines: list[bytes] = []
    all_kept: bool = True


class Packing:
    """One copy on its way into a ZIP."""

    def __init__(self, held: Contents, done: Callable[[int], None] = lambda _: None) -> None:
        """Write nothing yet; `done` is told of rows that were read, each once."""
        self._held = held
        self._done = done
        self._sink = Sink()
        self._zip = zipfile.ZipFile(self._sink, "w")
        self._files: list[File] = []
        self._read: dict[str, _Read] = {}
        self._room = _KEPT

    async def pieces(self) -> AsyncGenerator[bytes, None]:
        """Yield the ZIP from its beginning to its end."""
        held = self._held
        for path, what, content in (
            ("README.txt", "what is in here", readme(held)),
            ("contact.vcf", "you, for an address book", vcard(held.customer)),
            (SCHEMA, "what is in these files, as JSON Schema", schema(held.lists)),
            *self._receipts(),
        ):
            async for piece in self._add(path, what, _one(content)):
                yield piece
        for each in held.lists:
            async for piece in self._list(each):
                yield piece
        async for piece in self._add(COPY, "everything, for programs", self._whole()):
            yield piece
        async for piece in self._besides():
            yield piece
        page = fragment("privacy/pages/copy.html", self._shown())
        async for piece in self._add("index.html", "a page to read", _one(page.encode())):
            yield piece
        async for piece in self._add(MANIFEST, "", _one(self._manifest())):
            yield piece
        self._zip.close()
        yield self._sink.taken()

    async def _add(self, path: str, what: str, content: Pieces) -> Pieces:
        """Write one file, and yield what has come of it whenever it is worth a piece."""
        digest, size = sha256(), 0
        info = zipfile.ZipInfo(path, self._held.generated_at.timetuple()[:6])
        info.compress_type = zipfile.ZIP_DEFLATED
        # The level of a ZIP is for what is opened by its name alone.
        info._compresslevel = _LEVEL  # type: ignore[attr-defined]  # noqa: SLF001
        with self._zip.open(info, "w") as file:
            async for piece in _gathered(content):
                digest.update(piece)
                size += len(piece)
                if len(piece) < _SMALL:
                    file.write(piece)
                else:
                    # Others go on meanwhile.
                    await asyncio.to_thread(file.write, piece)
                if self._sink.size >= _PIECE:
                    yield self._sink.taken()
        self._files.append(File(path, what, size, digest.hexdigest()))

    async def _list(self, each: Listed) -> Pieces:
        """Write one list as lines, as a table, and as pages where the first page is not enough."""
        read = self._read[each.name] = _Read(columns={}, first=[], lines=[])
        async for piece in self._add(f"lines/{each.name}.ndjson", each.what, self._lines(each)):
            yield piece
        async for piece in self._add(f"tables/{each.name}.csv", each.what, self._table(each)):
            yield piece
        if read.rows > (_SHOWN if each.in_words else 0):
            async for piece in self._pages(each):
                yield piece

    async def _lines(self, each: Listed) -> Pieces:
        read = self._read[each.name]
        async for row in each.rows():
            if len(read.first) < _SHOWN:
                read.first.append(row)
            read.rows += 1
            self._done(1)
            plain = msgspec.to_builtins(row)
            names = flat(plain).keys()
            if not names <= read.columns.keys():
                read.columns |= dict.fromkeys(names)
            line = msgspec.json.encode(plain)
            self._keep(read, line)
            yield line + b"\n"

    def _keep(self, read: _Read, line: bytes) -> None:
        if not read.all_kept:
            return
        read.lines.append(line)
        self._room -= len(line)
        if self._room < 0:
            self._room += sum(map(len, read.lines))
            read.lines.clear()
            read.all_kept = False

    async def _again(self, each: Listed) -> AsyncIterator[list[bytes]]:
        """Yield the lines of a list once more, so many at once as make a page."""
        read = self._read[each.name]
        if read.all_kept:
            for begin in range(0, len(read.lines), _PAGE):
                yield read.lines[begin : begin + _PAGE]
            return
        lines: list[bytes] = []
        async for row in each.rows():
            lines.append(msgspec.json.encode(row))
            if len(lines) == _PAGE:
                yield lines
                lines = []
        if lines:
            yield lines

    async def _table(self, each: Listed) -> Pieces:
        columns = list(self._read[each.name].columns)
        # The mark that spreadsheets look for.
        yield "\ufeff".encode() + csv_lines([columns])
        async for lines in self._again(each):
            rows = [flat(row) for row in map(msgspec.json.decode, lines)]
            yield csv_lines([row.get(name) for name in columns] for row in rows)

    async def _pages(self, each: Listed) -> Pieces:
        number = 0
        read = self._read[each.name]
        titles = {name: escape(name.replace("_", " ")) for name in read.columns}
        async for lines in self._again(each):
            number += 1
            shown = {
                "business": self._held.business,
                "each": each,
                "items": items(map(flat, map(msgspec.json.decode, lines)), titles),
                "count": read.rows,
                "number": number,
                "pages": _pages_of(read.rows),
            }
            page = fragment("privacy/pages/copy_list.html", shown).encode()
            path = f"pages/{each.name}-{number}.html"
            async for piece in self._add(path, f"{each.what}, to read", _one(page)):
                yield piece

    async def _whole(self) -> Pieces:
        """Write all of it as one object; its lists have the names of the files in lines/."""
        held = self._held
        head = {"format": COPY_FORMAT, "version": VERSION, "generated_at": held.generated_at}
        head |= {"business": held.business, "consent": {"receipts": held.receipts}}
        yield msgspec.json.encode(head)[:-1]
        for each in held.lists:
            yield b',\n"' + each.name.encode() + b'":['
            before = b"\n"
            async for lines in self._again(each):
                yield before + b",\n".join(lines)
                before = b",\n"
            yield b"]"
        yield b"}\n"

    async def _besides(self) -> Pieces:
        """Write the texts of newsletters, and the files that show a decision."""
        held = self._held
        async for text in campaigns.texts(held.db, held.customer.id):
            path = newsletter_file(text.campaign_id, text.format, as_sent=text.as_sent)
            sent = ""
            if text.as_sent:
                sent = await campaigns.html_as_sent(held.db, held.customer, text.campaign_id)
            words = (sent or text.source).encode()
            async for piece in self._add(path, "a newsletter", _one(words)):
                yield piece
            self._done(1)
        async for letter in mail.texts(held.db, held.customer.id):
            kept = letter.kept or {}
            said = f"{kept['subject']}\n\n{kept['text']}"
            path = letter_file(letter.message_id)
            async for piece in self._add(path, "a letter", _one(said.encode())):
                yield piece
        async for each in brought.texts(held.db, held.customer.id):
            path = brought_file(each.id)
            async for piece in self._add(
                path, "a mail from elsewhere", _one(each.content.encode())
            ):
                yield piece
        for file in held.files:
            _, content = await consent.file_content(held.db, held.customer.id, file.id)
            path = f"files/{file.id}{_ending(file.name)}"
            async for piece in self._add(path, "a file of yours", _one(content)):
                yield piece

    def _receipts(self) -> list[tuple[str, str, bytes]]:
        if self._held.receipts is None:
            return []
        return [(RECEIPTS, "your decisions, signed", consent.packed(self._held.receipts))]

    def _manifest(self) -> bytes:
        manifest = Manifest(
            generated_at=self._held.generated_at, business=self._held.business, files=self._files
        )
        return msgspec.json.format(msgspec.json.encode(manifest), indent=2) + b"\n"

    def _shown(self) -> dict[str, Any]:
        first = {name: read.first for name, read in self._read.items()}
        counts = {name: read.rows for name, read in self._read.items()}
        return {"copy": self._held, "first": first, "counts": counts, "shown": _SHOWN}


async def _one(content: bytes) -> Pieces:
    for begin in range(0, len(content), _PIECE):
        yield content[begin : begin + _PIECE]


async def _gathered(pieces: Pieces) -> Pieces:
    """Put small pieces together."""
    waiting = bytearray()
    async for piece in pieces:
        waiting += piece
        if len(waiting) >= _PIECE:
            yield bytes(waiting)
            waiting.clear()
    if waiting:
        yield bytes(waiting)


def _pages_of(count: int) -> int:
    return -(-count // _PAGE)


def _ending(name: str) -> str:
    """Keep what says how to open it, and nothing that could lead out of the folder."""
    ending = PurePosixPath(name).suffix
    return ending if ending[1:].isalnum() and ending.isascii() else ""
