"""A copy of another installation, read: what of it is taken over, and what it comes to.

Names that are not known here are passed over: a later version may say more.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from decimal import Decimal
from typing import Annotated, Any, Literal
from uuid import UUID

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType, field

from crm.customers import AttributeType
from crm.customers.interaction import LONGEST_LETTER, Currency, Title
from crm.customers.model import ExternalId, Locale, Name, TimeZone
from crm.customers.text import Duration, Label, Sentence, Word
from crm.imports import Row, RowStatus, standing_there
from crm.time_zones import FIRST_YEAR, LAST_YEAR


class _Dated(Struct, frozen=True):
    """Something whose instants are instants, and in the calendar of people who live."""

    def __post_init__(self) -> None:
        for name in self.__struct_fields__:
            at = getattr(self, name)
            if isinstance(at, datetime) and not _is_instant(at):
                message = f"{name} is no instant with its distance from UTC, or of no year of ours"
                raise ValueError(message)


def _is_instant(at: datetime) -> bool:
    return at.tzinfo is not None and FIRST_YEAR <= at.year <= LAST_YEAR


class Profile(Struct, frozen=True):
    """Who she is to the other business."""

    id: UUID
    address: Annotated[str, Meta(max_length=1000)]
    name: Name = ""
    locale: Locale = ""
    time_zone: TimeZone = ""
    external_id: ExternalId | None = None


class Attribute(Struct, frozen=True):
    """What else it knows of her."""

    name: Word
    label: Label
    type: AttributeType
    value: Any
    purpose: Sentence
    retention: Duration


class Happened(_Dated, frozen=True):
    """Something that happened between them."""

    kind: Word
    label: Label
    at: datetime
    title: Title
    # A reply is one of them, and a letter.
    detail: Annotated[str, Meta(max_length=LONGEST_LETTER)] = ""
    amount: Decimal | None = None
    currency: Currency | None = None


class OptIn(_Dated, frozen=True):
    """The two instants of her mailbox's own word."""

    mailed_at: datetime
    confirmed_at: datetime


class Event(_Dated, frozen=True):
    """One decision, as it was sealed there."""

    id: UUID
    purpose_id: UUID
    status: str
    at: datetime
    recorded_at: datetime
    valid_until: datetime | None = None
    opt_in: OptIn | None = None
    evidence: dict[str, Any] = field(default_factory=dict)


class Decided(Struct, frozen=True):
    """The same beside its purpose by name."""

    event: Event
    purpose: str = ""


class Asked(Struct, frozen=True):
    """A purpose of the other business, by the name it has in addresses."""

    id: UUID
    slug: str


class Brought(_Dated, frozen=True):
    """What happened elsewhere, as it was told there; `file` has the text of a mail."""

    list: Literal["decisions", "newsletters", "letters"]
    at: datetime
    origin: str
    said: dict[str, Any]
    file: str = ""


def last_of(decided: Iterable[Decided]) -> dict[UUID, Event]:
    """Return the decision that counts for each purpose: the one made last."""
    last: dict[UUID, Event] = {}
    for each in decided:
        event = each.event
        before = last.get(event.purpose_id)
        if before is None or (before.at, before.recorded_at) < (event.at, event.recorded_at):
            last[event.purpose_id] = event
    return last


def shown(profile: Profile, event: Event, records: Mapping[str, Mapping[str, Any]]) -> bool:
    """Say whether a receipt shows this decision: of this customer, word for word what counts."""
    record = records.get(str(event.id))
    if record is None:
        return False
    told = _Sealed(
        customer=profile.id,
        purpose=_Named(event.purpose_id),
        status=event.status,
        at=event.at,
        opt_in=event.opt_in,
        evidence=event.evidence,
    )
    try:
        return told == msgspec.convert(record, _Sealed)
    except msgspec.ValidationError:
        return False


class _Named(Struct, frozen=True):
    id: UUID


class _Sealed(Struct, frozen=True, kw_only=True):
    """What of a sealed record a decision rests on here."""

    customer: UUID
    purpose: _Named
    status: str
    at: datetime
    opt_in: OptIn | None = None
    evidence: dict[str, Any] = field(default_factory=dict)


def as_row(profile: Profile, event: Event, now: datetime, *, proven: bool) -> Row:
    """Write a decision made elsewhere as a row of a list from there.

    A yes that her mailbox confirmed has both times, if that is `proven` by a receipt; one that
    ended is none any more. That she left needs no proof.
    """
    ended = event.valid_until is not None and event.valid_until <= now
    status = standing_there(event.status, ended=ended)
    if status is RowStatus.unsubscribed:
        return Row(1, profile.address, status=status, unsubscribed_at=event.at)
    if status is RowStatus.unknown:
        return Row(1, profile.address)
    opted_in, confirmed = _instants(event)
    return Row(
        1,
        profile.address,
        status=status,
        opted_in_at=opted_in,
        confirmed_at=confirmed if proven else None,
    )


def _instants(event: Event) -> tuple[datetime, datetime | None]:
    if event.opt_in is not None:
        return event.opt_in.mailed_at, event.opt_in.confirmed_at
    # What was taken over there already, with the evidence it came with.
    opted_in, confirmed = (_instant(event.evidence, f"{step}_at") for step in _STEPS)
    return opted_in or event.at, confirmed


_STEPS = ("opted_in", "confirmed")


def _instant(evidence: Mapping[str, Any], name: str) -> datetime | None:
    try:
        at = datetime.fromisoformat(str(evidence.get(name, "")))
    except ValueError:
        return None
    return at if _is_instant(at) else None


def decided_at(row: Mapping[str, Any]) -> datetime:
    """Find in a row of `decisions` when it was made."""
    return msgspec.convert(row.get("event"), Event).at


class _Went(_Dated, frozen=True):
    done_at: datetime | None = None
    claimed_at: datetime | None = None
    created_at: datetime | None = None


class _Mailed(_Went, frozen=True):
    # A newsletter has a delivery; a letter is one.
    delivery: _Went | UnsetType = UNSET
    file: str = ""


class _Packed(_Dated, frozen=True):
    at: datetime


def mailed(row: Mapping[str, Any], otherwise: datetime) -> tuple[datetime, str]:
    """Find in a row of `newsletters` or `letters` when it went, and the file of its text."""
    found = msgspec.convert(row, _Mailed)
    went = found if found.delivery is UNSET else found.delivery
    at = went.done_at or went.claimed_at or went.created_at
    return at or msgspec.convert({"at": otherwise}, _Packed).at, found.file
