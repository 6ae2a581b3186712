"""Sign-ins at the moment in which sessions are ended, or in which there is another sign-in."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import asyncpg
import pyotp
import pytest

from crm import staff
from crm.businesses import Business
from crm.db import Database, Db
from crm.staff import Member, second_factor, sessions
from crm.staff.model import Credentials, WrongPassword
from tests import make
from tests.campaigns.test_share import until_waiting
from tests.conftest import Cluster
from tests.races import second

Ends = Callable[[Db, Member], Awaitable[None]]


@pytest.fixture
async def owner(database: Database, business: Business) -> Member:
    async with database.write(business.id) as db:
        return await make.owner(db)


@pytest.fixture
async def checked(database: Database, business: Business, owner: Member) -> Credentials:
    """Her password was given and found right, before whatever is done in a test."""
    async with database.read(business.id) as db:
        found = await sessions.credentials_of(db, owner.address)
    assert found is not None
    return found


async def _set_up(db: Db, owner: Member, business: Business) -> None:
    begun = await second_factor.begin(db, owner, business)
    await second_factor.confirm(db, owner, pyotp.TOTP(begun.letters.replace(" ", "")).at(db.now))
    await staff.close_others(db, owner, "the session of this browser")


async def _end_others(db: Db, owner: Member) -> None:
    await staff.close_others(db, owner, "the session of this browser")


async def _lose_the_factor(db: Db, owner: Member) -> None:
    await second_factor.drop(db, owner.actor, owner.id)


async def test_nobody_is_in_by_the_password_alone_once_there_is_a_second_factor(
    database: Database, business: Business, owner: Member, checked: Credentials
) -> None:
    with pytest.raises(WrongPassword):
        await second(
            database,
            business,
            lambda db: _set_up(db, owner, business),
            lambda db: sessions.open_session(db, checked),
        )


async def test_who_came_in_just_before_is_out_again(
    database: Database, business: Business, owner: Member, checked: Credentials
) -> None:
    tokens = []

    async def by_password(db: Db) -> None:
        tokens.append((await sessions.open_session(db, checked))[1])

    await second(database, business, by_password, lambda db: _set_up(db, owner, business))

    async with database.read(business.id) as read:
        assert await sessions.session(read, tokens[0]) is None


@pytest.mark.parametrize("ends", [_end_others, _lose_the_factor])
async def test_none_is_left_that_was_opened_while_all_are_ended(
    database: Database, business: Business, owner: Member, ends: Ends
) -> None:
    async with database.write(business.id) as db:
        await _set_up(db, owner, business)
        checked = await sessions.credentials_of(db, owner.address)
        assert checked is not None
    tokens = []

    async def with_both(db: Db) -> None:
        tokens.append((await sessions.open_session(db, checked, proved=True))[1])

    await second(database, business, with_both, lambda db: ends(db, owner))

    async with database.read(business.id) as read:
        assert await sessions.session(read, tokens[0]) is None


async def test_two_sign_ins_that_write_the_password_anew_wait_in_one_order(
    database: Database,
    business: Business,
    root: asyncpg.Connection,
    shared_cluster: Cluster,
    checked: Credentials,
) -> None:
    """The second finds another hash than the one that was checked, and asks again."""

    async def sign_in() -> None:
        async with database.write(business.id) as db:
            await sessions.open_session(db, checked, rehashed="anew")

    async with root.transaction():
        # Both have asked before either writes.
        await root.execute("SELECT FROM crm.member WHERE business_id = $1 FOR SHARE", business.id)
        both: list[Awaitable[None]] = [asyncio.ensure_future(sign_in()) for _ in range(2)]
        await until_waiting(shared_cluster, 2)
    ended = await asyncio.gather(*both, return_exceptions=True)

    assert sorted(map(repr, ended)) == [repr(None), repr(WrongPassword())]
