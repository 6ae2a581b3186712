"""Entry points of the worker for privacy: copies, complete erasures, and no answer forgotten."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Protocol, TypeAlias, TypedDict
from uuid import UUID

from crm import above
from crm.db import Database, Db, ReadDb
from crm.journal import Keeper, Watch
from crm.pieces import Piece
from crm.privacy import actions, copies, fulfilling, restriction
from crm.privacy.copies.building import build_next
from crm.privacy.erasure import grace
from crm.privacy.retention import sweeping
from crm.privacy.retention.sweeps import SWEEPS
from crm.rounds import apart, each_business

# In the reports of rounds: as it is declared, and beside the names of what is.
_JOURNAL = "journal"
_TRACES = "traces"


_Find: TypeAlias = Callable[[ReadDb], Awaitable[list[UUID]]]


class _Act(Protocol):
    """Done for one customer."""

    async def __call__(self, db: Db, *, customer_id: UUID) -> object:
        """Do it, in this transaction."""


class Ctx(TypedDict):
    """What of the worker's context is used here."""

    database: Database


class WatchCtx(Ctx):
    """The same, and what looks at the journal."""

    watch: Watch


class BuildCtx(TypedDict):
    """The same, and what lets a worker build one copy at a time."""

    database: Database
    building: asyncio.Lock


async def build(ctx: BuildCtx, business_id: str) -> None:
    """Build the copies that wait, one after the other."""
    async with ctx["building"]:
        while await build_next(ctx["database"], UUID(business_id)) is not None:
            continue


async def sweep(ctx: Ctx) -> None:
    """Erase who has waited, and again what was written meanwhile; end copies and freezes.

    A copy asked for while no worker listened is found here, and so is what a killed one left.
    """
    database = ctx["database"]

    async def swept(business_id: UUID) -> None:
        async with database.read(business_id) as db:
            due = [(name, act, await find(db)) for name, find, act in _ONE_BY_ONE]
        for name, act, found in due:
            # Apart: nobody waits behind one for whom it fails.
            for customer_id in found:
                with apart("privacy.sweep", business_id, name):
                    await database.attempt(business_id, partial(act, customer_id=customer_id))
        await database.attempt(business_id, _tidy)

    await each_business(database, "privacy.sweep", swept)


async def remind(ctx: Ctx) -> None:
    """Remind staff of requests whose last day comes near, business by business."""

    async def reminded(business_id: UUID) -> None:
        await ctx["database"].attempt(business_id, fulfilling.remind)

    await each_business(ctx["database"], "privacy.remind", reminded)


async def retain(ctx: Ctx) -> None:
    """Delete what has had its time, business by business and kind by kind, in short pieces."""
    database = ctx["database"]
    await each_business(database, "privacy.retain", partial(retain_of, database))


async def retain_of(database: Database, business_id: UUID) -> None:
    """Delete what has had its time in one business; a kind that fails stops no other."""
    for name, act in (*SWEEPS.items(), (_TRACES, actions.erase_old_traces)):
        with apart("privacy.retain", business_id, name):
            await sweeping.sweep(database, business_id, name, act)


async def age_journal(ctx: WatchCtx) -> None:
    """Drop of the journal what has been kept for long enough, and report it as a round.

    Also of a business in which nothing happens, or which is gone: of that nobody is told.
    """
    database, keeper = ctx["database"], ctx["watch"].keeper
    here = set(await above.businesses(database))
    for business_id in await keeper.walk(keeper.journal.businesses):
        with apart("privacy.age_journal", business_id):
            log = keeper.journal.log(business_id)
            if business_id not in here:
                await keeper.walk(partial(log.age, database.clock()))
                continue
            await sweeping.sweep(database, business_id, _JOURNAL, partial(_aged, keeper))


async def _aged(keeper: Keeper, db: Db, after: UUID, limit: int) -> Piece:  # noqa: ARG001
    """Look at all of it in one piece: it has a file for each month or so."""
    log = keeper.journal.log(db.business_id)
    return Piece(await keeper.walk(partial(log.age, db.now)), None)


async def _tidy(db: Db) -> None:
    """Delete the copies that are over, and have those built that wait."""
    await copies.end(db)
    if await copies.due(db):
        db.wake("privacy.build", str(db.business_id))


_ONE_BY_ONE: tuple[tuple[str, _Find, _Act], ...] = (
    ("deletions", grace.due, grace.carry_out),
    ("freezes", restriction.due, restriction.end),
    ("traces", actions.traces, actions.erase_again),
)
