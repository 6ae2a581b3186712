"""A backup from before anything was sealed: the ledger goes on, and says what it follows."""

from __future__ import annotations

import click
import pytest

from crm import consent, ledger
from crm.consent import packed, verifying
from crm.journal import CHECKPOINT, Journal
from crm.restore_command import _Here, _look_again
from tests import make
from tests.conftest import Cluster
from tests.journal.conftest import opened
from tests.restore.conftest import backed_up, put_back, replayed


async def test_a_backup_from_before_the_first_sealed_decision(
    own_cluster: Cluster, journal: Journal
) -> None:
    """Its first name is never used again, and receipts by the new one hold."""
    async with opened(own_cluster, journal) as database:
        business = await make.business(database)
        async with database.write(business.id) as db:
            notice = await make.notice(db, (await make.purpose(db)).id)
    async with backed_up(own_cluster) as backup:
        async with opened(own_cluster, journal) as database:
            async with database.write(business.id) as db:
                await make.audience(db, notice, 3)
            await ledger.seal(database, business.id, journal, most=1000)
        known = journal.read(business.id, CHECKPOINT)
        async with put_back(backup, journal) as (database, watch):
            assert await watch.stops()
            assert watch.found is not None
            here = _Here(database, watch.keeper, watch.found)
            with pytest.raises(click.ClickException, match="is still behind the journal"):
                await _look_again(here, [business.id])
            done = await replayed(backup, watch.keeper, business.id)
            assert (done.origin, done.leaves) == (f"{business.host}/ledger/2", 3)
            await _look_again(here, [business.id])
            async with database.write(business.id) as db:
                (reader,) = await make.audience(db, notice, 1)
            assert await ledger.seal(database, business.id, journal, most=1000) == 1
            async with database.read(business.id) as db:
                (origin,) = await ledger.origins(db)
                head = await ledger.head(db)
                (said,) = await consent.history(db, reader)
                bundle = packed(await consent.bundle(db, reader, said.id))
            assert (origin.number, origin.begins_at, origin.predecessor) == (2, 0, known)
            assert head is not None
            assert (head.size, head.signed_size, head.stopped_why) == (2, 2, None)
            assert verifying.proven(bundle)
            async with database.write(business.id) as db:
                assert await ledger.begin_watch(db)
                while await consent.watch_next(db):
                    pass
                assert await ledger.alarms(db) == []
            assert not (await watch.look()).put_back
