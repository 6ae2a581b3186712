"""Entry points of the worker: events are numbered, and told to whoever wants them."""

from __future__ import annotations

import asyncio
import ssl
from collections import deque
from datetime import datetime
from functools import partial
from time import monotonic
from typing import TypedDict
from uuid import UUID

from crm import above, events
from crm.db import Database, Db, Statements
from crm.rounds import apart
from crm.settings import Settings
from crm.webhooks import signature, telling
from crm.webhooks.clearing import clear as clear_piece
from crm.webhooks.model import DuePost, acknowledged, payload
from crm.webhooks.telling import AT_ONCE, Batch, Held, Went
from crm.webhooks.transport import Way, way

sql = Statements("webhooks")

# A job hands over to the next well before its timeout.
_WORKS_FOR = 30.0


class Ctx(TypedDict):
    """What the worker puts into every job."""

    database: Database
    settings: Settings


async def sweep(ctx: Ctx) -> None:
    """Number what happened, and have it told: also what a worker left that was killed."""
    database = ctx["database"]
    for business_id in await above.feeds_due(database):
        with apart("webhooks.sweep", business_id):
            while await database.attempt(business_id, _numbered):
                continue
    for due in await above.endpoints_due(database):
        with apart("webhooks.sweep", due.business_id):
            slot = str(due.endpoint_id)
            await database.wake("webhooks.tell", (str(due.business_id), slot), slot)


async def clear(ctx: Ctx) -> None:
    """Take away what goes nowhere any more, piece by piece, for as long as one turn may take.

    Each endpoint in turn, so that none waits until another's millions are gone.
    """
    database, until = ctx["database"], monotonic() + _WORKS_FOR
    left = deque(await above.endpoints_to_clear(database))
    while left and monotonic() < until:
        due = left.popleft()
        piece = partial(clear_piece, endpoint_id=due.endpoint_id)
        with apart("webhooks.clear", due.business_id):
            if await database.attempt(due.business_id, piece):
                left.append(due)


async def _numbered(db: Db) -> bool:
    more = await events.number(db)
    await db.run(sql.wake_endpoints)
    return more


async def tell(ctx: Ctx, business_id: str, endpoint_id: str) -> None:
    """Tell one endpoint what is due, round after round."""
    database, business = ctx["database"], UUID(business_id)
    async with database.write(business) as db:
        held = await telling.take(db, UUID(endpoint_id))
    if held is None:
        return
    try:
        await _round_by_round(ctx, business, held)
    except asyncio.CancelledError:
        # What was out is sent again; nobody has to wait for the end of a lease.
        async with database.write(business) as db:
            await telling.let_go(db, held)
        raise


async def _round_by_round(ctx: Ctx, business_id: UUID, held: Held) -> None:
    database, until = ctx["database"], monotonic() + _WORKS_FOR
    tls = await asyncio.to_thread(ssl.create_default_context)
    went: list[Went] = []
    async with way(local=ctx["settings"].webhooks.local, connections=AT_ONCE, tls=tls) as out:
        while True:
            # Whatever is left at the end is for the next turn.
            takes = monotonic() <= until
            # Begun anew where it is ended for the sake of an erasure: else all is told twice.
            recording = partial(telling.go_on, held=held, went=went, takes=takes)
            batch = await database.attempt(business_id, recording)
            if batch is None:
                return
            now = database.clock()
            went = list(
                await asyncio.gather(*(_tell(out, batch, each, now) for each in batch.posts))
            )


async def _tell(out: Way, batch: Batch, post: DuePost, now: datetime) -> Went:
    body = payload(post)
    at = int(now.timestamp())
    signed = signature.headers(batch.secrets, str(post.event_id), at, body)
    answer = await out.post(batch.url, signed, body)
    return Went(post, answer, acknowledged(answer, post.event_id))
