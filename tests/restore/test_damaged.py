"""What is wrong with the journal of one business, or long in it, is no other business's matter."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from uuid import UUID

import pytest
from msgspec import Struct

from crm import consent, mail
from crm.db import Database
from crm.journal import Decision, Journal, Left, Withdrawn
from crm.mail import Scope, Why
from crm.privacy.jobs import age_journal
from crm.privacy.retention import sweeping
from crm.restore import jobs, settling
from crm.web.health import of_journal
from tests import make
from tests.campaigns.test_killed import environ
from tests.commands import crm
from tests.conftest import KEYS, Cluster
from tests.journal.conftest import opened
from tests.restore.conftest import backed_up, put_back
from tests.smtpd import smtpd

READERS = 30


class Two(Struct):
    """Two businesses in one database, of which there is a backup; readers of the second."""

    cluster: Cluster
    backup: Cluster
    damaged: UUID
    other: UUID
    purpose_id: UUID
    readers: list[UUID]


async def _suppressed(database: Database, business_id: UUID) -> None:
    for number in range(3):
        async with database.write(business_id) as db:
            await mail.suppress(db, make.SYSTEM, bytes([number] * 16), Scope.all, Why.bounced)


@pytest.fixture
async def two(own_cluster: Cluster, journal: Journal) -> AsyncIterator[Two]:
    """Each has three lines in the journal, after a backup."""
    async with opened(own_cluster, journal) as database:
        damaged, other = await make.business(database), await make.business(database)
        async with database.write(other.id) as db:
            notice = await make.notice(db, (await make.purpose(db)).id)
            readers = await make.audience(db, notice, READERS)
    async with backed_up(own_cluster) as backup:
        async with opened(own_cluster, journal) as database:
            for each in (damaged.id, other.id):
                await _suppressed(database, each)
        yield Two(own_cluster, backup, damaged.id, other.id, notice.purpose_id, readers)


def anew(journal: Journal) -> Journal:
    """Read it as another process does, which has not read any of it yet."""
    return Journal(make.place_of(journal))


def _damage(journal: Journal, business_id: UUID) -> Path:
    (path,) = (make.place_of(journal) / str(business_id)).glob("entries-*")
    lines = path.read_bytes().split(b"\n")
    path.write_bytes(b"\n".join([*lines[:3], lines[3].replace(b"bounced", b"erased"), *lines[4:]]))
    return path


async def test_another_business_is_compared_all_the_same(two: Two, journal: Journal) -> None:
    async with put_back(two.cluster, anew(journal)) as (_, watch):
        assert not await watch.stops()
        _damage(journal, two.damaged)
        # What runs goes on, and says so.
        found = await watch.look()
        assert (found.put_back, found.lost) == ((), ())
        assert "are missing" in found.unread[two.damaged]
        assert not await watch.stops()
    async with put_back(two.backup, anew(journal)) as (_, watch):
        assert watch.found is not None
        assert watch.found.put_back == (two.other,)
        assert await watch.stops()


async def test_what_was_never_compared_is_not_served(
    two: Two, journal: Journal, redis_url: str
) -> None:
    """No process starts on it, until it is brought back or somebody says that all is well."""
    path = _damage(journal, two.damaged)
    async with put_back(two.cluster, anew(journal)) as (database, watch), smtpd() as relay:
        assert await watch.stops()
        needs = of_journal(watch)
        assert await needs["restored"].check() == "not compared with the journal yet"
        assert "not readable, for 1 businesses" in await needs["journal"].check()
        settings = {
            name: value
            for name, value in environ(two.cluster, redis_url, relay, path.parents[1]).items()
            if name.startswith("CRM_")
        }
        refused, _, err = await crm("worker", **settings)
        assert (refused, f"crm ledger adopt --business {two.damaged}" in err) == (2, True)
        adopted, out, err = await crm("ledger", "adopt", "--business", str(two.damaged), **settings)
        assert (adopted, err) == (0, "")
        assert "Its lines go on after number 3" in out
        assert (await watch.look()).whole
        assert not await watch.stops()
        assert [await each.check() for each in of_journal(watch).values()] == ["", ""]
        await _suppressed(database, two.other)


async def test_a_press_is_carried_out_beside_it(two: Two, journal: Journal) -> None:
    async with put_back(two.cluster, anew(journal)) as (database, watch):
        _damage(journal, two.damaged)
        pressed = Left(KEYS.address_hash(two.other, "reader3@example.com").hex(), None, "one_click")
        # And beside one that cannot be carried out at all.
        await watch.keeper.note_alone(two.other, Left("00", 7, "no such way"), database.clock())
        await watch.keeper.note_alone(two.other, pressed, database.clock())
        await jobs.sweep({"database": database, "watch": watch})
        async with database.read(two.other) as read:
            state = await consent.state(read, two.readers[3], two.purpose_id)
            assert state is not None
            assert state.status == "withdrawn"
        (left,) = anew(journal).log(two.other).tail().open.values()
        assert left.entries == [Left("00", 7, "no such way")]


async def test_its_age_is_looked_at_and_reported(two: Two, journal: Journal) -> None:
    """As a round like any other; that of the damaged one is begun and does not end."""
    async with put_back(two.cluster, anew(journal)) as (database, watch):
        _damage(journal, two.damaged)
        await age_journal({"database": database, "watch": watch})
        ended = {}
        for each in (two.damaged, two.other):
            async with database.read(each) as db:
                ended[each] = (await sweeping.reports(db))["journal"].ended_at is not None
    assert ended == {two.damaged: False, two.other: True}


async def test_a_long_line_is_carried_out_in_pieces(
    two: Two, journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was done of it when the job was stopped is kept, and the next turn ends it."""
    monkeypatch.setattr(settling, "_PIECE", 10)
    said = [Decision(each, two.purpose_id, "withdrawn", "import") for each in two.readers]
    # Nobody by this number can decide: the third piece fails.
    wrong = [*said[:25], Decision(two.readers[25], two.purpose_id, "no such status", "import")]
    async with put_back(two.cluster, anew(journal)) as (database, watch):
        await watch.keeper.note_alone(two.other, Withdrawn(wrong), database.clock())
        await jobs.sweep({"database": database, "watch": watch})
        assert await _left(database, two) == 20
        await watch.keeper.note_alone(two.other, Withdrawn(said), database.clock())
        await jobs.sweep({"database": database, "watch": watch})
        assert await _left(database, two) == READERS


async def _left(database: Database, two: Two) -> int:
    async with database.read(two.other) as read:
        states = [await consent.state(read, each, two.purpose_id) for each in two.readers]
    return sum(each is not None and each.status == "withdrawn" for each in states)
