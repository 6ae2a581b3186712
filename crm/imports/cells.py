"""The cells of one row of a list: status, evidence times, name, tags and attributes."""

import csv
import re
from datetime import UTC, datetime

import msgspec
from msgspec import Struct

from crm.imports.columns import Columns, Says, speaks
from crm.imports.model import OUT, Bad, Row, RowStatus
from crm.imports.nested import flattened

NAME_LIMIT = 200
NAME_TOO_LONG = f"The name was left out: it is longer than {NAME_LIMIT} characters."
# A reason for leaving is one of a few words there; what is longer was typed and is no such word.
REASON_LIMIT = 200
# Before 1990 nobody signed up for a newsletter on the web: such times are defaults of a database.
EARLIEST = datetime(1990, 1, 1, tzinfo=UTC)
# A day and a clock time; a day alone is not accepted as proof (AG Düsseldorf, 23 C 3876/13).
_SHORTEST_TIME = len("2026-01-01 00:00")
_ZONE_APART = re.compile(r" (UTC|GMT|[+-]\d\d:?\d\d)\Z")
_SURROGATE = re.compile("[\ud800-\udfff]")


class Instant(Struct, frozen=True):
    """A time of a file in UTC, which is assumed where no zone is given; or why it is no proof."""

    at: datetime | None = None
    zone_assumed: bool = False
    fault: str = ""


_NEVER = Instant()


def instant(text: str, now: datetime) -> Instant:
    """Read `YYYY-MM-DD hh:mm[:ss]` with or without a zone; year 9999 and the like are no proof."""
    text = text.strip()
    if len(text) < _SHORTEST_TIME:
        if not text:
            return _NEVER
        return Instant(fault="is not a day and a clock time")
    try:
        at = datetime.fromisoformat(_ZONE_APART.sub(_joined, text) if " " in text[11:] else text)
        assumed = at.tzinfo is None
        at = at.replace(tzinfo=UTC) if assumed else at.astimezone(UTC)
    except (ValueError, OverflowError):
        return Instant(fault="is not a day and a clock time")
    if at > now:
        return Instant(fault="lies in the future")
    if at < EARLIEST:
        return Instant(fault="lies before 1990")
    return Instant(at, assumed)


def _joined(zone: re.Match[str]) -> str:
    return "+00:00" if zone[1] in ("UTC", "GMT") else zone[1]


class Cells:
    """Reads the rows of one file by its columns."""

    def __init__(self, columns: Columns, now: datetime, *, watch: bool) -> None:
        """Watch every cell for what cannot be stored, if `watch`: the file is known to hold it."""
        self._columns = columns
        self._now = now
        self._watch = watch
        self._unsaid = (columns.otherwise, columns.otherwise is RowStatus.cleaned, _NEVER)

    def row(self, line: int, cells: list[str]) -> Row | Bad | None:
        """One row, or what is wrong with it; None for a blank one."""
        found = self.whole(line, cells)
        return self.build(line, found) if isinstance(found, list) else found

    def whole(self, line: int, cells: list[str]) -> list[str] | Bad | None:
        """The cells that a row can be built of, or what is wrong; None for a blank one."""
        columns = self._columns
        if len(cells) != columns.width:
            if not any(cell.strip() for cell in cells):
                return None
            if fault := _ragged(cells, columns):
                return Bad(line, fault)
            cells = (cells + [""] * columns.width)[: columns.width]
        if self._watch and (fault := _unstorable(cells)):
            return Bad(line, fault)
        if not cells[columns.address].strip():
            blank = not any(map(str.strip, cells))
            return None if blank else Bad(line, "The row has no e-mail address.")
        return cells

    def opts_out(self, cells: list[str]) -> bool:
        """Whether the row that is built of these takes somebody off."""
        status = self._status(cells)[0] if self._columns.says else self._unsaid[0]
        return status in OUT

    def build(self, line: int, cells: list[str]) -> Row:
        """The row that is made of `whole` cells."""
        columns = self._columns
        notes: list[str] = []
        status, bounced, left = self._status(cells) if columns.says else self._unsaid
        asked = self._time(cells, columns.opted_in_at, "sign-up", notes)
        confirmed = self._time(cells, columns.confirmed_at, "confirmation", notes)
        if confirmed.at is not None and (asked.at is None or confirmed.at < asked.at):
            notes.append("The confirmation does not follow a sign-up, so it proves nothing.")
        listed = self._time(cells, columns.listed_at, "entry", notes)
        because = cells[columns.left_because].strip() if columns.left_because >= 0 else ""
        return Row(
            line,
            cells[columns.address].strip(),
            _name(cells, columns, notes),
            status,
            bounced,
            asked.at,
            cells[columns.opted_in_ip].strip() if columns.opted_in_ip >= 0 else "",
            confirmed.at,
            cells[columns.confirmed_ip].strip() if columns.confirmed_ip >= 0 else "",
            left.at,
            any(each.zone_assumed for each in (asked, confirmed, left, listed)),
            _tags(cells[columns.tags]) if columns.tags >= 0 and cells[columns.tags] else (),
            _other(cells, columns, notes),
            tuple(notes),
            listed.at,
            because if len(because) <= REASON_LIMIT and because.isprintable() else "",
            left_assumed=left.zone_assumed,
        )

    def _status(self, cells: list[str]) -> tuple[RowStatus, bool, Instant]:
        """The strongest word of all cells that speak about it, and when the person left."""
        status: RowStatus | None = None
        out = bounced = False
        left = _NEVER
        for at, how in self._columns.says:
            if not (cell := cells[at].strip()):
                continue
            said = speaks(how, cell, self._columns.words)
            if said is RowStatus.unsubscribed:
                out = True
                if how is Says.left_at:
                    left = instant(cell, self._now)
            elif said is RowStatus.cleaned:
                bounced = True
            elif status is None or said is RowStatus.unknown:
                status = said
        if out or bounced:
            return (RowStatus.unsubscribed if out else RowStatus.cleaned), bounced, left
        return self._unsaid if status is None else (status, False, left)

    def _time(self, cells: list[str], at: int, what: str, notes: list[str]) -> Instant:
        if at < 0 or not cells[at]:
            return _NEVER
        found = instant(cells[at], self._now)
        if found.fault:
            notes.append(f"The time of the {what} {found.fault}, so it proves nothing.")
        return found


def _ragged(cells: list[str], columns: Columns) -> str:
    """A missing end is harmless unless it held whether the person left; a surplus cell never is."""
    if len(cells) > columns.width and any(map(str.strip, cells[columns.width :])):
        return f"The row has {len(cells)} cells, but the first line names {columns.width} columns."
    if len(cells) < columns.decisive:
        return (
            f"The row ends after {len(cells)} of {columns.width} cells: the address is missing, "
            "or the cell that says whether this person left."
        )
    return ""


def _unstorable(cells: list[str]) -> str:
    whole = "".join(cells)
    if "\0" in whole:
        return "The row contains a NUL character. Take it out or export the list again."
    if _SURROGATE.search(whole):
        return "The row has bytes that are not of the encoding of the file. Export the list again."
    return ""


def _name(cells: list[str], columns: Columns, notes: list[str]) -> str:
    """The name as typed, in the order of the columns; only blanks are evened out."""
    if not columns.name:
        return ""
    name = " ".join(" ".join([cells[at] for at in columns.name]).split())
    if len(name) > NAME_LIMIT:
        notes.append(NAME_TOO_LONG)
        return ""
    return name


def _tags(cell: str) -> tuple[str, ...]:
    """A list in a cell: `"Editors","Friends of ours"`."""
    if "," not in cell:
        tag = cell.strip().strip('"').strip()
        return (tag,) if tag else ()
    try:
        found = next(csv.reader([cell.strip()], skipinitialspace=True), [])
    except csv.Error:
        found = cell.split(",")
    return tuple(dict.fromkeys(tag for tag in map(str.strip, found) if tag))


def _other(cells: list[str], columns: Columns, notes: list[str]) -> dict[str, str]:
    other = {title: cells[at].strip() for at, title in columns.other if cells[at]}
    if columns.attributes >= 0 and (cell := cells[columns.attributes].strip()):
        other |= _attributes(cell, notes)
    return other


def _attributes(cell: str, notes: list[str]) -> dict[str, str]:
    """The attributes of listmonk by their titles; as one text where they are no JSON object."""
    try:
        flat = flattened(cell, notes)
    except (msgspec.DecodeError, RecursionError, UnicodeError):
        notes.append("The attributes are not plain JSON; they were read as one text, “attributes”.")
        flat = None
    if flat is None:
        return {"attributes": cell}
    if _unstorable([*flat, *flat.values()]):
        notes.append("The attributes contain a character that cannot be stored; left out.")
        return {}
    return flat
