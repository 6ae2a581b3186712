"""Posts that go nowhere any more leave piece by piece, however many they are.

What goes is said by the endpoint itself: of one that is removed all but proofs, of one that is not
what waits of other kinds than it wants. How far it has come is kept in the same transaction as what
it took away, so that whoever is killed leaves nothing undone: the next one goes on from there.
"""

from __future__ import annotations

from uuid import UUID

from msgspec import Struct

from crm.db import Db, Statements
from crm.webhooks.model import PROOFS

sql = Statements("webhooks")

# So many posts are looked at, and what goes with its tries: some hundredths of a second.
PIECE = 1000


class _Clearing(Struct, frozen=True):
    state: str
    kinds: list[str]
    after: int


async def clear(db: Db, endpoint_id: UUID) -> bool:
    """Look at the next posts and take away what goes nowhere; returns whether more may be left.

    Nothing is told to the endpoint before the last piece, as nothing may be told that goes
    nowhere. A kind that is wanted again before then is told from what is left of it on.
    """
    found = await db.maybe(sql.hold_clearing, _Clearing, endpoint_id=endpoint_id)
    if found is None:
        return False
    place = {"endpoint_id": endpoint_id, "after": found.after, "limit": PIECE}
    if found.state == "removed":
        return await db.one(sql.drop_posts, bool, **place, proofs=list(PROOFS))
    return await db.one(sql.drop_unwanted, bool, **place, kinds=found.kinds)
