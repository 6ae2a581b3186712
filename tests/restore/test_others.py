"""A business of which the journal has nothing since the backup was put back with the others."""

from __future__ import annotations

from uuid import UUID, uuid4

import pytest

from crm import above, customers, events, mail, restore
from crm.db import Database
from crm.journal import Found, Journal
from tests import make
from tests.campaigns.test_killed import environ
from tests.commands import crm, crm_alone, logged
from tests.conftest import Cluster
from tests.journal.conftest import opened
from tests.restore.conftest import backed_up, letter, put_back
from tests.smtpd import Smtpd, smtpd


async def _numbered(database: Database, business_id: UUID) -> int:
    async with database.write(business_id) as db:
        while await events.number(db):
            pass
    async with database.read(business_id) as db:
        return max((each.number for each in await events.following(db, limit=500)), default=0)


async def _before(database: Database) -> tuple[UUID, UUID, UUID]:
    behind, quiet = await make.business(database), await make.business(database)
    async with database.write(behind.id) as db:
        her = await make.customer(db)
    async with database.write(quiet.id) as db:
        await mail.post_letter(db, letter(db))
    return behind.id, quiet.id, her.id


async def _since(database: Database, behind: UUID, quiet: UUID, her: UUID) -> int:
    """The letter goes and events are followed, which leaves nothing in the journal."""
    async with database.write(quiet) as db:
        for each in range(3):
            await make.customer(db, address=f"lost{each}@example.com")
    cursor = await _numbered(database, quiet)
    async with database.write(behind) as db:
        await customers.restrict(db, make.SYSTEM, her)
    return cursor


def _settings(cluster: Cluster, redis_url: str, relay: Smtpd, journal: Journal) -> dict[str, str]:
    found = environ(cluster, redis_url, relay, make.place_of(journal))
    return {name: value for name, value in found.items() if name.startswith("CRM_")}


@pytest.mark.timeout(300)
async def test_every_business_of_a_database_is_restored(
    own_cluster: Cluster, journal: Journal, redis_url: str
) -> None:
    """Its letters go once, and no number of an event is given twice; also where it had none yet."""
    async with opened(own_cluster, journal) as database:
        behind, quiet, her = await _before(database)
    async with backed_up(own_cluster) as backup:
        async with opened(own_cluster, journal) as database:
            cursor = await _since(database, behind, quiet, her)
        async with put_back(backup, journal) as (database, watch), smtpd() as relay:
            assert watch.found is not None
            assert watch.found.put_back == (behind,)
            assert await restore.put_back(database, watch.found) == [quiet, behind]
            settings = _settings(backup, redis_url, relay, journal)
            # It would let the other be served, so that is done before.
            done, out, err = await crm_alone("restore", "--business", str(behind), **settings)
            assert (done, logged(err)) == (0, {"journal_does_not_fit"})
            assert out.index(str(quiet)) < out.index(str(behind))
            assert not (await watch.look()).put_back
            assert await above.businesses_with_letters(database) == []
            async with database.write(quiet) as db:
                new = await make.customer(db, address="new@example.com")
            await _numbered(database, quiet)
            async with database.read(quiet) as db:
                found = await events.following(db, after=cursor, limit=500)
            assert new.id in {each.customer_id for each in found}


async def test_where_none_is_behind_there_is_nobody_to_restore(database: Database) -> None:
    assert await restore.put_back(database, Found()) == []


@pytest.mark.timeout(300)
async def test_where_none_is_behind_only_the_one_that_is_named_is_restored(
    own_cluster: Cluster, journal: Journal, redis_url: str
) -> None:
    """However its id is written; by one that nobody has, nothing is restored."""
    async with opened(own_cluster, journal) as database, smtpd() as relay:
        other, quiet, _ = await _before(database)
        settings = _settings(own_cluster, redis_url, relay, journal)

        unknown, out, err = await crm("restore", "--anyway", "--business", str(uuid4()), **settings)
        assert (unknown, out, "There is no such business" in err) == (2, "", True)
        wrong, out, err = await crm("restore", "--anyway", "--business", "Bakery", **settings)
        assert (wrong, out, "There is no such business" in err) == (2, "", True)
        assert await above.businesses_with_letters(database) == [quiet]

        capitals = str(other).upper()
        done, out, err = await crm("restore", "--anyway", "--business", capitals, **settings)
        assert (done, err) == (0, "")
        assert (str(other) in out, str(quiet) in out) == (True, False)
        assert await above.businesses_with_letters(database) == [quiet]
