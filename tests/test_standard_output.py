"""Standard output is what a command has to say, and nothing of it is lost or changed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from crm.businesses import Business
from crm.db import Database
from tests import make
from tests.commands import SECRETS, crm
from tests.conftest import Cluster


@pytest.fixture
def settings(shared_cluster: Cluster, redis_url: str) -> dict[str, str]:
    """The variables of an installation on the servers of the tests."""
    return {"CRM_DATABASE_URL": shared_cluster.app_url, "CRM_REDIS_URL": redis_url} | SECRETS


async def test_logs_go_to_standard_error(
    database: Database, business: Business, settings: dict[str, str], tmp_path: Path
) -> None:
    """A key is all of standard output, also when its journal has vanished."""
    add = ("key", "add", "Shop", "--reason=to try it", "--every-scope", f"--business={business.id}")
    status, key, err = await crm(*add, **settings)
    assert (status, err) == (0, "")
    listed = (await crm("key", "list", f"--business={business.id}", **settings))[1]
    (key_id,) = {word for word in listed.split() if word.count("-") == 4}
    await crm("key", "revoke", key_id, f"--business={business.id}", **settings)
    status, out, err = await crm(*add, **settings | {"CRM_JOURNAL": str(tmp_path / "new")})
    assert (status, out.count("\n"), len(out)) == (0, 1, len(key))
    assert {json.loads(line)["level"] for line in err.splitlines()} == {"error"}


async def test_logs_are_as_loud_as_they_are_set(
    database: Database, business: Business, settings: dict[str, str]
) -> None:
    """A wake that Redis did not take is a warning."""
    async with database.write(business.id) as db:
        purpose = await make.purpose(db)
        await make.audience(db, await make.notice(db, purpose.id), 3)
        begun = [await make.campaign(db, purpose.id) for _ in range(2)]
    settings["CRM_REDIS_URL"] = "redis://127.0.0.1:1"
    told = []
    for campaign, level in zip(begun, ("warning", "error"), strict=True):
        start = ("campaign", "start", str(campaign.id), f"--business={business.id}")
        status, out, err = await crm(*start, **settings, CRM_LOG_LEVEL=level)
        assert (status, out.count("\n")) == (0, 1), err
        told.append("wake_lost" in err)
    assert told == [True, False]
