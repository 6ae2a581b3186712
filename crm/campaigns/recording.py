"""How the outcome of a hand-over is written into its delivery: the state, and when to try again."""

from __future__ import annotations

from datetime import datetime, timedelta
from uuid import UUID

from msgspec import Struct

from crm.campaigns import troubles
from crm.campaigns.actions import sql
from crm.campaigns.clock import AROUND_THE_WORLD
from crm.campaigns.model import Campaign, DeliveryState, State, next_try
from crm.db import Db
from crm.mail.outcome import Kind, Outcome
from crm.settings import Sending

# After the relay could not be reached, what was not tried rests for so long.
_REST = timedelta(seconds=20)

_BAD = (DeliveryState.failed, DeliveryState.uncertain)
_STATE = {
    Kind.sent: DeliveryState.sent,
    Kind.failed: DeliveryState.failed,
    Kind.uncertain: DeliveryState.uncertain,
    Kind.later: DeliveryState.waiting,
}


class Result(Struct, frozen=True):
    """What became of one claimed delivery; no outcome means it was given back untried."""

    customer_id: UUID
    attempt: int
    outcome: Outcome | None
    # Given back because this keeps it waiting until then.
    due_at: datetime | None = None
    waits_for: str = ""


class Row(Struct, frozen=True):
    """One outcome as it is written; `untried` takes back the attempt that never was."""

    customer_id: UUID
    state: DeliveryState
    code: int | None
    reply: str | None
    untried: int
    due_at: datetime | None
    waits_for: str = ""


class Recorded(Struct, frozen=True):
    """A delivery whose outcome was written."""

    customer_id: UUID
    state: DeliveryState


async def write(db: Db, campaign_id: UUID, rows: list[Row]) -> list[Recorded]:
    """Write outcomes of deliveries still on their way, and when to try again; says what was."""
    recorded = await db.many(
        sql.record_outcomes,
        Recorded,
        campaign_id=campaign_id,
        customer_ids=[row.customer_id for row in rows],
        states=[row.state.value for row in rows],
        codes=[row.code for row in rows],
        replies=[row.reply for row in rows],
        untried=[row.untried for row in rows],
    )
    # What was no longer on its way, after a failed commit, is somebody else's by now.
    known = {each.customer_id for each in recorded}
    rows = [row for row in rows if row.customer_id in known]
    later = [row for row in rows if row.due_at is not None]
    if later:
        await db.run(
            sql.retry_later,
            campaign_id=campaign_id,
            customer_ids=[row.customer_id for row in later],
            due_ats=[row.due_at for row in later],
            waits_for=[row.waits_for for row in later],
        )
    bad = [row for row in rows if row.state in _BAD]
    if bad:
        await troubles.count(
            db,
            campaign_id,
            [row.customer_id for row in bad],
            [row.state.value for row in bad],
            [(row.reply or "").partition(" ")[0] for row in bad],
        )
    return recorded


class Books:
    """The rule for one transaction: what the campaign is doing, and whether the relay answers."""

    def __init__(
        self,
        campaign: Campaign,
        settings: Sending,
        state: State,
        *,
        unreachable: bool,
        expires_hours: int | None = None,
    ) -> None:
        """Judge by the state read under the lock of the range."""
        self._started_at = campaign.started_at
        self._give_up = timedelta(hours=expires_hours or settings.give_up_hours)
        if campaign.local_at is not None:
            # The last clock on earth has as long as the first.
            self._give_up += AROUND_THE_WORLD
        self._cancelled = state is State.cancelled
        self._unreachable = unreachable

    def row(self, result: Result, now: datetime) -> Row:
        """Say what to write; what would wait in a cancelled campaign is excluded instead."""
        outcome = result.outcome
        code = reply = due_at = None
        waits_for = result.waits_for
        state = DeliveryState.waiting
        if outcome is not None:
            state = _STATE[outcome.kind]
            code, reply = outcome.code or None, f"{outcome.reason} {outcome.text}".strip()
        if state is DeliveryState.waiting:
            if self._cancelled:
                state = DeliveryState.excluded
            elif outcome is None:
                due_at = result.due_at or (now + _REST if self._unreachable else now)
                waits_for = waits_for or ("relay" if self._unreachable else "")
            else:
                due_at = self._next_try(result, now)
                waits_for = outcome.reason
                if due_at is None:
                    state, reply = DeliveryState.failed, f"stale {reply or ''}".strip()
        return Row(
            result.customer_id, state, code, reply and reply[:300], int(outcome is None), due_at,
            waits_for,
        )  # fmt: skip

    def _next_try(self, result: Result, now: datetime) -> datetime | None:
        started_at = self._started_at or now
        return next_try(result.customer_id, result.attempt, now, started_at, self._give_up)
