"""Sealing: every committed entry becomes one leaf, and what is signed never contradicts itself."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from uuid import UUID

import asyncpg
import msgspec
import pytest

from crm import above, ledger
from crm.businesses import Business
from crm.db import Database
from crm.ids import time_ordered
from crm.journal import CHECKPOINT, Journal
from crm.ledger import Head, Stopped, note, sealing
from crm.ledger.checkpoint import checkpoint_of
from tests import make
from tests.ledger.conftest import commitment, enter, entered

ALL = 1_000_000


async def head_of(database: Database, business: Business) -> Head:
    async with database.read(business.id) as db:
        head = await ledger.head(db)
    assert head is not None
    return head


async def prove(database: Database, business: Business, entries: Sequence[UUID]) -> list[int]:
    """Check the proof of each entry against the published key; return the indexes."""
    indexes = []
    async with database.read(business.id) as db:
        verifiers = [each.verifier for each in await ledger.keys(db)]
        for entry_id in entries:
            proof = await ledger.proof(db, entry_id)
            assert proof is not None
            head = checkpoint_of(proof.note)
            assert note.read(proof.note).check(verifiers).name == head.origin
            leaf = ledger.leaf_hash(commitment(entry_id))
            ledger.check_inclusion(proof.index, head.size, leaf, proof.path, head.root)
            indexes.append(proof.index)
        assert await ledger.positions(db, entries) == dict(zip(entries, indexes, strict=True))
    return indexes


async def test_it_works(database: Database, business: Business, journal: Journal) -> None:
    entries = await entered(database, business.id, 5)
    async with database.read(business.id) as db:
        assert await ledger.proof(db, entries[0]) is None
        assert (await ledger.unsealed(db)).count == 5

    assert await ledger.seal(database, business.id, journal, most=ALL) == 5

    assert await prove(database, business, entries) == list(range(5))
    head = await head_of(database, business)
    assert head.origin == f"{business.host}/ledger/1"
    assert (head.size, head.signed_size, head.stopped_why) == (5, 5, None)
    async with database.read(business.id) as db:
        assert (await ledger.unsealed(db)).count == 0
        assert await ledger.signed_head(db, 1) == journal.read(business.id, CHECKPOINT)


async def test_earlier_heads_are_the_beginning_of_later_ones(
    database: Database, business: Business, journal: Journal
) -> None:
    entries: list[UUID] = []
    for count in (1, 300, 2, 70):
        entries += await entered(database, business.id, count)
        await ledger.seal(database, business.id, journal, most=ALL)
    assert await prove(database, business, entries) == list(range(373))
    async with database.read(business.id) as db:
        heads = [checkpoint_of(each.note) for each in await ledger.signed_heads(db)]
        assert [each.size for each in heads] == [373, 303, 301, 1]
        for later in heads:
            for earlier in heads[heads.index(later) :]:
                path = await ledger.consistency(db, earlier.size, later.size)
                ledger.check_consistency(earlier.size, later.size, path, earlier.root, later.root)


async def test_commits_out_of_order_lose_nothing(
    database: Database, business: Business, journal: Journal
) -> None:
    """An id made first and committed last is sealed all the same; nobody waited for it."""
    early, late = time_ordered(), time_ordered()
    async with database.write(business.id) as slow:
        await enter(slow, early)
        async with database.write(business.id) as quick:
            await enter(quick, late)
        assert await ledger.seal(database, business.id, journal, most=ALL) == 1
    assert await ledger.seal(database, business.id, journal, most=ALL) == 1
    assert await prove(database, business, [late, early]) == [0, 1]


async def test_what_is_rolled_back_is_never_a_leaf(
    database: Database, business: Business, journal: Journal
) -> None:
    kept = await entered(database, business.id, 1)
    with suppress(RuntimeError):
        async with database.write(business.id) as db:
            await enter(db, time_ordered())
            raise RuntimeError
    assert await ledger.seal(database, business.id, journal, most=ALL) == 1
    assert await prove(database, business, kept) == [0]


async def test_two_sequencers_at_once_are_one(
    database: Database, business: Business, journal: Journal
) -> None:
    """Whoever comes second does nothing, or goes on where the first has committed."""
    entries: list[UUID] = []
    for _ in range(5):
        entries += await entered(database, business.id, 40)
        await asyncio.gather(
            *(ledger.seal(database, business.id, journal, most=10) for _ in range(3))
        )
    while await ledger.seal(database, business.id, journal, most=ALL):
        pass
    assert sorted(await prove(database, business, entries)) == list(range(200))


async def test_sealing_blocks_no_insert(
    database: Database, business: Business, journal: Journal
) -> None:
    await entered(database, business.id, 3)
    await ledger.seal(database, business.id, journal, most=ALL)
    await entered(database, business.id, 3)
    async with database.write(business.id) as sealing_now:
        known = journal.read(business.id, CHECKPOINT)
        assert await sealing.held_head(sealing_now, known) is not None
        async with asyncio.timeout(5):
            await entered(database, business.id, 2)
    assert await ledger.seal(database, business.id, journal, most=ALL) == 5


async def test_a_head_that_nobody_signed_is_signed_next(
    own_database: Database, journal: Journal
) -> None:
    """Killed between the commit and the signature: no new entry is needed to mend it."""
    business = await make.business(own_database)
    await entered(own_database, business.id, 4)

    async with own_database.write(business.id) as db:
        await sealing.advance(db, "", sealing.FIRST)
    head = await head_of(own_database, business)
    assert (head.size, head.signed_size) == (4, 0)
    assert await above.ledgers_due(own_database) == [business.id]

    assert await ledger.seal(own_database, business.id, journal, most=ALL) == 0
    assert (await head_of(own_database, business)).signed_size == 4
    assert await above.ledgers_due(own_database) == []


async def test_what_the_journal_knows_and_nobody_saw_is_published(
    database: Database, business: Business, journal: Journal
) -> None:
    """Killed between the journal and the table: the same head, signed again, is the same note."""
    await entered(database, business.id, 4)
    copy = Journal(make.place_of(journal).with_name("copy"))
    await ledger.seal(database, business.id, copy, most=ALL)
    signed = copy.read(business.id, CHECKPOINT)
    journal.keep(business.id, CHECKPOINT, lambda _: signed)
    await entered(database, business.id, 1)
    await ledger.seal(database, business.id, journal, most=ALL)
    head = await head_of(database, business)
    assert (head.size, head.stopped_why) == (5, None)


async def test_each_business_has_a_ledger_of_its_own(
    *, database: Database, business: Business, other_business: Business, journal: Journal
) -> None:
    ours = await entered(database, business.id, 2)
    theirs = await entered(database, other_business.id, 3)
    await ledger.seal(database, business.id, journal, most=ALL)
    await ledger.seal(database, other_business.id, journal, most=ALL)
    assert await prove(database, business, ours) == [0, 1]
    assert await prove(database, other_business, theirs) == [0, 1, 2]
    async with database.read(business.id) as db:
        assert await ledger.proof(db, theirs[0]) is None


async def test_a_key_that_cannot_be_read_stops_it(own_database: Database, journal: Journal) -> None:
    """Nothing is signed with another key in its place; with the right one it goes on."""
    business = await make.business(own_database)
    await entered(own_database, business.id, 2)
    await ledger.seal(own_database, business.id, journal, most=ALL)
    right = own_database.keys
    own_database.keys = msgspec.structs.replace(right, storage_keys=((1, b"x" * 32),))
    await entered(own_database, business.id, 2)
    await ledger.seal(own_database, business.id, journal, most=ALL)
    head = await head_of(own_database, business)
    assert (head.stopped_why, head.signed_size) == (Stopped.key_wrong, 2)
    async with own_database.read(business.id) as db:
        assert checkpoint_of(await ledger.signed_head(db, 1)).size == 2
    since = head.stopped_at
    await ledger.seal(own_database, business.id, journal, most=ALL)
    assert (await head_of(own_database, business)).stopped_at == since

    own_database.keys = right
    await ledger.seal(own_database, business.id, journal, most=ALL)
    head = await head_of(own_database, business)
    assert (head.stopped_why, head.stopped_at, head.signed_size) == (None, None, 4)


async def test_a_journal_that_cannot_be_written_stops_it(
    database: Database, business: Business, tmp_path: Path, journal: Journal
) -> None:
    """Nobody sees a head that is not in the journal."""
    await entered(database, business.id, 2)
    file = tmp_path / "file"
    file.write_text("in the way")
    await ledger.seal(database, business.id, Journal(file), most=ALL)
    async with database.read(business.id) as db:
        assert await ledger.signed_heads(db) == []
    await ledger.seal(database, business.id, journal, most=ALL)
    assert (await head_of(database, business)).signed_size == 2


@pytest.mark.parametrize("damaged", ["nothing", "a\n1\nAA==\n", "\xff"])
async def test_a_journal_that_was_damaged_stops_it(
    database: Database, business: Business, journal: Journal, damaged: str
) -> None:
    await entered(database, business.id, 2)
    await ledger.seal(database, business.id, journal, most=ALL)
    journal.keep(business.id, CHECKPOINT, lambda _: damaged)
    await entered(database, business.id, 1)
    assert await ledger.seal(database, business.id, journal, most=ALL) == 0
    assert (await head_of(database, business)).stopped_why is Stopped.journal_away


async def test_a_journal_that_was_lost_stops_it(
    database: Database, business: Business, tmp_path: Path, journal: Journal
) -> None:
    """An empty journal beside signed heads may mean a restore; nobody can tell, so it stops."""
    await entered(database, business.id, 2)
    await ledger.seal(database, business.id, journal, most=ALL)
    await entered(database, business.id, 1)
    assert await ledger.seal(database, business.id, Journal(tmp_path / "new"), most=ALL) == 0
    head = await head_of(database, business)
    assert (head.stopped_why, head.size) == (Stopped.journal_lost, 2)


@pytest.mark.parametrize("change", ["substring(hashes, 1, 32)", "hashes || sha256('x')"])
async def test_a_tree_that_was_changed_is_not_grown(
    *,
    database: Database,
    business: Business,
    root: asyncpg.Connection,
    journal: Journal,
    change: str,
) -> None:
    """Leaves in wrong places would be signed otherwise."""
    await entered(database, business.id, 2)
    await ledger.seal(database, business.id, journal, most=ALL)
    statement = f"UPDATE crm.ledger_tile SET hashes = {change} WHERE business_id = $1"  # noqa: S608
    await root.execute(statement, business.id)
    await entered(database, business.id, 1)
    assert await ledger.seal(database, business.id, journal, most=ALL) == 0
    head = await head_of(database, business)
    assert (head.stopped_why, head.size) == (Stopped.damaged, 2)
