"""The monitor: whatever a superuser changes in the stored tree is named, precisely."""

from __future__ import annotations

from uuid import UUID

import asyncpg
import pytest

from crm import ledger
from crm.businesses import Business
from crm.db import Database
from crm.journal import Journal
from crm.ledger import Finding
from crm.ledger.tree import leaf_hash
from tests import make
from tests.ledger.conftest import commitment, entered
from tests.ledger.test_seal import ALL

SIZE = 700


@pytest.fixture
async def entries(database: Database, business: Business, journal: Journal) -> list[UUID]:
    """A ledger of three tiles and two signed heads."""
    known = await entered(database, business.id, 300)
    await ledger.seal(database, business.id, journal, most=ALL)
    known += await entered(database, business.id, SIZE - 300)
    await ledger.seal(database, business.id, journal, most=ALL)
    return known


async def watched(database: Database, business: Business, entries: list[UUID]) -> list[Finding]:
    """Make a round with what these entries commit to."""
    async with database.write(business.id) as db:
        assert await ledger.begin_watch(db)
    leaves = b"".join(leaf_hash(commitment(each)) for each in entries)
    async with database.write(business.id) as db:
        current = await ledger.hold_watch(db)
        assert current is not None
        assert current.leaves_left == SIZE
        found = await ledger.compare(db, current, leaves)
        await ledger.go_on(db, current, found, ended=True)
    return found


async def test_nothing_is_found_where_nothing_was_done(
    database: Database, business: Business, entries: list[UUID]
) -> None:
    assert await watched(database, business, entries) == []
    async with database.read(business.id) as db:
        done = await ledger.watch(db)
        assert await ledger.alarms(db) == []
    assert done is not None
    assert (done.position, done.found) == (SIZE, 0)
    assert done.ended_at is not None


async def test_an_entry_that_is_not_what_was_sealed(
    database: Database, business: Business, entries: list[UUID]
) -> None:
    """Two entries that changed places, which is the same set and another order."""
    entries[10], entries[11] = entries[11], entries[10]
    found = await watched(database, business, entries)
    assert [(each.kind, each.subject) for each in found][:2] == [
        ("leaf_changed", "leaf 10"),
        ("leaf_changed", "leaf 11"),
    ]
    # What was signed does not follow from it either.
    assert {each.kind for each in found[2:]} == {
        "tile_changed",
        "root_changed",
        "checkpoint_changed",
    }


FLIP = "UPDATE crm.ledger_tile SET hashes = set_byte(hashes, $3, 255 - get_byte(hashes, $3))"


@pytest.mark.parametrize(
    ("statement", "args", "kind", "subject"),
    [
        (FLIP, (0, 33), "leaf_changed", "leaf 1"),
        (FLIP, (1, 33), "tile_changed", "hash 1"),
        ("UPDATE crm.ledger_tile SET hashes = substring(hashes, 1, 64)", (0,), "tile_missing", ""),
        ("DELETE FROM crm.ledger_tile", (0,), "tile_missing", "tile 0/000"),
        ("DELETE FROM crm.ledger_tile", (1,), "tile_missing", "tile 1/000"),
    ],
)
async def test_a_tile_that_was_changed(
    *,
    database: Database,
    business: Business,
    entries: list[UUID],
    root: asyncpg.Connection,
    statement: str,
    args: tuple[int, ...],
    kind: str,
    subject: str,
) -> None:
    where = " WHERE business_id = $1 AND level = $2 AND number = 0"
    assert (await root.execute(statement + where, business.id, *args)).endswith(" 1")
    found = await watched(database, business, entries)
    assert (found[0].kind, len(found)) == (kind, 1)
    assert subject in found[0].subject
    async with database.read(business.id) as db:
        (alarm,) = await ledger.alarms(db)
    assert (alarm.kind, alarm.subject) == (kind, found[0].subject)


_ANOTHER = """(SELECT o.note FROM crm.ledger_checkpoint o
  WHERE o.business_id = k.business_id AND o.size = 700)"""


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ("root = sha256('x')", "come to the root"),
        ("note = replace(note, '300', '301')", "signature does not hold"),
        (f"note = {_ANOTHER}", "says something else"),
        ("note = 'nothing'", "signature does not hold"),
    ],
)
async def test_a_signed_head_that_was_changed(
    *,
    database: Database,
    business: Business,
    entries: list[UUID],
    root: asyncpg.Connection,
    change: str,
    words: str,
) -> None:
    statement = f"UPDATE crm.ledger_checkpoint k SET {change} WHERE business_id = $1 AND size = 300"  # noqa: S608
    assert await root.execute(statement, business.id) == "UPDATE 1"
    (found,) = await watched(database, business, entries)
    assert found.kind == "checkpoint_changed"
    assert found.subject == f"checkpoint {business.host}/ledger/1 300"
    assert words in found.detail


async def test_the_root_of_the_head(
    database: Database, business: Business, entries: list[UUID], root: asyncpg.Connection
) -> None:
    await root.execute(
        "UPDATE crm.ledger_head SET root = sha256('x') WHERE business_id = $1", business.id
    )
    (found,) = await watched(database, business, entries)
    assert (found.kind, found.subject) == ("root_changed", f"size {SIZE}")


async def test_an_alarm_is_one_until_somebody_settles_it(
    database: Database, business: Business, entries: list[UUID], root: asyncpg.Connection
) -> None:
    flip = f"{FLIP} WHERE business_id = $1 AND level = $2 AND number = 0"
    await root.execute(flip, business.id, 0, 33)
    await watched(database, business, entries)
    await watched(database, business, entries)
    async with database.write(business.id) as db:
        (alarm,) = await ledger.alarms(db)
        assert alarm.seen_at > alarm.found_at
        by = make.SYSTEM
        assert await ledger.settle(db, by, alarm.id, why="A test of the monitor.")
        assert not await ledger.settle(db, by, alarm.id, why="Again.")
    # The same finding does not come up again, another one does.
    await watched(database, business, entries)
    async with database.read(business.id) as db:
        assert await ledger.alarms(db) == []
        (settled,) = await ledger.alarms(db, settled=True)
    assert settled.settled_why == "A test of the monitor."
    await root.execute(flip, business.id, 0, 34)
    await watched(database, business, entries)
    async with database.read(business.id) as db:
        assert [each.subject for each in await ledger.alarms(db)] == ["leaf 1"]


async def test_what_was_mended_and_comes_back_is_a_new_case(
    database: Database, business: Business, entries: list[UUID], root: asyncpg.Connection
) -> None:
    """Settled is what was looked into, not the place where it was found."""
    kept = await root.fetch("SELECT * FROM crm.ledger_tile WHERE business_id = $1", business.id)
    flip = f"{FLIP} WHERE business_id = $1 AND level = $2 AND number = 0"
    await root.execute(flip, business.id, 0, 33)
    await watched(database, business, entries)
    async with database.write(business.id) as db:
        (alarm,) = await ledger.alarms(db)
        assert await ledger.settle(db, make.SYSTEM, alarm.id, why="A disk, now another.")
    for each in kept:
        await root.execute(
            "UPDATE crm.ledger_tile SET hashes = $4 "
            "WHERE business_id = $1 AND level = $2 AND number = $3",
            business.id, each["level"], each["number"], each["hashes"],
        )  # fmt: skip
    assert await watched(database, business, entries) == []
    await root.execute(flip, business.id, 0, 33)
    await watched(database, business, entries)
    async with database.read(business.id) as db:
        (again,) = await ledger.alarms(db)
    assert (again.id, again.detail) == (alarm.id, alarm.detail)
    assert (again.settled_at, again.settled_why) == (None, "")


async def test_a_round_is_held_by_one(
    database: Database, business: Business, entries: list[UUID]
) -> None:
    async with database.write(business.id) as db:
        await ledger.begin_watch(db)
    async with database.write(business.id) as one, database.write(business.id) as other:
        assert await ledger.hold_watch(one) is not None
        assert await ledger.hold_watch(other) is None


async def test_nothing_sealed_is_nothing_to_watch(database: Database, business: Business) -> None:
    async with database.write(business.id) as db:
        assert not await ledger.begin_watch(db)
        assert await ledger.hold_watch(db) is None
