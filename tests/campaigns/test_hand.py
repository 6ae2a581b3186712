"""What a sender holds: whose mail is too old to go, and whose cannot be written at all."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from itertools import count
from uuid import UUID

import pytest
from msgspec import structs

from crm import campaigns
from crm.businesses import Business
from crm.campaigns.claiming import Claimed
from crm.campaigns.hand import OLDEST_CLAIM, Hand
from crm.campaigns.model import DeliveryState
from crm.campaigns.pace import Pace
from crm.db import Database
from crm.mail import relays
from crm.settings import Sending
from tests.campaigns.test_share import SYSTEM, senders

NUMBERS: Iterator[int] = count(1)


class Time:
    """A clock that the test turns on."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
async def time() -> Time:
    return Time()


@pytest.fixture
async def hand(time: Time) -> Hand:
    made = Hand(0)
    made._clock = time  # noqa: SLF001  (nobody waits a second here)
    return made


def claimed(address: str = "reader@example.com") -> Claimed:
    return Claimed(
        UUID(int=next(NUMBERS)), DeliveryState.sending, None, 1, address, "", b"", None, asked=False
    )


def test_what_is_too_old_goes_back_and_the_rest_stays(hand: Hand, time: Time) -> None:
    hand.add(claimed(), {})
    time.now += OLDEST_CLAIM / 2
    hand.add(claimed(), {})
    hand.give_back_stale()
    assert (hand.queued, len(hand.results)) == (2, 0)

    time.now += OLDEST_CLAIM * 0.75
    hand.give_back_stale()
    assert (hand.queued, len(hand.results)) == (1, 1)

    time.now += OLDEST_CLAIM
    hand.add(claimed(), {})
    hand.give_back_stale()
    assert (hand.queued, len(hand.results), len(hand)) == (1, 2, 3)


def test_nobody_is_kept_because_the_line_was_empty(hand: Hand, time: Time) -> None:
    hand.give_back_stale()
    time.now += 5
    hand.add(claimed(), {})
    time.now += OLDEST_CLAIM * 1.5
    hand.give_back_stale()

    assert (hand.queued, len(hand.results)) == (0, 1)


def test_what_is_no_address_never_stands_in_line(hand: Hand) -> None:
    hand.add(claimed("nobody"), {})

    assert hand.queued == 0
    assert [each.outcome.reason for each in hand.results if each.outcome] == ["unwritable"]


async def test_only_what_goes_counts_for_the_rate() -> None:
    pace = Pace(Sending(rate=1))
    assert [pace.may_go() for _ in range(5)] == [True] * 5
    pace.went()
    pace.went()

    assert not pace.may_go()


async def test_what_our_own_code_cannot_write_fails_too(
    database: Database, business: Business
) -> None:
    """The lanes go on, and the range ends with everybody counted."""
    async with senders(database, business) as (sender, _):
        async with database.write(business.id) as db:
            await relays.limit_domain(db, SYSTEM, "example.com", 1000, None)
        whole = sender._issue  # noqa: SLF001
        sender._ahead._issue = structs.replace(whole, envelope=None)  # noqa: SLF001
        await sender.run(asyncio.get_running_loop().time() + 20)

    async with database.read(business.id) as db:
        counts = await campaigns.counts(db, whole.campaign.id)
    assert (counts.failed, counts.sending, counts.uncertain) == (40, 0, 0)
