"""The monitor of what was decided: nothing on an untouched database, and each change by name."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from pathlib import Path
from uuid import UUID, uuid4

import asyncpg
import msgspec
import pytest
from msgspec import Struct

from crm import above, consent, customers, ledger
from crm.businesses import Business
from crm.consent import Method, Notice, Status, jobs
from crm.db import Database
from crm.journal import Journal
from crm.settings import Settings
from tests import make
from tests.consent.conftest import add_customer, empty_customer, imported, say_no, say_yes
from tests.consent.meddling import ALL, Meddling, about, meddle, undo, watched
from tests.consent.test_ageing import at

SETTINGS = Settings(link_keys="1:" + "31" * 32, storage_keys="1:" + "73" * 32, pepper="70" * 32)


class Lived(Struct):
    """A business in which something of every kind was decided, all of it sealed."""

    business: Business
    notice: Notice
    yes: UUID
    no: UUID
    leaver: UUID
    gone: UUID


@pytest.fixture
async def lived(database: Database, business: Business, notice: Notice, tmp_path: Path) -> Lived:
    async with database.write(business.id) as db:
        stays, leaver, gone = [await add_customer(db) for _ in range(3)]
        yes = await say_yes(db, stays, notice)
        await say_yes(db, leaver, notice)
        no = await say_no(db, leaver, notice.purpose_id)
        rows = [
            await imported(db, await add_customer(db), notice, status)
            for status in (Status.given, Status.unknown, Status.withdrawn, Status.refused)
        ]
        await consent.append_many(db, make.SYSTEM, rows)
        erased = await say_yes(db, gone, notice)
        await empty_customer(db, gone)
        await consent.forget(db, gone)
    await ledger.seal(database, business.id, Journal(tmp_path), most=1000)
    return Lived(business, notice, yes.id, no.id, leaver, erased.id)


async def test_nothing_is_found_where_nothing_was_done(database: Database, lived: Lived) -> None:
    assert await watched(database, lived.business) == []
    async with database.read(lived.business.id) as db:
        done = await ledger.watch(db)
    assert done is not None
    assert (done.position, done.found, done.ended_at is not None) == (8, 0, True)


async def test_a_kind_that_is_no_text_is_in_no_column(
    database: Database, business: Business, notice: Notice, tmp_path: Path
) -> None:
    """A withdrawal is not lost over it, and says what it said."""
    async with database.write(business.id) as db:
        rows = []
        for kind in (3, True):
            her = await add_customer(db)
            said = {"kind": kind}
            ended = await consent.withdraw(
                db, make.SYSTEM, her, notice.purpose_id, method=Method.api, said=said
            )
            assert ended.evidence == said
            event, state = await imported(db, await add_customer(db), notice, Status.withdrawn)
            rows.append((msgspec.structs.replace(event, evidence=said), state))
        await consent.append_many(db, make.SYSTEM, rows)
    await ledger.seal(database, business.id, Journal(tmp_path), most=1000)
    assert await watched(database, business) == []


@pytest.mark.parametrize("how", ALL, ids=str)
async def test_whatever_is_changed_is_named_by_its_event(
    database: Database, lived: Lived, root: asyncpg.Connection, how: Meddling
) -> None:
    before = await meddle(root, lived.yes, how)
    found = await watched(database, lived.business)
    assert how.kind in about(found, lived.yes)
    assert not list(about(found, lived.no))
    await undo(root, before, how)


async def test_two_events_that_changed_places_are_both_named(
    database: Database, lived: Lived, root: asyncpg.Connection
) -> None:
    """Each record is whole and committed to; but not by its own stub."""
    swap = """UPDATE crm.consent_record r SET salt = o.salt, canonical = o.canonical
        FROM crm.consent_record o WHERE r.event_id = $1 AND o.event_id = $2"""
    first = await root.fetchrow("SELECT * FROM crm.consent_record WHERE event_id = $1", lived.yes)
    assert first is not None
    await root.execute(swap, lived.yes, lived.no)
    await root.execute(
        "UPDATE crm.consent_record SET salt = $2, canonical = $3 WHERE event_id = $1",
        lived.no,
        first["salt"],
        first["canonical"],
    )
    found = await watched(database, lived.business)
    for each in (lived.yes, lived.no):
        assert list(about(found, each)) == ["record_changed"]


async def test_a_decision_put_in_beside_the_ledger(
    database: Database, lived: Lived, root: asyncpg.Connection
) -> None:
    """A forged yes has a stub, a record that fits it and a state; it was never sealed."""
    forged = uuid4()
    for table in ("consent_event", "consent_record"):
        names = [
            row["name"]
            for row in await root.fetch(
                "SELECT attname AS name FROM pg_attribute WHERE attrelid = $1::regclass"
                " AND attnum > 0 AND NOT attisdropped AND attgenerated = ''",
                f"crm.{table}",
            )
        ]
        values = ", ".join("$2" if name == "event_id" else name for name in names)
        await root.execute(
            f"INSERT INTO crm.{table} ({', '.join(names)}) SELECT {values} FROM crm.{table}"  # noqa: S608
            " WHERE event_id = $1",
            lived.yes,
            forged,
        )
    assert list(about(await watched(database, lived.business), forged)) == ["stub_astray"]


async def test_an_erasure_that_was_undone(
    database: Database, lived: Lived, root: asyncpg.Connection
) -> None:
    """From a backup, say: what was erased must not come back unseen."""
    await root.execute(
        """INSERT INTO crm.consent_record (business_id, event_id, customer_id, purpose_id,
             purpose_version, basis, status, method, actor_kind, at, recorded_at, salt, canonical)
           SELECT business_id, $1, customer_id, purpose_id, purpose_version, basis, 'withdrawn',
             method, actor_kind, at, recorded_at, salt, canonical
             FROM crm.consent_record WHERE event_id = $2""",
        lived.gone,
        lived.yes,
    )
    assert "record_returned" in about(await watched(database, lived.business), lived.gone)


async def test_a_loss_is_not_taken_for_an_erasure(
    database: Database, lived: Lived, root: asyncpg.Connection
) -> None:
    await root.execute("DELETE FROM crm.consent_erased WHERE event_id = $1", lived.gone)
    assert list(about(await watched(database, lived.business), lived.gone)) == ["record_missing"]


@pytest.mark.parametrize(
    ("change", "kind"),
    [
        ("status = 'given', notice_id = $2", "state_changed"),
        ("valid_until = now() + interval '9 years'", "state_changed"),
        ("at = at - interval '1 day'", "state_changed"),
    ],
)
async def test_a_state_that_does_not_follow(
    database: Database, lived: Lived, root: asyncpg.Connection, change: str, kind: str
) -> None:
    """Whoever left is put on the list again, by the state alone."""
    statement = f"UPDATE crm.consent SET {change} WHERE event_id = $1"  # noqa: S608
    more = (lived.notice.id,) if "$2" in change else ()
    assert await root.execute(statement, lived.no, *more) == "UPDATE 1"
    assert list(about(await watched(database, lived.business), lived.no)) == [kind]


async def test_a_state_that_points_back_to_the_yes(
    database: Database, lived: Lived, root: asyncpg.Connection
) -> None:
    """It is what its record says; but she has left since."""
    await root.execute(
        """UPDATE crm.consent s
              SET (event_id, status, method, at, notice_id, valid_until) =
                  (r.event_id, r.status, r.method, r.at, r.notice_id, r.valid_until)
             FROM crm.consent_record r
            WHERE s.customer_id = $1 AND r.customer_id = $1 AND r.status = 'given'""",
        lived.leaver,
    )
    later = """UPDATE crm.consent_record SET recorded_at = recorded_at + interval '2 minutes'
        WHERE event_id = $1"""
    await root.execute(later, lived.no)
    found = await watched(database, lived.business)
    assert [each.detail for each in found if each.kind == "state_changed"] == [
        "It says yes, and an end was recorded later."
    ]


async def test_a_state_that_is_gone(
    database: Database, lived: Lived, root: asyncpg.Connection
) -> None:
    await root.execute("DELETE FROM crm.consent WHERE customer_id = $1", lived.leaver)
    assert list(about(await watched(database, lived.business), lived.no)) == ["state_missing"]


async def test_a_leaf_that_has_no_entry(
    database: Database, lived: Lived, root: asyncpg.Connection
) -> None:
    await root.execute("DELETE FROM crm.ledger_leaf WHERE entry_id = $1", lived.yes)
    found = await watched(database, lived.business)
    assert {"leaf_missing", "stub_astray"} <= {each.kind for each in found}


async def test_entries_come_in_while_it_looks(
    database: Database, lived: Lived, tmp_path: Path
) -> None:
    """Nobody waits for a piece that is looked at; what came since is for the next round."""
    async with database.write(lived.business.id) as db:
        await ledger.begin_watch(db)
    async with database.write(lived.business.id) as looking:
        assert await ledger.hold_watch(looking) is not None
        async with asyncio.timeout(5), database.write(lived.business.id) as db:
            await say_yes(db, await add_customer(db), lived.notice)
        await ledger.seal(database, lived.business.id, Journal(tmp_path), most=1000)
    assert await watched(database, lived.business) == []


async def test_the_job_goes_round_once_a_day(own_database: Database, tmp_path: Path) -> None:
    business = await make.business(own_database)
    async with own_database.write(business.id) as db:
        text = await make.notice(db, (await make.purpose(db)).id)
        customer = await customers.add(
            db,
            make.SYSTEM,
            customers.NewCustomer(address="nora@example.com"),
            source=customers.Source.api,
        )
        await say_yes(db, customer.id, text)
    await ledger.seal(own_database, business.id, Journal(tmp_path), most=1000)
    ended = []
    for hours in (0, 1, 25):
        later = at(own_database, own_database.clock() + timedelta(hours=hours))
        await jobs.watch({"database": later, "settings": SETTINGS})
        async with own_database.read(business.id) as read:
            done = await ledger.watch(read)
        assert done is not None
        ended.append(done.ended_at)
    assert ended[0] is not None
    assert ended[0] == ended[1] != ended[2]
    (health,) = await above.ledgers_health(own_database)
    assert (health.alarms, health.watched_at) == (0, ended[2])
