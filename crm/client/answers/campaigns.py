"""What the service answers: campaigns. Written by `make calls`."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

from msgspec import Struct


class Answer(Struct, frozen=True, kw_only=True):
    """How often one answer was given, rounded down to fives; None where it was fewer than five."""

    answer: str
    given: int | None


class Campaign(Struct, frozen=True, kw_only=True):
    """One issue for the customers who consented to its purpose."""

    id: UUID
    purpose_id: UUID
    subject: str
    preheader: str
    source: str
    format: str
    question: str
    answers: list[str]
    public: bool
    segment_id: UUID | None
    segment_kept: KeptSegment | None
    state: str
    version: int
    created_by: UUID | None
    approved_by: UUID | None
    created_at: datetime
    changed_at: datetime
    scheduled_at: datetime | None
    local_at: datetime | None
    held_why: str | None
    started_at: datetime | None
    ended_at: datetime | None


class CampaignLine(Struct, frozen=True, kw_only=True):
    """A campaign in a list: without its text, with its counts."""

    id: UUID
    purpose_id: UUID
    purpose: str
    subject: str
    state: str
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
    digest: bool


class CampaignWithCounts(Struct, frozen=True, kw_only=True):
    """A campaign and what became of its deliveries so far."""

    id: UUID
    purpose_id: UUID
    subject: str
    preheader: str
    source: str
    format: str
    question: str
    answers: list[str]
    public: bool
    segment_id: UUID | None
    segment_kept: KeptSegment | None
    state: str
    version: int
    created_by: UUID | None
    approved_by: UUID | None
    created_at: datetime
    changed_at: datetime
    scheduled_at: datetime | None
    local_at: datetime | None
    held_why: str | None
    started_at: datetime | None
    ended_at: datetime | None
    counts: Numbers


class DeliveryLine(Struct, frozen=True, kw_only=True):
    """One campaign to one customer: ids only, and not what the relay said about the address."""

    customer_id: UUID
    state: str
    reason: str | None
    event_id: UUID | None
    notice_id: UUID | None
    attempt: int
    claimed_at: datetime | None
    done_at: datetime | None
    code: int | None
    resolved_by: UUID | None


class Figures(Struct, frozen=True, kw_only=True):
    """A campaign in numbers; seconds from start to end, or until now."""

    counts: Tally
    started_at: datetime | None
    ended_at: datetime | None
    seconds: float
    leavers: Leavers
    hard: int
    complaints: int
    troubles: list[Trouble]
    poll: Result | None


class Finding(Struct, frozen=True, kw_only=True):
    """One thing found: `line` is that of the decoded part, 0 in a header field named by `part`."""

    code: str
    sentence: str
    part: str
    line: int
    text: str
    blocking: bool


class Forecast(Struct, frozen=True, kw_only=True):
    """Who would get a campaign now, who not and why; what keeps it from being sent at all."""

    audience: int
    will_get: int
    left_out: dict[str, int]
    asked: int
    missed: int
    outside: int
    problems: list[Problem]
    warnings: list[str]
    found: list[Found]


class Found(Struct, frozen=True, kw_only=True):
    """What the linter found in the final mail; `line` is that of the source, 0 if it is in none."""

    finding: Finding
    line: int


class Going(Struct, frozen=True, kw_only=True):
    """How a campaign goes; `expires_hours` of null is the installation's rule."""

    expires_hours: int | None
    paused_why: str
    warning: str
    waits: list[Waiting]


class ImageSize(Struct, frozen=True, kw_only=True):
    """A picture without its bytes."""

    name: str
    media_type: str
    bytes: int


class KeptSegment(Struct, frozen=True, kw_only=True):
    """A segment as it was when a campaign to it started; its audience was decided by that."""

    id: UUID
    name: str
    rule: dict[str, Any]


class Leavers(Struct, frozen=True, kw_only=True):
    """Who left a campaign's purpose since its start, and what had been claimed for them before."""

    withdrawals: int
    after_mail: int
    on_the_way: int
    longest: float


class Numbers(Struct, frozen=True, kw_only=True):
    """Promise 3: `audience` is the sum of the six."""

    audience: int
    waiting: int
    sending: int
    sent: int
    failed: int
    excluded: int
    uncertain: int
    deferred: int


class Preview(Struct, frozen=True, kw_only=True):
    """One customer's message as it will be read."""

    html: str
    text: str
    subject: str


class Problem(Struct, frozen=True, kw_only=True):
    """What is wrong with one value; `field` is a form field or a JSON pointer without its `#/`."""

    field: str
    message: str


class Result(Struct, frozen=True, kw_only=True):
    """What came of a question, or why nothing is shown of it."""

    question: str
    given: int | None
    answers: list[Answer]
    hidden: str | None = None


class Tally(Struct, frozen=True, kw_only=True):
    """The same with the reasons, which are the sum of `excluded`."""

    audience: int
    waiting: int
    sending: int
    sent: int
    failed: int
    excluded: int
    uncertain: int
    deferred: int
    reasons: dict[str, int]


class Trouble(Struct, frozen=True, kw_only=True):
    """How many mails to one domain failed, are uncertain or came back, for one reason."""

    domain: str
    kind: str
    reason: str
    customers: int


class Waiting(Struct, frozen=True, kw_only=True):
    """For what some wait: `relay` or `relay WHY`, `cap NAME`, `domain NAME`, or what was said."""

    waits_for: str
    customers: int
    due_at: datetime
