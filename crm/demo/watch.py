"""Watches a campaign to its end, while some of those not yet served leave."""

from __future__ import annotations

import asyncio
import random
from uuid import UUID

from rich.progress import Progress

from crm import campaigns, customers
from crm.campaigns import Counts, DeliveryState, State
from crm.demo import browser
from crm.demo.accounts import Leaver
from crm.demo.browser import expect
from crm.demo.mailbox import link
from crm.demo.stage import Stage

_POLL = 0.05
_SHARE = 0.02
# They leave once so much is served, from the second half of the order in which it is sent.
_BEGIN = 0.15
_AT_ONCE = 4
_SEED = 8058


class Watch:
    """One campaign under way."""

    def __init__(self, stage: Stage, business_id: UUID, campaign_id: UUID, bar: Progress) -> None:
        """Watch this campaign of this business."""
        self._stage = stage
        self._business_id = business_id
        self._campaign_id = campaign_id
        self._bar = bar

    async def to_the_end(self, words: str) -> None:
        """Show progress until nothing waits and nothing is on its way."""
        task = self._bar.add_task(words, total=None)
        while True:
            state, counts = await self._look()
            if state is not State.starting:
                ended = counts.audience - counts.waiting - counts.sending
                self._bar.update(task, completed=ended, total=counts.audience)
            if state is State.done:
                return
            await asyncio.sleep(_POLL)

    async def let_some_leave(self) -> tuple[Leaver, ...]:
        """Have about two in a hundred of the audience leave by the link of their earlier mail."""
        while True:
            state, counts = await self._look()
            served = counts.sent + counts.failed
            if state is State.done or (counts.audience and served >= _BEGIN * counts.audience):
                break
            await asyncio.sleep(_POLL)
        will_get = counts.audience - counts.excluded
        chosen = await self._unserved(max(1, round(will_get * _SHARE)))
        limit = asyncio.Semaphore(_AT_ONCE)
        return tuple(await asyncio.gather(*(self._leave(each, limit) for each in chosen)))

    async def _look(self) -> tuple[State, Counts]:
        async with self._stage.database.read(self._business_id) as db:
            state = (await campaigns.get(db, self._campaign_id)).state
            return state, await campaigns.counts(db, self._campaign_id)

    async def _unserved(self, count: int) -> list[UUID]:
        middle = UUID(int=1 << 127)
        async with self._stage.database.read(self._business_id) as db:
            waiting = DeliveryState.waiting
            found = await campaigns.deliveries(
                db, self._campaign_id, waiting, after=middle, limit=count * 20
            )
            if len(found) < count:
                found = await campaigns.deliveries(db, self._campaign_id, waiting, limit=count * 20)
        ids = [each.customer_id for each in found]
        return random.Random(_SEED).sample(ids, min(count, len(ids)))

    async def _leave(self, customer_id: UUID, limit: asyncio.Semaphore) -> Leaver:
        async with limit:
            async with self._stage.database.read(self._business_id) as db:
                address = (await customers.get(db, customer_id)).address
            # The letterbox knows what was said on the wire, where domains are in ASCII.
            letter = await self._stage.mailbox.wait_for(customers.parse(address).deliverable)
            expect(await browser.one_click(link(letter, "/u/")), 200)
            answered_at = self._stage.database.clock()
            async with self._stage.database.read(self._business_id) as db:
                now = await campaigns.received_one(db, self._campaign_id, customer_id)
            return Leaver(customer_id, answered_at, now.state if now else "")
