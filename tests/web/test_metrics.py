"""/metrics: the figures of ledgers for who has the token, and no page for anybody else."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID

import httpx2
import pytest
from litestar import Litestar
from litestar.datastructures import State
from prometheus_client.openmetrics.parser import text_string_to_metric_families

from crm import ledger
from crm.above import LedgerHealth
from crm.businesses import Business
from crm.db import Database
from crm.doctor import ledger_problems
from crm.journal import Journal
from crm.web.metrics import metrics
from tests.ledger.conftest import entered

NOW = datetime(2026, 5, 3, 12, tzinfo=UTC)
FINE = LedgerHealth(
    business_id=UUID(int=1),
    size=10,
    unsealed=1,
    waiting_since=NOW - timedelta(seconds=3),
    alarms=0,
    stopped_why=None,
    watched_at=NOW - timedelta(hours=20),
)


@pytest.fixture
async def web(database: Database) -> AsyncIterator[httpx2.AsyncClient]:
    app = Litestar(
        [metrics("a token", ["letters"])],
        state=State({"database": database}),
        openapi_config=None,
        logging_config=None,
    )
    transport = httpx2.ASGITransport(app=app)  # type: ignore[arg-type]
    async with httpx2.AsyncClient(transport=transport, base_url="http://here.example") as client:
        yield client


async def test_it_works(
    web: httpx2.AsyncClient, database: Database, business: Business, tmp_path: Path
) -> None:
    await entered(database, business.id, 3)
    await ledger.seal(database, business.id, Journal(tmp_path), most=2)
    await entered(database, business.id, 1)
    answer = await web.get("/metrics", headers={"authorization": "Bearer a token"})
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("application/openmetrics-text")
    found = {
        sample.name: sample.value
        for family in text_string_to_metric_families(answer.text)  # type: ignore[no-untyped-call]
        for sample in family.samples
        if sample.labels.get("business") == str(business.id)
    }
    assert found["firsthand_ledger_size"] == 3
    assert found["firsthand_ledger_unsealed"] == 1
    assert found["firsthand_ledger_waiting_seconds"] >= 0
    assert found["firsthand_ledger_alarms"] == 0
    assert "firsthand_ledger_stopped" not in found
    assert found["firsthand_retention_oldest_seconds"] >= 0


@pytest.mark.parametrize("given", ["", "Bearer ", "Bearer another", "a token ", "Basic a token"])
async def test_there_is_no_page_for_others(web: httpx2.AsyncClient, given: str) -> None:
    assert (await web.get("/metrics", headers={"authorization": given})).status_code == 404


@pytest.mark.parametrize("given", ["", "Bearer "])
async def test_without_a_token_there_is_none_at_all(database: Database, given: str) -> None:
    app = Litestar(
        [metrics("", [])],
        state=State({"database": database}),
        openapi_config=None,
        logging_config=None,
    )
    transport = httpx2.ASGITransport(app=app)  # type: ignore[arg-type]
    async with httpx2.AsyncClient(transport=transport, base_url="http://here.example") as client:
        assert (await client.get("/metrics", headers={"authorization": given})).status_code == 404


def changed(**changes: object) -> LedgerHealth:
    fields = {name: getattr(FINE, name) for name in LedgerHealth.__struct_fields__}
    return LedgerHealth(**fields | changes)


@pytest.mark.parametrize(
    ("found", "words"),
    [
        (changed(stopped_why="restored"), "has stopped (restored)"),
        (changed(alarms=2), "has 2 alarms"),
        (changed(waiting_since=NOW - timedelta(minutes=3)), "waits to be sealed"),
        (changed(watched_at=NOW - timedelta(days=3)), "was last looked at on 2026-04-30"),
    ],
)
def test_the_doctor_says_what_asks_for_an_operator(found: LedgerHealth, words: str) -> None:
    assert ledger_problems([FINE], NOW, 24) == []
    (problem,) = ledger_problems([FINE, found], NOW, 24)
    assert words in problem
