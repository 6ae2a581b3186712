"""The tree cut into tiles (C2SP tlog-tiles): what is stored, what is published, what proves.

A tile is up to 256 neighbouring hashes. On level 0 they are those of leaves; on every other level
each is the head over a full tile below. All that a proof needs is computed from a few tiles.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from functools import lru_cache

from msgspec import Struct

from crm.ledger.tree import EMPTY, HASH_SIZE, folded, level_above

# 256 hashes are the eight levels of the tree that one tile stands for.
WIDTH = 256
_HEIGHT = 8

_PATH = re.compile(r"(\d{1,2})/((?:x\d{3}/)*\d{3})(?:\.p/(\d{1,3}))?", re.ASCII)
_HIGHEST = 63


class Place(Struct, frozen=True, order=True):
    """Where a tile is: its level, and its number on that level."""

    level: int
    number: int


class Tile(Struct, frozen=True):
    """A tile with its hashes, one after the other; full, or the last of its level."""

    place: Place
    hashes: bytes


Tiles = Mapping[Place, bytes]


def edge(size: int) -> list[Place]:
    """Name the tiles at the right edge of a tree that are there and not full."""
    return [place for place, width in _last(size) if width]


def grown(size: int, edges: Tiles, leaves: bytes) -> list[Tile]:
    """Append leaf hashes to a tree of `size`; return each tile that is new or longer now.

    `edges` holds the tiles of `edge(size)`.
    """
    written: list[Tile] = []
    level, known, arriving = 0, size, leaves
    while arriving:
        number, width = divmod(known, WIDTH)
        held = edges[Place(level, number)] if width else b""
        hashes = held + arriving
        above = []
        for at in range(0, len(hashes), WIDTH * HASH_SIZE):
            piece = hashes[at : at + WIDTH * HASH_SIZE]
            written.append(Tile(Place(level, number), piece))
            number += 1
            if len(piece) == WIDTH * HASH_SIZE:
                above.append(_head(piece))
        level, known, arriving = level + 1, known // WIDTH, b"".join(above)
    return written


def places_of_root(size: int) -> list[Place]:
    """Name the tiles from which the head of a tree of `size` is computed."""
    return sorted({_holder(*subtree)[0] for subtree in _subtrees(0, size)})


def root(size: int, tiles: Tiles) -> bytes:
    """Compute the head of a tree of `size`."""
    return _range(0, size, tiles) if size else EMPTY


def places_of_inclusion(index: int, size: int) -> list[Place]:
    """Name the tiles that the path of a leaf is computed from."""
    return _places(_siblings(index, size))


def inclusion(index: int, size: int, tiles: Tiles) -> list[bytes]:
    """Compute the path of the leaf at `index` in a tree of `size` (RFC 9162 §2.1.3.1)."""
    return [_range(begin, end, tiles) for begin, end in _siblings(index, size)]


def places_of_consistency(first: int, second: int) -> list[Place]:
    """Name the tiles that the path between two sizes is computed from."""
    return _places(_between(first, second))


def consistency(first: int, second: int, tiles: Tiles) -> list[bytes]:
    """Compute the path from a tree of `first` to one of `second` leaves (RFC 9162 §2.1.4.1)."""
    return [_range(begin, end, tiles) for begin, end in _between(first, second)]


def path(place: Place, width: int = WIDTH) -> str:
    """Write where a tile is published: `1/x001/x234/067`, with `.p/W` while it is not full."""
    digits = f"{place.number:03}"
    digits = digits.zfill(-(-len(digits) // 3) * 3)
    groups = [digits[at : at + 3] for at in range(0, len(digits), 3)]
    partial = f".p/{width}" if width < WIDTH else ""
    return "/".join([str(place.level), *(f"x{each}" for each in groups[:-1]), groups[-1]]) + partial


def read_path(text: str) -> tuple[Place, int] | None:
    """Read what `path` writes, in its one spelling; None for anything else."""
    found = _PATH.fullmatch(text)
    if found is None:
        return None
    level, number = int(found[1]), int(found[2].replace("x", "").replace("/", ""))
    width = int(found[3]) if found[3] else WIDTH
    place = Place(level, number)
    if level > _HIGHEST or not 0 < width <= WIDTH or path(place, width) != text:
        return None
    return place, width


def width_at(place: Place, size: int) -> int:
    """Say how many hashes a tile has in a tree of `size`."""
    there = size >> (_HEIGHT * place.level)
    return min(max(there - place.number * WIDTH, 0), WIDTH)


def _last(size: int) -> Iterator[tuple[Place, int]]:
    level = 0
    while size:
        number, width = divmod(size, WIDTH)
        yield Place(level, number), width
        level, size = level + 1, number


def _head(hashes: bytes) -> bytes:
    """Hash neighbours of one level up to the one head above; their number is a power of two."""
    while len(hashes) > HASH_SIZE:
        hashes = level_above(hashes)
    return hashes


def _subtrees(begin: int, end: int) -> Iterator[tuple[int, int]]:
    """Cut a range of leaves into complete subtrees, each as height and number at that height.

    `begin` is a multiple of the largest power of two below the range's length, as in RFC 9162.
    """
    while begin < end:
        height = (end - begin).bit_length() - 1
        yield height, begin >> height
        begin += 1 << height


def _holder(height: int, number: int) -> tuple[Place, int, int]:
    """Find the tile that holds a complete subtree: how high in it, and at which byte there."""
    level, rest = divmod(height, _HEIGHT)
    tile, offset = divmod(number, WIDTH >> rest)
    return Place(level, tile), rest, offset * HASH_SIZE


def _range(begin: int, end: int, tiles: Tiles) -> bytes:
    """Compute the head over the leaves from `begin` up to, not including, `end`."""
    heads = []
    for height, number in _subtrees(begin, end):
        place, rest, at = _holder(height, number)
        heads.append(_levels(tiles[place])[rest][at : at + HASH_SIZE])
    return folded(heads)


# Proofs of one business share the upper tiles; 512 of them, with all their nodes, are 8 MB.
@lru_cache(maxsize=512)
def _levels(hashes: bytes) -> tuple[bytes, ...]:
    """Compute the complete nodes of a tile, level by level, from its hashes up."""
    levels = [hashes]
    while len(hashes) >= 2 * HASH_SIZE:
        hashes = level_above(hashes[: len(hashes) // (2 * HASH_SIZE) * 2 * HASH_SIZE])
        levels.append(hashes)
    return tuple(levels)


def _places(ranges: Iterator[tuple[int, int]]) -> list[Place]:
    return sorted(
        {_holder(*subtree)[0] for begin, end in ranges for subtree in _subtrees(begin, end)}
    )


def _siblings(index: int, size: int) -> Iterator[tuple[int, int]]:
    """Give the ranges beside the way from a leaf to the root, from below."""
    begin, end = 0, size
    beside = []
    while end - begin > 1:
        middle = begin + _half(end - begin)
        if index < middle:
            beside.append((middle, end))
            end = middle
        else:
            beside.append((begin, middle))
            begin = middle
    return reversed(beside)


def _between(first: int, second: int) -> Iterator[tuple[int, int]]:
    """Give the ranges whose heads lead from the earlier tree to the later one, from below."""
    begin, end = 0, second
    beside = []
    # What is left is the earlier tree itself, or a part of it that is also one of the later one's.
    while first < end:
        middle = begin + _half(end - begin)
        if first <= middle:
            beside.append((middle, end))
            end = middle
        else:
            beside.append((begin, middle))
            begin = middle
    if begin:
        beside.append((begin, end))
    return reversed(beside)


def _half(length: int) -> int:
    """Find the largest power of two below a length (RFC 9162 §2.1.1)."""
    return 1 << ((length - 1).bit_length() - 1)
