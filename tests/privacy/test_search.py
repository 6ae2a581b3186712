"""Delete everything: after real traffic, nothing of hers is found anywhere (promise 10)."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from crm import mail
from crm.db import Database
from crm.privacy import Fingerprint, actions
from tests.conftest import Cluster
from tests.privacy.installation import (
    NOT_LIVED,
    Running,
    erase,
    installed,
    only_what_stays,
    seeded,
    traffic,
)
from tests.privacy.search import Trace, search
from tests.test_personal_data import KNOWS


@pytest.fixture
async def running(
    own_cluster: Cluster, own_database: Database, redis_url: str, tmp_path: Path
) -> AsyncIterator[Running]:
    """Nora has lived; the processes can be started."""
    async with installed(own_cluster, own_database, redis_url, tmp_path) as started:
        yield started


@pytest.mark.parametrize("fingerprint", Fingerprint)
async def test_nothing_of_hers_is_found(running: Running, fingerprint: Fingerprint) -> None:
    """Before, each mark is found; after, none but the fingerprints that are said to stay."""
    await traffic(running)
    marks = await seeded(running)
    before = await search(running.places, marks)
    await erase(running, fingerprint)
    after = await search(running.places, marks)

    assert {each.mark for each in before} == {each.where for each in marks}
    outside = {each for each in before if " " in each.place}
    assert not [each for each in outside if not each.place.startswith("file journal/")]
    assert {each.place for each in before} >= set(KNOWS) - NOT_LIVED
    only_what_stays(after, fingerprint)


async def test_a_table_left_out_is_found(running: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the test above rests on: without one of the erasers it names what is left."""
    marks = await seeded(running)
    kept = tuple(each for each in actions.FORGET if each is not mail.forget)
    monkeypatch.setattr(actions, "FORGET", kept)
    monkeypatch.setattr(actions, "FORGET_ADDRESS", ())
    await erase(running)

    after = await search(running.places, marks)

    assert {each.place for each in after} >= {"service_message", "suppression"}
    assert Trace("service_message", "service_message.content") in after
