"""Lines of the journal that no transaction has committed, and a backup that is put back."""

from __future__ import annotations

from crm import consent, customers
from crm.journal import Journal, Left
from crm.restore import jobs
from tests import make
from tests.conftest import KEYS, Cluster
from tests.journal.conftest import opened
from tests.restore.conftest import backed_up, put_back, replayed


async def test_a_press_that_others_were_written_behind_outlives_a_restore(
    own_cluster: Cluster, journal: Journal
) -> None:
    """Pressed while nothing was served, and not swept when the backup was made: it is done."""
    async with opened(own_cluster, journal) as database:
        business = await make.business(database)
        async with database.write(business.id) as db:
            notice = await make.notice(db, (await make.purpose(db)).id)
            left, first, second = await make.audience(db, notice, 3)
        pressed = Left(KEYS.address_hash(business.id, "reader0@example.com").hex(), None, "portal")
        journal.log(business.id).write(None, database.clock(), [pressed])
        async with database.write(business.id) as db:
            await customers.restrict(db, make.SYSTEM, first)
    async with backed_up(own_cluster) as backup:
        async with opened(own_cluster, journal) as database, database.write(business.id) as db:
            await customers.restrict(db, make.SYSTEM, second)
        async with put_back(backup, journal) as (database, watch):
            assert await watch.stops()
            await replayed(backup, watch.keeper, business.id)
            assert not (await watch.look()).put_back
            await jobs.sweep({"database": database, "watch": watch})
            async with database.read(business.id) as db:
                state = await consent.state(db, left, notice.purpose_id)
            assert state is not None
            assert state.status == "withdrawn"
            assert journal.log(business.id).tail().open == {}
