"""Entry points of the worker: write what is owed to the journal, and say which campaigns send."""

from __future__ import annotations

from contextlib import suppress
from itertools import groupby
from typing import TypedDict

from crm import above
from crm.db import Database
from crm.journal.keeper import JournalAway, PutBack
from crm.journal.keeper import pay as pay_some
from crm.journal.line import Campaign
from crm.rounds import apart


class Ctx(TypedDict):
    """What the worker hands to its jobs."""

    database: Database


async def pay(ctx: Ctx) -> None:
    """Write what was done while the journal was away, as soon as it is there again."""
    database = ctx["database"]
    for each in await above.journal_marks(database):
        if each.owed:
            with apart("journal.pay", each.business_id):
                async with database.write(each.business_id) as db:
                    await pay_some(db)


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
