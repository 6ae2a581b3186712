"""What the API shows of campaigns where that is not a row: sums, forecasts, lines without text."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

import msgspec
from msgspec import Struct

from crm.campaigns.model import Campaign, Counts, Delivery, DeliveryState, Review
from crm.campaigns.preview import Checked, Found
from crm.errors import Problem, Refused

_STATES = tuple(state.value for state in DeliveryState)


class Numbers(Struct, frozen=True, kw_only=True):
    """Promise 3: `audience` is the sum of the six."""

    audience: int
    waiting: int
    sending: int
    sent: int
    failed: int
    excluded: int
    uncertain: int
    # Of those waiting, whom their own rhythm keeps it from: a limit a week, or a pause.
    deferred: int


class Tally(Numbers, frozen=True, kw_only=True):
    """The same with the reasons, which are the sum of `excluded`."""

    reasons: dict[str, int]


class CampaignWithCounts(Campaign, frozen=True, kw_only=True):
    """A campaign and what became of its deliveries so far."""

    counts: Numbers


class Forecast(Struct, frozen=True, kw_only=True):
    """Who would get a campaign now, who not and why; what keeps it from being sent at all."""

    audience: int
    will_get: int
    left_out: dict[str, int]
    # Of those who get it, whom it asks whether their consent goes on.
    asked: int
    # Of those who get it, for whom it expires before their mailing hours open.
    missed: int
    # Asked about the purpose and not of its segment, so no part of the audience.
    outside: int
    problems: tuple[Problem, ...]
    warnings: tuple[str, ...]
    # What the linter found in the final mail, with the line of the source.
    found: tuple[Found, ...]


class DeliveryLine(Struct, frozen=True, kw_only=True):
    """One campaign to one customer: ids only, and not what the relay said about the address."""

    customer_id: UUID
    state: DeliveryState
    reason: str | None
    event_id: UUID | None
    notice_id: UUID | None
    attempt: int
    claimed_at: datetime | None
    done_at: datetime | None
    code: int | None
    resolved_by: UUID | None


def forecast_of(review: Review, checked: Checked, hindrances: Sequence[Refused]) -> Forecast:
    """Put who would get it beside what keeps it from being sent."""
    return Forecast(
        audience=review.audience,
        will_get=review.will_get,
        left_out=review.left_out,
        asked=review.asked,
        missed=review.missed,
        outside=review.outside,
        problems=(*checked.problems, *(Problem("", each.message) for each in hindrances)),
        warnings=checked.warnings,
        found=checked.found,
    )


def numbers_of(counts: Counts) -> Numbers:
    """Write out the sum with its parts."""
    return Numbers(audience=counts.audience, **_parts(counts))


def tally_of(counts: Counts) -> Tally:
    """Write out the sum with its parts and the reasons."""
    return Tally(audience=counts.audience, reasons=counts.reasons, **_parts(counts))


def line_of(delivery: Delivery) -> DeliveryLine:
    """Leave out what names or describes the customer's address."""
    fields = msgspec.structs.asdict(delivery)
    return DeliveryLine(**{name: fields[name] for name in DeliveryLine.__struct_fields__})


def _parts(counts: Counts) -> dict[str, int]:
    return {name: getattr(counts, name) for name in (*_STATES, "deferred")}
