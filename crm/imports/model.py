"""An import, the rows of its file, what they prove, and how rows for one address become one."""

import re
from collections.abc import Iterable
from datetime import datetime, timedelta
from enum import StrEnum
from uuid import UUID

from msgspec import Struct
from msgspec.structs import replace

from crm.consent import CONSENTS, EvidenceKind, Status
from crm.errors import Conflict, NotFound
from crm.events import Actor, ActorKind
from crm.visitors import located

# An import without a sign of life for so long is taken up by the next worker.
QUIET = timedelta(seconds=60)


class UnknownImport(NotFound):
    """There is no such import here."""


class AnotherRuns(Conflict):
    """Another import is running. Wait for it to end, then start this one again."""


class SameFile(Conflict):
    """This very file is being imported for this purpose already. Look at that import instead."""


class NotTried(Conflict):
    """This import was not tried just now, or its list is not here any more. Import it again."""


class NotDone(Conflict):
    """Only an import that is done can be undone."""


class ReportGone(Conflict):
    """This import was worked through anew meanwhile. Ask for its report once more."""


class PurposeOutOfUse(Conflict):
    """This purpose is retired; nobody is asked for it any more, and nothing is imported for it."""


class State(StrEnum):
    """Where an import stands; each statement that moves it names where it may come from."""

    waiting = "waiting"
    running = "running"
    tried = "tried"
    done = "done"
    undoing = "undoing"
    undone = "undone"
    failed = "failed"


class Import(Struct, frozen=True, kw_only=True):
    """A file of customers as one unit: how far it is, and what came of it."""

    id: UUID
    purpose_id: UUID
    notice_id: UUID
    file_name: str
    sha256: str
    format: str
    state: State
    only_try: bool
    problem: str
    encoding: str
    separator: str
    mapping: str
    actor_kind: ActorKind
    actor_id: UUID | None
    created_at: datetime
    rows_read: int
    beat_at: datetime | None
    done_at: datetime | None
    undone_at: datetime | None
    removed: int
    added: int
    changed: int
    unchanged: int
    rejected: int
    given: int
    withdrawn: int
    unproven: int
    suppressed: int

    @property
    def actor(self) -> Actor:
        """Who brought the file."""
        return Actor(self.actor_kind, self.actor_id)

    @property
    def open(self) -> bool:
        """Whether something is still to come of it."""
        return self.state in (State.waiting, State.running)


class Undoing(Struct, frozen=True):
    """How far an undo has come: the last customer of each of its two walks, and who was removed."""

    yeses_upto: UUID
    arrivals_upto: UUID
    removed: int


class Tally(Struct):
    """The books of one import: each row is one of the first four; then what was recorded."""

    added: int = 0
    changed: int = 0
    unchanged: int = 0
    rejected: int = 0
    given: int = 0
    withdrawn: int = 0
    unproven: int = 0
    suppressed: int = 0

    @property
    def rows(self) -> int:
        """How many rows of the file were taken, each counted once."""
        return self.added + self.changed + self.unchanged + self.rejected


class Told(StrEnum):
    """Why a line is in the report: it was not taken in, or not quite as it says."""

    rejected = "rejected"
    noted = "noted"


class RowReport(Struct, frozen=True):
    """What the report says about one line of the file; `number` counts within the line.

    `part` names the list where the file is an archive of several.
    """

    part: str
    line: int
    number: int
    outcome: Told
    reason: str


class Reason(Struct, frozen=True):
    """What is said of how many lines."""

    outcome: Told
    reason: str
    count: int


class Tool(StrEnum):
    """Whose export format a file has; `table` is any other file with a column of addresses.

    `ndjson` is any list of JSON objects, `firsthand` one customer's copy of another installation.
    """

    mailchimp = "mailchimp"
    listmonk = "listmonk"
    keila = "keila"
    ghost = "ghost"
    substack = "substack"
    beehiiv = "beehiiv"
    table = "table"
    ndjson = "ndjson"
    firsthand = "firsthand"


class RowStatus(StrEnum):
    """What the former tool says about one address."""

    subscribed = "subscribed"
    unsubscribed = "unsubscribed"
    cleaned = "cleaned"
    unknown = "unknown"


# Whoever did one of these at another installation has left, and stays out wherever she is taken.
_LEFT_THERE = frozenset({Status.withdrawn, Status.refused, Status.revoked, Status.invalidated})


def standing_there(status: str, *, ended: bool) -> RowStatus:
    """What a decision comes to that another installation tells of; a yes that ended is none."""
    if status in _LEFT_THERE:
        return RowStatus.unsubscribed
    return RowStatus.subscribed if status in CONSENTS and not ended else RowStatus.unknown


# A clock time without a zone is read as UTC; where the clock is farthest behind UTC it was so much
# later. Where it is ahead it was earlier.
_FARTHEST_BEHIND = timedelta(hours=12)


class Row(Struct, frozen=True, gc=False):
    """One line of a list, as the file has it; `line` is the physical line where it begins.

    `listed_at` is since when the address was on the list, which proves nothing by itself. `part` is
    the list within an archive. `zone_assumed` is of any of its times, `left_assumed` of that of
    leaving. `watched` names fields that are left behind, for who is told of them
    only when all lines are read.
    """

    line: int
    address: str
    name: str = ""
    status: RowStatus = RowStatus.unknown
    bounced: bool = False
    opted_in_at: datetime | None = None
    opted_in_ip: str = ""
    confirmed_at: datetime | None = None
    confirmed_ip: str = ""
    unsubscribed_at: datetime | None = None
    zone_assumed: bool = False
    tags: tuple[str, ...] = ()
    other: dict[str, str] = {}
    notes: tuple[str, ...] = ()
    listed_at: datetime | None = None
    left_because: str = ""
    part: str = ""
    locale: str = ""
    time_zone: str = ""
    external_id: str = ""
    watched: tuple[str, ...] = ()
    left_assumed: bool = False

    @property
    def left_by(self) -> datetime | None:
        """The latest instant at which she may have left; None where no time says it."""
        if self.unsubscribed_at is None or not self.left_assumed:
            return self.unsubscribed_at
        return self.unsubscribed_at + _FARTHEST_BEHIND


class Bad(Struct, frozen=True):
    """A line that cannot be taken in, and why."""

    line: int
    reason: str
    part: str = ""


# A line of the one list, or of a list in an archive: most imports need not keep more than the line.
Spot = int | tuple[str, int]


def spot(row: Row | Bad) -> Spot:
    """Where a row stands."""
    return (row.part, row.line) if row.part else row.line


def placed(where: Spot) -> tuple[str, int]:
    """The list and the line of a spot."""
    return ("", where) if isinstance(where, int) else where


def evidence_kind(row: Row) -> EvidenceKind | None:
    """What the times of a row prove: both steps, the first alone, or nothing.

    A confirmation without a sign-up proves nothing: former tools fill it in for addresses that the
    business uploaded itself. Nor does one that is older than the sign-up confirm it.
    """
    if row.opted_in_at is None:
        return None
    if row.confirmed_at is None or row.confirmed_at < row.opted_in_at:
        return EvidenceKind.former_single_opt_in
    return EvidenceKind.former_double_opt_in


def proves(row: Row, accepts: frozenset[EvidenceKind]) -> bool:
    """Whether a row alone makes a newcomer mailable under a notice that accepts this."""
    return row.status is RowStatus.subscribed and evidence_kind(row) in accepts


class Evidence(Struct, frozen=True, omit_defaults=True):
    """What is stored with a consent event about where it comes from; no network address."""

    tool: Tool
    file_sha256: str
    line: int
    kind: EvidenceKind | None = None
    opted_in_at: datetime | None = None
    confirmed_at: datetime | None = None
    unsubscribed_at: datetime | None = None
    zone_assumed: bool = False
    same_second: bool = False
    listed_at: datetime | None = None
    left_because: str = ""
    part: str = ""


def evidence(row: Row, tool: Tool, file_sha256: str) -> Evidence:
    """The evidence of a row."""
    return Evidence(
        tool=tool,
        file_sha256=file_sha256,
        line=row.line,
        kind=evidence_kind(row),
        opted_in_at=row.opted_in_at,
        confirmed_at=row.confirmed_at,
        unsubscribed_at=row.unsubscribed_at,
        zone_assumed=row.zone_assumed,
        # Nobody reads a mail and confirms within a second: whoever reviews the proof should know.
        same_second=row.opted_in_at is not None and row.opted_in_at == row.confirmed_at,
        listed_at=row.listed_at,
        left_because=row.left_because,
        part=row.part,
    )


# The ordinary case, without the cost of building an address: a tenth of an import.
_OCTET = r"(?:25[0-5]|2[0-4]\d|1\d\d|[1-9]?\d)"
_IPV4 = re.compile(rf"{_OCTET}(?:\.{_OCTET}){{3}}", re.ASCII)


def address_of(text: str) -> str:
    """Read what stands in an IP column; nothing where it is no address."""
    if not text or _IPV4.fullmatch(text):
        return text
    try:
        return str(located(text))
    except ValueError:
        return ""


_WEIGHT = {
    RowStatus.unknown: 0,
    RowStatus.subscribed: 1,
    RowStatus.cleaned: 2,
    RowStatus.unsubscribed: 3,
}


def merge(rows: Iterable[Row]) -> Row:
    """One row out of all that name the same address: an opt-out wins, then the better proof.

    The result does not depend on the order, except that the earlier of two equals gives the name.
    """
    ranked = sorted(rows, key=_rank)
    best, left = ranked[0], _left_last(ranked)
    if len(ranked) == 1:
        return best
    other: dict[str, str] = {}
    for row in reversed(ranked):
        other |= row.other
    return replace(
        best,
        name=next((row.name for row in ranked if row.name), ""),
        locale=next((row.locale for row in ranked if row.locale), ""),
        time_zone=next((row.time_zone for row in ranked if row.time_zone), ""),
        external_id=next((row.external_id for row in ranked if row.external_id), ""),
        bounced=any(row.bounced or row.status is RowStatus.cleaned for row in ranked),
        unsubscribed_at=left.unsubscribed_at if left else None,
        left_assumed=left is not None and left.left_assumed,
        zone_assumed=best.zone_assumed or (left is not None and left.left_assumed),
        tags=tuple(dict.fromkeys(tag for row in ranked for tag in row.tags)),
        other=other,
    )


def _left_last(rows: list[Row]) -> Row | None:
    """The row of the last leaving; None as soon as one opt-out has no time, for it may be newer."""
    last, at = None, None
    for row in rows:
        if row.status is RowStatus.unsubscribed:
            if (left := row.left_by) is None:
                return None
            if at is None or left > at:
                last, at = row, left
    return last


OUT = frozenset({RowStatus.unsubscribed, RowStatus.cleaned})


def opts_out(row: Row) -> bool:
    """Whether the row takes somebody off. In a mixed file these rows are imported first.

    Then nobody is mailable between two batches only because the opt-out stands further down.
    """
    return row.status in OUT


_PROOF = {None: 0, EvidenceKind.former_single_opt_in: 1, EvidenceKind.former_double_opt_in: 2}


def _rank(row: Row) -> tuple[int, int, int]:
    return -_WEIGHT[row.status], -_PROOF[evidence_kind(row)], row.line
