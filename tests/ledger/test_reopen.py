"""A restore: it is noticed, nothing is signed, and a new origin says for ever what was lost."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from urllib.parse import urlsplit
from uuid import UUID

import asyncpg
import pytest
from msgspec import Struct

from crm import ledger
from crm.businesses import Business
from crm.db import Database, open_database
from crm.journal import CHECKPOINT, Journal
from crm.ledger import NotStopped, Origin, Stopped, note, sealing
from crm.ledger.checkpoint import Proof, checkpoint_of
from crm.ledger.model import opening_commitment
from crm.ledger.tile import Place
from tests import make
from tests.conftest import KEYS, Cluster
from tests.ledger.conftest import commitment, entered
from tests.ledger.test_seal import ALL, head_of, prove

SYSTEM = make.SYSTEM


def _name(cluster: Cluster) -> str:
    return urlsplit(cluster.app_url).path.strip("/")


async def _execute(cluster: Cluster, statement: str) -> None:
    conn = await asyncpg.connect(cluster.named("postgres").superuser_url)
    try:
        await conn.execute(statement)
    finally:
        await conn.close()


class Rewound(Struct):
    """A business whose database was put back to an earlier state."""

    business: Business
    journal: Journal
    # What the journal knew when that was done.
    known: str
    kept: list[UUID]
    lost: list[UUID]
    proofs: dict[UUID, Proof] = {}


@pytest.fixture
async def rewound(
    own_cluster: Cluster, journal: Journal
) -> AsyncIterator[tuple[Database, Rewound]]:
    """Seal some, take a backup, seal and sign more, and put the backup back."""
    async with open_database(own_cluster.app_url, KEYS, size=4) as database:
        business = await make.business(database)
        kept = await entered(database, business.id, 300)
        await ledger.seal(database, business.id, journal, most=ALL)
    name = f"{_name(own_cluster)}_backup"
    copy = f"CREATE DATABASE {name} TEMPLATE {_name(own_cluster)} OWNER crm_owner"
    await _execute(own_cluster, copy)
    async with open_database(own_cluster.app_url, KEYS, size=4) as database:
        lost = await entered(database, business.id, 20)
        await ledger.seal(database, business.id, journal, most=ALL)
        known = journal.read(business.id, CHECKPOINT)
        told = Rewound(business, journal, known, kept, lost)
        async with database.read(business.id) as db:
            for entry_id in (kept[7], lost[3]):
                proof = await ledger.proof(db, entry_id)
                assert proof is not None
                told.proofs[entry_id] = proof
    restored = own_cluster.named(name)
    async with open_database(restored.app_url, KEYS, size=4) as database:
        yield database, told
    await _execute(own_cluster, f"DROP DATABASE {name} WITH (FORCE)")


async def reopened(database: Database, told: Rewound) -> Origin:
    known = told.journal.read(told.business.id, CHECKPOINT)
    async with database.write(told.business.id) as db:
        return await ledger.reopen(db, SYSTEM, known, reason="The disk of 3 May failed.")


async def test_it_is_noticed_and_nothing_is_signed(rewound: tuple[Database, Rewound]) -> None:
    database, told = rewound
    business, journal = told.business, told.journal
    before = journal.read(business.id, CHECKPOINT)
    await entered(database, business.id, 50)
    assert await ledger.seal(database, business.id, journal, most=ALL) == 0
    head = await head_of(database, business)
    assert (head.stopped_why, head.size, head.signed_size) == (Stopped.restored, 300, 300)
    assert journal.read(business.id, CHECKPOINT) == before
    assert checkpoint_of(before).size == 320


async def test_it_is_noticed_though_nothing_waits(rewound: tuple[Database, Rewound]) -> None:
    """And goes on being noticed; a ledger that is as it was goes on too."""
    database, told = rewound
    copy = Journal(make.place_of(told.journal).with_name("fine"))
    (signed,) = [
        each.note for each in await _heads(database, told.business) if each.size == len(told.kept)
    ]
    copy.keep(told.business.id, CHECKPOINT, lambda _: signed)
    await sealing.notice(database, told.business.id, copy)
    assert (await head_of(database, told.business)).stopped_why is None
    for _ in range(2):
        await sealing.notice(database, told.business.id, told.journal)
        assert (await head_of(database, told.business)).stopped_why is Stopped.restored


async def _heads(database: Database, business: Business) -> list[ledger.SignedHead]:
    async with database.read(business.id) as db:
        return await ledger.signed_heads(db)


async def test_growing_past_the_old_size_does_not_help(
    rewound: tuple[Database, Rewound],
) -> None:
    """Other leaves in the places of the lost ones are another history."""
    database, told = rewound
    await entered(database, told.business.id, 500)
    await ledger.seal(database, told.business.id, told.journal, most=ALL)
    assert (await head_of(database, told.business)).size == 300


async def test_a_new_origin_cites_the_old_head(rewound: tuple[Database, Rewound]) -> None:
    database, told = rewound
    business, journal = told.business, told.journal
    cited = journal.read(business.id, CHECKPOINT)
    new = await entered(database, business.id, 30)
    origin = await reopened(database, told)
    assert await ledger.seal(database, business.id, journal, most=ALL) == 30

    assert (origin.number, origin.begins_at, origin.lost) == (2, 300, 20)
    assert origin.predecessor == cited
    assert origin.said["reason"] == "The disk of 3 May failed."
    assert origin.said["lost"] == 20
    head = await head_of(database, business)
    assert head.origin == f"{business.host}/ledger/2"
    assert (head.size, head.signed_size, head.stopped_why) == (331, 331, None)
    assert await prove(database, business, new) == list(range(301, 331))
    assert await prove(database, business, told.kept) == list(range(300))


async def test_the_first_leaf_can_be_checked_by_everybody(
    rewound: tuple[Database, Rewound],
) -> None:
    database, told = rewound
    origin = await reopened(database, told)
    await ledger.seal(database, told.business.id, told.journal, most=ALL)
    assert origin.opening is not None
    assert json.loads(origin.opening)["predecessor"] == origin.predecessor
    leaf = ledger.leaf_hash(opening_commitment(origin.opening))
    async with database.read(told.business.id) as db:
        hashes = await ledger.tile_at(db, 2, Place(0, 1), 45)
    assert hashes[44 * 32 : 45 * 32] == leaf


async def test_the_new_log_begins_with_the_old_one(rewound: tuple[Database, Rewound]) -> None:
    """Anybody who kept an earlier head can see that what is still here was not rewritten."""
    database, told = rewound
    await reopened(database, told)
    await ledger.seal(database, told.business.id, told.journal, most=ALL)
    async with database.read(told.business.id) as db:
        heads = {each.size: each for each in await ledger.signed_heads(db)}
        path = await ledger.consistency(db, 300, 301)
        ledger.check_consistency(300, 301, path, heads[300].root, heads[301].root)
        # The old name still answers, with the last head that anybody saw under it.
        assert await ledger.signed_head(db, 1) == told.known


async def test_old_proofs_hold(rewound: tuple[Database, Rewound]) -> None:
    """With the public keys of before; for what is here and for what was lost."""
    database, told = rewound
    await reopened(database, told)
    async with database.read(told.business.id) as db:
        verifiers = [each.verifier for each in await ledger.keys(db)]
    for entry_id, proof in told.proofs.items():
        head = checkpoint_of(proof.note)
        note.read(proof.note).check(verifiers)
        leaf = ledger.leaf_hash(commitment(entry_id))
        ledger.check_inclusion(proof.index, head.size, leaf, proof.path, head.root)


async def test_a_second_restore_needs_a_third_origin(
    rewound: tuple[Database, Rewound], own_cluster: Cluster
) -> None:
    """The same backup once more: it knows nothing of the second origin, the journal does."""
    database, told = rewound
    await reopened(database, told)
    await entered(database, told.business.id, 5)
    await ledger.seal(database, told.business.id, told.journal, most=ALL)
    second = told.journal.read(told.business.id, CHECKPOINT)
    assert checkpoint_of(second).origin.endswith("/ledger/2")
    # The original database ends at the first origin, as any older state does.
    async with open_database(own_cluster.app_url, KEYS, size=4) as older:
        await entered(older, told.business.id, 1)
        await ledger.seal(older, told.business.id, told.journal, most=ALL)
        assert (await head_of(older, told.business)).stopped_why is Stopped.restored
        origin = await reopened(older, told)
        assert (origin.number, origin.predecessor) == (3, second)
        assert await ledger.seal(older, told.business.id, told.journal, most=ALL) == 1


async def test_a_ledger_that_goes_on_keeps_its_name(
    database: Database, business: Business, journal: Journal
) -> None:
    await entered(database, business.id, 2)
    await ledger.seal(database, business.id, journal, most=ALL)
    known = journal.read(business.id, CHECKPOINT)
    async with database.write(business.id) as db:
        with pytest.raises(NotStopped):
            await ledger.reopen(db, SYSTEM, known, reason="no reason")
