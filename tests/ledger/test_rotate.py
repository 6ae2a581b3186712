"""Keys: a new one in the place of the old, old signatures hold, and each names its successor."""

from __future__ import annotations

from itertools import pairwise

import asyncpg
import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from crm import events, ledger
from crm.businesses import Business
from crm.db import Database
from crm.events import Kind
from crm.journal import Journal
from crm.ledger import Halt, KeyKind, note
from crm.ledger.checkpoint import checkpoint_of
from tests import make
from tests.conftest import Cluster
from tests.ledger.conftest import entered
from tests.ledger.test_seal import ALL, head_of, prove


async def test_old_heads_hold_and_new_ones_are_signed_anew(
    database: Database, business: Business, journal: Journal
) -> None:
    entries = await entered(database, business.id, 3)
    await ledger.seal(database, business.id, journal, most=ALL)
    async with database.read(business.id) as db:
        before = await ledger.signed_head(db, 1)
    for _ in range(2):
        async with database.write(business.id) as db:
            await ledger.rotate(db, make.SYSTEM, KeyKind.checkpoint)
    entries += await entered(database, business.id, 2)
    await ledger.seal(database, business.id, journal, most=ALL)

    async with database.read(business.id) as db:
        known = [each for each in await ledger.keys(db) if each.kind is KeyKind.checkpoint]
        first, _, third = [each.verifier for each in known]
        after = await ledger.signed_head(db, 1)
    assert note.read(before).check([first]) == first
    assert note.read(after).check([third]) == third
    assert await prove(database, business, entries) == list(range(5))


async def test_a_chain_of_keys_leads_from_the_first(database: Database, business: Business) -> None:
    """Whoever trusts the first key can follow: each key signs the next before it is deleted."""
    async with database.write(business.id) as db:
        for _ in range(3):
            await ledger.rotate(db, make.SYSTEM, KeyKind.receipt)
        chain = await ledger.keys(db)
    assert [each.number for each in chain] == [1, 2, 3]
    assert [each.retired_at is None for each in chain] == [False, False, True]
    assert chain[0].endorsement == ""
    for older, newer in pairwise(chain):
        said = note.read(newer.endorsement)
        said.check([older.verifier])
        assert said.text.split("\n")[:2] == ["firsthand/next-key/v1", str(newer.verifier)]


async def test_a_retired_key_has_no_secret(
    database: Database, business: Business, shared_cluster: Cluster
) -> None:
    async with database.write(business.id) as db:
        await ledger.rotate(db, make.SYSTEM, KeyKind.receipt)
        old = await ledger.signer(db, KeyKind.receipt)
        assert old is not None
        await ledger.rotate(db, make.SYSTEM, KeyKind.receipt)
    conn = await asyncpg.connect(shared_cluster.superuser_url)
    rows = await conn.fetch(
        "SELECT number, private FROM crm.signing_key WHERE business_id = $1 ORDER BY number",
        business.id,
    )
    await conn.close()
    assert rows[0]["private"] is None
    assert old.private.private_bytes_raw() not in rows[1]["private"]


async def test_it_is_told(database: Database, business: Business) -> None:
    async with database.write(business.id) as db:
        await ledger.rotate(db, make.SYSTEM, KeyKind.receipt)
        verifier = await ledger.rotate(db, make.SYSTEM, KeyKind.receipt)
        (told,) = [each for each in await events.page(db) if each.kind is Kind.signing_key_rotated]
    assert str(verifier) in told.reason


async def test_another_storage_key_reads_what_the_old_one_wrote(
    own_database: Database,
) -> None:
    """With both in CRM_STORAGE_KEYS; encrypted anew, the old one is not needed any more."""
    business = await make.business(own_database)
    async with own_database.write(business.id) as db:
        await ledger.rotate(db, make.SYSTEM, KeyKind.receipt)
    old = own_database.keys
    both = msgspec.structs.replace(old, storage_keys=((2, b"t" * 32), *old.storage_keys))
    own_database.keys = both
    async with own_database.write(business.id) as db:
        signer = await ledger.signer(db, KeyKind.receipt)
        assert signer is not None
        assert await ledger.encrypt_anew(db, KeyKind.receipt)
        assert not await ledger.encrypt_anew(db, KeyKind.checkpoint)
    own_database.keys = msgspec.structs.replace(old, storage_keys=((2, b"t" * 32),))
    async with own_database.read(business.id) as read:
        again = await ledger.signer(read, KeyKind.receipt)
    assert again is not None
    assert again.verifier == signer.verifier
    Ed25519PublicKey.from_public_bytes(again.verifier.public).verify(
        again.private.sign(b"the same"), b"the same"
    )
    own_database.keys = old
    async with own_database.read(business.id) as read:
        with pytest.raises(Halt, match="key_wrong"):
            await ledger.signer(read, KeyKind.receipt)


async def test_the_head_names_the_origin(
    database: Database, business: Business, journal: Journal
) -> None:
    await entered(database, business.id, 1)
    await ledger.seal(database, business.id, journal, most=ALL)
    async with database.write(business.id) as db:
        await ledger.rotate(db, make.SYSTEM, KeyKind.checkpoint)
        signer = await ledger.signer(db, KeyKind.checkpoint)
    head = await head_of(database, business)
    assert signer is not None
    assert (
        signer.name
        == head.origin
        == checkpoint_of(note.sign(head.checkpoint.text(), signer.name, signer.private)).origin
    )
