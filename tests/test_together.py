"""A block is kept as a whole or not at all, in a transaction that goes on."""

from __future__ import annotations

from contextlib import suppress

import asyncpg
import pytest

from crm import customers, mail
from crm.businesses import Business
from crm.connections import is_broken
from crm.customers import Changes
from crm.db import Database, Db, NotCommitted, Statement, parse
from crm.errors import Conflict
from crm.mail import Scope, Why
from tests import make

_WRONG, _REFUSED, _CUT_OFF = parse(
    """-- name: wrong
-- PostgreSQL refuses it for its data.
SELECT 1 / 0

-- name: refused
-- PostgreSQL refuses it to everybody, as our triggers refuse what breaks a promise.
DELETE FROM event

-- name: cut_off
-- PostgreSQL is told to stop it.
SELECT 1 FROM (SELECT pg_cancel_backend(pg_backend_pid())) AS told, pg_sleep(10)
"""
)


async def _do(db: Db, name: str) -> None:
    """Write a row, note it for the journal, and wake somebody."""
    her = await make.customer(db, address=f"{name}@example.com")
    await customers.change(db, make.SYSTEM, her.id, Changes(name=name))
    fingerprint = db.keys.address_hash(db.business_id, f"{name}@example.com")
    await mail.suppress(db, make.SYSTEM, fingerprint, Scope.marketing, Why.staff)
    db.wake("mail.deliver", name)


async def _refused(db: Db) -> None:
    async with db.together():
        await _do(db, "outer")
        async with db.together():
            await _do(db, "inner")
        # What refuses inside, and is caught there, ends nothing but itself.
        with suppress(Conflict):
            async with db.together():
                await _do(db, "innermost")
                raise Conflict
        raise Conflict


async def _tried(db: Db) -> None:
    async with db.together(only_try=True):
        await _do(db, "refused")
        raise Conflict


async def _failing(db: Db, refused: Statement | None) -> None:
    async with db.together():
        await _do(db, "failing")
        if refused is not None:
            await db.run(refused)
        raise ZeroDivisionError


async def _names(database: Database, business: Business) -> set[str]:
    async with database.read(business.id) as db:
        return {each.name for each in await customers.page(db)}


async def test_of_a_block_that_refuses_nothing_is_kept(
    database: Database, business: Business
) -> None:
    """Neither rows, nor what was to be journaled, nor wakes; what came before and after it is."""
    async with database.write(business.id) as db:
        await _do(db, "before")
        noted = len(db.noted)
        with pytest.raises(Conflict):
            await _refused(db)
        async with db.together():
            await _do(db, "after")
        assert [each[1] for each in db.wakes] == [("before",), ("after",)]
        assert len(db.noted) == 2 * noted
    assert await _names(database, business) == {"before", "after"}


async def test_what_is_tried_is_never_kept(database: Database, business: Business) -> None:
    """It is there as long as the block, and gone with it."""
    async with database.write(business.id) as db:
        await _do(db, "before")
        async with db.together(only_try=True):
            await _do(db, "tried")
            seen = {each.name for each in await customers.page(db)}
        with pytest.raises(Conflict):
            await _tried(db)
        assert [each[1] for each in db.wakes] == [("before",)]
    assert seen == {"before", "tried"}
    assert await _names(database, business) == {"before"}


async def test_of_a_block_that_fails_otherwise_nothing_is_kept_either(
    database: Database, business: Business
) -> None:
    """An error of the program or of the data, also within PostgreSQL: what comes behind it goes."""
    async with database.write(business.id) as db:
        with pytest.raises(asyncpg.DataError):
            await _failing(db, _WRONG)
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await _failing(db, _REFUSED)
        with pytest.raises(ZeroDivisionError):
            await _failing(db, None)
        assert (db.noted, db.wakes) == ([], [])
        await _do(db, "behind")
    assert await _names(database, business) == {"behind"}


async def test_what_was_cut_off_ends_the_whole_transaction(
    database: Database, business: Business
) -> None:
    """It was not wrong, and may pass another time: nobody goes on behind it."""

    async def cut_off() -> None:
        async with database.write(business.id) as db:
            await _do(db, "before")
            with pytest.raises(asyncpg.QueryCanceledError):
                await _failing(db, _CUT_OFF)

    with pytest.raises(NotCommitted):
        await cut_off()
    assert await _names(database, business) == set()


def test_what_would_be_refused_again_breaks_nothing() -> None:
    wrong = (asyncpg.CheckViolationError, asyncpg.InsufficientPrivilegeError, asyncpg.RaiseError)
    assert not any(is_broken(each("no")) for each in (*wrong, ValueError))


@pytest.mark.parametrize(
    "error",
    [
        TimeoutError,
        asyncpg.AdminShutdownError,
        asyncpg.DeadlockDetectedError,
        asyncpg.DiskFullError,
        asyncpg.InFailedSQLTransactionError,
        asyncpg.InterfaceError,
        asyncpg.InvalidCachedStatementError,
        asyncpg.LockNotAvailableError,
        asyncpg.PostgresIOError,
        asyncpg.QueryCanceledError,
    ],
)
def test_what_may_pass_another_time_is_only_given_up(error: type[Exception]) -> None:
    assert is_broken(error("no"))
