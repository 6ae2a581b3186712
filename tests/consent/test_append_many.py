"""What an import appends: all of it is kept, and it moves only what it may."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from crm import consent, events
from crm.consent import Notice, Status
from crm.db import Db
from crm.events import Actor, Kind
from tests.consent.conftest import add_customer, imported
from tests.consent.test_give import put

AT = datetime(2024, 5, 3, tzinfo=UTC)
SYSTEM = Actor.system()
S = Status
Row = tuple[UUID, Status, datetime]


async def append(db: Db, notice: Notice, *rows: Row) -> int:
    """Hand in rows of one customer or several: who, what, when."""
    new = [await imported(db, who, notice, status, at) for who, status, at in rows]
    return await consent.append_many(db, SYSTEM, new)


async def standing(db: Db, customer: UUID, notice: Notice) -> Status:
    found = await consent.state(db, customer, notice.purpose_id)
    assert found is not None
    return found.status


@pytest.mark.parametrize("status", [S.unknown, S.requested, S.given, S.refused, S.withdrawn])
async def test_of_somebody_never_asked(
    db: Db, customer: UUID, notice: Notice, status: Status
) -> None:
    assert await append(db, notice, (customer, status, AT)) == 1
    assert await standing(db, customer, notice) is status


@pytest.mark.parametrize("before", [S.given, S.withdrawn, S.refused, S.expired, S.invalidated])
@pytest.mark.parametrize("status", [S.unknown, S.requested, S.given, S.refused])
async def test_what_is_known_stands(
    db: Db, customer: UUID, notice: Notice, before: Status, status: Status
) -> None:
    if before is S.given:
        await append(db, notice, (customer, S.given, AT))
    else:
        await put(db, customer, notice, before)
    kept = len(await consent.history(db, customer))
    assert await append(db, notice, (customer, status, AT)) == 0
    assert await standing(db, customer, notice) is before
    assert len(await consent.history(db, customer)) == kept + 1


@pytest.mark.parametrize("before", [S.unknown, S.requested, S.given, S.refused, S.expired])
async def test_a_withdrawal_always_counts(
    db: Db, customer: UUID, notice: Notice, before: Status
) -> None:
    if before in (S.refused, S.expired):
        await put(db, customer, notice, before)
    else:
        await append(db, notice, (customer, before, AT))
    assert await append(db, notice, (customer, S.withdrawn, AT)) == 1
    assert await standing(db, customer, notice) is S.withdrawn


@pytest.mark.parametrize("before", [S.unknown, S.requested])
@pytest.mark.parametrize("status", [S.given, S.refused])
async def test_an_answer_follows_no_answer(
    db: Db, customer: UUID, notice: Notice, before: Status, status: Status
) -> None:
    await append(db, notice, (customer, before, AT))
    assert await append(db, notice, (customer, status, AT)) == 1
    assert await standing(db, customer, notice) is status


@pytest.mark.parametrize(
    ("statuses", "expected"),
    [
        ((S.given, S.withdrawn), S.withdrawn),
        ((S.withdrawn, S.given), S.withdrawn),
        ((S.requested, S.given), S.given),
        ((S.given, S.requested, S.unknown), S.given),
        ((S.refused, S.given), S.refused),
    ],
)
async def test_several_of_one_customer_in_one_go(
    db: Db, customer: UUID, notice: Notice, statuses: tuple[Status, ...], expected: Status
) -> None:
    """The same address twice in one file: nothing fails, all is kept, a no decides."""
    rows = [(customer, status, AT + timedelta(days=day)) for day, status in enumerate(statuses)]
    assert await append(db, notice, *rows) == 1
    assert await standing(db, customer, notice) is expected
    assert len(await consent.history(db, customer)) == len(statuses)


async def test_of_two_alike_the_later_is_the_warrant(
    db: Db, customer: UUID, notice: Notice
) -> None:
    days = [AT, AT + timedelta(days=2), AT + timedelta(days=1)]
    await append(db, notice, *((customer, S.given, day) for day in days))
    found = await consent.state(db, customer, notice.purpose_id)
    assert found is not None
    assert found.at == days[1]


async def test_history_is_told_in_the_order_of_the_decisions(
    db: Db, customer: UUID, notice: Notice
) -> None:
    """All recorded within one millisecond, in which the ids of events have no order."""
    days = [AT + timedelta(days=day) for day in (3, 0, 4, 1, 5, 2)]
    await append(db, notice, *((customer, S.requested, at) for at in days))
    told = [event.at for event in await consent.history(db, customer)]
    assert told == sorted(days, reverse=True)


async def test_nothing_and_many(db: Db, notice: Notice) -> None:
    assert await consent.append_many(db, SYSTEM, []) == 0
    customers = [await add_customer(db) for _ in range(50)]
    assert await append(db, notice, *((each, S.given, AT) for each in customers)) == 50
    allowed = await consent.authorised(db, notice.purpose_id, customers)
    assert set(allowed) == set(customers)


async def _ends_told(db: Db) -> list[tuple[str, UUID | None, UUID | None]]:
    """What the stream has of the ends of consents: what, whose, and to what."""
    while await events.number(db):
        continue
    ends = {Kind.consent_withdrawn, Kind.consent_refused, Kind.consent_expired}
    found = await events.following(db, limit=200)
    return sorted(
        (each.kind.value, each.customer_id, each.ref) for each in found if each.kind in ends
    )


async def test_each_no_is_told_once(db: Db, customer: UUID, notice: Notice) -> None:
    """To whoever was passed her data (Art. 19 GDPR); a yes and what changes nothing is not."""
    zoe, ola = await add_customer(db), await add_customer(db)
    await append(db, notice, (zoe, S.given, AT), (ola, S.unknown, AT))
    assert await _ends_told(db) == []
    rows = [(customer, S.withdrawn, AT), (customer, S.withdrawn, AT), (zoe, S.withdrawn, AT)]
    await append(db, notice, *rows, (ola, S.refused, AT))
    told = sorted(
        [
            ("consent.refused", ola, notice.purpose_id),
            ("consent.withdrawn", customer, notice.purpose_id),
            ("consent.withdrawn", zoe, notice.purpose_id),
        ]
    )
    assert await _ends_told(db) == told
    await append(db, notice, *rows, (ola, S.given, AT))
    assert await _ends_told(db) == told
