"""What a row of a foreign list is worth: its states, its evidence, and the decision about it."""

from collections.abc import Iterable, Mapping
from datetime import datetime
from enum import StrEnum

from msgspec import Struct
from msgspec.structs import replace


class State(StrEnum):
    """Where an import stands."""

    received = "received"
    running = "running"
    done = "done"
    failed = "failed"


# running -> running is the next worker after one that was killed; failed -> running is a retry.
MOVES: Mapping[State, frozenset[State]] = {
    State.received: frozenset({State.running, State.failed}),
    State.running: frozenset({State.running, State.done, State.failed}),
    State.failed: frozenset({State.running}),
    State.done: frozenset(),
}


def may_move(before: State, after: State) -> bool:
    """Whether an import may go from one state to the other."""
    return after in MOVES[before]


class Tool(StrEnum):
    """Whose export format a file has; `table` is any other file with a column of addresses."""

    mailchimp = "mailchimp"
    listmonk = "listmonk"
    table = "table"


class RowStatus(StrEnum):
    """What the former tool says about one address."""

    subscribed = "subscribed"
    unsubscribed = "unsubscribed"
    cleaned = "cleaned"
    unknown = "unknown"


class Row(Struct, frozen=True):
    """One line of a list, as the file has it; `line` is the physical line where it begins."""

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


class Bad(Struct, frozen=True):
    """A line that cannot be taken in, and why."""

    line: int
    reason: str


class EvidenceKind(StrEnum):
    """What a row proves; a version of a purpose's notice names the kinds that it accepts."""

    former_double_opt_in = "former_double_opt_in"
    former_single_opt_in = "former_single_opt_in"
    signed_form = "signed_form"
    none = "none"


def evidence_kind(row: Row) -> EvidenceKind:
    """What the times of a row prove: both steps, the first alone, or nothing.

    A confirmation without a sign-up is none: former tools fill it in for addresses that their own
    staff uploaded. Neither is one that is older than the sign-up (`table` does not report those).
    """
    if row.opted_in_at is None:
        return EvidenceKind.none
    if row.confirmed_at is None:
        return EvidenceKind.former_single_opt_in
    return EvidenceKind.former_double_opt_in


class Evidence(Struct, frozen=True, omit_defaults=True):
    """What is stored with a consent event about where it comes from; never an IP address."""

    tool: Tool
    file_sha256: str
    line: int
    kind: EvidenceKind
    opted_in_at: datetime | None = None
    confirmed_at: datetime | None = None
    unsubscribed_at: datetime | None = None
    zone_assumed: bool = False
    same_second: bool = False
    ip_in_file: bool = False


def evidence(row: Row, tool: Tool, file_sha256: str) -> Evidence:
    """The evidence of a row. That the file holds IP addresses is noted; they are not kept."""
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
        ip_in_file=bool(row.opted_in_ip or row.confirmed_ip),
    )


class Standing(StrEnum):
    """The consent a customer has with us for the purpose of the import."""

    unknown = "unknown"
    requested = "requested"
    given = "given"
    refused = "refused"
    withdrawn = "withdrawn"
    expired = "expired"


# From these no import leads back: only the customer does.
OPTED_OUT = frozenset({Standing.refused, Standing.withdrawn, Standing.expired})


class KnownCustomer(Struct, frozen=True):
    """What the books already hold about an address.

    `exists` is false when only a suppression is left, as after an erasure. `own_consent_at` is set
    when the customer gave the present consent to us, not to a former tool. `filled` names the
    fields that hold a value.
    """

    exists: bool = True
    standing: Standing | None = None
    suppressed: bool = False
    own_consent_at: datetime | None = None
    filled: frozenset[str] = frozenset()


class Event(StrEnum):
    """The consent event an import appends."""

    given = "given"
    unknown = "unknown"
    withdrawn = "withdrawn"


class Outcome(StrEnum):
    """What became of a row; the words of the report."""

    mailable = "mailable"
    unproven = "unproven"
    left = "left"
    bounced = "bounced"
    filled = "filled"
    unchanged = "unchanged"
    kept_out = "kept_out"
    repeated = "repeated"
    rejected = "rejected"


class Suppress(Struct, frozen=True):
    """A suppression an import adds."""

    scope: str = "all"
    reason: str = "bounced"


class Decision(Struct, frozen=True):
    """What to do about one row; `fill` holds only fields that were empty."""

    outcome: Outcome
    reason: str
    add: bool = False
    fill: dict[str, str] = {}
    event: Event | None = None
    suppress: Suppress | None = None

    @property
    def changes(self) -> bool:
        """Whether anything has to be written."""
        return self.add or bool(self.fill) or self.event is not None or self.suppress is not None


class ReportLine(Struct, frozen=True):
    """What the report says about one line of the file."""

    line: int
    outcome: Outcome
    reason: str


BOUNCED = Suppress()
STRANGER = KnownCustomer(exists=False)
_NOBODY = Decision(
    Outcome.kept_out,
    "Not taken in: this address is on the list of those who must not be contacted.",
)
_STAYS_OUT = Decision(
    Outcome.kept_out, "Left as it is: this customer has left, and an import cannot undo that."
)
_STAYS_QUIET = Decision(
    Outcome.kept_out, "Left as it is: mail to this address is suppressed, an import keeps it so."
)
_NOTHING = Decision(Outcome.unchanged, "Already known; nothing to change.")
_CAME_BACK = Decision(
    Outcome.unchanged, "Left as it is: the customer gave consent to us after leaving there."
)


def decide(
    row: Row,
    known: KnownCustomer | None,
    accepts: frozenset[EvidenceKind],
    declared: frozenset[str] = frozenset(),
) -> Decision:
    """What one row does to the books. It mails nobody and never undoes an opt-out.

    `declared` names the attributes the business keeps; other columns are left alone. The same row
    a second time decides to do nothing.
    """
    now = known or STRANGER
    if now.suppressed and not now.exists:
        return _NOBODY
    if row.status is RowStatus.unsubscribed:
        return _leave(row, now)
    if row.status is RowStatus.cleaned:
        return _bounce(now)
    if now.standing in OPTED_OUT:
        return _STAYS_OUT
    if now.suppressed:
        return _STAYS_QUIET
    return _join(row, now, accepts, declared)


def _leave(row: Row, known: KnownCustomer) -> Decision:
    # An expired or refused consent is followed by the withdrawal: it lasts, whatever comes later.
    gone = known.standing is Standing.withdrawn
    suppress = BOUNCED if row.bounced and not known.suppressed else None
    if known.own_consent_at is not None and known.standing is Standing.given:
        left = row.unsubscribed_at
        # An opt-out without a time counts as the newer one: silence is the smaller mistake.
        gone = left is not None and left < known.own_consent_at
        if gone and suppress is None:
            return _CAME_BACK
    if gone and suppress is None:
        return Decision(Outcome.unchanged, "Already known to have left; nothing to change.")
    return Decision(
        Outcome.left,
        "Left the former list; recorded as withdrawn."
        if suppress is None
        else "Left the former list, and mail bounced there; recorded as withdrawn and suppressed.",
        add=not known.exists,
        event=None if gone else Event.withdrawn,
        suppress=suppress,
    )


def _bounce(known: KnownCustomer) -> Decision:
    if known.suppressed:
        return Decision(Outcome.unchanged, "Mail to this address is suppressed already.")
    return Decision(
        Outcome.bounced,
        "Mail to this address bounced at the former tool; suppressed.",
        add=not known.exists,
        event=Event.unknown if known.standing is None else None,
        suppress=BOUNCED,
    )


def _join(
    row: Row, known: KnownCustomer, accepts: frozenset[EvidenceKind], declared: frozenset[str]
) -> Decision:
    fill = _empty_fields(row, known, declared)
    kind = evidence_kind(row)
    if known.standing is Standing.given:
        return Decision(Outcome.filled, _FILLED, fill=fill) if fill else _NOTHING
    proven = row.status is RowStatus.subscribed and kind is not EvidenceKind.none
    if proven and kind in accepts:
        return Decision(
            Outcome.mailable, _ACCEPTED[kind], add=not known.exists, fill=fill, event=Event.given
        )
    if known.standing is None:
        return Decision(
            Outcome.unproven, _why_not(row, kind), not known.exists, fill, Event.unknown
        )
    return Decision(Outcome.filled, _FILLED, fill=fill) if fill else _NOTHING


def _empty_fields(row: Row, known: KnownCustomer, declared: frozenset[str]) -> dict[str, str]:
    fill = {}
    if row.name and "name" not in known.filled:
        fill["name"] = row.name
    if declared:
        for field, value in row.other.items():
            if field in declared and field not in known.filled:
                fill[field] = value
    return fill


_FILLED = "Already known; empty fields were filled in."
_ACCEPTED = {
    EvidenceKind.former_double_opt_in: "Signed up and confirmed at the former tool.",
    EvidenceKind.former_single_opt_in: "Signed up at the former tool.",
    EvidenceKind.signed_form: "Signed a form.",
}


def _why_not(row: Row, kind: EvidenceKind) -> str:
    if row.status is not RowStatus.subscribed:
        return "Kept, but not mailable: the file does not say that this address is subscribed."
    if kind is EvidenceKind.none:
        return "Kept, but not mailable: the file has no time of a sign-up."
    if kind is EvidenceKind.former_single_opt_in:
        return "Kept, but not mailable: the sign-up was never confirmed, and the notice asks that."
    return "Kept, but not mailable: the notice accepts no consent from a former tool."


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
    best = ranked[0]
    if len(ranked) == 1:
        return best
    other: dict[str, str] = {}
    for row in reversed(ranked):
        other |= row.other
    return replace(
        best,
        name=next((row.name for row in ranked if row.name), ""),
        bounced=any(row.bounced or row.status is RowStatus.cleaned for row in ranked),
        unsubscribed_at=max(
            (row.unsubscribed_at for row in ranked if row.unsubscribed_at is not None),
            default=None,
        ),
        tags=tuple(dict.fromkeys(tag for row in ranked for tag in row.tags)),
        other=other,
    )


def _rank(row: Row) -> tuple[int, int, int]:
    proof = (row.opted_in_at is not None) + (row.confirmed_at is not None)
    return -_WEIGHT[row.status], -proof, row.line


class Seen:
    """Which addresses of a file have come by, so that a repetition is reported.

    It keeps one entry per address, about 0.2 kB: the only part of an import that grows.
    """

    def __init__(self) -> None:
        self._lines: dict[str, int] = {}

    def earlier(self, folded: str, line: int) -> int | None:
        """The line where this address stood first, or None and it is remembered."""
        first = self._lines.setdefault(folded, line)
        return None if first == line else first


def repeated(line: int, first: int) -> ReportLine:
    """The report of a row whose address stood in an earlier line too."""
    return ReportLine(
        line,
        Outcome.repeated,
        f"The same address as in line {first}; taken together, and an opt-out wins.",
    )
