"""Lists of customers as JSON, one object a line: as an installation exports them, or anybody.

A field of an object is what the column of that name is in a table, besides those that only an
export has (docs/bulk.md).
"""

import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any, BinaryIO

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from crm import time_zones
from crm.customers.text import UnusableText, clean
from crm.imports import objects
from crm.imports.cells import Cells
from crm.imports.columns import ADDRESS, Columns, Unreadable, recognise, word
from crm.imports.model import Bad, Row, RowStatus, Tool, opts_out, standing_there
from crm.imports.objects import LINE_LIMIT, NoObject, Wrong
from crm.imports.showing import printable, shown
from crm.imports.turn import Turn
from crm.ndjson import Closing, Last, Tally

_PIECE = 1 << 16
_HEAD = 4096
_FOR_EVER = datetime.max.replace(tzinfo=UTC)
_LOCALE = re.compile(r"[a-z]{2,3}(-[A-Za-z0-9]{2,8})*")
_LONGEST_LOCALE = 35
_LONGEST_DETAIL = 400
_LONGEST_EXTERNAL_ID = 200
_NO_EXTERNAL_ID = "The field “external_id” was left out:"
# So that a list with other fields in every line takes no more memory than others.
_HEADERS = 500
# So many letters of their fields are kept, each field counted for some more than it has.
_HELD = 1_000_000
_EACH = 20
# So many of the fields of one line that are left out are named.
_NAMED = 50
# Of an export; what of it is taken over stands in its own place, or belongs to that installation.
_OWN = frozenset(
    {
        "id", "source", "version", "created_at", "changed_at", "erased_at", "restricted_at",
        "locale", "time_zone", "external_id", "attributes", "tags", "consents", "suppressed",
    }
)  # fmt: skip
_UNCLOSED = "The list has no closing record, so nothing tells whether it is whole."
_FROZEN = (
    "The field “restricted_at” says that the record is frozen there, so it may be used for nothing."
)
_AGAIN = "Export it again; or, if it was changed on purpose, take its last line out."


class Lines:
    """A list of customers, opened: what was found out about the file, and its rows."""

    tool = Tool.ndjson
    # It may hold who left beside others, and evidence.
    mixed = proves = True

    def __init__(self, source: BinaryIO, found: "_Measured", purpose: str, now: datetime) -> None:
        """Take what it says about the purpose of this short name."""
        self._source = source
        self._found = found
        self._purpose = purpose
        self._now = now
        self._columns: dict[tuple[str, ...], Columns] = {}
        self._held = 0

    @property
    def sha256(self) -> str:
        """The SHA-256 of the bytes of the file, in hex."""
        return self._found.sha256

    @property
    def size(self) -> int:
        """The length of the file in bytes."""
        return self._found.size

    def remarks(self) -> Iterator[str]:
        """What is to be said of the list as a whole."""
        if not self._found.closed:
            yield _UNCLOSED

    def rows(self, turn: Turn | None = None) -> Iterator[Row | Bad]:
        """The rows of this turn, or all, from the first on each time, in constant memory."""
        turn = turn or Turn()
        for at, (number, line) in enumerate(objects.lines(self._source)):
            if turn.skips(at):
                continue
            if line is None:
                yield Bad(number, f"The line has more than {LINE_LIMIT:,} bytes.")
            elif line.strip() and not objects.LAST.match(line):
                row = self._row(number, line)
                if turn.takes(at, row):
                    yield row

    def _row(self, number: int, line: bytes) -> Row | Bad:
        try:
            said = objects.read(line)
            cells, notes = _cells(said)
            columns = self._known(tuple(cells))
            row = Cells(columns, self._now, watch=False).row(number, [*cells.values()])
            if not isinstance(row, Row):
                return row or Bad(number, "The line has no e-mail address.")
            watched = tuple(title for title in columns.dropped if cells.get(title))
            return self._completed(row, said, [*row.notes, *notes], watched)
        except (Wrong, Unreadable) as wrong:
            return Bad(number, str(wrong))

    def _known(self, header: tuple[str, ...]) -> Columns:
        if header not in self._columns:
            if len(self._columns) >= _HEADERS or self._held > _HELD:
                self._columns.clear()
                self._held = 0
            self._held += sum(map(len, header)) + _EACH * len(header)
            self._columns[header] = recognise(header)
        return self._columns[header]

    def _completed(
        self, row: Row, said: Mapping[str, Any], notes: list[str], watched: tuple[str, ...]
    ) -> Row:
        """Add what only an export says, and what is left behind."""
        row = _silenced(self._decided(row, said, notes), said)
        if said.get("restricted_at") is not None and not opts_out(row):
            raise Wrong(_FROZEN)
        listed = objects.time(said, "created_at", self._now, notes)
        return replace(
            row,
            listed_at=row.listed_at or listed.at,
            locale=_locale(said, notes),
            time_zone=_time_zone(said, notes),
            external_id=_external_id(said, notes),
            other=row.other | objects.values(said, "attributes"),
            tags=tuple(dict.fromkeys((*row.tags, *objects.words(said, "tags")))),
            notes=tuple(notes),
            watched=watched,
        )

    def _decided(self, row: Row, said: Mapping[str, Any], notes: list[str]) -> Row:
        """Take what she decided about the purpose there, unless the line itself says she left."""
        if said.get("consents") is None or opts_out(row):
            return row
        consents = objects.inner(said, "consents")
        if consents.get(self._purpose) is None:
            return replace(row, status=RowStatus.unknown)
        decided = objects.inner(consents, self._purpose, "consents")
        within = f"consents.{self._purpose}"
        asked, confirmed, at = (
            objects.time(decided, name, self._now, notes, within)
            for name in ("opted_in_at", "confirmed_at", "at")
        )
        ended = objects.time(decided, "ends_at", _FOR_EVER, [], within)
        status = standing_there(
            objects.text(decided, "status", within),
            ended=ended.at is not None and ended.at <= self._now,
        )
        return replace(
            row,
            status=status,
            opted_in_at=asked.at,
            confirmed_at=confirmed.at,
            unsubscribed_at=at.at if status is RowStatus.unsubscribed else None,
            zone_assumed=any(each.zone_assumed for each in (asked, confirmed, at)),
            left_assumed=at.zone_assumed,
        )


def is_lines(source: BinaryIO) -> bool:
    """Whether it begins as a list of JSON objects does; Unreadable where it only nearly does."""
    source.seek(0)
    head = source.read(_HEAD)
    begin = head.removeprefix(b"\xef\xbb\xbf").lstrip()
    if begin[:1] == b"{":
        return True
    if begin[:1] == b"[" and begin[1:].lstrip()[:1] == b"{":
        raise Unreadable(
            "This is one JSON array. Write one object a line, as `jq -c .[] list.json` does."
        )
    if head[:2] in {b"\xff\xfe", b"\xfe\xff"} and head.decode("utf-16", "ignore")[:1] == "{":
        raise Unreadable("This is JSON in UTF-16. Write it in UTF-8.")
    return False


def read(source: BinaryIO, *, purpose: str, now: datetime, size_limit: int) -> Lines:
    """Open a list of JSON objects, of which the closing record is compared with what came.

    Unreadable where that does not fit, or the first line is no object.
    """
    found = _measured(source, size_limit)
    for number, line in objects.lines(source):
        if line is not None and line.strip():
            try:
                objects.read(line)
            except NoObject as wrong:
                raise Unreadable(
                    f"Line {number} has to be a whole JSON object, and so has each. {wrong}"
                ) from None
            except Wrong:
                # One such line is reported, and the others are taken.
                pass
            break
    return Lines(source, found, purpose, now)


class _Measured(Struct, frozen=True):
    """What one pass over the file found out."""

    sha256: str
    size: int
    closed: bool


def _measured(source: BinaryIO, size_limit: int) -> _Measured:
    """Read the file once, in small pieces; Unreadable if it is not what its last line says."""
    source.seek(0)
    whole, tally, size, number, closed = sha256(), Tally(), 0, 1, 0
    begins = True
    while piece := source.readline(_PIECE):
        size += len(piece)
        if size > size_limit:
            most = f"{size_limit / 1_000_000:,.1f} MB"
            raise Unreadable(f"The file is larger than {most}. Split it and import the parts.")
        whole.update(piece)
        if closed and piece.strip():
            raise Unreadable(
                f"More follows behind the closing record in line {closed}. If two exports were "
                "joined, import each by itself."
            )
        if begins and objects.LAST.match(piece):
            _compare(piece, number, tally.closing)
            closed = number
        tally.take(piece, int(begins))
        begins = piece.endswith(b"\n")
        number += begins
    return _Measured(whole.hexdigest(), size, closed=closed > 0)


def _compare(line: bytes, number: int, came: Closing) -> None:
    """Hold a closing record against the lines before it."""
    try:
        last = msgspec.json.decode(line, type=Last)
    except (msgspec.MsgspecError, RecursionError, UnicodeError):
        raise Unreadable(f"The closing record in line {number} cannot be read. {_AGAIN}") from None
    if last.stopped is not None:
        why = printable(last.stopped.detail, _LONGEST_DETAIL)
        raise Unreadable(f"The export was stopped before its end: {why}")
    if last.closing is None or last.closing.count != came.count:
        told = last.closing.count if last.closing else "other"
        raise Unreadable(
            f"The closing record in line {number} tells of {told} lines, and there are "
            f"{came.count}. Lines are missing, or were added. {_AGAIN}"
        )
    if last.closing.sha256 != came.sha256:
        raise Unreadable(
            "The list is not as it was exported: its SHA-256 is not that of the closing record in "
            f"line {number}. {_AGAIN}"
        )


def _cells(said: Mapping[str, Any]) -> tuple[dict[str, str], list[str]]:
    """What a table would have in a row, and what is left out of it.

    The field `address` is the mailbox where no other is.
    """
    named = any(word(key) in ADDRESS for key in said)
    if not named and "address" not in said:
        raise Wrong("The line has no field “address”.")
    cells: dict[str, str] = {}
    odd: list[str] = []
    for key, value in said.items():
        mailbox = key == "address" and not named
        if isinstance(value, dict | list) and not mailbox and key not in _OWN:
            odd.append(key)
        elif key not in _OWN:
            cells["email" if mailbox else key] = objects.cell(said, key)
    return cells, _left_out(odd)


def _left_out(odd: list[str]) -> list[str]:
    """A note for each field, and one for all others where they are very many."""
    notes = [f"The field {shown(key)} was left out: it is no plain value." for key in odd[:_NAMED]]
    if len(odd) > _NAMED:
        others = len(odd) - _NAMED
        more = "1 more field was" if others == 1 else f"{others:,} more fields were"
        notes.append(f"{more} left out of this line: only plain values are taken.")
    return notes


def _locale(said: Mapping[str, Any], notes: list[str]) -> str:
    locale = objects.text(said, "locale")
    if not locale or (_LOCALE.fullmatch(locale) and len(locale) <= _LONGEST_LOCALE):
        return locale
    notes.append("The field “locale” was left out: it names no language, as “pt-BR” does.")
    return ""


def _time_zone(said: Mapping[str, Any], notes: list[str]) -> str:
    zone = said.get("time_zone")
    if not zone or (isinstance(zone, str) and zone in time_zones.named()):
        return zone or ""
    notes.append("The field “time_zone” was left out: it names no zone, as “Europe/Lisbon” does.")
    return ""


def _external_id(said: Mapping[str, Any], notes: list[str]) -> str:
    """What she is called in the systems of the business: a text, or a bare number.

    One that cannot be kept is left out: the line may say that she left.
    """
    if said.get("external_id") is None:
        return ""
    try:
        external_id = clean(objects.cell(said, "external_id"))
    except (Wrong, UnusableText):
        notes.append(f"{_NO_EXTERNAL_ID} it is no text or number that can be kept.")
        return ""
    if len(external_id) > _LONGEST_EXTERNAL_ID:
        notes.append(f"{_NO_EXTERNAL_ID} it is longer than {_LONGEST_EXTERNAL_ID} characters.")
        return ""
    return external_id


def _silenced(row: Row, said: Mapping[str, Any]) -> Row:
    """Take nobody for mailable to whom nothing is sent there, for whatever reason."""
    why = objects.text(said, "suppressed")
    if not why:
        return row
    if why != "bounced":
        return replace(row, status=RowStatus.unsubscribed)
    status = row.status if row.status is RowStatus.unsubscribed else RowStatus.cleaned
    return replace(row, status=status, bounced=True)
