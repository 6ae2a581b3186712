"""What the page of a ledger shows, to everybody and, with its alarms, to staff."""

from __future__ import annotations

from msgspec import Struct

from crm import ledger
from crm.db import ReadDb
from crm.ledger import Alarm, Head, Origin, PublicKey, Round, SignedHead, Unsealed

_HEADS = 40


class Room(Struct, frozen=True, kw_only=True):
    """A ledger as it is now; None and empty before anything was sealed."""

    head: Head | None
    origins: list[Origin]
    # The newest heads, the oldest of them first, for a drawing of how it grew.
    heads: list[SignedHead]
    keys: list[PublicKey]
    unsealed: Unsealed
    watched: Round | None
    alarms: list[Alarm]
    # What was found and looked into, with what came of it.
    settled: list[Alarm]

    @property
    def newest(self) -> SignedHead | None:
        """The head that was signed last."""
        return self.heads[-1] if self.heads else None

    @property
    def lost(self) -> int:
        """How many entries that were signed once are not here any more."""
        return sum(each.lost for each in self.origins)


async def room_of(db: ReadDb) -> Room:
    """Gather it; a look at it names no customer."""
    heads = await ledger.signed_heads(db, limit=_HEADS)
    return Room(
        head=await ledger.head(db),
        origins=await ledger.origins(db),
        heads=heads[::-1],
        keys=await ledger.keys(db),
        unsealed=await ledger.unsealed(db),
        watched=await ledger.watch(db),
        alarms=await ledger.alarms(db),
        settled=[each for each in await ledger.alarms(db, settled=True) if each.settled_at],
    )
