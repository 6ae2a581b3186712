"""Decisions and texts are only ever added: by grant for the service, by trigger for everybody."""

from __future__ import annotations

from uuid import UUID

import asyncpg
import pytest

from crm import consent
from crm.businesses import Business
from crm.consent import Notice, Purpose
from crm.db import Database
from tests.conftest import Cluster
from tests.consent.conftest import Raw, add_customer, empty_customer, say_yes

TABLES = ("consent_event", "consent_record", "notice")
WRITES = (
    "UPDATE crm.{} SET business_id = business_id",
    "DELETE FROM crm.{}",
    "TRUNCATE crm.{} CASCADE",
)


@pytest.fixture
async def decided(
    database: Database, business: Business, customer: UUID, notice: Notice
) -> consent.ConsentEvent:
    async with database.write(business.id) as db:
        return await say_yes(db, customer, notice)


@pytest.mark.parametrize("table", TABLES)
@pytest.mark.parametrize("write", WRITES)
async def test_the_service_may_not(
    decided: consent.ConsentEvent, raw: Raw, table: str, write: str
) -> None:
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await raw(write.format(table))


@pytest.mark.parametrize("table", TABLES)
@pytest.mark.parametrize("write", WRITES[:2])
async def test_nor_does_a_grant_given_by_mistake_help(
    decided: consent.ConsentEvent, shared_cluster: Cluster, table: str, write: str
) -> None:
    conn = await asyncpg.connect(shared_cluster.superuser_url)
    try:
        with pytest.raises(asyncpg.InsufficientPrivilegeError, match="append-only"):
            await conn.execute(write.format(table))
    finally:
        await conn.close()


async def test_the_state_cannot_be_deleted_and_begun_anew(
    decided: consent.ConsentEvent, raw: Raw
) -> None:
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await raw("DELETE FROM crm.consent")


async def test_the_eraser_takes_nobody_who_lives(
    decided: consent.ConsentEvent, raw: Raw, business: Business, customer: UUID
) -> None:
    with pytest.raises(asyncpg.InsufficientPrivilegeError, match="not erased"):
        await raw("SELECT crm.erase_consent($1, $2)", business.id, customer)


async def test_erasure_leaves_a_stub_that_names_nobody(
    database: Database, business: Business, notice: Notice, purpose: Purpose
) -> None:
    async with database.write(business.id) as db:
        gone, stays = await add_customer(db), await add_customer(db)
        await say_yes(db, gone, notice)
        kept = await say_yes(db, stays, notice)
        await empty_customer(db, gone)
        assert (await consent.forget(db, gone))["consent_record"] == 1
        assert await consent.history(db, gone) == []
        assert await consent.states(db, gone) == []
        assert await consent.history(db, stays) == [kept]
        assert not any((await consent.forget(db, gone)).values())
