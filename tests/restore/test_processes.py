"""Processes of the service on a database that was put back, and on a journal that was lost."""

from __future__ import annotations

import asyncio
import shutil
import sys
from pathlib import Path
from uuid import UUID

import pytest

from crm import ledger
from crm.db import Database
from crm.journal import Journal, Keeper, Left
from tests import make
from tests.campaigns.test_killed import environ
from tests.commands import crm, crm_alone, logged
from tests.conftest import KEYS, Cluster
from tests.restore.conftest import Story, restored
from tests.restore.test_restore import status
from tests.smtpd import smtpd


async def _worker(settings: dict[str, str]) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        sys.executable, "-m", "crm", "worker", env=settings, stderr=asyncio.subprocess.PIPE
    )


async def _until_withdrawn(database: Database, told: Story, customer_id: UUID) -> None:
    while True:
        if await status(database, told, customer_id) == "withdrawn":
            return
        await asyncio.sleep(0.1)


def _only(settings: dict[str, str]) -> dict[str, str]:
    return {name: value for name, value in settings.items() if name.startswith("CRM_")}


@pytest.mark.timeout(300)
async def test_a_worker_rests_and_goes_on_by_itself(story: Story, redis_url: str) -> None:
    """Nobody is mailed meanwhile or afterwards, though a campaign was in the middle of it."""
    async with smtpd() as relay, restored(story) as (database, watch):
        place = make.place_of(story.journal)
        settings = environ(story.cluster, redis_url, relay, place)
        fingerprint = KEYS.address_hash(story.business.id, "reader50@example.com")
        left = Left(fingerprint.hex(), None, "one_click")
        worker = await _worker(settings)
        assert worker.stderr is not None
        try:
            while b"journal_does_not_fit" not in (line := await worker.stderr.readline()):
                assert line
            refused, _, err = await crm("campaign", "list", **_only(settings))
            assert (refused, "Run `crm restore`" in err) == (2, True)
            status_of, _, err = await crm("doctor", **_only(settings))
            assert (status_of, "is behind the journal" in err) == (2, True)
            # Pressed before the restore, and after it had read what there was.
            await watch.keeper.note_alone(story.business.id, left, database.clock())
            done, out, err = await crm_alone("restore", **_only(settings))
            assert (done, logged(err)) == (0, {"journal_does_not_fit"})
            assert "Held: News (was draft)" in out
            assert "26 times that consents ended" in out
            assert "What is left to you" in out
            again, _, err = await crm("restore", **_only(settings))
            assert (again, "nothing to replay" in err) == (2, True)
            late = KEYS.address_hash(story.business.id, "reader51@example.com")
            left = Left(late.hex(), None, "one_click")
            await watch.keeper.note_alone(story.business.id, left, database.clock())
            # What shows that the worker works again.
            await _until_withdrawn(database, story, story.readers[51])
            assert await status(database, story, story.readers[50]) == "withdrawn"
        finally:
            worker.kill()
            await worker.communicate()
        assert relay.accepted() == []


@pytest.mark.timeout(300)
async def test_a_lost_journal_is_named_and_begun_anew(
    story: Story, own_cluster: Cluster, redis_url: str, tmp_path: Path
) -> None:
    """Processes that run go on; none starts until somebody has said that the database is whole."""
    story.cluster = own_cluster
    place = make.place_of(story.journal)
    async with restored(story) as (database, watch), smtpd() as relay:
        settings = _only(environ(own_cluster, redis_url, relay, place))
        older = tmp_path / "older"
        shutil.copytree(place, older)
        async with database.write(story.business.id) as db:
            await make.campaign(db, story.purpose_id)
            db.note(Left("00", None, "one_click"))
        shutil.rmtree(place)
        shutil.copytree(older, place)
        found = await ledger.journal_watch(database, Keeper(Journal(place))).look()
        assert (found.lost, found.put_back) == ((story.business.id,), ())
        assert not await watch.stops()
        refused, _, err = await crm("worker", **settings)
        assert (refused, "crm ledger adopt" in err) == (2, True)
        adopted, out, err = await crm("ledger", "adopt", **settings)
        assert (adopted, err) == (0, "")
        assert "Its lines go on after number" in out
        assert (await watch.look()).lost == ()
        async with database.write(story.business.id) as db:
            db.note(Left("01", None, "one_click"))
        assert (await watch.look()).owed == 0
