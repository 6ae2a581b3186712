"""Lists of customers in CSV (RFC 4180 and what tools make of it): bytes to rows, in one stream."""

import csv
import io
import re
import textwrap
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from datetime import datetime
from itertools import islice
from typing import BinaryIO

from crm.imports import presets
from crm.imports.cells import Cells
from crm.imports.columns import (
    Columns,
    Unreadable,
    check_width,
    names_an_address,
    recognise,
)
from crm.imports.encoding import Measured, measure
from crm.imports.guessing import Head, Heading
from crm.imports.mapping import (
    FOUND_OUT,
    SIGNS,
    Mapping,
    Reading,
    Separator,
    fitting,
    mapped,
    refused,
)
from crm.imports.model import Bad, Row, Tool
from crm.imports.showing import shown
from crm.imports.turn import Turn

SIZE_LIMIT = 1_000_000_000
# Rows of a list are short: the largest attributes seen have some thousand characters. csv itself
# ends a cell at 131,072.
LINE_LIMIT = 1 << 19
# How often an open quotation mark may be undone by reading its lines again: each time costs up to
# LINE_LIMIT, so a file made of them must not cost more than a few seconds.
_SECOND_LOOKS = 100
_SAMPLE = 1 << 16
# So many cells of a column are shown, no longer than this, of so many rows looked at.
_SHOWN, _SHOWN_LENGTH, _SHOWN_OF = 3, 40, 100
# A read-me may say whom to ask, in so many lines.
_MENTIONED = 2
_APART, _AROUND = re.compile(r"[,;\t|<>]"), " \r\n\"'"
_GUESSED = "The file does not say in which encoding it is; it was read as {}. Look at a few names."


class Table:
    """A list of customers, opened: what was found out about the file, and its rows."""

    def __init__(
        self, source: BinaryIO, found: Measured, now: datetime, reading: Reading = FOUND_OUT
    ) -> None:
        self._source = source
        self._found = found
        self._now = now
        self._reading = reading
        sample = io.StringIO(self._text().read(_SAMPLE), newline="")
        self.separator = reading.separator or _separator(sample, reading.mappings)
        # By which of the mappings it is read, if by one.
        self.mapping: Mapping | None = None
        self.columns = self._header()[0]

    @property
    def delimiter(self) -> str:
        """The sign between two cells."""
        return SIGNS[self.separator]

    @property
    def tool(self) -> Tool:
        """Whose export format it is."""
        return self.columns.tool

    @property
    def encoding(self) -> str:
        """The encoding it is read in."""
        return self._found.encoding.removesuffix("-sig")

    @property
    def encoding_guessed(self) -> bool:
        """Whether the bytes allow another encoding: show a few names before importing."""
        return self._found.guessed

    @property
    def sha256(self) -> str:
        """The SHA-256 of the bytes of the file, in hex."""
        return self._found.sha256

    @property
    def size(self) -> int:
        """The length of the file in bytes."""
        return self._found.size

    @property
    def mixed(self) -> bool:
        """Whether it may hold opt-outs beside others: then import those first, in two passes."""
        return self.columns.mixed

    @property
    def proves(self) -> bool:
        """Whether it may hold evidence: then rows that are proven come before others."""
        return self.columns.opted_in_at >= 0

    def remarks(self) -> Iterator[str]:
        """What is to be said of the list as a whole."""
        if self.encoding_guessed:
            yield _GUESSED.format(self.encoding)
        dropped = self.columns.dropped
        if self.mapping is None and dropped:
            yield presets.told(self.tool, dropped)
        elif self.mapping is not None and dropped:
            names = ", ".join(map(shown, dropped))
            yield f"Read by the mapping “{self.mapping.name}”, which leaves behind: {names}."

    def rows(self, turn: Turn | None = None) -> Iterator[Row | Bad]:
        """The rows of this turn, or all, from the first on each time, in constant memory.

        One pass at a time: passes share the position in the file.
        """
        columns, lines, reader = self._header()
        watch = self._found.nul or self._found.damaged
        cells = Cells(columns, self._now, watch=watch)
        yield from _rows(_read(lines, reader), cells, turn or Turn())

    def _text(self) -> io.TextIOWrapper:
        self._source.seek(0)
        strict = self._found.encoding.startswith("utf-16")
        return _Unowned(
            self._source,
            encoding=self._found.encoding,
            errors="strict" if strict else "surrogateescape",
            newline="",
        )

    def _header(self) -> tuple[Columns, "_Lines", "_Reader"]:
        """Read up to the header; Unreadable if there is none that names a column of addresses."""
        lines = _Lines(self._text())
        reader = csv.reader(lines, delimiter=self.delimiter, strict=True)
        try:
            for cells in reader:
                if any(cell.strip() for cell in cells) and not _is_hint(cells):
                    lines.settle()
                    return self._columns_of(cells), lines, reader
                lines.settle()
        except (csv.Error, _TooLong):
            raise Unreadable(
                "The first line cannot be read as the names of the columns. "
                "Export the list as CSV (UTF-8)."
            ) from None
        raise Unreadable("The file is empty. Its first line has to name the columns.")

    def _columns_of(self, header: list[str]) -> Columns:
        check_width(header)
        self.mapping = fitting(header, self._reading.mappings)
        if self.mapping is not None:
            return mapped(header, self.mapping)
        if self._reading.only:
            raise refused(self._reading.mappings)
        return recognise(header)


def head(content: bytes) -> Head:
    """Return the columns of a list, whatever they are called, from its first bytes."""
    found = measure(io.BytesIO(content), named=None, size_limit=SIZE_LIMIT)
    sample = io.StringIO(content.decode(found.encoding, "replace"), newline="")
    separator = _separator(sample, ())
    sample.seek(0)
    header, *rows = [*islice(_whole_rows(sample, SIGNS[separator]), 1 + _SHOWN_OF)] or [[]]
    check_width(header)
    names = [" ".join(cell.split()) for cell in header]
    if not any(names):
        raise Unreadable("The file is empty. Its first line has to name the columns.")
    headings = [
        Heading(name, _examples(row[at] for row in rows if at < len(row)))
        for at, name in enumerate(names)
        if name
    ]
    return Head(found.encoding.removesuffix("-sig"), found.guessed, separator, headings)


def is_prose(content: bytes, reading: Reading) -> bool:
    """Whether a text that cannot be read as a list is none, as a read-me.

    What may be a list with a header that nobody knows is no prose: those who left might be in it.
    """
    try:
        found = measure(io.BytesIO(content), named=reading.encoding or None, size_limit=SIZE_LIMIT)
    except Unreadable:
        return False
    text = io.TextIOWrapper(io.BytesIO(content), found.encoding, errors="replace", newline="")
    sample = io.StringIO(text.read(_SAMPLE), newline="")
    for sign in SIGNS.values():
        sample.seek(0)
        header = _first_row(sample, sign)
        if not header or "@" in "".join(header) or names_an_address(header):
            return False
    text.seek(0)
    return not _names_people(text)


def _names_people(text: io.TextIOWrapper) -> bool:
    """Whether an address stands alone between two signs or ends of lines, or many are mentioned."""
    mentioned = 0
    while line := text.readline(_SAMPLE):
        if "@" in line:
            mentioned += 1
            pieces = (each.strip(_AROUND) for each in _APART.split(line) if "@" in each)
            if mentioned > _MENTIONED or any(len(each.split()) == 1 for each in pieces):
                return True
    return False


def _examples(cells: Iterable[str]) -> tuple[str, ...]:
    """A few cells that are not empty and not alike, cut where they are long."""
    plain = (" ".join(cell.split()) for cell in cells)
    cut = dict.fromkeys(textwrap.shorten(cell, _SHOWN_LENGTH, placeholder="…") for cell in plain)
    return tuple(islice(filter(None, cut), _SHOWN))


def read(
    source: BinaryIO | bytes,
    *,
    now: datetime,
    reading: Reading = FOUND_OUT,
    size_limit: int = SIZE_LIMIT,
) -> Table:
    """Open a list from bytes or from a seekable binary file; Unreadable says what to do about it.

    `now` decides which times lie in the future; `reading` overrides what would be found out.
    """
    stream = io.BytesIO(source) if isinstance(source, bytes) else source
    found = measure(stream, named=reading.encoding or None, size_limit=size_limit)
    return Table(stream, found, now, reading)


class _Unowned(io.TextIOWrapper):
    """Text over a file that belongs to the caller: dropping it must not close the file."""

    def __del__(self) -> None:
        if not self.closed:
            self.detach()


_Reader = Iterator[list[str]]


class _TooLong(Exception):
    """A line or a row beyond LINE_LIMIT."""


class _Lines:
    """The physical lines of a file, counted, of which some can be read again."""

    def __init__(self, text: io.TextIOWrapper) -> None:
        self._text = text
        self._again: deque[str] = deque()
        self._held: list[str] = []
        self._length = 0
        self._suspect = False
        self._looks = _SECOND_LOOKS
        self.number = 0
        self.ended = False

    def __iter__(self) -> "_Lines":
        return self

    def __next__(self) -> str:
        line = self._again.popleft() if self._again else self._text.readline(LINE_LIMIT)
        if not line:
            self.ended = True
            raise StopIteration
        self.number += 1
        self._held.append(line)
        self._length += len(line)
        if ' "' in line:
            self._suspect = True
        if self._length >= LINE_LIMIT:
            self._skip_rest_of(line)
            raise _TooLong
        return line

    def _skip_rest_of(self, line: str) -> None:
        while len(line) >= LINE_LIMIT and line[-1] not in "\r\n":
            line = self._text.readline(LINE_LIMIT)
            if not line:
                return

    def settle(self) -> bool:
        """A row has ended: forget its lines, and say whether a quotation mark follows a blank."""
        suspect = self._suspect
        self._held.clear()
        self._length = 0
        self._suspect = False
        return suspect

    def look_again(self) -> bool:
        """Give back all lines of the row but its first; False when that was done too often."""
        again = self._held[1:]
        self.settle()
        if not again or not self._looks:
            return False
        self._looks -= 1
        self._again.extendleft(reversed(again))
        self.number -= len(again)
        self.ended = False
        return True


def _rows(
    read: Iterator[tuple[int, list[str] | Bad]], cells: Cells, turn: Turn
) -> Iterator[Row | Bad]:
    for at, (start, row) in enumerate(read):
        if turn.skips(at):
            continue
        found = cells.whole(start, row) if isinstance(row, list) else row
        if not isinstance(found, list):
            if found is not None:
                yield found
        elif turn.leaving and not cells.opts_out(found):
            turn.puts_off(at)
        elif turn.takes(at, built := cells.build(start, found)):
            yield built


def _read(lines: _Lines, reader: _Reader) -> Iterator[tuple[int, list[str] | Bad]]:
    """The line where a row begins, and its cells or what is wrong with their signs."""
    while True:
        start = lines.number + 1
        try:
            row = next(reader)
        except StopIteration:
            return
        except (csv.Error, _TooLong) as error:
            yield start, _broken(lines, start, error)
            continue
        if lines.settle() and _padded_quote(row):
            yield start, Bad(start, "A quotation mark stands after a blank. Take the blank out.")
        else:
            yield start, row


def _broken(lines: _Lines, start: int, error: Exception) -> Bad:
    # At the end of the file or beyond a limit a quotation mark was left open: the lines behind it
    # may be good. An error inside a row is not looked at again: its lines may be parts of a note.
    last = lines.number
    if lines.ended or isinstance(error, _TooLong) or "limit" in str(error):
        if lines.look_again():
            return Bad(start, "A quotation mark is opened here and never closed.")
        if last > start:
            return Bad(start, f"An open quotation mark swallows the lines up to {last}.")
        return Bad(start, "The line is too long, or a quotation mark in it is never closed.")
    lines.settle()
    return Bad(start, "After a closing quotation mark something follows that is not a separator.")


def _padded_quote(cells: list[str]) -> bool:
    return any(cell[:1] == " " and cell.lstrip()[:1] == '"' for cell in cells)


def _is_hint(cells: list[str]) -> bool:
    """Excel's own first line, which names the separator: `sep=;`."""
    return cells[0].lower().startswith("sep=") and not any(cells[1:])


def _separator(sample: io.StringIO, mappings: Sequence[Mapping]) -> Separator:
    """What makes the header that of a mapping, names an address, and gives the most columns."""
    best, most = Separator.comma, (False, False, 0)
    for separator, sign in SIGNS.items():
        sample.seek(0)
        header = _first_row(sample, sign)
        fits = fitting(header, mappings) is not None
        score = (fits, names_an_address(header), len(header))
        if score > most:
            best, most = separator, score
    return best


def _first_row(sample: io.StringIO, delimiter: str) -> list[str]:
    return next(_whole_rows(sample, delimiter), [])


def _whole_rows(sample: io.StringIO, delimiter: str) -> Iterator[list[str]]:
    """The rows of a sample that hold anything, up to one that cannot be read."""
    with suppress(csv.Error):
        for cells in csv.reader(sample, delimiter=delimiter):
            if any(cell.strip() for cell in cells) and not _is_hint(cells):
                yield cells
