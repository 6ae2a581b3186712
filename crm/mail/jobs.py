"""Entry points of the worker for service messages: a way of their own, never behind a campaign."""

from __future__ import annotations

import asyncio
from typing import NotRequired, TypedDict
from uuid import UUID

from crm import above
from crm.db import Database
from crm.mail import actions, checking, envelope
from crm.mail.carrying import Carrier
from crm.mail.envelope import Desk
from crm.mail.model import ClaimedLetter
from crm.rounds import apart, each_business
from crm.settings import Settings

_AT_ONCE = 10
# So many businesses at once, so that a relay that does not answer holds up few others.
_BUSINESSES = 8
# Seconds for which letters are claimed after a job began, and within which a relay has to answer
# for each. Both together end before the job does, and before the lease of a letter: what became of
# it is written by then, or a relay that is slow would get it again and again.
CLAIMING = 10.0
ANSWER = 65.0


class Ctx(TypedDict):
    """What the worker puts into every job."""

    database: Database
    settings: Settings
    # One job of a worker hands over the messages of programs.
    carrying: NotRequired[asyncio.Lock]
    # For which businesses a sweep is at work: the next one, seconds later, leaves them alone.
    sweeping: NotRequired[set[UUID]]


async def sweep(ctx: Ctx) -> None:
    """Send what is due in any business, whether or not a wake arrived.

    A relay that does not answer holds up its own business, and one sweep of a worker.
    """
    at_work = ctx.setdefault("sweeping", set())
    turns = asyncio.Semaphore(_BUSINESSES)
    last = _now() + CLAIMING

    async def send(business_id: UUID) -> None:
        async with turns:
            with apart("mail.sweep", business_id):
                await _deliver(ctx, business_id, last)
        at_work.discard(business_id)

    due = set(await above.businesses_with_letters(ctx["database"])) - at_work
    at_work |= due
    try:
        await asyncio.gather(*(send(business_id) for business_id in due))
    finally:
        at_work -= due


async def carry(ctx: Ctx) -> None:
    """Hand over what programs of all businesses wrote, until nothing is due; one job of a worker.

    A slow relay holds up its own business only, so this may take as long as the slowest does.
    """
    lock = ctx.setdefault("carrying", asyncio.Lock())
    if not lock.locked():
        async with lock:
            await Carrier(ctx["database"], ctx["settings"]).carry()


async def check_domains(ctx: Ctx) -> None:
    """Look at the DNS of every domain whose turn it is."""

    async def check(business_id: UUID) -> None:
        await checking.check_due(ctx["database"], business_id, ctx["settings"])

    await each_business(ctx["database"], "mail.check", check)


async def deliver(ctx: Ctx, business: str) -> None:
    """Send the service messages of one business that are due; `sweep` goes on with a long line."""
    await _deliver(ctx, UUID(business), _now() + CLAIMING)


async def _deliver(ctx: Ctx, business_id: UUID, last: float) -> None:
    """Hand over so many at once: as soon as one is over, the next in line is claimed.

    A claim that fails is the last one, and raised when all that is on its way is over: a relay may
    have that, and what nobody writes goes once more.
    """
    database = ctx["database"]
    going: set[asyncio.Task[None]] = set()
    failed: Exception | None = None
    async with asyncio.TaskGroup() as group:
        while _now() < last:
            try:
                desk, letters = await _claimed(ctx, business_id, _AT_ONCE - len(going))
            except Exception as wrong:  # noqa: BLE001  (the group would cancel all hand-overs)
                failed = wrong
                break
            going |= {group.create_task(_hand_over(database, desk, each)) for each in letters}
            if not going:
                return
            wait = max(last - _now(), 0)
            _, going = await asyncio.wait(going, timeout=wait, return_when=asyncio.FIRST_COMPLETED)
    if failed is not None:
        raise failed


async def _claimed(ctx: Ctx, business_id: UUID, most: int) -> tuple[Desk, list[ClaimedLetter]]:
    async with ctx["database"].write(business_id) as db:
        letters = await actions.claim_letters(db, most)
        return await envelope.desk(db, letters, ctx["settings"]), letters


async def _hand_over(database: Database, desk: Desk, letter: ClaimedLetter) -> None:
    """Hand over one and write what became of it, however long the others take."""
    with apart("mail.deliver", desk.business.id):
        outcome = await desk.hand_over(letter, database.clock(), within=ANSWER)
        await database.attempt(
            desk.business.id, lambda db: actions.record_letter(db, letter, outcome)
        )


def _now() -> float:
    return asyncio.get_running_loop().time()
