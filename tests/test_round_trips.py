"""What a request costs: one BEGIN and one COMMIT, whoever asks, and what stands between them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from uuid import uuid4

import pytest
from litestar.types import ASGIApp

from crm import customers
from crm.app import application, served, state_of
from crm.businesses import Business
from crm.clock import utc_now
from crm.connections import Connection, Connections, connected
from crm.customers import Customer
from crm.db import Database, no_wake, open_database
from crm.journal import Journal, Keeper
from crm.settings import Settings
from crm.tokens import Stop, stop_token
from crm.wakes import open_pool
from tests import make
from tests.browser import Browser
from tests.conftest import KEYS, Cluster


class Asked:
    """What PostgreSQL was asked, in order, by one process with one connection."""

    def __init__(self) -> None:
        self.statements: list[str] = []

    def heard(self) -> list[str]:
        """Return what came since the last time, each by what stands before the first semicolon."""
        found = [each.split(";")[0] for each in self.statements]
        self.statements.clear()
        return found


@pytest.fixture
def asked() -> Asked:
    return Asked()


@pytest.fixture
async def process(
    shared_cluster: Cluster, redis_url: str, asked: Asked, tmp_path: Path
) -> AsyncIterator[ASGIApp]:
    """The whole web process on a connection that tells what it was asked."""

    async def opened() -> Connection:
        conn = await connected(shared_cluster.app_url)
        conn.add_query_logger(lambda record: asked.statements.append(record.query))
        return conn

    redis = open_pool(redis_url)
    settings = Settings(
        database_url=shared_cluster.app_url,
        redis_url=redis_url,
        link_keys="1:" + "31" * 32,
        storage_keys="1:" + "73" * 32,
        pepper="70" * 32,
    )
    connections = Connections(opened, 1)
    keeper = Keeper(Journal(tmp_path))
    database = Database(connections, KEYS, no_wake, utc_now, keeper)
    async with open_database(shared_cluster.app_url, KEYS, size=1) as looks:
        state = state_of(settings, database, looks, redis)
        state["password_cost"] = make.CHEAP
        yield served(application(settings, state))
    await connections.close()
    await redis.aclose()


async def test_a_check_asks_twice_between_begin_and_commit(
    process: ASGIApp, asked: Asked, database: Database, business: Business, customer: Customer
) -> None:
    async with database.write(business.id) as db:
        purpose = await make.purpose(db)
    query = {"purpose": str(purpose.id), "customer": str(customer.id)}
    async with Browser(process, business.origin) as program:
        await make.let_in_by_key(database, business, program)
        # The first use of a key is noted, in a transaction of its own.
        await program.get("/v1/key")
        await asyncio.sleep(0)
        asked.heard()
        answer = await program.get("/v1/consents/check", params=query)
        await asyncio.sleep(0)
    assert answer.status_code == 200
    heard = asked.heard()
    assert heard[0] == "BEGIN READ ONLY"
    assert heard[-1] == "COMMIT"
    assert len(heard) == 4, heard


async def test_a_post_with_a_key_of_idempotency_is_one_transaction(
    process: ASGIApp, asked: Asked, database: Database, business: Business
) -> None:
    body = {"address": f"ada-{uuid4().hex[:8]}@example.com", "name": "Ada"}
    async with Browser(process, business.origin) as program:
        await make.let_in_by_key(database, business, program)
        await program.get("/v1/key")
        await asyncio.sleep(0)
        asked.heard()
        headers = {"idempotency-key": uuid4().hex}
        answer = await program.post("/v1/customers", json=body, headers=headers)
        await asyncio.sleep(0)
        assert answer.status_code == 201, answer.text
        heard = asked.heard()
        again = await program.post("/v1/customers", json=body, headers=headers)
        await asyncio.sleep(0)
    assert (heard[0], heard[-1]) == ("BEGIN", "COMMIT")
    assert [heard.count(each) for each in ("BEGIN", "COMMIT", "ROLLBACK")] == [1, 1, 0]
    assert again.content == answer.content
    assert len(asked.heard()) == 4


async def test_a_customer_put_is_one_look_and_one_statement(
    process: ASGIApp, asked: Asked, database: Database, business: Business
) -> None:
    """Behind its key: who is meant is held, and what changes is written and told at once."""
    address = f"ada-{uuid4().hex[:8]}@example.com"
    async with Browser(process, business.origin) as program:
        await make.let_in_by_key(database, business, program)
        await program.put("/v1/customers", json={"address": address, "name": "Ada"})
        await asyncio.sleep(0)
        asked.heard()
        answer = await program.put("/v1/customers", json={"address": address, "name": "Ada L."})
        await asyncio.sleep(0)
    assert answer.status_code == 200, answer.text
    heard = asked.heard()
    assert (heard[0], heard[-1]) == ("BEGIN", "COMMIT")
    assert len(heard) == 2 + 1 + 2, heard


async def test_a_consent_event_is_one_look_and_one_statement(
    process: ASGIApp, asked: Asked, database: Database, business: Business, customer: Customer
) -> None:
    """Between its key, the claim of its Idempotency-Key, and the answer that is kept."""
    async with database.write(business.id) as db:
        notice = await make.notice(db, (await make.purpose(db)).id)
    body = {
        "purpose": str(notice.purpose_id),
        "status": "given",
        "notice": str(notice.id),
        "evidence": {"kind": "former_double_opt_in"},
    }
    async with Browser(process, business.origin) as program:
        await make.let_in_by_key(database, business, program)
        await program.get("/v1/key")
        await asyncio.sleep(0)
        asked.heard()
        path = f"/v1/customers/{customer.id}/consent-events"
        headers = {"idempotency-key": uuid4().hex}
        answer = await program.post(path, json=body, headers=headers)
        await asyncio.sleep(0)
    assert answer.status_code == 201, answer.text
    heard = asked.heard()
    assert (heard[0], heard[-1]) == ("BEGIN", "COMMIT")
    assert len(heard) == 2 + 3 + 2, heard


async def test_leaving_costs_two_statements_for_the_journal(
    process: ASGIApp, asked: Asked, database: Database, business: Business, customer: Customer
) -> None:
    """Its place is held, and moved: an entry is written for each transaction, not for each row."""
    async with database.write(business.id) as db:
        purpose = await make.purpose(db)
        fingerprint = db.keys.address_hash(business.id, customers.fold(customer.address))
    link = f"/u/{stop_token(KEYS, Stop(business.id, fingerprint, purpose.code))}"
    async with Browser(process, business.origin) as mailbox:
        answer = await mailbox.post(link, data={"List-Unsubscribe": "One-Click"})
        await asyncio.sleep(0)
        first = asked.heard()
        again = await mailbox.post(link, data={"List-Unsubscribe": "One-Click"})
        await asyncio.sleep(0)
        second = asked.heard()
    assert (answer.status_code, again.status_code) == (200, 200)
    held, moved = "WITH held AS (\n  INSERT INTO crm.journal_mark", "UPDATE crm.journal_mark"
    for heard, times in ((first, 1), (second, 0)):
        assert sum(each.startswith(held) for each in heard) == times
        assert sum(each.startswith(moved) for each in heard) == times
        assert heard[-1] == "COMMIT"


@pytest.mark.parametrize("path", ["/staff/purposes", "/me/consent", "/sign-up"])
async def test_a_page_is_one_transaction_behind_the_question_whose_it_is(
    *,
    process: ASGIApp,
    asked: Asked,
    database: Database,
    business: Business,
    customer: Customer,
    path: str,
) -> None:
    async with database.write(business.id) as db:
        await make.notice(db, (await make.purpose(db)).id)
    async with Browser(process, business.origin) as browser:
        await make.let_in_as_owner(database, business, browser)
        await make.let_in_as_customer(database, business, customer, browser)
        await browser.get(path)
        await asyncio.sleep(0)
        asked.heard()
        answer = await browser.get(path)
        await asyncio.sleep(0)
    assert answer.status_code == 200
    _, begin, *_, commit = heard = asked.heard()
    assert (begin, commit) == ("BEGIN READ ONLY", "COMMIT")
    assert [sum(each.startswith(word) for each in heard) for word in ("BEGIN", "COMMIT")] == [1, 1]
