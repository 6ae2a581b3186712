"""What each relay may take next: rates and daily caps, shared by all workers through rows."""

from __future__ import annotations

from math import ceil

from msgspec.structs import replace

from crm.db import Db
from crm.mail.pacing import AHEAD, RelayUse, day_of, spoken_for
from crm.mail.relays import sql
from crm.mail.routes import Routes, Way

_NO_CAP = 2**31 - 1


async def allow(db: Db, routes: Routes, most: int, time_zone: str) -> list[tuple[Way, int]]:
    """Let relays with a rate or a cap have up to so many ahead; says what was added to each.

    Costs nothing where no relay has one. The rows stay held until the transaction ends.
    """
    ways = [way for way in routes.ways if way.relay.counted]
    if not ways:
        return []
    day = day_of(db.now, time_zone)
    ids = [way.relay.id for way in ways]
    uses = {
        use.relay_id: use for use in await db.many(sql.hold_relay_uses, RelayUse, relay_ids=ids)
    }
    if len(uses) < len(ids):
        await db.run(sql.begin_relay_use, relay_ids=ids, day=day)
        held = await db.many(sql.hold_relay_uses, RelayUse, relay_ids=ids)
        uses = {use.relay_id: use for use in held}
    added: list[tuple[Way, int]] = []
    written: list[RelayUse] = []
    for way in ways:
        use = uses[way.relay.id]
        if use.day != day:
            use = replace(use, day=day, taken=0)
        if way.day != day:
            # What it was allowed yesterday, and has not taken, was of yesterday's cap.
            way.day, way.allowed = day, 0
        number, use = _added(way, use, most, db)
        added.append((way, number))
        written.append(use)
    await db.run(
        sql.write_relay_uses,
        relay_ids=[use.relay_id for use in written],
        days=[use.day for use in written],
        takens=[use.taken for use in written],
        next_ats=[use.next_at for use in written],
    )
    for way, number in added:
        way.allowed = (way.allowed or 0) + number
    return added


def _added(way: Way, use: RelayUse, most: int, db: Db) -> tuple[int, RelayUse]:
    relay, here = way.relay, way.allowed or 0
    cap = relay.cap(use.day) or _NO_CAP
    left = max(cap - use.taken, 0)
    way.full = left == 0 and here == 0
    most = min(most, ceil(relay.rate * AHEAD.total_seconds())) if relay.rate else most
    number, next_at = max(min(most - here, left), 0), use.next_at
    if relay.rate:
        number, next_at = spoken_for(relay.rate, use.next_at, number, db.now)
    return number, replace(use, taken=use.taken + number, next_at=next_at)


def take_back(added: list[tuple[Way, int]]) -> None:
    """Forget what a transaction allowed that was not committed."""
    for way, number in added:
        way.allowed = max((way.allowed or 0) - number, 0)


async def settle(db: Db, routes: Routes) -> None:
    """Give back what relays were allowed and have not taken, to the day it was allowed of.

    Nothing more goes through them.
    """
    # In the order of the key, as all who hold several of these rows.
    for way in sorted(routes.ways, key=lambda way: way.relay.id):
        if way.relay.counted and way.allowed:
            await db.run(
                sql.give_back_relay_use,
                relay_id=way.relay.id,
                day=way.day,
                unused=way.allowed,
            )
            way.allowed = 0
