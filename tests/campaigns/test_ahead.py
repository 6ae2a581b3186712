"""Mails are written a few at once, and yet each goes, or does not, for reasons of its own."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

import pytest
from msgspec import structs

from crm.businesses import Business
from crm.campaigns import ahead, jobs
from crm.campaigns.ahead import Ahead
from crm.campaigns.claiming import Claimed
from crm.campaigns.hand import OLDEST_CLAIM, Hand
from crm.campaigns.issue import Issue
from crm.campaigns.model import DeliveryState
from crm.campaigns.pace import Pace
from crm.clock import utc_now
from crm.db import Database
from crm.mail.pacing import DomainPace
from crm.mail.wire import Parcel
from crm.settings import Sending
from tests.campaigns.test_relays import context
from tests.campaigns.test_send import started
from tests.mail.test_dkim import BOTH, verifies

BAD = "reader@example.com\r\nBcc: everybody@example.com"


@pytest.fixture
async def issue(database: Database, business: Business) -> Issue:
    campaign_id, _ = await started(database, business, 1)
    await jobs.fill(context(database), str(business.id), str(campaign_id))
    made = await jobs._issue(database, business.id, campaign_id)  # noqa: SLF001
    assert made is not None
    return made


def line(*names: str) -> Hand:
    """So many customers in line, by their names."""
    hand = Hand(0)
    for number, name in enumerate(names):
        address, digest = f"reader{number}@example.com", number.to_bytes(32)
        hand.add(
            Claimed(
                UUID(int=number), DeliveryState.sending, None, 1, address, name, digest, None,
                asked=False,
            ),
            {},
        )  # fmt: skip
    return hand


def writing(issue: Issue, hand: Hand, **rate: int) -> Ahead:
    """To a relay that takes ten thousand a second."""
    pace = Pace(Sending(**rate))
    pace._measured = 10_000  # noqa: SLF001  (nobody waits for it to be measured)
    return Ahead(issue, hand, pace, utc_now)


def written(hand: Hand) -> int:
    """How many in line have their mail already."""
    return sum(waiting.parcel is not None for waiting in hand._queue)  # noqa: SLF001


def numbers(parcels: list[Parcel | None]) -> list[int | None]:
    """Whose mails these are, by their place in the line."""
    return [
        parcel.key.int if parcel and isinstance(parcel.key, UUID) else None for parcel in parcels
    ]


async def test_they_go_in_the_order_of_the_line(issue: Issue) -> None:
    hand = line(*["Nora"] * 20)
    ahead_of = writing(issue, hand)

    assert numbers([ahead_of.next() for _ in range(21)]) == [*range(20), None]
    assert (hand.queued, len(hand)) == (0, 20)


async def test_a_few_are_written_at_once(issue: Issue) -> None:
    """One first, which says how large they are."""
    hand = line(*["Nora"] * 20)
    ahead_of = writing(issue, hand)
    left = []
    for _ in range(10):
        ahead_of.next()
        left.append(written(hand))

    assert left == [0, 7, 6, 5, 4, 3, 2, 1, 0, 7]


async def test_more_are_written_where_they_are_signed(issue: Issue) -> None:
    """And each has its own signatures."""
    hand = line(*[f"Nora {number}" for number in range(40)])
    ahead_of = writing(structs.replace(issue, signer=BOTH), hand)
    first, second = ahead_of.next(), ahead_of.next()

    assert written(hand) == 31
    signed = [first, second, *[ahead_of.next() for _ in range(38)]]
    contents = [parcel.content for parcel in signed if parcel]
    assert len(set(contents)) == 40
    assert all(isinstance(each, bytes) and verifies(each) for each in contents)


async def test_one_that_cannot_be_written_fails_alone(issue: Issue) -> None:
    """No such address gets this far: it stands for whatever else goes wrong."""
    hand = line(*["Nora"] * 6)
    for number in (2, 4):
        hand._queue[number].recipient = BAD  # noqa: SLF001
    ahead_of = writing(issue, hand)
    went = [ahead_of.next() for _ in range(5)]

    assert numbers(went) == [0, 1, 3, 5, None]
    assert [each.customer_id.int for each in hand.results] == [2, 4]
    assert {each.outcome.reason for each in hand.results if each.outcome} == {"unwritable"}


async def test_large_ones_are_written_one_by_one(
    issue: Issue, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ahead, "_BYTES", 1)
    hand = line(*["Nora"] * 5)
    ahead_of = writing(issue, hand)

    assert [(ahead_of.next() is not None, written(hand)) for _ in range(5)] == [(True, 0)] * 5


async def test_where_few_go_none_is_written_long_before(issue: Issue) -> None:
    hand = line(*["Nora"] * 5)
    ahead_of = writing(issue, hand, rate=50)
    ahead_of.next()
    ahead_of.next()

    assert written(hand) == 0


async def test_who_waits_for_her_domain_is_written_when_it_takes_one(issue: Issue) -> None:
    hand = line(*["Nora"] * 5)
    hand.domains.known["example.com"] = DomainPace(
        domain="example.com", limit_connections=2, changed_at=utc_now()
    )
    ahead_of = writing(issue, hand)
    went = [ahead_of.next() for _ in range(3)]

    assert numbers(went) == [0, 1, None]
    assert written(hand) == 0
    assert went[0] is not None
    hand.given_back(went[0])
    assert numbers([ahead_of.next()]) == [2]


async def test_those_of_a_slow_domain_bring_no_others_in(issue: Issue) -> None:
    """However many of them there are, no more are written than at once."""
    hand = line(*["Nora"] * 40)
    for waiting in list(hand._queue)[::2]:  # noqa: SLF001
        waiting.recipient = "nora@example.net"
    hand.domains.known["example.net"] = DomainPace(
        domain="example.net", limit_connections=10, changed_at=utc_now()
    )
    ahead_of = writing(issue, hand)
    for _ in range(5):
        ahead_of.next()

    assert written(hand) <= 8


async def test_what_gets_too_old_while_it_is_written_does_not_go(
    issue: Issue, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A machine under load may take a second for it."""
    hand = line(*["Nora"] * 3)
    ahead_of = writing(issue, hand)
    usual, now = hand._clock, [0.0]  # noqa: SLF001
    monkeypatch.setattr(hand, "_clock", lambda: usual() + now[0])

    def later() -> datetime:
        now[0] = OLDEST_CLAIM * 1.5
        return utc_now()

    monkeypatch.setattr(ahead_of, "_clock", later)

    assert ahead_of.next() is None
    assert [(each.customer_id.int, each.outcome) for each in hand.results] == [
        (0, None),
        (1, None),
        (2, None),
    ]


async def test_written_or_not_what_is_too_old_goes_back(
    issue: Issue, monkeypatch: pytest.MonkeyPatch
) -> None:
    hand = line(*["Nora"] * 5)
    ahead_of = writing(issue, hand)
    ahead_of.next()
    ahead_of.next()
    assert written(hand) == 3
    usual = hand._clock  # noqa: SLF001
    monkeypatch.setattr(hand, "_clock", lambda: usual() + OLDEST_CLAIM * 2)
    hand.give_back_stale()

    assert ahead_of.next() is None
    assert [(each.customer_id.int, each.outcome) for each in hand.results] == [
        (2, None),
        (3, None),
        (4, None),
    ]
