"""Everything has an end: it is declared, it is kept to, and what was deleted is reported."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import msgspec
import pytest

from crm import above, consent, customers, mail
from crm.businesses import Business
from crm.consent import Method, monitor
from crm.customers import AttributeType, Customer, LawfulBasis, NewAttribute
from crm.db import Database, Db, ReadDb
from crm.doctor import retention_problems
from crm.events import Actor
from crm.pieces import Piece, Sweep
from crm.privacy import NewRequest, RequestKind, jobs, requests
from crm.privacy.copies.contents import contents
from crm.privacy.requests.model import Proof, Way
from crm.privacy.retention import sweeping
from crm.privacy.retention.declarations import DECLARED
from crm.privacy.retention.declared import By
from crm.privacy.retention.sweeps import SWEEPS
from crm.web.idempotency import KEPT_FOR
from crm.worker import SCHEDULE
from tests import make
from tests.browser import Browser
from tests.conftest import Cluster
from tests.privacy.conftest import Clock
from tests.privacy.life import Life

_FIRST = UUID(int=0)


@pytest.fixture
async def root(shared_cluster: Cluster) -> AsyncIterator[asyncpg.Connection]:
    """Look at everything, and put there what has lain for long."""
    conn = await asyncpg.connect(shared_cluster.superuser_url)
    yield conn
    await conn.close()


async def test_every_table_has_a_declared_end(root: asyncpg.Connection) -> None:
    """Whoever adds a table says here until when its rows are kept, once, and what ends them."""
    rows = await root.fetch(
        "SELECT relname FROM pg_class WHERE relnamespace = 'crm'::regnamespace AND relkind = 'r'"
    )
    declared = [table for each in DECLARED for table in each.tables]

    assert sorted(declared) == sorted(row["relname"] for row in rows)
    assert len({each.name for each in DECLARED}) == len(DECLARED)
    for each in DECLARED:
        assert each.until, each.name
        assert (each.name in SWEEPS) == (each.by is By.sweep), each.name
        assert (each.job in SCHEDULE) == (each.by in {By.sweep, By.job}), each.name


async def _retain(
    database: Database, business: Business, clock: Clock | None = None
) -> dict[str, int]:
    if clock is not None:
        clock.move(timedelta(seconds=1))
    for name, act in SWEEPS.items():
        await sweeping.sweep(database, business.id, name, act, every=timedelta(0))
    async with database.read(business.id) as db:
        return {name: report.deleted for name, report in (await sweeping.reports(db)).items()}


async def test_nothing_goes_early(database: Database, business: Business, nora: Life) -> None:
    """A life as it is today loses nothing to a round of everything, and each round is reported."""
    async with database.read(business.id) as db:
        before = await _held(db, nora.customer.id)
    deleted = await _retain(database, business)
    async with database.read(business.id) as db:
        after = await _held(db, nora.customer.id)

    assert set(deleted) == set(SWEEPS)
    assert set(deleted.values()) == {0}
    assert after == before


async def _held(db: ReadDb, customer_id: UUID) -> list[object]:
    return [
        await customers.export(db, customer_id),
        await customers.interactions(db, customer_id),
        await consent.history(db, customer_id),
        [each async for each in mail.export(db, customer_id)],
        [each async for each in mail.texts(db, customer_id)],
        await requests.export(db, customer_id),
    ]


async def _bound(db: Db, purpose_id: UUID | None) -> None:
    new = NewAttribute(basis=LawfulBasis.legitimate_interests,
            origin="From you.",
        label="Size", type=AttributeType.text, purpose="For socks.", retention="P2Y",
        purpose_id=purpose_id,
    )  # fmt: skip
    await customers.declare_attribute(db, make.SYSTEM, "size", new)


async def test_a_detail_goes_with_its_purpose(
    business: Business, nora: Life, ada: Customer, clock: Clock, clocked: Database
) -> None:
    """Of who stopped it, at the next round; of who never allowed it, a day later; else it stays."""
    async with clocked.write(business.id) as db:
        await _bound(db, None)
        for each in (nora.customer.id, ada.id):
            await customers.set_attributes(db, make.SYSTEM, each, {"size": "42"})
        await _bound(db, nora.notice.purpose_id)

    async def held(of: UUID) -> bool:
        await _retain(clocked, business, clock)
        async with clocked.read(business.id) as db:
            return "size" in {value.name for value in await customers.values(db, of)}

    assert (await held(nora.customer.id), await held(ada.id)) == (True, True)
    clock.move(timedelta(days=2))
    assert (await held(nora.customer.id), await held(ada.id)) == (True, False)
    async with clocked.write(business.id) as db:
        await consent.withdraw(
            db, nora.actor, nora.customer.id, nora.notice.purpose_id, method=Method.portal
        )
    assert not await held(nora.customer.id)


async def test_a_frozen_record_loses_nothing(
    clocked: Database, business: Business, nora: Life, clock: Clock, root: asyncpg.Connection
) -> None:
    """Whoever has it kept as evidence keeps every list of it, until the freeze ends (Art. 18)."""
    her = nora.customer.id
    async with clocked.write(business.id) as db:
        await customers.restrict(db, Actor.customer(her), her)
    # Of events PostgreSQL's own clock says how old they are; they are only ever appended.
    await root.execute("SET session_replication_role = replica")
    await root.execute(
        "UPDATE crm.event SET at = at - interval '4 years' WHERE business_id = $1", business.id
    )
    async with clocked.read(business.id) as db:
        before = await _lists(db, her)
    clock.move(timedelta(days=10 * 365))
    await _all_rounds(clocked, business, clock)
    async with clocked.read(business.id) as db:
        after = await _lists(db, her)
    # What was filled in for her in a newsletter ends all the same, as docs/retention.md says.
    assert {name for name, rows in before.items() if rows != after[name]} == {"newsletters"}
    assert len(after["newsletters"]) == len(before["newsletters"])

    async with clocked.write(business.id) as db:
        await customers.unrestrict(db, Actor.customer(her), her)
    await _all_rounds(clocked, business, clock)
    async with clocked.read(business.id) as db:
        gone = await _lists(db, her)
    fewer = {name for name, rows in before.items() if len(gone[name]) < len(rows)}
    assert fewer >= {"attributes", "interactions", "letters", "networks", "brought"}
    assert fewer >= {"events", "looks"}


async def _all_rounds(database: Database, business: Business, clock: Clock) -> None:
    await _retain(database, business, clock)
    async with database.write(business.id) as db:
        await consent.lapse_networks(db)


async def _lists(db: ReadDb, customer_id: UUID) -> dict[str, list[Any]]:
    """Every list of her copy, but what is about the copy and the clock."""
    held = await contents(db, customer_id)
    lists = {each.name: [row async for row in each.rows()] for each in held.lists}
    return {name: msgspec.to_builtins(rows) for name, rows in lists.items()}


async def test_the_proof_of_an_ended_consent_goes_at_its_time(
    database: Database, business: Business, nora: Life, clock: Clock, clocked: Database
) -> None:
    """The yes and its evidence; that she said no stays, and the monitor finds nothing amiss."""
    async with clocked.write(business.id) as db:
        await consent.withdraw_all(db, nora.actor, nora.customer.id, method=Method.portal)
    clock.move(timedelta(days=3 * 365 - 3))
    assert (await _retain(clocked, business, clock))["consent_records"] == 0
    clock.move(timedelta(days=8))
    deleted = await _retain(clocked, business, clock)

    async with clocked.write(business.id) as db:
        states = {each.status for each in await consent.states(db, nora.customer.id)}
        left = await consent.history(db, nora.customer.id)
        astray = await monitor._strays(db)  # noqa: SLF001
    assert deleted["consent_records"] > 1
    assert deleted["mailbox_proofs"] >= 1
    assert deleted["evidence_files"] == 1
    assert states == {"withdrawn"}
    assert {event.status for event in left} == {"withdrawn"}
    assert len(left) == 2
    assert [each for each in astray if each.kind != "stub_astray"] == []


async def test_logs_go_at_their_time(
    clocked: Database, business: Business, ada: Customer, clock: Clock, root: asyncpg.Connection
) -> None:
    """A letter a year after it went, a request three years after its answer, an event likewise."""
    async with clocked.write(business.id) as db:
        new = NewRequest(kind=RequestKind.access, customer_id=ada.id, words="And I?")
        asked = await requests.receive(db, make.SYSTEM, new, way=Way.mail, proof=Proof.mailbox)
        await requests.answer(db, make.SYSTEM, asked.id, "All of it.")
        (letter,) = await mail.actions.claim_letters(db, 5)
        await mail.actions.record_letter(db, letter, _went())
    old = "INSERT INTO crm.event (business_id, event_id, at, kind, actor_kind)"
    values = " VALUES ($1, $2, $3, 'import.done', 'system')"
    await root.execute(old + values, business.id, UUID(int=1), datetime(2020, 1, 1, tzinfo=UTC))

    first = await _retain(clocked, business, clock)
    clock.move(timedelta(days=366))
    second = await _retain(clocked, business, clock)
    clock.move(timedelta(days=3 * 365))
    third = await _retain(clocked, business, clock)

    names = ("events", "letters", "requests")
    assert [first[name] for name in names] == [1, 0, 0]
    assert [second[name] for name in names] == [0, 1, 0]
    assert third["requests"] == 1
    async with clocked.read(business.id) as db:
        assert await requests.of_customer(db, ada.id) == []


def _went() -> Any:
    return mail.outcome.Outcome(mail.outcome.Kind.sent, "accepted", code=250)


async def test_only_the_eraser_ends_what_is_appended(
    database: Database, business: Business, nora: Life
) -> None:
    """The role that serves deletes no event, no step and no decision by a statement of its own."""
    for table in ("event", "privacy_request", "privacy_request_step", "consent_record"):
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            async with database.write(business.id) as db:
                await db._conn.execute(  # noqa: SLF001
                    f"DELETE FROM crm.{table} WHERE business_id = $1",  # noqa: S608
                    business.id,
                )


async def test_one_kind_that_fails_stops_no_other(
    own_database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is named to whoever watches once it is two days late, and the rest has been done."""
    database, business = own_database, await make.business(own_database)

    async def broken(db: Db, after: UUID, limit: int) -> Piece:
        raise ZeroDivisionError

    swept: dict[str, Sweep] = {"attributes": broken, "letters": SWEEPS["letters"]}
    monkeypatch.setattr(jobs, "SWEEPS", swept)
    await jobs.retain({"database": database})
    async with database.read(business.id) as db:
        reports = await sweeping.reports(db)
    rounds = [
        each
        for each in await above.retention_rounds(database, swept)
        if each.business_id == business.id
    ]

    assert {name for name in swept if not reports[name].ended_at} == {"attributes"}
    late = max(each.since for each in rounds) + timedelta(hours=47)
    assert retention_problems(rounds, late) == []
    (problem,) = retention_problems([each for each in rounds if each.what == "attributes"],
                                    late + timedelta(hours=2))  # fmt: skip
    assert f"business {business.id}" in problem
    assert "attributes" in problem


def test_what_is_said_is_what_is_done() -> None:
    """The time that answers are kept is that of the front door, which no rule may know."""
    (answers,) = [each for each in DECLARED if each.name == "answers"]
    assert timedelta(hours=answers.number) == KEPT_FOR


async def test_a_round_that_is_killed_goes_on(database: Database, business: Business) -> None:
    """Where it was, not from the beginning; what went is counted once."""
    seen: list[UUID] = []
    keys = [UUID(int=number) for number in range(1, 5)]

    async def act(db: Db, after: UUID, limit: int) -> Piece:
        seen.append(after)
        if len(seen) == 3:
            raise asyncio.CancelledError
        rest = [key for key in keys if key > after]
        return Piece(1, rest[0] if len(rest) > 1 else None)

    with pytest.raises(asyncio.CancelledError):
        await sweeping.sweep(database, business.id, "attributes", act)
    await sweeping.sweep(database, business.id, "attributes", act)
    await sweeping.sweep(database, business.id, "attributes", act)

    assert seen == [_FIRST, *keys[:2], *keys[1:3]]
    async with database.read(business.id) as db:
        report = (await sweeping.reports(db))["attributes"]
    assert (report.pieces, report.deleted, report.ended_at is not None) == (4, 4, True)


async def test_a_rehearsal_deletes_nothing(
    clocked: Database, business: Business, clock: Clock, root: asyncpg.Connection
) -> None:
    """It counts what a round then deletes, also where there is no key to go on after."""
    async with clocked.write(business.id) as db:
        await _bound(db, None)
        many = [(await make.customer(db)).id for _ in range(7)]
        for each in many:
            await customers.set_attributes(db, make.SYSTEM, each, {"size": "42"})
    reports = """INSERT INTO crm.retention_sweep (business_id, what, begun_at, ended_at)
        SELECT $1, 'attributes', $2::timestamptz - n * interval '1 minute', $2
          FROM generate_series(1, 4500) n"""
    await root.execute(reports, business.id, clock.now)
    # As PostgreSQL does by itself, long before there are so many of one business.
    await root.execute("ANALYZE crm.retention_sweep")
    clock.move(timedelta(days=3 * 365))

    told = {
        name: await sweeping.rehearse(clocked, business.id, act) for name, act in SWEEPS.items()
    }
    done = await _retain(clocked, business, clock)

    assert (told["attributes"], told["sweeps"]) == (7, 4500)
    assert told == done


async def test_what_somebody_holds_waits_for_the_next_round(
    clocked: Database, business: Business, clock: Clock, root: asyncpg.Connection
) -> None:
    """A sweep waits for nobody, and nobody for long for a sweep."""
    async with clocked.write(business.id) as db:
        await _bound(db, None)
        many = [(await make.customer(db)).id for _ in range(2)]
        for each in many:
            await customers.set_attributes(db, make.SYSTEM, each, {"size": "42"})
    clock.move(timedelta(days=3 * 365))
    async with root.transaction():
        await root.execute(
            "SELECT 1 FROM crm.attribute_value WHERE business_id = $1 AND customer_id = $2"
            " FOR UPDATE", business.id, many[0],
        )  # fmt: skip
        held = (await _retain(clocked, business, clock))["attributes"]
    assert (held, (await _retain(clocked, business, clock))["attributes"]) == (1, 1)


def test_the_size_follows_how_long_it_took() -> None:
    """Long pieces become shorter at once, short ones longer bit by bit, within bounds."""
    assert sweeping.size_after(1000, 0.3) == 50
    assert sweeping.size_after(1000, 0.02) == 1000
    assert sweeping.size_after(1000, 0.001) == 2000
    assert sweeping.size_after(4000, 0.001) == 4000
    assert sweeping.size_after(30, 9) == 20


async def test_another_business_is_not_swept(
    clocked: Database, business: Business, other_business: Business, foreign: Customer, clock: Clock
) -> None:
    """Each has its own declarations, rounds and reports."""
    async with clocked.write(other_business.id) as db:
        await _bound(db, None)
        await customers.set_attributes(db, make.SYSTEM, foreign.id, {"size": "42"})
    clock.move(timedelta(days=3 * 365))
    assert (await _retain(clocked, business, clock))["attributes"] == 0
    async with clocked.read(other_business.id) as db:
        assert len(await customers.values(db, foreign.id)) == 1
        assert await sweeping.reports(db) == {}


async def test_an_attribute_ends_with_a_purpose_there_is(api: Browser) -> None:
    """One of nobody's is refused, with the field named."""
    body = {
        "label": "Size",
        "type": "text",
        "purpose": "For socks.",
        "basis": "contract",
        "origin": "You told us.",
        "retention": "P2Y",
    }
    wrong = await api.put("/v1/attributes/size", json=body | {"purpose_id": str(uuid4())})
    right = await api.put("/v1/attributes/size", json=body)

    assert (wrong.status_code, right.status_code) == (422, 200)
    assert "There is no such purpose" in wrong.text


async def test_everybody_reads_what_is_kept_until_when(web: Browser, database: Database,
                                                       business: Business) -> None:  # fmt: skip
    """The public page is made of the declarations, in whatever is declared later too."""
    async with database.write(business.id) as db:
        await make.purpose(db, retention="P5Y")
        await _bound(db, None)
    shown = await web.get("/privacy")
    trust = await web.get("/trust")

    assert shown.status_code == 200
    assert "The Corner Letter" in shown.text
    assert "5 years" in shown.text
    assert "2 years after it was set" in shown.text
    for each in DECLARED:
        assert (each.what in shown.text.replace("&#39;", "'")) == each.told, each.name
    assert 'href="/privacy"' in trust.text


async def test_owners_see_the_rounds(console: Browser, database: Database, business: Business
                                     ) -> None:  # fmt: skip
    """With what was deleted, and the longest time that a lock was held."""
    before = await console.get("/staff/retention")
    await _retain(database, business)
    after = await console.get("/staff/retention")

    assert "not yet" in before.text
    assert "not yet" not in after.text
    assert " ms" in after.text
