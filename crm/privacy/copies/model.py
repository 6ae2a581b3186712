"""A copy of everything: who asked for it, how far it is, and until when it can be taken."""

from __future__ import annotations

from datetime import datetime, timedelta
from enum import StrEnum
from uuid import UUID

from msgspec import Struct
from msgspec.structs import replace

from crm.errors import Conflict, Forbidden, NotFound
from crm.events import Actor, ActorKind

# So long a copy can be taken; then it goes.
KEPT = timedelta(hours=72)
# So long is said that there was one.
REMEMBERED = timedelta(days=30)
# A worker that says nothing for so long has gone, and another begins anew.
LEASE = timedelta(seconds=120)
TRIES = 3
# Of the file, before it is encrypted: what a part has, and so about what building one holds.
PART = 256 * 1024


class UnknownCopy(NotFound):
    """There is no such copy here. One can be taken by whoever asked for it, and by nobody else."""


class NotReady(Conflict):
    """There is no copy to take: none was asked for, it is being built, or its time is over."""


class NotForHer(Forbidden):
    """A copy is asked for by the customer, a member of staff, or a program, and by nobody else."""


class State(StrEnum):
    """Where a copy stands."""

    waiting = "waiting"
    building = "building"
    ready = "ready"
    over = "over"
    failed = "failed"


class Copy(Struct, frozen=True, kw_only=True):
    """One copy that somebody asked for; `done` of about `total` rows are in it."""

    id: UUID
    customer_id: UUID
    actor_kind: ActorKind
    actor_id: UUID
    actor_name: str
    reason: str
    tells: bool
    state: State
    asked_at: datetime
    epoch: int
    done: int
    total: int
    parts: int | None
    size: int | None
    ready_at: datetime | None
    ends_at: datetime | None

    @property
    def actor(self) -> Actor:
        """Who asked for it."""
        return Actor(self.actor_kind, self.actor_id, self.actor_name)

    @property
    def open(self) -> bool:
        """Whether it is still to be built."""
        return self.state in (State.waiting, State.building)

    @property
    def percent(self) -> int:
        """How far it is; less than a hundred until it is ready."""
        if self.state is State.ready:
            return 100
        return min(99, self.done * 100 // self.total) if self.total else 0

    def label(self, number: int) -> str:
        """What a part is encrypted for: this copy, this try, this place."""
        return f"copy {self.id} {self.epoch} {number}"

    def seen(self, now: datetime) -> Copy:
        """Return it as it is at this instant, also before the job has ended it."""
        over = self.state is State.ready and self.ends_at is not None and self.ends_at <= now
        return replace(self, state=State.over) if over else self


def check_ready(copy: Copy, now: datetime) -> Copy:
    """Return a copy that can be taken now, or refuse with NotReady."""
    if copy.seen(now).state is not State.ready:
        raise NotReady
    return copy
