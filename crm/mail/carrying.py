"""How messages of programs are handed over: for all businesses in turns, a few of each at a time.

However many one of them has, the others' turns come; and none of it stands before a letter that
somebody waits for, which goes a way of its own.
"""

from __future__ import annotations

import asyncio
from uuid import UUID

from crm import above
from crm.db import Database
from crm.log import logger
from crm.mail import envelope, service
from crm.mail.envelope import Desk
from crm.mail.service import ClaimedMessage, TakenElsewhere
from crm.rounds import apart
from crm.settings import Settings

_log = logger(__name__)

# A turn of one business, and how many businesses have theirs at once.
AT_ONCE = 10
BUSINESSES = 8
# Whoever had nothing to hand over, or could not, is left alone for so many seconds.
_REST = 2.0
# How long a worker that is stopped waits for answers that relays owe it: what has none is in doubt.
_GRACE = 5.0


class Carrier:
    """Turns of businesses, the one longest without before the others."""

    def __init__(self, database: Database, settings: Settings) -> None:
        """Have nobody's turn yet."""
        self._database = database
        self._settings = settings
        self._turns: dict[asyncio.Task[bool], UUID] = {}
        self._had: dict[UUID, float] = {}
        self._rests: dict[UUID, float] = {}

    async def carry(self) -> None:
        """Give turns until nobody has anything that is due."""
        try:
            await self._begin()
            while self._turns:
                await asyncio.wait(self._turns, timeout=_REST, return_when=asyncio.FIRST_COMPLETED)
                self._end()
                await self._begin()
        finally:
            if self._turns:
                await asyncio.wait(self._turns, timeout=_GRACE)
            for each in self._turns:
                each.cancel()

    async def _begin(self) -> None:
        now = asyncio.get_running_loop().time()
        try:
            due = await above.businesses_with_service_messages(self._database)
        except Exception:
            # Raised, it would cut off what is on its way; soon it is looked again.
            if not self._turns:
                raise
            _log.exception("job_failed", job="mail.carry")
            return
        having = set(self._turns.values())
        free = [each for each in due if each not in having and self._rests.get(each, 0.0) <= now]
        free.sort(key=lambda each: self._had.get(each, 0.0))
        for business_id in free[: BUSINESSES - len(having)]:
            self._had[business_id] = now
            self._turns[asyncio.create_task(self._turn(business_id))] = business_id

    def _end(self) -> None:
        now = asyncio.get_running_loop().time()
        for done in [each for each in self._turns if each.done()]:
            business_id = self._turns.pop(done)
            if not done.result():
                self._rests[business_id] = now + _REST

    async def _turn(self, business_id: UUID) -> bool:
        with apart("mail.carry", business_id):
            return await turn(self._database, business_id, self._settings)
        return False


async def turn(database: Database, business_id: UUID, settings: Settings) -> bool:
    """Hand over a few messages of one business; False where there was nothing, or one failed."""
    async with database.write(business_id) as db:
        messages, found = await service.claim(db, AT_ONCE)
        desk = await envelope.desk(db, messages, settings)
    # Each apart, or the first that fails would leave the others to nobody.
    went = await asyncio.gather(*(_apart(database, desk, each) for each in messages))
    return found and all(went)


async def _apart(database: Database, desk: Desk, message: ClaimedMessage) -> bool:
    with apart("mail.carry", desk.business.id, "hand over"):
        await _hand_over(database, desk, message)
        return True
    return False


async def _hand_over(database: Database, desk: Desk, message: ClaimedMessage) -> None:
    """Hand over one and write what became of it; nothing where somebody else has it by now."""

    async def begin() -> None:
        async with database.write(desk.business.id) as db:
            await service.hand_over(db, message)

    try:
        outcome = await desk.hand_over(message, database.clock(), begin)
    except TakenElsewhere:
        return
    await database.attempt(desk.business.id, lambda db: service.record(db, message, outcome))
