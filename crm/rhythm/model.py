"""What a customer says about how much mail she wants, and her week."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from uuid import UUID

from msgspec import UNSET, Struct, UnsetType

from crm.campaigns import Deferred, Offer
from crm.errors import Invalid, Problem
from crm.languages import gettext
from crm.time_zones import FIRST_YEAR, LAST_YEAR

# How many mails a week can be chosen; the table takes up to 20.
BUDGETS = (1, 2, 3, 5)
# For how many days a pause can be chosen; any other end by its date.
PAUSES = (14, 30, 90)
LONGEST_PAUSE = timedelta(days=366)


class Wanted(Struct, frozen=True):
    """At most so many mails a week, and none before an instant; None: no limit, no pause."""

    budget: int | None = None
    paused_until: datetime | None = None


class Changed(Struct, frozen=True):
    """What of it she changes; the rest stays as it is, whatever another tab has made of it."""

    budget: int | UnsetType | None = UNSET
    paused_until: datetime | UnsetType | None = UNSET


class Rhythm(Struct, frozen=True, kw_only=True):
    """What she said, and when; nothing where she never did."""

    budget: int | None = None
    paused_until: datetime | None = None
    changed_at: datetime | None = None

    def paused(self, now: datetime) -> bool:
        """Say whether she is to be left alone at this instant."""
        return self.paused_until is not None and self.paused_until > now


class Week(Struct, frozen=True):
    """Her calendar week, Monday to Monday by her clock; `taken` counts the campaigns in it."""

    begins_at: datetime
    ends_at: datetime
    taken: int


class Waiting(Struct, frozen=True, kw_only=True):
    """A campaign that waits for her: why, until when, and whether it is too late by then."""

    campaign_id: UUID
    subject: str
    purpose_id: UUID
    waits_for: str
    until: datetime
    lapses: bool


class Attention(Struct, frozen=True, kw_only=True):
    """Everything about a customer's rhythm at this moment."""

    rhythm: Rhythm
    week: Week
    deferred: list[Waiting]
    digests: list[Offer]


def check(wanted: Wanted | Changed, now: datetime) -> None:
    """Refuse a limit or an end that cannot be kept."""
    if wanted.budget is not UNSET and wanted.budget not in {None, *BUDGETS}:
        sentence = gettext("Choose one of these limits.")
        raise Invalid(sentence, [Problem("budget", sentence)])
    until = wanted.paused_until
    if isinstance(until, datetime) and until > now + LONGEST_PAUSE:
        sentence = gettext(
            "A pause ends within a year. To stop these mails for good, switch them off."
        )
        raise Invalid(sentence, [Problem("until", sentence)])


def becoming(held: Rhythm, wanted: Wanted | Changed, now: datetime) -> Wanted:
    """Say what a rhythm becomes; a pause that is over is none."""
    budget = held.budget if wanted.budget is UNSET else wanted.budget
    until = held.paused_until if wanted.paused_until is UNSET else wanted.paused_until
    return Wanted(budget, until if until is not None and until > now else None)


def stricter(one: Wanted, other: Wanted) -> Wanted:
    """Take of two rhythms the lower limit and the later end of a pause."""
    budgets = [each.budget for each in (one, other) if each.budget is not None]
    pauses = [each.paused_until for each in (one, other) if each.paused_until is not None]
    return Wanted(min(budgets, default=None), max(pauses, default=None))


def waiting(deferred: Deferred, rhythm: Rhythm, week: Week) -> Waiting:
    """Say until when a campaign waits: it lapses where its own time is over before hers comes."""
    free = rhythm.paused_until if deferred.waits_for == "pause" else week.ends_at
    return Waiting(
        campaign_id=deferred.campaign_id,
        subject=deferred.subject,
        purpose_id=deferred.purpose_id,
        waits_for=deferred.waits_for,
        until=deferred.due_at,
        lapses=free is not None and deferred.due_at < free,
    )


def said(wanted: Wanted) -> str:
    """Put a rhythm into the words of the books."""
    limit = "no limit" if wanted.budget is None else f"at most {wanted.budget} a week"
    if wanted.paused_until is None:
        return limit
    return f"{limit}, paused until {wanted.paused_until:%Y-%m-%d %H:%M} UTC"


def day(text: str) -> date:
    """Read a day as a browser sends it, or refuse with what one looks like."""
    try:
        named = date.fromisoformat(text)
    except ValueError:
        raise Invalid(gettext("This is a date, like 2026-06-23.")) from None
    if not FIRST_YEAR <= named.year <= LAST_YEAR:
        raise Invalid(
            gettext("The year is from %(first)s to %(last)s.", first=FIRST_YEAR, last=LAST_YEAR)
        )
    return named
