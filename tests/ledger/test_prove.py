"""Proving: from a tree of three levels of tiles as from a small one, and only what is signed."""

from __future__ import annotations

import hashlib
import random
from uuid import UUID

import asyncpg
import pytest

from crm import ledger
from crm.businesses import Business
from crm.db import Database, parse
from crm.journal import CHECKPOINT, Journal
from crm.ledger import NothingSealed, sealing
from crm.ledger.checkpoint import checkpoint_of
from crm.ledger.tile import WIDTH
from tests.ledger.conftest import commitment, entered

ALL = 1_000_000
# A full tile of level 1, one of level 0 behind it, and an open one on every level.
MANY = WIDTH * WIDTH + WIDTH + 45

_ENTER_MANY = parse(
    """-- name: enter_many
-- Entries whose ids are 1, 2, 3 …
SELECT crm.enter_ledger(:business_id, array_agg(lpad(to_hex(n), 32, '0')::uuid ORDER BY n),
                        array_agg(sha256(int8send(n)) ORDER BY n), :now)
  FROM generate_series(1, :count::bigint) AS n
"""
)[0]


def leaf(index: int) -> bytes:
    """The hash of the leaf that the entry of this index became."""
    return ledger.leaf_hash(hashlib.sha256((index + 1).to_bytes(8)).digest())


async def grow(database: Database, business: Business, journal: Journal, count: int) -> None:
    async with database.write(business.id) as db:
        await db.run(_ENTER_MANY, count=count)
    assert await ledger.seal(database, business.id, journal, most=ALL) == count


async def test_every_level_of_a_large_tree(
    database: Database, business: Business, journal: Journal
) -> None:
    """Leaves at the corners of tiles and anywhere; sizes likewise."""
    await grow(database, business, journal, MANY)
    corners = [0, 1, 255, 256, 65_279, 65_280, 65_535, 65_536, 65_791, 65_792, MANY - 1]
    indexes = [*corners, *random.Random(5).sample(range(MANY), 60)]
    roots = {}
    async with database.read(business.id) as db:
        for index in indexes:
            proof = await ledger.proof(db, UUID(int=index + 1))
            assert proof is not None
            head = checkpoint_of(proof.note)
            assert (proof.index, head.size) == (index, MANY)
            ledger.check_inclusion(index, MANY, leaf(index), proof.path, head.root)
        present = await ledger.head(db)
        assert present is not None
        for size in sorted({each + 1 for each in indexes}):
            roots[size] = await sealing.root_at(db, present, size)
        for first, root in roots.items():
            path = await ledger.consistency(db, first, MANY)
            ledger.check_consistency(first, MANY, path, root, present.root)
        path = await ledger.consistency(db, 256, 65_536)
        ledger.check_consistency(256, 65_536, path, roots[256], roots[65_536])


@pytest.mark.parametrize("count", [1, 2, 255, 256, 257, 512])
async def test_every_leaf_of_a_small_tree(
    database: Database, business: Business, journal: Journal, count: int
) -> None:
    """Also where a level has just become full, and the one above it just begun."""
    await grow(database, business, journal, count)
    async with database.read(business.id) as db:
        for index in range(count):
            proof = await ledger.proof(db, UUID(int=index + 1))
            assert proof is not None
            root = checkpoint_of(proof.note).root
            ledger.check_inclusion(index, count, leaf(index), proof.path, root)


async def test_what_no_signed_head_covers_is_not_proved(
    database: Database, business: Business, journal: Journal
) -> None:
    """Placed and not signed yet, it waits as what is not placed does."""
    (first,) = await entered(database, business.id, 1)
    await ledger.seal(database, business.id, journal, most=ALL)
    known = journal.read(business.id, CHECKPOINT)
    (second,) = await entered(database, business.id, 1)
    async with database.write(business.id) as db:
        assert await ledger.proof(db, second) is None
        assert await sealing.advance(db, known, sealing.FIRST) is not None
    async with database.read(business.id) as db:
        assert await ledger.proof(db, second) is None
        proof = await ledger.proof(db, first)
        assert proof is not None
        assert await ledger.holds(db, proof, commitment(first))
        with pytest.raises(NothingSealed):
            await ledger.consistency(db, 1, 2)


@pytest.mark.parametrize(
    ("first", "second"), [(0, 2), (-1, 2), (3, 2), (1, 4), (1, 1 << 62), (1 << 63, 1 << 64), (1, 0)]
)
async def test_there_is_no_path_between_other_sizes(
    *, database: Database, business: Business, journal: Journal, first: int, second: int
) -> None:
    """Whatever is asked for from outside is refused, and reaches no statement it would break."""
    await grow(database, business, journal, 3)
    async with database.read(business.id) as db:
        with pytest.raises(NothingSealed):
            await ledger.consistency(db, first, second)
        assert await ledger.consistency(db, 3, 3) == []


async def test_nothing_is_proved_from_nothing(database: Database, business: Business) -> None:
    """Before anything was sealed there is no head."""
    async with database.read(business.id) as db:
        assert await ledger.proof(db, UUID(int=1)) is None
        with pytest.raises(NothingSealed):
            await ledger.consistency(db, 1, 1)


async def test_a_tree_with_a_hole_proves_nothing_and_says_so(
    *, database: Database, business: Business, root: asyncpg.Connection, journal: Journal
) -> None:
    entries = await entered(database, business.id, 300)
    await ledger.seal(database, business.id, journal, most=1000)
    await root.execute(
        "DELETE FROM crm.ledger_tile WHERE business_id = $1 AND level = 0 AND number = 1",
        business.id,
    )
    async with database.read(business.id) as db:
        with pytest.raises(ledger.TreeIncomplete):
            await ledger.proof(db, entries[-1])
        with pytest.raises(ledger.TreeIncomplete):
            await ledger.proofs_at(db, [299])
        with pytest.raises(ledger.TreeIncomplete):
            await ledger.consistency(db, 270, 300)
