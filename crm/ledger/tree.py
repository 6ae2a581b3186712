"""Merkle trees as in RFC 9162 §2.1 with SHA-256: hashes, paths, and what a path proves.

Hashes are 32 bytes, indexes count from 0, a path leads from the leaf's neighbour to the root's
child. A proof that does not hold is refused with BadProof, whose text says where it breaks.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

HASH_SIZE = 32
# The head of a tree without leaves (§2.1.1).
EMPTY = hashlib.sha256(b"").digest()

_sha256 = hashlib.sha256


class BadProof(ValueError):
    """A path does not lead where it should."""


def leaf_hash(data: bytes) -> bytes:
    """Hash a leaf: the prefix keeps it from passing for a node (§2.1.1)."""
    return _sha256(b"\x00" + data).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """Hash two neighbours into the node above them."""
    return _sha256(b"\x01" + left + right).digest()


def leaf_hashes(data: bytes, size: int) -> bytes:
    """Hash leaves of `size` bytes each, written one after the other, into hashes likewise."""
    return b"".join(
        [_sha256(b"\x00" + data[at : at + size]).digest() for at in range(0, len(data), size)]
    )


def level_above(hashes: bytes) -> bytes:
    """Hash neighbours pairwise; an even number of hashes, written one after the other."""
    pair = 2 * HASH_SIZE
    return b"".join(
        [_sha256(b"\x01" + hashes[at : at + pair]).digest() for at in range(0, len(hashes), pair)]
    )


def folded(subtrees: Sequence[bytes]) -> bytes:
    """Hash neighbouring subtrees, the largest first, into the head above all of them."""
    head = subtrees[-1]
    for left in reversed(subtrees[:-1]):
        head = node_hash(left, head)
    return head


def check_inclusion(index: int, size: int, leaf: bytes, path: Sequence[bytes], root: bytes) -> None:
    """Refuse with BadProof unless `leaf` stands at `index` below `root` (RFC 9162 §2.1.3.2)."""
    _check_hashes(leaf, *path, root)
    if not 0 <= index < size:
        message = f"there is no leaf {index} in a tree of {size}"
        raise BadProof(message)
    at, last, head = index, size - 1, leaf
    for sibling in path:
        if last == 0:
            message = f"the path has {len(path)} hashes, which is too many"
            raise BadProof(message)
        if at & 1 or at == last:
            head = node_hash(sibling, head)
            while at and not at & 1:
                at, last = at >> 1, last >> 1
        else:
            head = node_hash(head, sibling)
        at, last = at >> 1, last >> 1
    if last:
        message = f"the path has {len(path)} hashes, which is too few"
        raise BadProof(message)
    if head != root:
        message = f"leaf and path lead to the root {head.hex()}, not to {root.hex()}"
        raise BadProof(message)


def check_consistency(
    first: int, second: int, path: Sequence[bytes], first_root: bytes, second_root: bytes
) -> None:
    """Refuse with BadProof unless the tree of `second` begins with that of `first` (§2.1.4.2)."""
    if not 0 < first <= second:
        message = f"a tree of {second} cannot be shown to begin with one of {first}"
        raise BadProof(message)
    if first == second:
        _check_same(first, path, first_root, second_root)
        return
    _check_hashes(*path, first_root, second_root)
    if first & (first - 1) == 0:
        path = [first_root, *path]
    if not path:
        message = "the path is empty"
        raise BadProof(message)
    _check_roots(*_both(first, second, path), first_root, second_root)


def _both(first: int, second: int, path: Sequence[bytes]) -> tuple[bytes, bytes]:
    """Walk a path between two trees, and return the roots it leads to."""
    at, last = first - 1, second - 1
    while at & 1:
        at, last = at >> 1, last >> 1
    old = new = path[0]
    for sibling in path[1:]:
        if last == 0:
            message = f"the path has {len(path)} hashes, which is too many"
            raise BadProof(message)
        if at & 1 or at == last:
            old, new = node_hash(sibling, old), node_hash(sibling, new)
            while at and not at & 1:
                at, last = at >> 1, last >> 1
        else:
            new = node_hash(new, sibling)
        at, last = at >> 1, last >> 1
    if last:
        message = f"the path has {len(path)} hashes, which is too few"
        raise BadProof(message)
    return old, new


def _check_hashes(*hashes: bytes) -> None:
    for each in hashes:
        if len(each) != HASH_SIZE:
            message = f"a hash has {HASH_SIZE} bytes, not {len(each)}"
            raise BadProof(message)


def _check_same(size: int, path: Sequence[bytes], one: bytes, other: bytes) -> None:
    if path:
        message = "between two trees of one size there is no path"
        raise BadProof(message)
    if one != other:
        message = f"two trees of {size} have the roots {one.hex()} and {other.hex()}"
        raise BadProof(message)


def _check_roots(old: bytes, new: bytes, first_root: bytes, second_root: bytes) -> None:
    if old != first_root:
        message = f"the path leads to the earlier root {old.hex()}, not to {first_root.hex()}"
        raise BadProof(message)
    if new != second_root:
        message = f"the path leads to the later root {new.hex()}, not to {second_root.hex()}"
        raise BadProof(message)
