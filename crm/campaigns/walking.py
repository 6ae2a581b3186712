"""Whom of a range to try next: retries that are due, and the others along the key."""

from __future__ import annotations

from collections import deque
from datetime import datetime, timedelta
from uuid import UUID

from msgspec import Struct

from crm.campaigns.actions import sql
from crm.campaigns.claiming import Lease
from crm.campaigns.deferring import RHYTHM
from crm.db import Db

# So many are read along the key at once, and at least as many as are asked for: most turns need not
# ask who is next.
_AHEAD = 500
# Retries are looked for by the first turn after so long, as long as others are left to try.
_LOOK_EVERY = timedelta(seconds=0.25)


class Candidates(Struct, frozen=True):
    """Whom to claim."""

    ids: list[UUID]
    # Whom of them her own rhythm has kept it from until now, and how.
    kept_off: dict[UUID, str]


class _Next(Struct, frozen=True):
    """A customer to try: for the first time, or `again`, and then what that waited for."""

    customer_id: UUID
    waits_for: str
    again: bool


class Walk:
    """How far a range is walked through.

    Who was read ahead may have left since: the claim looks whether she still waits. `cursor` is the
    last who was offered to it, or the end when all were; whoever begins there leaves nobody out.
    """

    def __init__(self, campaign_id: UUID, lease: Lease) -> None:
        """Begin at the cursor of the lease."""
        self.cursor = lease.cursor
        self.exhausted = False
        self._campaign_id = campaign_id
        self._lease = lease
        self._ahead: deque[UUID] = deque()
        # Whether nobody was left along the key when it was last read.
        self._all_read = False
        self._look_at: datetime | None = None

    async def further(self, db: Db, size: int) -> Candidates:
        """Return up to so many; none when all are tried, and no retry is due."""
        again: list[_Next] = []
        short = len(self._ahead) < size and not (self._ahead and self._all_read)
        if short or self._look_at is None or self._look_at <= db.now:
            again = await self._look(db, size, max(_AHEAD, size) if short else 0)
        room = min(size - len(again), len(self._ahead))
        walked = [self._ahead.popleft() for _ in range(room)]
        if walked:
            self.cursor = walked[-1]
        elif not self._ahead:
            self.cursor = self._lease.high
        self.exhausted = not again and not walked
        return Candidates(
            [each.customer_id for each in again] + walked,
            {each.customer_id: each.waits_for for each in again if each.waits_for in RHYTHM},
        )

    def back(self, cursor: UUID) -> None:
        """Be at a cursor as it was: what the transaction took was not kept."""
        self.cursor = cursor
        self.exhausted = self._all_read = False
        self._look_at = None
        self._ahead.clear()

    async def _look(self, db: Db, size: int, ahead: int) -> list[_Next]:
        found = await db.many(
            sql.next_to_try,
            _Next,
            campaign_id=self._campaign_id,
            low=self._lease.low,
            high=self._lease.high,
            cursor=self._ahead[-1] if self._ahead else self.cursor,
            size=size,
            ahead=ahead,
        )
        again = [each for each in found if each.again]
        self._ahead.extend(sorted(each.customer_id for each in found if not each.again))
        if ahead:
            self._all_read = len(found) - len(again) < ahead
        # As many as there was room for may not be all.
        self._look_at = None if len(again) == size else db.now + _LOOK_EVERY
        return again
