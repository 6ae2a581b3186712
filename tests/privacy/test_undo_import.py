"""A whole import is undone: what nobody touched goes, what somebody decided since stays."""

from __future__ import annotations

import asyncio
import math
from datetime import timedelta
from functools import partial
from typing import Any
from uuid import UUID

import asyncpg
import pytest

from crm import campaigns, consent, customers, events, imports, rhythm
from crm.businesses import Business
from crm.campaigns import filling
from crm.consent import Method, Notice, Status
from crm.db import Database, Db, Statement, Statements, open_database
from crm.events import Actor
from crm.imports import Import, NotDone, State
from crm.privacy.undoing import jobs
from crm.privacy.undoing.carrying_out import Asked, go_on, undo
from tests import make
from tests.alone import Alone
from tests.conftest import KEYS, Cluster
from tests.imports.lists import HEADER, LEFT, held, letter, many, row, rows, somebody_waits, take
from tests.privacy.conftest import Clock
from tests.staff.site import kinds

_BY = Actor.system()
_TOUCHED = Statement(
    "touched",
    "Everybody was changed since.",
    "INSERT INTO event (business_id, event_id, at, kind, actor_kind, customer_id)"
    " SELECT $1, gen_random_uuid(), $2, 'customer.changed', 'system', customer_id FROM customer"
    " WHERE business_id = $1",
    ("business_id", "now"),
)
_STATES = Statement(
    "states",
    "The state of everybody for a purpose.",
    "SELECT status FROM consent WHERE business_id = $1 AND purpose_id = $2",
    ("business_id", "purpose_id"),
)
_READ = Statement(
    "read",
    "How many consents and records of consents this transaction has read.",
    "SELECT sum(seq_tup_read + coalesce(idx_tup_fetch, 0))::bigint"
    " FROM pg_stat_xact_user_tables WHERE relname IN ('consent', 'consent_record')",
    (),
)
_ONE_PLAN = Statement(
    "one_plan",
    "As PostgreSQL does when a statement was asked often.",
    "SET LOCAL plan_cache_mode = force_generic_plan",
    (),
)
_LONG_AGO = tuple(
    f"{name}@example.com" for name in ("plain", "corrected", "detailed", "paused", "filled")
)


async def _undone(database: Database, business: Business, import_id: UUID) -> Import:
    async with database.write(business.id) as db:
        asked = await imports.undo(db, _BY, import_id)
    assert asked.state is State.undoing
    await jobs.sweep({"database": database})
    async with database.read(business.id) as db:
        return await imports.get(db, import_id)


async def _id(database: Database, business: Business, address: str) -> UUID:
    async with database.read(business.id) as db:
        found = await customers.by_address(db, address)
    assert found
    return found.id


async def test_it_works(database: Database, business: Business) -> None:
    notice = await letter(database, business.id)
    done = await take(database, business.id, many(205))

    undone = await _undone(database, business, done.id)

    assert (undone.state, undone.removed) == (State.undone, 205)
    assert undone.undone_at is not None
    for number in (0, 100, 204):
        gone = await held(database, notice, business.id, f"reader{number}@example.com")
        assert (gone.known, gone.suppressed) == (False, False)
    assert await rows(database, business.id, "consent") == 0
    assert await rows(database, business.id, "consent_record") == 0
    said = [kind for kind, _ in await kinds(database, business.id)]
    assert {"import.undo_asked", "import.undone"} <= set(said)

    again = await take(database, business.id, many(205))

    assert again.added == 205, "a right list may bring them again"
    assert (await held(database, notice, business.id, "reader0@example.com")).mailable


async def test_what_somebody_decided_stays(database: Database, business: Business) -> None:
    notice = await letter(database, business.id)
    await take(database, business.id, HEADER + row("old@example.com", asked="", confirmed=""))
    done = await take(
        database,
        business.id,
        HEADER
        + row("left@example.com", left=LEFT)
        + row("gone@example.com", gone=LEFT)
        + row("leaves@example.com")
        + row("called@example.com")
        + row("plain@example.com")
        + row("old@example.com"),
    )
    leaves = await _id(database, business, "leaves@example.com")
    called = await _id(database, business, "called@example.com")
    async with database.write(business.id) as db:
        await consent.withdraw(
            db, Actor.customer(leaves), leaves, notice.purpose_id, method=Method.portal
        )
        await customers.change(db, _BY, called, customers.Changes(name="Carla"))

    undone = await _undone(database, business, done.id)

    assert undone.removed == 1

    async def now(address: str) -> Any:
        return await held(database, notice, business.id, address)

    assert not (await now("plain@example.com")).known
    assert (await now("left@example.com")).status is Status.withdrawn
    assert (await now("gone@example.com")).suppressed
    assert (await now("leaves@example.com")).status is Status.withdrawn
    assert (await now("called@example.com")).name == "Carla"
    for address in ("called@example.com", "old@example.com"):
        stays = await now(address)
        assert (stays.status, stays.mailable) == (Status.invalidated, False)
    await take(database, business.id, HEADER + row("leaves@example.com"))
    assert not (await now("leaves@example.com")).mailable


async def test_its_own_tags_touch_nobody(database: Database, business: Business) -> None:
    """Nor do those of a later import; what staff put on does. Of who stays they stay."""
    await letter(database, business.id)
    async with database.write(business.id) as db:
        for name in ("vip", "bakes"):
            new = customers.NewTag(label=name, purpose="To tell of courses.", retention="P1Y")
            await customers.declare_tag(db, _BY, name, new)
    await take(database, business.id, HEADER + row("old@example.com"))
    names = ("old", "plain", "again", "staff", "twice")
    text = HEADER + "".join(row(f"{name}@example.com", tags="vip") for name in names)
    done = await take(database, business.id, text)
    await take(database, business.id, HEADER + row("again@example.com", tags="vip,bakes"))
    for name, tag in (("staff", "bakes"), ("twice", "vip")):
        her = await _id(database, business, f"{name}@example.com")
        async with database.write(business.id) as db:
            await customers.put_tag(db, _BY, her, tag)

    undone = await _undone(database, business, done.id)

    assert undone.removed == 2
    async with database.read(business.id) as db:
        found = {name: await customers.by_address(db, f"{name}@example.com") for name in names}
        tags = {
            name: [each.name for each in await customers.tags_of(db, her.id)]
            for name, her in found.items()
            if her is not None
        }
    assert tags == {"old": ["vip"], "staff": ["bakes", "vip"], "twice": ["vip"]}
    assert await rows(database, business.id, "customer_tag") == 4


async def test_who_leaves_in_that_very_moment_stays(
    database: Database, business: Business, shared_cluster: Cluster
) -> None:
    """Her decision is not there when the job looks for her, and is when it has her."""
    notice = await letter(database, business.id)
    done = await take(database, business.id, many(2))
    reader = await _id(database, business, "reader0@example.com")
    her = Actor.customer(reader)
    async with database.write(business.id) as db:
        await consent.withdraw(db, her, reader, notice.purpose_id, method=Method.portal)
        running = asyncio.create_task(_undone(database, business, done.id))
        await somebody_waits(shared_cluster)

    assert (await running).removed == 1
    left = await held(database, notice, business.id, "reader0@example.com")
    assert (left.known, left.status) == (True, Status.withdrawn)
    assert not (await held(database, notice, business.id, "reader1@example.com")).known


async def test_another_import_and_another_business_are_left_alone(
    database: Database, business: Business, other_business: Business
) -> None:
    notice = await letter(database, business.id)
    theirs: Notice = await letter(database, other_business.id)
    await take(database, other_business.id, many(2))
    await take(database, business.id, many(2, "earlier"))
    done = await take(database, business.id, many(2))

    undone = await _undone(database, business, done.id)

    assert undone.removed == 2
    assert (await held(database, notice, business.id, "earlier0@example.com")).mailable
    assert (await held(database, theirs, other_business.id, "reader0@example.com")).mailable


async def _touched(database: Database, business: Business) -> UUID:
    """Correct one of them, note a detail of another, let a third have less mail; the first's id."""
    corrected, detailed, paused = [await _id(database, business, each) for each in _LONG_AGO[1:4]]
    async with database.write(business.id) as db:
        await customers.change(db, _BY, corrected, customers.Changes(name="Carla"))
        size = customers.NewAttribute(
            basis=customers.LawfulBasis.legitimate_interests,
            origin="From you.",
            label="Size",
            type=customers.AttributeType.text,
            purpose="For a test.",
            retention="P10Y",
        )
        await customers.declare_attribute(db, _BY, "size", size)
        await customers.set_attributes(db, _BY, detailed, {"size": "38"})
        await rhythm.change(db, paused, rhythm.Wanted(budget=1))
    return corrected


@pytest.mark.parametrize("over", [False, True])
async def test_whom_somebody_changed_so_long_ago_that_no_event_says_so_stays(
    *, clocked: Alone, clock: Clock, business: Business, over: bool
) -> None:
    """A later list that filled in somebody is taken for such a change then, for nothing tells."""
    later = events.KEPT + timedelta(days=1) if over else timedelta(days=1)
    # In the past, for the eraser's function ends no event of the last year.
    clock.move(-later - timedelta(days=1))
    notice = await letter(clocked, business.id)
    done = await take(clocked, business.id, HEADER + "".join(map(row, _LONG_AGO)))
    clock.move(timedelta(days=1))
    corrected = await _touched(clocked, business)
    await take(clocked, business.id, HEADER + row("filled@example.com", "Fay"))
    clock.move(later)
    async with clocked.write(business.id) as db:
        await events.end(db, UUID(int=0), 1000)
        told = [each.kind async for each in events.export(db, corrected)]
    assert told == ([] if over else ["customer.changed"])

    undone = await _undone(clocked, business, done.id)

    assert undone.removed == (1 if over else 2)
    for address, stays in zip(_LONG_AGO, (False, True, True, True, over), strict=True):
        assert (await held(clocked, notice, business.id, address)).known is stays


async def test_only_what_is_done_is_undone_and_once(database: Database, business: Business) -> None:
    await letter(database, business.id)
    done = await take(database, business.id, many(1))
    await _undone(database, business, done.id)

    async with database.write(business.id) as db:
        with pytest.raises(NotDone):
            await imports.undo(db, _BY, done.id)


async def test_a_campaign_that_left_them_out_touches_nobody(
    database: Database, business: Business
) -> None:
    notice = await letter(database, business.id)
    proven, bare = "ada@example.com", "bo@example.com"
    text = HEADER + row(proven) + row(bare, asked="", confirmed="")
    done = await take(database, business.id, text)
    async with database.write(business.id) as db:
        campaign = await make.campaign(db, notice.purpose_id)
        await campaigns.start(db, _BY, campaign.id)
        while await filling.fill_piece(db, campaign.id, 20):
            pass
    assert await rows(database, business.id, "delivery") == 2

    undone = await _undone(database, business, done.id)

    assert undone.removed == 2
    for address in (proven, bare):
        assert not (await held(database, notice, business.id, address)).known
    async with database.read(business.id) as db:
        counts = await campaigns.recount(db, campaign.id)
    assert counts.waiting == 0


async def test_a_later_list_that_fills_in_touches_nobody(
    database: Database, business: Business
) -> None:
    notice = await letter(database, business.id)
    bare = HEADER + row("bo@example.com", asked="", confirmed="")
    named = HEADER + row("bo@example.com", "Bo", asked="", confirmed="")
    done = await take(database, business.id, bare)
    await take(database, business.id, named)
    assert (await held(database, notice, business.id, "bo@example.com")).name == "Bo"

    undone = await _undone(database, business, done.id)

    assert undone.removed == 1
    assert not (await held(database, notice, business.id, "bo@example.com")).known


async def _asked(database: Database, business_id: UUID, count: int, *, touched: bool) -> Import:
    """Have a list undone."""
    await letter(database, business_id)
    done = await take(database, business_id, many(count))
    async with database.write(business_id) as db:
        if touched:
            await db.run(_TOUCHED)
        return await imports.undo(db, _BY, done.id)


async def test_what_is_cut_short_after_each_piece_ends(
    database: Database, business: Business
) -> None:
    """The yeses end first, however many stay, and nobody is looked at twice."""
    found = await _asked(database, business.id, 205, touched=True)
    given = []
    while await database.attempt(business.id, partial(go_on, found=found)):
        async with database.read(business.id) as db:
            states = await db.many(_STATES, Status, purpose_id=found.purpose_id)
        given.append(states.count(Status.given))

    assert given == [105, 5, 0, 0, 0, 0]
    async with database.read(business.id) as db:
        undone = await imports.get(db, found.id)
    assert (undone.state, undone.removed) == (State.undone, 0)


async def test_two_at_once_share_it(database: Database, business: Business) -> None:
    found = await _asked(database, business.id, 205, touched=False)

    ended = await asyncio.gather(*(undo(database, business.id, found) for _ in range(2)))

    assert {(each.state, each.removed) for each in ended} == {(State.undone, 205)}
    said = [kind for kind, _ in await kinds(database, business.id)]
    assert said.count("import.undone") == 1


async def test_a_large_one_keeps_no_other_business_waiting(
    own_database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nor does one that cannot be done."""
    large, broken, small = [await make.business(own_database) for _ in range(3)]
    found = {
        each.id: await _asked(own_database, each.id, count, touched=True)
        for each, count in ((large, 505), (broken, 5), (small, 5))
    }
    done = dict.fromkeys(found, 0)

    async def cut(db: Db, *, found: Import) -> bool:
        if db.business_id == broken.id:
            raise ValueError
        done[db.business_id] += 1
        if done[large.id] > 4:
            raise asyncio.CancelledError
        return await go_on(db, found=found)

    monkeypatch.setattr(jobs, "go_on", cut)
    monkeypatch.setattr(jobs, "_SECONDS", math.inf)
    with pytest.raises(asyncio.CancelledError):
        await jobs.sweep({"database": own_database})

    async with own_database.read(small.id) as db:
        assert (await imports.get(db, found[small.id].id)).state is State.undone
    async with own_database.read(large.id) as db:
        assert (await imports.get(db, found[large.id].id)).state is State.undoing
    monkeypatch.undo()
    for each in (large, broken):
        assert (await undo(own_database, each.id, found[each.id])).state is State.undone


async def test_a_turn_leaves_and_the_next_goes_on(
    own_database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each business gets its piece, however little time there is."""
    businesses = [await make.business(own_database) for _ in range(2)]
    found = {each.id: await _asked(own_database, each.id, 105, touched=True) for each in businesses}
    monkeypatch.setattr(jobs, "_SECONDS", 0.0)
    states = []
    for _ in range(5):
        await jobs.sweep({"database": own_database})
        for business_id, asked in found.items():
            async with own_database.read(business_id) as db:
                states.append((await imports.get(db, asked.id)).state)

    # Two pieces of yeses, two of arrivals, and the end.
    assert states == [State.undoing] * 8 + [State.undone] * 2


async def test_a_piece_reads_few_consents(own_cluster: Cluster) -> None:
    """However many were given in other ways, or by other lists."""
    async with open_database(own_cluster.app_url, KEYS) as database:
        business = await make.business(database)
        found = await _asked(database, business.id, 3, touched=False)
        await take(database, business.id, many(1_000, "other"))
        owner = await asyncpg.connect(own_cluster.owner_url)
        await owner.execute("ANALYZE crm.consent, crm.consent_record")
        await owner.close()
        async with database.write(business.id) as db:
            await db.run(_ONE_PLAN)
            before = await db.one(_READ, int)
            piece = await db.many(
                Statements("privacy").yeses_of_import,
                Asked,
                purpose_id=found.purpose_id,
                done_at=found.done_at,
                after=UUID(int=0),
                limit=10,
            )
            after = await db.one(_READ, int)

    assert len(piece) == 10
    assert after - before <= 3 * 10
