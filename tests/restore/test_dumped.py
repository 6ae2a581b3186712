"""Deleted, and a dump of before put back: once it has started, nothing of hers is anywhere.

The dump is PostgreSQL's own, and her marks, the places and the search are those of the test that
deletes without a restore.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from msgspec.structs import replace

from crm.db import Database
from crm.embedded.programs import POSTGRES_FOLDER, _site
from crm.privacy import Fingerprint
from tests.commands import crm_alone, logged
from tests.conftest import Cluster
from tests.privacy.installation import (
    Running,
    erase,
    installed,
    only_what_stays,
    process,
    seeded,
    served,
    traffic,
)
from tests.privacy.search import search
from tests.restore.conftest import execute, name_of


@pytest.fixture
async def running(
    own_cluster: Cluster, own_database: Database, redis_url: str, tmp_path: Path
) -> AsyncIterator[Running]:
    """Nora has lived; the processes can be started."""
    async with installed(own_cluster, own_database, redis_url, tmp_path) as started:
        yield started


async def _program(name: str, *args: str) -> list[str]:
    """Run a program of PostgreSQL; return the errors that it went on after."""
    path = _site() / POSTGRES_FOLDER / "bin" / name
    running = await asyncio.create_subprocess_exec(path, *args, stderr=asyncio.subprocess.PIPE)
    _, err = await running.communicate()
    return [line for line in err.decode().splitlines() if "error: " in line]


@asynccontextmanager
async def _put_back(cluster: Cluster, dump: Path) -> AsyncIterator[Cluster]:
    name = f"{name_of(cluster)}_dumped"
    there, postgres = cluster.named(name), cluster.named("postgres")
    await execute(postgres, f"CREATE DATABASE {name} OWNER crm_owner")
    try:
        into = f"--dbname={there.superuser_url}"
        assert not await _program(
            "pg_restore", "--section=pre-data", "--section=data", into, str(dump)
        )
        # Some of the marks stand where a reference was.
        for error in await _program("pg_restore", "--section=post-data", into, str(dump)):
            assert "violates foreign key constraint" in error
        yield there
    finally:
        await execute(postgres, f"DROP DATABASE {name} WITH (FORCE)")


@pytest.mark.timeout(300)
@pytest.mark.parametrize("fingerprint", Fingerprint)
async def test_nothing_of_hers_is_found_in_a_dump_put_back(
    running: Running, fingerprint: Fingerprint, tmp_path_factory: pytest.TempPathFactory
) -> None:
    await traffic(running)
    marks = await seeded(running)
    dump = tmp_path_factory.mktemp("dump") / "before"
    assert not await _program(
        "pg_dump", "--format=custom", f"--file={dump}", f"--dbname={running.cluster.superuser_url}"
    )
    await erase(running, fingerprint)
    async with _put_back(running.cluster, dump) as there:
        environ = running.environ | {"CRM_DATABASE_URL": there.app_url}
        places = replace(running.places, superuser_url=there.superuser_url)
        before = await search(places, marks)
        assert {each.mark for each in before} == {each.where for each in marks}
        status, said, err = await crm_alone("restore", **environ)
        assert (status, logged(err)) == (0, {"journal_does_not_fit"}), said
        started = replace(running, cluster=there, environ=environ)
        async with process(started, "worker"), served(started) as browser:
            assert (await browser.get("/health")).json()["checks"]["restored"] == "ok"
        only_what_stays(await search(places, marks), fingerprint)
