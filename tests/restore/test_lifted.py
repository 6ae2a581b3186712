"""What was to be lifted, and nobody knows whether it was: no decision against mail goes by it."""

from __future__ import annotations

from datetime import timedelta

import pytest

from crm import mail
from crm.businesses import Business
from crm.db import Database
from crm.journal import Lifted
from crm.mail import Scope, Why
from crm.restore.replaying import replay
from tests import make

HASH = b"h" * 16
MOMENT = timedelta(seconds=20)
MINUTE = timedelta(minutes=1)


@pytest.mark.parametrize("why", [[Why.bounced], [Why.moved]])
@pytest.mark.parametrize("since", [True, False])
async def test_what_was_heard_of_a_mailbox_since_stands(
    database: Database, business: Business, why: list[Why], *, since: bool
) -> None:
    assert await _after(database, business, why, since=since) == (why[0] if since else None)


@pytest.mark.parametrize(
    "why",
    [
        [Why.left],
        [Why.objected],
        [Why.complained],
        [Why.staff],
        [Why.erased],
        [Why.left, Why.bounced],
        [Why.objected, Why.bounced],
    ],
)
@pytest.mark.parametrize("since", [True, False])
async def test_what_was_decided_stands(
    database: Database, business: Business, why: list[Why], *, since: bool
) -> None:
    """Before or since: only her own word takes it back (promise 7)."""
    assert await _after(database, business, why, since=since) is why[-1]


async def _after(
    database: Database, business: Business, why: list[Why], *, since: bool
) -> Why | None:
    """Suppress an address, and lift it as a line of a moment before, or after, says."""
    async with database.write(business.id) as db:
        for each in why:
            scope = Scope.all if each is Why.bounced else Scope.marketing
            await mail.suppress(db, make.SYSTEM, HASH, scope, each)
        at = db.now - MOMENT if since else db.now + MOMENT
    async with database.write(business.id) as db:
        await replay(db, Lifted(HASH.hex()), at, unless_since=at + MINUTE)
        found = await mail.suppressed(db, HASH)
    return found.reason if found else None
