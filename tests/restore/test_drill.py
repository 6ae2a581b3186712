"""The drill of docs/operators.md as it is written there: its commands come from the document."""

from __future__ import annotations

import asyncio
import os
import re
import sys
from pathlib import Path
from uuid import UUID

import asyncpg
import pytest

from crm import consent, ledger, privacy
from crm.consent import Method
from crm.db import Database, open_database
from crm.embedded.programs import POSTGRES_FOLDER, _site
from crm.events import Actor
from crm.journal import Journal
from tests import make
from tests.conftest import KEYS, Cluster
from tests.journal.conftest import opened
from tests.restore.conftest import execute

DOCUMENT = Path(__file__).parents[2] / "docs" / "operators.md"
SYSTEM = Actor.system()


def _commands(name: str) -> str:
    block = re.compile(rf"^```sh {name}\n(.*?)^```$", re.MULTILINE | re.DOTALL)
    (found,) = block.findall(DOCUMENT.read_text())
    return str(found)


@pytest.fixture
def settings(own_cluster: Cluster, redis_url: str, tmp_path: Path) -> dict[str, str]:
    """What an operator's shell knows: `crm` and the programs of PostgreSQL are on its PATH."""
    programs = tmp_path / "bin"
    programs.mkdir()
    crm = programs / "crm"
    crm.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m crm "$@"\n')
    crm.chmod(0o755)
    postgres = _site() / POSTGRES_FOLDER / "bin"
    drill = own_cluster.named("firsthand_drill")
    plain = {name: value for name, value in os.environ.items() if not name.startswith("CRM_")}
    return plain | {
        "PATH": f"{programs}:{postgres}:{os.environ['PATH']}",
        "PYTHONPATH": str(DOCUMENT.parents[1]),
        "COLUMNS": "200",
        "CRM_DATABASE_URL": own_cluster.app_url,
        "CRM_MIGRATE_DATABASE_URL": own_cluster.owner_url,
        "CRM_REDIS_URL": redis_url,
        "CRM_LINK_KEYS": f"1:{KEYS.link_keys[0][1].hex()}",
        "CRM_STORAGE_KEYS": f"1:{KEYS.storage_keys[0][1].hex()}",
        "CRM_PEPPER": KEYS.pepper.hex(),
        "CRM_JOURNAL": str(tmp_path / "journal"),
        "ADMIN_URL": own_cluster.superuser_url,
        "DRILL_URL": drill.superuser_url,
        "DRILL_OWNER_URL": drill.owner_url,
        "DRILL_APP_URL": drill.app_url,
    }


async def _shell(commands: str, place: Path, settings: dict[str, str]) -> tuple[int, str]:
    running = await asyncio.create_subprocess_exec(
        "bash",
        "-c",
        commands,
        cwd=place,
        env=settings,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    said, _ = await running.communicate()
    assert running.returncode is not None
    return running.returncode, said.decode()


@pytest.mark.timeout(300)
async def test_the_drill(own_cluster: Cluster, settings: dict[str, str], tmp_path: Path) -> None:
    """Make a backup, erase and withdraw, and put the backup beside it: all is as was said."""
    place, journal = tmp_path / "backups", Journal(tmp_path / "journal")
    place.mkdir()
    async with opened(own_cluster, journal) as database:
        business = await make.business(database, authority="The Authority")
        async with database.write(business.id) as db:
            notice = await make.notice(db, (await make.purpose(db)).id)
            reader, stays = await make.audience(db, notice, 2)
            nora = await make.customer(db, address="marked@example.com", name="Marked Nora")
        await ledger.seal(database, business.id, journal, most=100)
        assert await _shell(_commands("key"), place, settings) == (0, "")
        assert await _shell(_commands("backup"), place, settings) == (0, "")
        (backup,) = place.glob("firsthand-*.sealed")
        assert b"marked" not in backup.read_bytes().lower()
        assert backup.stat().st_mode & 0o077 == 0
        async with database.write(business.id) as db:
            by = Actor.customer(reader)
            await consent.withdraw(db, by, reader, notice.purpose_id, method=Method.portal)
            await privacy.erase(db, SYSTEM, nora.id)
    try:
        status, said = await _shell(_commands("drill"), place, settings)
        assert status == 0, said
        assert "All is well; 1 businesses." in said
        assert "1 erasures" in said
        drill = own_cluster.named("firsthand_drill")
        async with open_database(drill.app_url, KEYS, size=2) as database:
            assert await _status(database, business.id, reader, notice.purpose_id) == "withdrawn"
            assert await _status(database, business.id, stays, notice.purpose_id) == "given"
        conn = await asyncpg.connect(drill.superuser_url)
        assert not await conn.fetchval(
            "SELECT count(*) FROM crm.customer WHERE name ILIKE '%marked%'"
        )
        await conn.close()
    finally:
        status, said = await _shell(_commands("drop"), place, settings)
        if status:
            await execute(own_cluster, "DROP DATABASE IF EXISTS firsthand_drill WITH (FORCE)")
    assert status == 0, said
    # The real journal has nothing of it, and the real service goes on, as a worker lets it.
    async with opened(own_cluster, journal) as database:
        await ledger.seal(database, business.id, journal, most=100)
    assert await _shell("crm doctor", place, settings) == (0, "All is well; 1 businesses.\n")


async def _status(database: Database, business: UUID, customer: UUID, purpose: UUID) -> str:
    async with database.read(business) as db:
        state = await consent.state(db, customer, purpose)
    return state.status if state else ""
