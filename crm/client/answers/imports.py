"""What the service answers: imports. Written by `make calls`."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from msgspec import Struct


class Column(Struct, frozen=True, kw_only=True):
    """One column by its header, and what it holds; for an attribute, which that is declared."""

    header: str
    means: str
    attribute: str = ""


class ImportShown(Struct, frozen=True, kw_only=True):
    """An import; `rows` is the sum of the four outcomes once it is done."""

    id: UUID
    purpose_id: UUID
    notice_id: UUID
    file_name: str
    sha256: str
    format: str
    state: str
    only_try: bool
    problem: str
    encoding: str
    separator: str
    mapping: str
    created_at: datetime
    done_at: datetime | None
    undone_at: datetime | None
    removed: int
    rows_read: int
    rows: int
    added: int
    changed: int
    unchanged: int
    rejected: int
    given: int
    withdrawn: int
    unproven: int
    suppressed: int
    quarantined: int = 0
    reasons: list[Reason] | None = None


class LetGo(Struct, frozen=True, kw_only=True):
    """How many rows are let go; a worker deletes them one by one."""

    rows: int


class Mapping(Struct, frozen=True, kw_only=True):
    """A mapping under its name."""

    name: str
    columns: list[Column]
    otherwise: str = "unknown"
    changed_at: datetime | None = None


class QuarantinedRow(Struct, frozen=True, kw_only=True):
    """A row without evidence, and whom it keeps apart until when; the address is masked."""

    customer_id: UUID
    purpose_id: UUID
    address: str
    file: str
    line: int
    why: str
    since: datetime
    ends_at: datetime
    silenced: bool


class Reason(Struct, frozen=True, kw_only=True):
    """What is said of how many lines."""

    outcome: str
    reason: str
    count: int


class ImportShownSlice(Struct, frozen=True, kw_only=True):
    """ImportShownSlice."""

    rows: list[ImportShown]
    after: str | None


class TakenOver(Struct, frozen=True, kw_only=True):
    """What came of a copy.

    `customer_id` is null where it was only tried and she is not here yet.
    """

    customer_id: UUID | None
    added: bool
    origin: str
    attributes: int
    interactions: int
    decisions: int
    mails: int
    states: dict[str, str]
    said: list[str]
