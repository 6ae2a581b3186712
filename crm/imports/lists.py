"""A file as it was given: one list, or a ZIP with all that a tool exported."""

import hashlib
import io
from collections.abc import Iterable, Iterator
from datetime import datetime
from functools import partial
from itertools import chain
from typing import BinaryIO

from msgspec import Struct
from msgspec.structs import replace

from crm.consent import EvidenceKind
from crm.imports import presets
from crm.imports.columns import Unreadable
from crm.imports.lines import Lines, is_lines
from crm.imports.lines import read as read_lines
from crm.imports.mapping import FOUND_OUT, Given, Reading, refused
from crm.imports.model import Bad, Row, Tool, opts_out, proves
from crm.imports.showing import printable
from crm.imports.table import SIZE_LIMIT, Table, is_prose, read
from crm.imports.turn import Turn, Wanted
from crm.imports.unpacking import is_archive, unpack

_POSTS = b"post_id,"
_LONGEST_NAME = 255
_CHUNK = 1 << 16


class Part(Struct, frozen=True):
    """One list; `name` is there where it lay in an archive."""

    name: str
    source: BinaryIO
    table: Table | Lines


class Lists:
    """The lists of a file, and their rows in one stream."""

    def __init__(self, parts: list[Part], sha256: str, others: list[str], reading: Reading) -> None:
        """Take lists of one tool; `others` are files of the archive that are none."""
        tools = {part.table.tool for part in parts}
        if len(tools) > 1:
            titles = " and ".join(sorted(presets.TITLES[tool] for tool in tools))
            raise Unreadable(
                f"The ZIP archive has lists of {titles}. Import those of each tool by themselves."
            )
        self._parts = parts
        self._others = others
        self._reading = reading
        self._before = 0
        self._source = parts[0].source
        self._pass_number, self._passes = 0, 1
        self.sha256 = sha256
        self.tool: Tool = parts[0].table.tool

    @property
    def given(self) -> Given:
        """What is written down of where its rows come from."""
        tables = [part.table for part in self._parts if isinstance(part.table, Table)]
        used = {table.mapping.name: table.mapping for table in tables if table.mapping is not None}
        return Given(
            tool=self.tool,
            sha256=self.sha256,
            encoding=_joined(table.encoding for table in tables),
            separator=_joined(table.separator for table in tables),
            mapping=_joined(used),
            reading=Reading(
                encoding=self._reading.encoding,
                separator=self._reading.separator,
                mappings=list(used.values()),
            ),
        )

    @property
    def share(self) -> float:
        """How much is read, from 0 to 1, by bytes; each pass reads all of them."""
        size = sum(part.table.size for part in self._parts)
        read = (self._before + self._source.tell()) / max(size, 1)
        return min((self._pass_number + read) / self._passes, 1.0)

    def rows(self, accepts: frozenset[EvidenceKind]) -> Iterator[Row | Bad]:
        """All rows, pass after pass: a batch may have some of the end of one and of the next."""
        passes = self.passes(accepts)
        self._passes = len(passes)
        return chain.from_iterable(passes)

    def passes(self, accepts: frozenset[EvidenceKind]) -> list[Iterator[Row | Bad]]:
        """Who leaves comes first, then who is proven, then the rest: wherever a row stands.

        So rows of one address that are far apart, or in different lists of an archive, come to the
        same as if they stood together. One pass at a time, each in constant memory.
        """
        tables = [part.table for part in self._parts]
        wishes: list[Wanted | None] = [None]
        if any(table.proves for table in tables):
            wishes = [opts_out, partial(proves, accepts=accepts), None]
        elif len(tables) > 1 or any(table.mixed for table in tables):
            wishes = [opts_out, None]
        marks = [bytearray() for _ in self._parts]
        return [self._pass(number, wants, marks) for number, wants in enumerate(wishes)]

    def _pass(
        self, number: int, wants: Wanted | None, marks: list[bytearray]
    ) -> Iterator[Row | Bad]:
        self._pass_number, before = number, 0
        for part, mine in zip(self._parts, marks, strict=True):
            self._before, self._source = before, part.source
            rows = part.table.rows(Turn(number, mine, wants))
            yield from (replace(row, part=part.name) for row in rows) if part.name else rows
            before += part.table.size

    def remarks(self) -> Iterator[Bad]:
        """What is to be said of each list as a whole."""
        for part in self._parts:
            for said in part.table.remarks():
                yield Bad(1, said, part.name)
        for name in self._others:
            yield Bad(1, "This file was passed over: it is no list of customers.", name)


def opened(
    source: BinaryIO | bytes,
    *,
    now: datetime,
    purpose: str,
    reading: Reading = FOUND_OUT,
    size_limit: int = SIZE_LIMIT,
) -> Lists:
    """Open a list, or every list of a ZIP; Unreadable says what to do about it.

    Of a list that tells of many purposes, what it says of this one by its short name is taken.
    """
    stream = io.BytesIO(source) if isinstance(source, bytes) else source
    if is_lines(stream):
        lines = read_lines(stream, purpose=purpose, now=now, size_limit=size_limit)
        if reading.only:
            raise refused(reading.mappings)
        return Lists([Part("", stream, lines)], lines.sha256, [], reading)
    if not is_archive(stream):
        table = read(stream, now=now, reading=reading, size_limit=size_limit)
        return Lists([Part("", stream, table)], table.sha256, [], reading)
    return _of_archive(stream, now, reading)


def _of_archive(stream: BinaryIO, now: datetime, reading: Reading) -> Lists:
    unpacked = unpack(stream)
    parts, others = [], list(unpacked.others)
    refusal = Unreadable("There is no list of customers in this ZIP archive.")
    for name, content in unpacked.lists.items():
        if content.removeprefix(b"\xef\xbb\xbf").startswith(_POSTS):
            # Substack packs the list of its issues beside that of the readers.
            others.append(name)
            continue
        try:
            parts.append(_part(name, content, now, reading))
        except Unreadable as no:
            # A read-me lies beside the lists of some tools.
            if not (name.casefold().endswith(".txt") and is_prose(content, reading)):
                raise
            others.append(name)
            refusal = no
    if not parts:
        raise refusal
    return Lists(parts, _sha256(stream), _plain(others), reading)


def _part(name: str, content: bytes, now: datetime, reading: Reading) -> Part:
    source = io.BytesIO(content)
    [plain] = _plain([name])
    try:
        return Part(plain, source, read(source, now=now, reading=reading))
    except Unreadable as no:
        # Were it passed over, those who left might be in it.
        raise Unreadable(f"“{plain}” in the ZIP archive: {no.message}") from None


def _joined(words: Iterable[str]) -> str:
    return ", ".join(sorted(set(words)))


def _sha256(stream: BinaryIO) -> str:
    stream.seek(0)
    digest = hashlib.sha256()
    while piece := stream.read(_CHUNK):
        digest.update(piece)
    return digest.hexdigest()


def _plain(names: list[str]) -> list[str]:
    return [printable(name, _LONGEST_NAME) or "?" for name in names]
