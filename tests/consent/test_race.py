"""Two transactions about one customer at once: ordered by locks, committed for real."""

from __future__ import annotations

from collections.abc import Awaitable, Iterable
from uuid import UUID

import pytest

from crm import consent
from crm.businesses import Business
from crm.consent import (
    Circumstances,
    Method,
    NewNotice,
    NewPurpose,
    Notice,
    OptOutStands,
    Status,
)
from crm.db import Database, Db
from crm.events import Actor
from tests import make
from tests.consent.conftest import SIGNED, add_customer, imported, say_no, say_yes
from tests.races import second

KEY = Actor.key(UUID(int=9), "Till")
ON_PAPER = Circumstances(Method.api, evidence=SIGNED)


async def state_of(
    database: Database, business: Business, customer: UUID, notice: Notice
) -> Status:
    async with database.read(business.id) as db:
        found = await consent.state(db, customer, notice.purpose_id)
    assert found is not None
    return found.status


async def append(db: Db, customers: Iterable[UUID], notice: Notice, status: Status) -> int:
    rows = [await imported(db, each, notice, status) for each in customers]
    return await consent.append_many(db, Actor.system(), rows)


async def test_a_key_that_gives_finds_the_no(
    database: Database, business: Business, customer: UUID, notice: Notice
) -> None:
    with pytest.raises(OptOutStands):
        await second(
            database,
            business,
            lambda db: say_no(db, customer, notice.purpose_id),
            lambda db: consent.give(db, KEY, customer, notice.question, ON_PAPER),
        )
    assert await state_of(database, business, customer, notice) is Status.withdrawn
    async with database.read(business.id) as db:
        assert len(await consent.history(db, customer)) == 1


@pytest.mark.parametrize("answer", [Status.given, Status.withdrawn])
async def test_a_request_moves_neither(
    database: Database, business: Business, customer: UUID, notice: Notice, answer: Status
) -> None:
    await second(
        database,
        business,
        lambda db: (
            say_no(db, customer, notice.purpose_id)
            if answer is Status.withdrawn
            else say_yes(db, customer, notice)
        ),
        lambda db: consent.request(
            db, Actor.customer(customer), customer, notice.question, Circumstances(Method.web_form)
        ),
    )
    assert await state_of(database, business, customer, notice) is answer
    async with database.read(business.id) as db:
        assert len(await consent.history(db, customer)) == 2


@pytest.mark.parametrize("known", [False, True])
async def test_an_import_finds_the_no(
    database: Database, business: Business, customer: UUID, notice: Notice, *, known: bool
) -> None:
    if known:
        async with database.write(business.id) as db:
            await append(db, [customer], notice, Status.unknown)
    await second(
        database,
        business,
        lambda db: say_no(db, customer, notice.purpose_id),
        lambda db: append(db, [customer], notice, Status.given),
    )
    assert await state_of(database, business, customer, notice) is Status.withdrawn


async def test_a_no_that_comes_second_ends_the_yes(
    database: Database, business: Business, customer: UUID, notice: Notice
) -> None:
    await second(
        database,
        business,
        lambda db: append(db, [customer], notice, Status.given),
        lambda db: say_no(db, customer, notice.purpose_id),
    )
    assert await state_of(database, business, customer, notice) is Status.withdrawn


async def test_two_imports_of_the_same_customers_do_not_deadlock(
    database: Database, business: Business, notice: Notice
) -> None:
    async with database.write(business.id) as db:
        customers = [await add_customer(db) for _ in range(20)]
    await second(
        database,
        business,
        lambda db: append(db, customers, notice, Status.given),
        lambda db: append(db, reversed(customers), notice, Status.unknown),
    )
    async with database.read(business.id) as read:
        allowed = await consent.authorised(read, notice.purpose_id, customers)
    assert set(allowed) == set(customers)


async def test_two_purposes_at_once_get_two_numbers(database: Database, business: Business) -> None:
    async def add(db: Db, slug: str) -> object:
        return await consent.add_purpose(db, KEY, NewPurpose(slug=slug, name="A letter"))

    await second(database, business, lambda db: add(db, "one"), lambda db: add(db, "two"))
    async with database.read(business.id) as db:
        assert [each.code for each in await consent.purposes(db)] == [1, 2]


async def test_two_versions_at_once_get_two_numbers(
    database: Database, business: Business, notice: Notice
) -> None:
    def publish(db: Db) -> Awaitable[object]:
        new = NewNotice(locale="en", text="Yes, write to me now and then.", control_label="Yes")
        return consent.publish_notice(db, KEY, notice.purpose_id, new)

    await second(database, business, publish, publish)
    async with database.read(business.id) as read:
        found = await consent.notices(read, notice.purpose_id)
    assert sorted(each.version for each in found) == [1, 2, 3]


async def test_the_same_short_name_twice_is_refused(db: Db) -> None:
    taken = await make.purpose(db)
    with pytest.raises(consent.SlugTaken):
        await make.purpose(db, slug=taken.slug)
