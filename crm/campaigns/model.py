"""Campaigns and deliveries: their states as tables, their counts, and when to try again."""

from __future__ import annotations

from datetime import datetime, timedelta
from enum import StrEnum
from typing import Annotated, Any, Literal
from uuid import UUID

from msgspec import Meta, Struct, field

from crm.errors import Conflict, Forbidden, NotFound


class State(StrEnum):
    """What a campaign is doing."""

    draft = "draft"
    scheduled = "scheduled"
    held = "held"
    starting = "starting"
    sending = "sending"
    paused = "paused"
    cancelled = "cancelled"
    done = "done"


# To a state, from which states.
MOVES: dict[State, frozenset[State]] = {
    State.draft: frozenset({State.scheduled, State.held}),
    State.scheduled: frozenset({State.draft}),
    State.held: frozenset({State.scheduled}),
    State.starting: frozenset({State.draft, State.scheduled, State.held}),
    State.sending: frozenset({State.paused}),
    State.paused: frozenset({State.sending}),
    State.cancelled: frozenset(
        {State.scheduled, State.held, State.starting, State.sending, State.paused}
    ),
}


# Not begun: it may still be reviewed, and taken back.
WAITS = frozenset({State.draft, State.scheduled, State.held})


class DeliveryState(StrEnum):
    """What became of one campaign to one customer."""

    waiting = "waiting"
    sending = "sending"
    sent = "sent"
    failed = "failed"
    excluded = "excluded"
    uncertain = "uncertain"

    @property
    def went(self) -> bool:
        """Whether it was handed over, as far as anybody knows."""
        return self in (DeliveryState.sending, DeliveryState.sent, DeliveryState.uncertain)


class WrongState(Conflict):
    """The campaign's present state does not allow it."""


class DraftChanged(Conflict):
    """Somebody changed this draft since you opened it; look at theirs first, then save again."""


class ChangedSinceReview(Conflict):
    """This campaign has changed since you reviewed it. Look at it again before you approve it."""


class TooLate(Conflict):
    """The scheduled time is in the past; choose a later one, or start the campaign now."""


class TooFar(Conflict):
    """A campaign can be scheduled two years ahead at most; who consents today may not by then."""


class NeverOpen(Conflict):
    """It would expire before the mailing hours open for anybody."""


class NotOurs(Forbidden):
    """A test goes only to somebody who works here: everybody else must consent first."""


class OtherNumber(Conflict):
    """Another number is uncertain by now. Look at them again, and decide anew."""


class NoCanary(Conflict):
    """There is no canary to wait for, or it is too early to go without, or it arrived changed."""


class NothingUncertain(Conflict):
    """This delivery is not uncertain, so there is nothing to resolve."""


class NoVerdict(NotFound):
    """No verdict is published here; check the address, or look whether the campaign has started."""


# How far ahead a start can be scheduled.
FARTHEST = timedelta(days=731)
# The longest that a campaign goes on trying.
LONGEST_HOURS = 720

Format = Literal["markdown", "html"]


class NewCampaign(Struct, kw_only=True, forbid_unknown_fields=True):
    """What is written for a campaign."""

    purpose_id: UUID
    subject: Annotated[str, Meta(max_length=300)] = ""
    preheader: Annotated[str, Meta(max_length=300)] = ""
    source: Annotated[str, Meta(max_length=1_000_000)] = ""
    format: Format = "markdown"
    # One question to its readers, with two to five answers; nothing asks nothing.
    question: Annotated[str, Meta(max_length=300)] = ""
    answers: Annotated[list[str], Meta(max_length=5)] = []
    # Whether everybody may read it in the archive once it has started.
    public: bool = False
    # Only to whom this segment selects at the start; none: to everybody who agreed.
    segment_id: UUID | None = None


class KeptSegment(Struct, frozen=True):
    """A segment as it was when a campaign to it started; its audience was decided by that."""

    id: UUID
    name: str
    rule: dict[str, Any]


class Campaign(Struct, frozen=True, kw_only=True):
    """One issue for the customers who consented to its purpose."""

    id: UUID
    purpose_id: UUID
    subject: str
    preheader: str
    source: str
    format: Format
    question: str
    answers: list[str]
    public: bool
    # The segment that it goes to, until it starts; from then on, the segment as it was.
    segment_id: UUID | None
    segment_kept: KeptSegment | None
    state: State
    version: int
    created_by: UUID | None
    approved_by: UUID | None
    created_at: datetime
    changed_at: datetime
    scheduled_at: datetime | None
    # By each customer's own clock; without a zone.
    local_at: datetime | None
    # Why it is held; none in any other state.
    held_why: str | None
    started_at: datetime | None
    ended_at: datetime | None


class Course(Struct, frozen=True):
    """How a campaign goes besides its state: its own expiry, and why it paused by itself."""

    expires_hours: int | None
    paused_why: str


class Wait(Struct, frozen=True):
    """For what some customers of a campaign wait, and until when the first of them."""

    waits_for: str
    customers: int
    due_at: datetime


class Health(Struct, frozen=True):
    """Counts since the campaign began, or since staff let it go on; `blocked` is in a row."""

    state: State
    sent: int
    hard: int
    complaints: int
    blocked: int


class CampaignLine(Struct, frozen=True, kw_only=True):
    """A campaign in a list: without its text, with its counts."""

    id: UUID
    purpose_id: UUID
    purpose: str
    subject: str
    state: State
    version: int
    written_by: str
    created_at: datetime
    changed_at: datetime
    scheduled_at: datetime | None
    started_at: datetime | None
    ended_at: datetime | None
    waiting: int
    sending: int
    sent: int
    failed: int
    excluded: int
    uncertain: int
    # Whether it is the digest of a week.
    digest: bool

    @property
    def audience(self) -> int:
        """Everybody the campaign named when it started."""
        return (
            self.waiting + self.sending + self.sent + self.failed + self.excluded + self.uncertain
        )


class StateCount(Struct, frozen=True):
    """How many campaigns are in one state."""

    state: State
    campaigns: int


class Reason(Struct, frozen=True):
    """How many of an audience share one reason for being left out; None will get it."""

    reason: str | None
    customers: int
    asked: int


class Review(Struct, frozen=True):
    """Who would get a campaign now, and who not, by reason; the sum is the audience."""

    will_get: int
    left_out: dict[str, int]
    # Of those who get it, whom it asks whether their consent goes on.
    asked: int = 0
    # Of those who get it, for whom it expires before their mailing hours open.
    missed: int = 0
    # Asked about the purpose, but not of the segment: no part of the audience.
    outside: int = 0

    @property
    def audience(self) -> int:
        """Everybody who was ever asked about the purpose, and is of the segment if there is one."""
        return self.will_get + sum(self.left_out.values())


class Counts(Struct, frozen=True, kw_only=True):
    """Promise 3: each counted from rows, and together the audience."""

    waiting: int
    sending: int
    sent: int
    failed: int
    excluded: int
    uncertain: int
    # Of those waiting, whom her own rhythm keeps it from until she may be mailed again.
    deferred: int = 0
    reasons: dict[str, int] = field(default_factory=dict)

    @property
    def audience(self) -> int:
        """Everybody the campaign named when it started."""
        return (
            self.waiting + self.sending + self.sent + self.failed + self.excluded + self.uncertain
        )


class ReasonCount(Struct, frozen=True):
    """How many deliveries were left out for one reason."""

    reason: str
    customers: int


class RowCount(Struct, frozen=True):
    """How many deliveries are in one state for one reason."""

    state: DeliveryState
    reason: str | None
    customers: int


class Delivery(Struct, frozen=True, kw_only=True):
    """One campaign to one customer, with the warrant it rests on."""

    customer_id: UUID
    state: DeliveryState
    reason: str | None
    event_id: UUID | None
    notice_id: UUID | None
    attempt: int
    claimed_at: datetime | None
    done_at: datetime | None
    code: int | None
    reply: str | None
    resolved_by: UUID | None


class Received(Struct, frozen=True, kw_only=True):
    """One campaign as its customer sees it."""

    campaign_id: UUID
    subject: str
    purpose_id: UUID
    state: DeliveryState
    reason: str | None
    event_id: UUID | None
    notice_id: UUID | None
    claimed_at: datetime | None
    done_at: datetime | None


class Deferred(Struct, frozen=True, kw_only=True):
    """A campaign that waits for a customer because of her rhythm, and until when it does."""

    campaign_id: UUID
    subject: str
    purpose_id: UUID
    waits_for: str
    due_at: datetime


_IS = {
    State.draft: "still a draft",
    State.scheduled: "scheduled",
    State.held: "held until somebody decides",
    State.starting: "started already",
    State.sending: "being sent",
    State.paused: "paused",
    State.cancelled: "cancelled",
    State.done: "sent to everybody already",
}
_VERB = {
    State.draft: "taken back",
    State.scheduled: "scheduled",
    State.held: "held",
    State.starting: "started",
    State.sending: "resumed",
    State.paused: "paused",
    State.cancelled: "cancelled",
}


def wrong_state(present: State, wanted: State | None) -> WrongState:
    """Say what the campaign is doing, and what it cannot be told for that reason; None: changed."""
    verb = "changed" if wanted is None else _VERB[wanted]
    return WrongState(f"This campaign is {_IS[present]}, so it cannot be {verb} now.")


def overdue(campaign: Campaign, now: datetime, patience: timedelta) -> bool:
    """Say whether a scheduled start is so late that it may not be wanted any more."""
    return campaign.scheduled_at is not None and now > campaign.scheduled_at + patience


def counted(rows: list[RowCount], deferred: int) -> Counts:
    """Add up deliveries by state, and those left out by reason; `deferred` are of the waiting."""
    sums = dict.fromkeys(DeliveryState, 0)
    reasons: dict[str, int] = {}
    for row in rows:
        sums[row.state] += row.customers
        if row.reason is not None:
            reasons[row.reason] = row.customers
    states = {state.value: count for state, count in sums.items()}
    return Counts(**states, deferred=deferred, reasons=reasons)


# RFC 5321 §4.5.4.1 asks for half an hour between tries; greylisting lets the first be shorter.
_PAUSES = tuple(timedelta(minutes=minutes) for minutes in (5, 30, 60, 120, 240, 480))


def next_try(
    customer_id: UUID, attempt: int, now: datetime, started_at: datetime, give_up: timedelta
) -> datetime | None:
    """Say when a delivery that could not go is tried again, or None when it has become stale.

    The pause grows with each attempt and differs by customer, so that not all come back at once.
    """
    pause = _PAUSES[min(max(attempt, 1), len(_PAUSES)) - 1]
    jitter = 0.75 + 0.5 * (customer_id.int % 1000) / 1000
    due = now + pause * jitter
    return due if due < started_at + give_up else None
