"""The service does what its document says, and the document says what the service does.

`make fuzz` does the same for as long as you let it, and tries another business's ids.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
from litestar.types import ASGIApp

from crm.db import Database
from tests.fuzz.place import Place, place
from tests.fuzz.run import PHASES, Plan, tried

# Of each phase as much as a few seconds hold; the cases are the same in every run.
_PLANS = {
    "examples": Plan(seed=1, examples=1, phases=["examples"]),
    "coverage": Plan(seed=1, examples=1, phases=["coverage"], one_in=48),
    "fuzzing": Plan(seed=1, examples=1, phases=["fuzzing"]),
    "stateful": Plan(seed=1, examples=8, phases=["stateful"]),
}


@pytest.fixture(scope="module")
async def shop(site: ASGIApp, database: Database) -> AsyncIterator[Place]:
    async with place(site, database) as opened:
        yield opened


@pytest.mark.timeout(600)
@pytest.mark.parametrize("phase", PHASES)
async def test_the_document_is_true(shop: Place, phase: str) -> None:
    """Whatever the document allows is answered as it says, and what it forbids is refused."""
    found = await asyncio.to_thread(tried, shop.document, shop.url, shop.make_key, _PLANS[phase])

    assert found.requests
    assert not found.wrong, "\n".join(str(each) for each in found.wrong.values())
