"""What is done with a ledger besides sealing: it is read, proved from, and given a new origin."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from uuid import UUID

from msgspec import Struct

from crm import businesses, events
from crm.db import Db, ReadDb, Statements
from crm.events import Actor, Kind
from crm.ids import time_ordered
from crm.ledger import note, tile
from crm.ledger.checkpoint import Proof, checkpoint_of
from crm.ledger.model import (
    Alarm,
    Finding,
    Halt,
    Head,
    KeyKind,
    NoSuchOrigin,
    NoSuchTile,
    NothingSealed,
    NotStopped,
    Opening,
    Origin,
    SignedHead,
    TreeIncomplete,
    number_of,
    opening_bytes,
    opening_commitment,
    origin_name,
)
from crm.ledger.note import BadNote
from crm.ledger.sealing import append, check_extension, tiles
from crm.ledger.signing import ensure_key, keys, rotate
from crm.ledger.tile import Place
from crm.ledger.tree import EMPTY, HASH_SIZE, BadProof, check_inclusion, leaf_hash

sql = Statements("ledger")

_SHOWN = 100
# Whatever is larger has no place in the database, let alone in a ledger.
_MOST_LEAVES = 1 << 62
# The number of the origin under which a ledger begins, which cites no head.
_FIRST = 1
# The head of a database from before anything was sealed: it follows from no head that was signed.
_NOTHING = Head(
    origin_number=0,
    origin="",
    begins_at=0,
    predecessor="",
    size=0,
    root=EMPTY,
    signed_size=0,
    stopped_why=None,
    stopped_at=None,
    anchored_size=0,
    anchored_at=None,
)


class Unsealed(Struct, frozen=True):
    """How many entries wait to be sealed, and since when the longest."""

    count: int
    since: datetime | None


class _Held(Struct, frozen=True, kw_only=True):
    """A tile that came with what a proof is based on; nothing where there is no tile."""

    level: int | None
    number: int | None
    hashes: bytes | None


class _Included(_Held, frozen=True, kw_only=True):
    leaf_index: int
    size: int | None
    note: str | None


class _Signed(_Held, frozen=True, kw_only=True):
    signed_size: int


class _Position(Struct, frozen=True):
    entry_id: UUID
    leaf_index: int


async def head(db: ReadDb) -> Head | None:
    """Return how far the ledger is sealed, or None before anything ever was."""
    return await db.maybe(sql.head, Head)


async def origins(db: ReadDb) -> list[Origin]:
    """Return every name the ledger went by, the present one last."""
    return await db.many(sql.origins, Origin)


async def unsealed(db: ReadDb) -> Unsealed:
    """Say how many entries wait to be sealed."""
    return await db.one(sql.unsealed, Unsealed)


async def proof(db: ReadDb, entry_id: UUID) -> Proof | None:
    """Prove that an entry is in the ledger, below the newest signed head; None until it is.

    Here and below, TreeIncomplete where tiles that a head covers are not there any more.
    """
    found = await db.many(sql.inclusion_basis, _Included, entry_id=entry_id)
    basis = next(iter(found), None)
    if basis is None or basis.size is None or basis.note is None:
        return None
    with _whole():
        path = tile.inclusion(basis.leaf_index, basis.size, _tiles(found))
    return Proof(basis.leaf_index, tuple(path), basis.note)


async def holds(db: ReadDb, proof: Proof, commitment: bytes) -> bool:
    """Check a proof as anybody can: the signature by a published key, and the path to the root."""
    signed = checkpoint_of(proof.note)
    try:
        note.read(proof.note).check([each.verifier for each in await keys(db)])
        check_inclusion(proof.index, signed.size, leaf_hash(commitment), proof.path, signed.root)
    except (BadNote, BadProof):
        return False
    return True


async def proofs_at(db: ReadDb, indexes: Sequence[int]) -> tuple[str, dict[int, Proof]]:
    """Return the newest signed head, and by it the proof of each of these leaves that it covers.

    Nothing where the present origin has signed none yet.
    """
    signed = await db.maybe(sql.present_checkpoint, SignedHead)
    if signed is None:
        return "", {}
    covered = [index for index in indexes if index < signed.size]
    wanted = {place for index in covered for place in tile.places_of_inclusion(index, signed.size)}
    held = await tiles(db, sorted(wanted))
    with _whole():
        return signed.note, {
            index: Proof(index, tuple(tile.inclusion(index, signed.size, held)), signed.note)
            for index in covered
        }


async def positions(db: ReadDb, entry_ids: Sequence[UUID]) -> dict[UUID, int]:
    """Return which leaf each of these entries is; those not sealed yet are left out."""
    rows = await db.many(sql.positions, _Position, entry_ids=list(entry_ids))
    return {row.entry_id: row.leaf_index for row in rows}


async def signed_head(db: ReadDb, origin_number: int) -> str:
    """Return the newest signed head of an origin as published, or refuse.

    Of an origin that ended with a restore, it is the last that anybody saw: the journal kept it.
    """
    every = await origins(db)
    names = {each.number: each.origin for each in every}
    if origin_number not in names:
        raise NoSuchOrigin
    for each in every:
        if each.predecessor and checkpoint_of(each.predecessor).origin == names[origin_number]:
            return each.predecessor
    found = await db.maybe(sql.newest_checkpoint, SignedHead, origin_number=origin_number)
    if found is None:
        raise NothingSealed
    return found.note


async def signed_heads(db: ReadDb, *, limit: int = _SHOWN) -> list[SignedHead]:
    """Return the newest signed heads, of whatever origin."""
    return await db.many(sql.checkpoints, SignedHead, limit=limit)


async def tile_at(db: ReadDb, origin_number: int, place: Place, width: int) -> bytes:
    """Return a published tile, or refuse with NoSuchTile what no signed head covers."""
    size = checkpoint_of(await signed_head(db, origin_number)).size
    if not 0 < width <= tile.width_at(place, size):
        raise NoSuchTile
    hashes = (await tiles(db, [place])).get(place, b"")
    if len(hashes) < width * HASH_SIZE:
        # It was signed, and lost with a restore: the origin that came after says so.
        raise NoSuchTile
    return hashes[: width * HASH_SIZE]


async def consistency(db: ReadDb, first: int, second: int) -> list[bytes]:
    """Return the path that shows an earlier tree to be the beginning of a later one."""
    if not 0 < first <= second <= _MOST_LEAVES:
        raise NothingSealed
    places = tile.places_of_consistency(first, second)
    found = await db.many(
        sql.consistency_basis,
        _Signed,
        levels=[each.level for each in places],
        numbers=[each.number for each in places],
    )
    if not found or second > found[0].signed_size:
        raise NothingSealed
    with _whole():
        return tile.consistency(first, second, _tiles(found))


async def reopen(db: Db, by: Actor, known: str, *, reason: str) -> Origin:
    """Give a ledger that cannot go on a new origin, which cites the last signed head for ever.

    `known` is that head, from the journal; where that is lost, the newest the database has. The
    leaves that are still here keep their places; the first leaf of the new origin says what it
    follows and how many signed leaves are gone. Refuses with NotStopped where the ledger can go on,
    and with NothingSealed where neither knows of any.
    """
    present = await db.maybe(sql.hold_head, Head)
    if present is None and (not known or await head(db) is not None):
        raise NothingSealed
    present = present or _NOTHING
    if await _goes_on(db, present, known):
        raise NotStopped
    business = await businesses.get(db)
    cited = known or (await signed_heads(db, limit=1))[0].note
    number = max(_FIRST, present.origin_number, number_of(checkpoint_of(cited).origin)) + 1
    name = origin_name(business.origin.partition("://")[2], number)
    opening = opening_bytes(_opening(db, present, name, cited, reason))
    entry_id = time_ordered()
    await db.one(
        sql.add_origin,
        int,
        number=number,
        origin=name,
        begins_at=present.size,
        predecessor=cited,
        opening=opening,
        entry_id=entry_id,
    )
    await db.run(sql.add_head, origin_number=number, root=EMPTY)
    await db.run(sql.place_entry, leaf_index=present.size, entry_id=entry_id)
    await append(db, present, leaf_hash(opening_commitment(opening)))
    await db.run(sql.move_origin, origin_number=number)
    await rotate(db, by, KeyKind.checkpoint, name=name)
    await ensure_key(db, KeyKind.receipt, business.host)
    await events.record(db, by, Kind.ledger_reopened, reason=reason[:500])
    return next(each for each in await origins(db) if each.number == number)


async def report(db: Db, found: Sequence[Finding]) -> None:
    """Raise an alarm for each finding; one that was found before is the same alarm."""
    for each in found:
        await db.run(
            sql.raise_alarm,
            alarm_id=time_ordered(),
            kind=each.kind,
            subject=each.subject,
            detail=each.detail,
        )


async def alarms(db: ReadDb, *, settled: bool = False) -> list[Alarm]:
    """Return what was found and nobody has settled; with `settled`, all there ever was."""
    return await db.many(sql.alarms, Alarm, settled=settled, limit=_SHOWN)


async def settle(db: Db, by: Actor, alarm_id: UUID, *, why: str) -> bool:
    """Say that an alarm was looked into, and what came of it; False if there is none open."""
    if not await db.run(sql.settle_alarm, alarm_id=alarm_id, settled_why=why[:500]):
        return False
    await events.record(db, by, Kind.ledger_alarm_settled, ref=alarm_id, reason=why[:500])
    return True


def _tiles(found: Sequence[_Held]) -> dict[Place, bytes]:
    return {
        Place(each.level, each.number): each.hashes
        for each in found
        if each.level is not None and each.number is not None and each.hashes is not None
    }


@contextmanager
def _whole() -> Iterator[None]:
    """Refuse where a tile is missing or too short for what a head covers."""
    try:
        yield
    except (KeyError, IndexError):
        raise TreeIncomplete from None


async def _goes_on(db: ReadDb, present: Head, known: str) -> bool:
    try:
        await check_extension(db, present, known)
    except Halt:
        return False
    return True


def _opening(db: ReadDb, present: Head, name: str, cited: str, reason: str) -> Opening:
    return Opening(
        origin=name,
        opened_at=db.now.isoformat(timespec="seconds").replace("+00:00", "Z"),
        begins_at=present.size,
        lost=max(checkpoint_of(cited).size - present.size, 0),
        predecessor=cited,
        reason=reason,
    )
