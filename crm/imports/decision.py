"""The decision about one row of an import: what it does to the books, and what it never does."""

from datetime import datetime
from enum import StrEnum

from msgspec import Struct

from crm.consent import AUTHORISES, OPTED_OUT, EvidenceKind, Status
from crm.imports.model import Row, RowStatus, Spot, evidence_kind, proves

# What the record itself says. No attribute is called so: names have no blank, and `name` is kept
# from them.
NAME, TIME_ZONE, EXTERNAL_ID = "name", "time zone", "external id"
OWN = frozenset({NAME, TIME_ZONE, EXTERNAL_ID})


class KnownCustomer(Struct, frozen=True):
    """What the books already hold about an address.

    `exists` is false when only a suppression is left, as after an erasure; `decided` is false where
    nobody decided that one: mail came back from there, or it was left. `own_consent_at` is set when
    the customer gave the present consent to us, not to a former tool. `frozen` is a record
    of which she wanted nothing used (Art. 18 GDPR). `filled` names the fields that hold a value,
    `tagged` the tags that she has.
    """

    exists: bool = True
    standing: Status | None = None
    suppressed: bool = False
    decided: bool = True
    own_consent_at: datetime | None = None
    frozen: bool = False
    filled: frozenset[str] = frozenset()
    tagged: frozenset[str] = frozenset()


class Outcome(StrEnum):
    """What became of a row; the words of the report."""

    mailable = "mailable"
    unproven = "unproven"
    left = "left"
    bounced = "bounced"
    filled = "filled"
    ended = "ended"
    unchanged = "unchanged"
    kept_out = "kept_out"
    rejected = "rejected"


class Closed(StrEnum):
    """Why a yes counts no more for what a list is for; who leaves and what bounced still does."""

    retired = "retired"
    # A yes to the version that its text belongs to has ended.
    words_ended = "words_ended"


class Suppress(Struct, frozen=True):
    """A suppression an import adds."""

    scope: str = "all"
    reason: str = "bounced"


class Decision(Struct, frozen=True):
    """What to do about one row; `fill` holds only what was empty, `tags` only what she lacks."""

    outcome: Outcome
    reason: str
    add: bool = False
    fill: dict[str, str] = {}
    event: Status | None = None
    suppress: Suppress | None = None
    tags: tuple[str, ...] = ()

    @property
    def values(self) -> dict[str, str]:
        """Which attributes to fill, and with what; some may turn out to be not allowed."""
        return {name: value for name, value in self.fill.items() if name not in OWN}

    @property
    def changes(self) -> bool:
        """Whether anything has to be written."""
        wanted = self.add or self.fill or self.tags or self.event or self.suppress
        return bool(wanted)


BOUNCED = Suppress()
STRANGER = KnownCustomer(exists=False)
_NOBODY = Decision(
    Outcome.kept_out,
    "Not taken in: this address is on the list of those who must not be contacted.",
)
# What nobody decided is lifted some day: that somebody wants no mail has to outlast it.
_STAYS_LEFT = Decision(
    Outcome.kept_out,
    "Not taken in: mail to this address is suppressed. That it left the former list is kept there.",
    suppress=Suppress(scope="marketing", reason="imported"),
)
_STAYS_OUT = Decision(
    Outcome.kept_out, "Left as it is: this customer has left, and an import cannot undo that."
)
# Her yes ended, and not by her: its time was over, its purpose was retired, it did not hold, or her
# address changed. Nothing but she lifts that, and she is a customer still.
_ENDED = frozenset({Status.expired, Status.revoked, Status.invalidated})
_LEFT = OPTED_OUT - _ENDED
_STAYS_ENDED = (
    "Not mailable: what this customer allowed has ended, and only she can allow it again."
)
_STAYS_QUIET = Decision(
    Outcome.kept_out, "Left as it is: mail to this address is suppressed, an import keeps it so."
)
_STAYS_FROZEN = Decision(
    Outcome.kept_out,
    "Left as it is: this customer's record is frozen, and an import begins nothing with it.",
)
_OUT_OF_USE = Decision(
    Outcome.kept_out,
    "Not taken in: the purpose was retired while the list waited. Only who leaves is, and what "
    "bounced.",
)
_WORDS_ENDED = (
    "Not taken as consent: other words took the place of those the list was judged by. "
    "Import it again."
)
_NOTHING = Decision(Outcome.unchanged, "Already known; nothing to change.")
CAME_BACK = Decision(
    Outcome.unchanged, "Left as it is: the customer gave consent to us after leaving there."
)


def decide(
    row: Row,
    known: KnownCustomer | None,
    accepts: frozenset[EvidenceKind],
    declared: frozenset[str] = frozenset(),
    tags: frozenset[str] = frozenset(),
    *,
    closed: Closed | None = None,
) -> Decision:
    """What one row does to the books. It mails nobody and never undoes an opt-out.

    `declared` names the attributes the business keeps, and `tags` its tags; other columns and words
    are left alone. `closed` says why no yes is taken. The same row a second time decides to do
    nothing.
    """
    now = known or STRANGER
    if now.suppressed and not now.exists:
        leaves = row.status is RowStatus.unsubscribed
        return _STAYS_LEFT if leaves and not now.decided else _NOBODY
    if row.status is RowStatus.unsubscribed:
        return _leave(row, now)
    if row.status is RowStatus.cleaned:
        return _bounce(now)
    if (left_alone := _left_alone(now, closed)) is not None:
        return left_alone
    fill, lacking = _empty_fields(row, now, declared), _lacking(row, now, tags)
    return _join(row, now, accepts, fill, lacking, too_late=closed is Closed.words_ended)


def _left_alone(known: KnownCustomer, closed: Closed | None) -> Decision | None:
    """With whom a row that asks for something begins nothing."""
    if known.standing in _LEFT:
        return _STAYS_OUT
    if known.suppressed or known.frozen:
        return _STAYS_QUIET if known.suppressed else _STAYS_FROZEN
    return _OUT_OF_USE if closed is Closed.retired else None


def _leave(row: Row, known: KnownCustomer) -> Decision:
    # An expired or refused consent is followed by the withdrawal: it lasts, whatever comes later.
    gone = known.standing is Status.withdrawn
    suppress = BOUNCED if row.bounced and not known.suppressed else None
    if known.own_consent_at is not None and known.standing in AUTHORISES:
        left = row.left_by
        # An opt-out without a time counts as the newer one, and so does one that may have been, as
        # its time names no zone: silence is the smaller mistake.
        gone = left is not None and left < known.own_consent_at
        if gone and suppress is None:
            return CAME_BACK
    if gone and suppress is None:
        return Decision(Outcome.unchanged, "Already known to have left; nothing to change.")
    return Decision(
        Outcome.left,
        "Left the former list; recorded as withdrawn."
        if suppress is None
        else "Left the former list, and mail bounced there; recorded as withdrawn and suppressed.",
        add=not known.exists,
        event=None if gone else Status.withdrawn,
        suppress=suppress,
    )


def _bounce(known: KnownCustomer) -> Decision:
    if known.suppressed:
        return Decision(Outcome.unchanged, "Mail to this address is suppressed already.")
    return Decision(
        Outcome.bounced,
        "Mail to this address bounced at the former tool; suppressed.",
        add=not known.exists,
        event=Status.unknown if known.standing is None else None,
        suppress=BOUNCED,
    )


def _join(
    row: Row,
    known: KnownCustomer,
    accepts: frozenset[EvidenceKind],
    fill: dict[str, str],
    tags: tuple[str, ...],
    *,
    too_late: bool,
) -> Decision:
    if known.standing in _ENDED:
        return Decision(Outcome.ended, _STAYS_ENDED, fill=fill, tags=tags)
    kind = evidence_kind(row)
    add = not known.exists
    if known.standing not in AUTHORISES:
        accepted = kind if proves(row, accepts) else None
        if accepted is not None and not too_late:
            return Decision(
                Outcome.mailable, _ACCEPTED[accepted], add, fill, event=Status.given, tags=tags
            )
        why = _why_not(row, kind) if accepted is None else _WORDS_ENDED
        if known.standing in {None, Status.unknown}:
            # Whom an earlier row keeps apart may have been let go meanwhile.
            asks = Status.unknown if known.standing is None else None
            return Decision(Outcome.unproven, why, add, fill, event=asks, tags=tags)
        if accepted is not None:
            return Decision(Outcome.ended, why, fill=fill, tags=tags)
    return Decision(Outcome.filled, _FILLED, fill=fill, tags=tags) if fill or tags else _NOTHING


def _empty_fields(row: Row, known: KnownCustomer, declared: frozenset[str]) -> dict[str, str]:
    fill = {}
    if row.name and NAME not in known.filled:
        fill[NAME] = row.name
    if row.time_zone and TIME_ZONE not in known.filled:
        fill[TIME_ZONE] = row.time_zone
    if row.external_id and EXTERNAL_ID not in known.filled:
        fill[EXTERNAL_ID] = row.external_id
    if declared:
        wanted = declared - known.filled
        fill |= {field: value for field, value in row.other.items() if field in wanted}
    return fill


def _lacking(row: Row, known: KnownCustomer, tags: frozenset[str]) -> tuple[str, ...]:
    if not row.tags or not tags:
        return ()
    return tuple(tag for tag in row.tags if tag in tags and tag not in known.tagged)


_FILLED = "Already known; empty fields were filled in."
_ACCEPTED = {
    EvidenceKind.former_double_opt_in: "Signed up and confirmed at the former tool.",
    EvidenceKind.former_single_opt_in: "Signed up at the former tool.",
    EvidenceKind.signed_form: "Signed a form.",
}


def _why_not(row: Row, kind: EvidenceKind | None) -> str:
    if row.status is not RowStatus.subscribed:
        return "In quarantine: the file does not say that this address is subscribed."
    if kind is None and row.listed_at is not None:
        return (
            "In quarantine: the file says since when the address was on the list, but not "
            "that its owner signed up."
        )
    if kind is None:
        return "In quarantine: the file has no time of a sign-up."
    if kind is EvidenceKind.former_single_opt_in:
        return "In quarantine: the sign-up was never confirmed, and the notice asks that."
    return "In quarantine: the notice accepts no consent from a former tool."


def repeated(first: Spot) -> str:
    """The sentence about a row whose address stood in an earlier line too."""
    where = f"line {first}" if isinstance(first, int) else f"line {first[1]} of {first[0]}"
    return f"The same address as in {where}; taken together, and an opt-out wins."
