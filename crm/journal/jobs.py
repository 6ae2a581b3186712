"""Entry points of the worker: write what is owed to the journal, and say which campaigns send."""

from __future__ import annotations

from contextlib import suppress
from itertools import groupby
from typing import TypedDict
from uuid import UUID

from crm import above
from crm.db import Database
from crm.journal.keeper import JournalAway, Keeper, PutBack
from crm.journal.line import Campaign
from crm.journal.log import Behind, JournalLost
from crm.journal.noticing import Watch
from crm.rounds import apart


class Ctx(TypedDict):
    """What the worker hands to its jobs."""

    database: Database


class Watched(Ctx):
    """The same, and what looks at the journal."""

    watch: Watch


async def pay(ctx: Watched) -> None:
    """Write what was done while the journal was away, as soon as it is there again.

    While it is still away, or damaged, `/health` and `crm doctor` say so.
    """
    database, keeper = ctx["database"], ctx["watch"].keeper
    for each in await above.journal_marks(database):
        away = suppress(OSError, JournalLost, Behind)
        with apart("journal.pay", each.business_id), away:
            while each.owed and await _paid(database, keeper, each.business_id):
                pass


async def beat(ctx: Ctx) -> None:
    """Say of each campaign that it still sends: so a database from before this is known as older.

    While the journal is away nothing is said; `/health` and `crm doctor` say that it is.
    """
    database = ctx["database"]
    sending = await above.campaigns_sending(database)
    for business_id, campaigns in groupby(sending, key=lambda each: each.business_id):
        with apart("journal.beat", business_id), suppress(JournalAway, PutBack):
            async with database.write(business_id) as db:
                for each in campaigns:
                    db.note(Campaign(each.campaign_id, "sending"))


async def _paid(database: Database, keeper: Keeper, business_id: UUID) -> bool:
    async with database.write(business_id) as db:
        kept = await keeper.pay(db)
    if kept is None:
        return False
    await kept(True)  # noqa: FBT003  (an answer)
    return True
