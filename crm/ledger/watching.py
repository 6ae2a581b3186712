"""The monitor's half of the ledger: the tree is derived anew and compared with what is stored.

A round goes from the first leaf to the head as it was when the round began, by pieces, each in a
transaction of its own. Whoever knows what the leaves stand for hands in their hashes; here every
tile, every signed head and the root must come out as they are kept.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from uuid import UUID

from msgspec import Struct

from crm.db import Db, ReadDb, Statements
from crm.ledger import note, tile
from crm.ledger.actions import report
from crm.ledger.checkpoint import Checkpoint
from crm.ledger.model import Finding, KeyKind, Origin, SignedHead
from crm.ledger.note import BadNote, Verifier
from crm.ledger.sealing import tiles
from crm.ledger.signing import keys
from crm.ledger.tile import Place, Tile
from crm.ledger.tree import HASH_SIZE

sql = Statements("ledger")

# A full tile of level 1: pieces begin where no tile below level 2 is open.
PIECE = tile.WIDTH * tile.WIDTH


class Round(Struct, frozen=True, kw_only=True):
    """A round of looks: what it is to come to, how far it is, and when it ended."""

    size: int
    root: bytes
    position: int
    after: UUID | None
    found: int
    started_at: datetime
    ended_at: datetime | None

    @property
    def leaves_left(self) -> int:
        """How many leaves the next piece has."""
        return min(PIECE, self.size - self.position)


async def begin_watch(db: Db) -> bool:
    """Begin a round; False where nothing was ever sealed."""
    return bool(await db.run(sql.begin_watch))


async def hold_watch(db: Db) -> Round | None:
    """Hold the round for this transaction; None where there is none, or another worker has it."""
    return await db.maybe(sql.hold_watch, Round)


async def watch(db: ReadDb) -> Round | None:
    """Return the round that is under way, or the last one."""
    return await db.maybe(sql.watch, Round)


async def go_on(
    db: Db,
    current: Round,
    found: Sequence[Finding],
    *,
    after: UUID | None = None,
    ended: bool = False,
) -> None:
    """Note how far the round has come, and raise an alarm for each finding.

    At its end what was settled and is found no more counts as mended: found again, it is new.
    """
    await report(db, found)
    if ended:
        await db.run(sql.note_mended, started_at=current.started_at)
    await db.run(
        sql.go_on_watch,
        position=current.position + current.leaves_left,
        after=after,
        found=len(found),
        ended_at=db.now if ended else None,
    )


async def compare(db: ReadDb, current: Round, leaves: bytes) -> list[Finding]:
    """Say what of tiles, signed heads and root does not follow from the next leaf hashes."""
    begin, end = current.position, current.position + len(leaves) // HASH_SIZE
    held = await tiles(db, tile.edge(begin))
    if found := _short(begin, held):
        return found
    # Open tiles may have grown since; what they held at `begin` was compared in this round.
    held = {at: each[: tile.width_at(at, begin) * HASH_SIZE] for at, each in held.items()}
    derived = tile.grown(begin, held, leaves)
    stored = await tiles(db, [each.place for each in derived])
    found = [finding for each in derived for finding in _different(each, stored)]
    known = held | {each.place: each.hashes for each in derived}
    if end == current.size and tile.root(end, known) != current.root:
        found.append(Finding("root_changed", f"size {end}", "The leaves do not come to the root."))
    return found + await _heads(db, begin, end, known)


async def _heads(db: ReadDb, begin: int, end: int, known: dict[Place, bytes]) -> list[Finding]:
    names = {each.number: each.origin for each in await db.many(sql.origins, Origin)}
    verifiers = [each.verifier for each in await keys(db) if each.kind is KeyKind.checkpoint]
    found = []
    for each in await db.many(sql.checkpoints_within, SignedHead, low=begin, high=end):
        root = tile.root(each.size, known)
        wrong = _wrong(each, Checkpoint(names[each.origin_number], each.size, root), verifiers)
        if wrong:
            subject = f"checkpoint {names[each.origin_number]} {each.size}"
            found.append(Finding("checkpoint_changed", subject, wrong))
    return found


def _wrong(signed: SignedHead, derived: Checkpoint, verifiers: Sequence[Verifier]) -> str:
    if signed.root != derived.root:
        return f"The leaves come to the root {derived.root.hex()}, not to {signed.root.hex()}."
    try:
        read = note.read(signed.note)
        read.check(verifiers)
    except BadNote as wrong:
        return f"Its signature does not hold: {wrong}."
    if read.text != derived.text():
        return "The signed text says something else than its row."
    return ""


def _short(begin: int, held: dict[Place, bytes]) -> list[Finding]:
    return [
        Finding("tile_missing", _named(place), "It is shorter than it was, or gone.")
        for place in tile.edge(begin)
        if len(held.get(place, b"")) < tile.width_at(place, begin) * HASH_SIZE
    ]


def _different(derived: Tile, stored: dict[Place, bytes]) -> Iterator[Finding]:
    """Name each hash of a tile that is not what the leaves come to."""
    there = stored.get(derived.place, b"")
    if there.startswith(derived.hashes):
        return
    if len(there) < len(derived.hashes):
        yield Finding("tile_missing", _named(derived.place), "It is shorter than it was, or gone.")
        return
    for at in range(0, len(derived.hashes), HASH_SIZE):
        ours, theirs = derived.hashes[at : at + HASH_SIZE], there[at : at + HASH_SIZE]
        if ours == theirs:
            continue
        number = at // HASH_SIZE
        if derived.place.level:
            detail = f"Hash {number} is {theirs.hex()}; what is below comes to {ours.hex()}."
            yield Finding("tile_changed", f"{_named(derived.place)} hash {number}", detail)
        else:
            leaf = derived.place.number * tile.WIDTH + number
            detail = f"The tree holds the hash {theirs.hex()}; the entry comes to {ours.hex()}."
            yield Finding("leaf_changed", f"leaf {leaf}", detail)


def _named(place: Place) -> str:
    return f"tile {tile.path(place)}"
