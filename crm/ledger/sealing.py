"""The sequencer: entries become leaves, and the head over them is signed.

One transaction gives leaves their places, held by the row of the head, so that there is one
sequencer per business. Only what it has committed is signed, by a key whose signatures are always
the same for the same head; the signed head is in the journal before anybody can see it. So no two
heads of one size can differ, whatever is killed in between: the next round signs what is committed.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from uuid import UUID

from msgspec import Struct

from crm import businesses
from crm.db import Database, Db, ReadDb, Statements
from crm.journal import CHECKPOINT, Journal, Keeper, Watch
from crm.ledger import note, tile
from crm.ledger.checkpoint import Checkpoint, checkpoint_of
from crm.ledger.model import (
    Halt,
    Head,
    JournalKnown,
    KeyKind,
    NothingSealed,
    SignedHead,
    Stopped,
    newer,
    number_of,
    origin_name,
)
from crm.ledger.signing import Signer, ensure_key, signer
from crm.ledger.tile import Place, Tile
from crm.ledger.tree import EMPTY, HASH_SIZE, leaf_hashes

sql = Statements("ledger")

# Leaves given their places in one transaction: some tens of milliseconds, half a megabyte.
BATCH = 16_384
FIRST = UUID(int=0)


class Taken(Struct, frozen=True):
    """Entries that became leaves: how many, their commitments in order, and the last."""

    count: int
    commitments: bytes
    placed: int
    last: UUID | None


class _Row(Struct, frozen=True):
    level: int
    number: int
    hashes: bytes


async def seal(database: Database, business_id: UUID, journal: Journal, *, most: int) -> int:
    """Seal what waits, at most about `most` entries, and sign the head; return how many.

    Where nothing may be sealed, the reason is kept with the head, for console and `crm doctor`,
    and nothing else is changed. Does nothing while another worker seals for this business.
    """
    sealed, after = 0, FIRST
    try:
        known = _known(journal, business_id)
        while sealed < most:
            async with database.write(business_id) as db:
                taken = await advance(db, known, after)
            if taken is None or taken.last is None:
                break
            sealed, after = sealed + taken.count, taken.last
        await sign(database, business_id, journal)
    except Halt as halt:
        async with database.write(business_id) as db:
            await db.run(sql.stop_head, stopped_why=halt.why)
        return sealed
    async with database.write(business_id) as db:
        await db.run(sql.resume_head)
    return sealed


async def notice(database: Database, business_id: UUID, journal: Journal) -> None:
    """Look whether the database still extends what was signed, though nothing waits to be sealed.

    So a restore is known as one, and shown, before anything comes of it.
    """
    try:
        known = _known(journal, business_id)
        async with database.read(business_id) as read:
            head = await read.maybe(sql.head, Head)
            if head is not None:
                await check_extension(read, head, known)
    except Halt as halt:
        async with database.write(business_id) as db:
            await db.run(sql.stop_head, stopped_why=halt.why)


async def advance(db: Db, known: str, after: UUID) -> Taken | None:
    """Give the next entries after one their places; None while another sequencer is at it."""
    head = await held_head(db, known)
    if head is None:
        return None
    taken = await db.one(sql.take_unsealed, Taken, size=head.size, after=after, limit=BATCH)
    if taken.placed != taken.count:
        raise Halt(Stopped.damaged)
    if taken.count:
        await append(db, head, leaf_hashes(taken.commitments, HASH_SIZE))
    return taken


async def sign(database: Database, business_id: UUID, journal: Journal) -> None:
    """Sign the committed head unless it is signed; into the journal first, then for everybody."""
    async with database.read(business_id) as read:
        head = await read.maybe(sql.head, Head)
        if head is None or head.size == head.signed_size:
            return
        await check_extension(read, head, _known(journal, business_id))
        key = await signer(read, KeyKind.checkpoint)
    if key is None or key.name != head.origin:
        raise Halt(Stopped.key_wrong)
    signed = note.sign(head.checkpoint.text(), key.name, key.private)
    await asyncio.to_thread(keep, journal, business_id, signed)
    async with database.write(business_id) as db:
        await _publish(db, head, signed, key)


async def held_head(db: Db, known: str) -> Head | None:
    """Hold the head for this transaction and see that the database extends what was signed.

    None while another sequencer holds it; Halt where nothing may be sealed.
    """
    head = await db.maybe(sql.hold_head, Head)
    if head is None and await db.maybe(sql.head, Head) is None:
        await _open(db)
        head = await db.maybe(sql.hold_head, Head)
    if head is None:
        return None
    await check_extension(db, head, known)
    return head


async def append(db: Db, head: Head, leaves: bytes) -> None:
    """Put leaf hashes behind those of a held head, and move it."""
    edges = tile.edge(head.size)
    held = await tiles(db, edges)
    for place in edges:
        if len(held.get(place, b"")) != tile.width_at(place, head.size) * HASH_SIZE:
            raise Halt(Stopped.damaged)
    written = tile.grown(head.size, held, leaves)
    size = head.size + len(leaves) // HASH_SIZE
    root = tile.root(size, held | {each.place: each.hashes for each in written})
    await _write(db, written)
    moved = await db.run(
        sql.move_head, new_size=size, new_root=root, size=head.size, root=head.root
    )
    if not moved:
        raise Halt(Stopped.damaged)


async def tiles(db: ReadDb, places: Iterable[Place]) -> dict[Place, bytes]:
    """Read some tiles; one that is not there is left out."""
    wanted = list(places)
    rows = await db.many(
        sql.tiles,
        _Row,
        levels=[each.level for each in wanted],
        numbers=[each.number for each in wanted],
    )
    return {Place(row.level, row.number): row.hashes for row in rows}


async def check_extension(db: ReadDb, head: Head, known: str) -> None:
    """Refuse with Halt unless the database continues the head that the journal knows.

    A database from a backup is smaller than what was signed, or has grown otherwise since.
    """
    if not known:
        if await db.many(sql.checkpoints, SignedHead, limit=1):
            raise Halt(Stopped.journal_lost)
        return
    last = checkpoint_of(known)
    if last.origin != head.origin:
        # A new origin answers for the head that it cites, until it has signed one of its own.
        if known != head.predecessor:
            raise Halt(Stopped.restored)
        return
    if last.size > head.size or await root_at(db, head, last.size) != last.root:
        raise Halt(Stopped.restored)


async def root_at(db: ReadDb, head: Head, size: int) -> bytes:
    """Compute the root of an earlier size; Halt if the tiles for it are not there."""
    if size == head.size:
        return head.root
    held = await tiles(db, tile.places_of_root(size))
    try:
        return tile.root(size, held)
    except (KeyError, IndexError):
        raise Halt(Stopped.damaged) from None


async def _open(db: Db) -> None:
    """Begin a ledger under its first origin."""
    business = await businesses.get(db)
    # With its port, so that two installations on one machine are two logs.
    origin = origin_name(business.origin.partition("://")[2], 1)
    await db.maybe(
        sql.add_origin,
        int,
        number=1,
        origin=note.check_name(origin),
        begins_at=0,
        predecessor="",
        opening=None,
        entry_id=None,
    )
    await db.run(sql.add_head, origin_number=1, root=EMPTY)
    await ensure_key(db, KeyKind.checkpoint, origin)
    await ensure_key(db, KeyKind.receipt, business.host)


async def _publish(db: Db, head: Head, signed: str, key: Signer) -> None:
    """Make a signed head visible, if the ledger still goes by that origin."""
    await db.run(
        sql.add_checkpoint,
        origin_number=head.origin_number,
        size=head.size,
        root=head.root,
        note=signed,
        key_number=key.number,
    )
    await db.run(sql.sign_head, origin_number=head.origin_number, size=head.size)


async def adopt(database: Database, business_id: UUID, journal: Journal) -> Checkpoint:
    """Begin a journal that was lost with the newest signed head, where an operator trusts that.

    Refused with JournalKnown where the journal is not lost, and with NothingSealed where nothing
    was signed. Raises Halt where the journal cannot be written, or the tree is not what was signed.
    """
    if _known(journal, business_id):
        raise JournalKnown
    async with database.read(business_id) as db:
        head = await db.maybe(sql.head, Head)
        signed = await db.many(sql.checkpoints, SignedHead, limit=1)
        if head is None or not signed:
            raise NothingSealed
        await check_extension(db, head, signed[0].note)
    await asyncio.to_thread(keep, journal, business_id, signed[0].note)
    return checkpoint_of(signed[0].note)


def journal_watch(database: Database, keeper: Keeper) -> Watch:
    """Return what looks whether a database goes on where entries and heads of the journal end."""
    return Watch(database, keeper, _read_head)


def _read_head(signed: str) -> tuple[int, int]:
    """Read of a signed head, unproved, the number of its origin and its size, or BadNote."""
    head = checkpoint_of(signed)
    return number_of(head.origin), head.size


def keep(journal: Journal, business_id: UUID, signed: str) -> None:
    """Put a signed head into the journal, unless a later one is there; Halt if it cannot be."""
    try:
        journal.keep(business_id, CHECKPOINT, lambda before: newer(before, signed))
    except OSError:
        raise Halt(Stopped.journal_away) from None


def _known(journal: Journal, business_id: UUID) -> str:
    try:
        known = journal.read(business_id, CHECKPOINT)
        if known:
            checkpoint_of(known)
    except (OSError, ValueError):
        # Away, or damaged: what it says cannot be relied on.
        raise Halt(Stopped.journal_away) from None
    return known


async def _write(db: Db, written: list[Tile]) -> None:
    await db.run(
        sql.write_tiles,
        levels=[each.place.level for each in written],
        numbers=[each.place.number for each in written],
        hashes=[each.hashes for each in written],
    )
