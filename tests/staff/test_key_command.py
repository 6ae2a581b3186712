"""An operator makes, lists and revokes keys; what a key is made for can be read, its text not."""

from __future__ import annotations

import re

from crm.db import Database
from tests import make
from tests.commands import SECRETS, crm
from tests.conftest import Cluster


async def test_a_key_by_command(
    own_cluster: Cluster, own_database: Database, redis_url: str
) -> None:
    """Its text is printed this once and alone, so that a script can keep it."""
    await make.business(own_database)
    settings = SECRETS | {"CRM_DATABASE_URL": own_cluster.app_url, "CRM_REDIS_URL": redis_url}

    async def run(*arguments: str) -> tuple[int, str, str]:
        return await crm("key", *arguments, **settings)

    none = await run("list")
    unsaid = await run("add", "Till", "--reason", "to greet her")
    short = await run("add", "Till", "--reason", "x", "--every-scope")
    status, text, failed = await run(
        "add", "Till", "--reason", "to greet her", "--scope", "customers:read", "--days", "9"
    )
    assert status == 0, failed
    _, listed, _ = await run("list")
    key_id = re.search(r"[0-9a-f-]{36}", listed)
    assert key_id is not None, listed
    revoked = await run("revoke", key_id[0])
    unknown = await run("revoke", "till")
    _, after, _ = await run("list")

    assert "crm key add" in none[1]
    assert unsaid[0] == 2
    assert "--every-scope" in unsaid[2]
    assert short[0] == 2
    assert "reason" in short[2]
    assert text.startswith("fh_")
    assert len(text.split()) == 1
    assert "to greet her" in listed
    assert text.strip() not in listed
    assert revoked[1] == "Till is revoked.\n"
    assert "crm key list" in unknown[2]
    assert "revoked" in after
