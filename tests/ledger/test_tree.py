"""The tree: what RFC 9162 defines, against a definition read off it and against others' vectors."""

from __future__ import annotations

import hashlib
import json
from base64 import b64decode
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crm.ledger.tree import (
    EMPTY,
    BadProof,
    check_consistency,
    check_inclusion,
    leaf_hash,
    leaf_hashes,
    node_hash,
)

VECTORS = Path(__file__).resolve().parents[3] / "shared" / "data" / "vectors" / "merkle"
needs_vectors = pytest.mark.skipif(
    not VECTORS.is_dir(), reason="the vectors of transparency-dev/merkle are not here"
)
LEAVES = [leaf_hash(bytes([number])) for number in range(70)]


def head(leaves: list[bytes]) -> bytes:
    """MTH as RFC 9162 §2.1.1 defines it, by recursion."""
    if not leaves:
        return hashlib.sha256().digest()
    if len(leaves) == 1:
        return leaves[0]
    half = _half(len(leaves))
    return node_hash(head(leaves[:half]), head(leaves[half:]))


def inclusion(index: int, leaves: list[bytes]) -> list[bytes]:
    """PATH as §2.1.3.1 defines it."""
    if len(leaves) == 1:
        return []
    half = _half(len(leaves))
    if index < half:
        return [*inclusion(index, leaves[:half]), head(leaves[half:])]
    return [*inclusion(index - half, leaves[half:]), head(leaves[:half])]


def consistency(first: int, leaves: list[bytes], *, whole: bool = True) -> list[bytes]:
    """SUBPROOF as §2.1.4.1 defines it."""
    if first == len(leaves):
        return [] if whole else [head(leaves)]
    half = _half(len(leaves))
    if first <= half:
        return [*consistency(first, leaves[:half], whole=whole), head(leaves[half:])]
    return [*consistency(first - half, leaves[half:], whole=False), head(leaves[:half])]


def _half(length: int) -> int:
    return 1 << ((length - 1).bit_length() - 1)


def test_the_empty_tree() -> None:
    assert head([]) == EMPTY


@pytest.mark.parametrize("size", range(1, len(LEAVES)))
def test_paths_are_those_of_the_definition(size: int) -> None:
    leaves = LEAVES[:size]
    root = head(leaves)
    for index in range(size):
        check_inclusion(index, size, leaves[index], inclusion(index, leaves), root)
    for first in range(1, size + 1):
        path = consistency(first, leaves)
        check_consistency(first, size, path, head(leaves[:first]), root)


def test_many_leaves_at_once_are_hashed_as_each() -> None:
    assert leaf_hashes(b"aabbcc", 2) == b"".join(map(leaf_hash, (b"aa", b"bb", b"cc")))


@given(
    size=st.integers(1, 69),
    where=st.data(),
)
def test_nothing_else_is_proved(size: int, where: st.DataObject) -> None:
    """One bit, one hash more or less, another index or size: refused, each of them."""
    leaves = LEAVES[:size]
    index = where.draw(st.integers(0, size - 1))
    path, root = inclusion(index, leaves), head(leaves)
    change = where.draw(st.sampled_from(["leaf", "path", "root", "longer", "shorter", "beyond"]))
    leaf = leaves[index]
    match change:
        case "leaf":
            leaf = _flipped(leaf, where)
        case "path" if path:
            at = where.draw(st.integers(0, len(path) - 1))
            path[at] = _flipped(path[at], where)
        case "longer":
            path = [*path, where.draw(st.sampled_from(LEAVES))]
        case "shorter" if path:
            del path[where.draw(st.integers(0, len(path) - 1))]
        case "beyond":
            index = size
        case _:
            root = _flipped(root, where)
    with pytest.raises(BadProof):
        check_inclusion(index, size, leaf, path, root)


def _flipped(hashed: bytes, where: st.DataObject) -> bytes:
    bit = where.draw(st.integers(0, 255))
    return (int.from_bytes(hashed) ^ 1 << bit).to_bytes(32)


@pytest.mark.parametrize(
    ("index", "size", "path", "sentence"),
    [
        (3, 3, [], "there is no leaf 3 in a tree of 3"),
        (-1, 3, [], "there is no leaf -1"),
        (0, 1, [LEAVES[1]], "too many"),
        (0, 3, [LEAVES[1]], "too few"),
        (0, 3, [b"short"], "a hash has 32 bytes, not 5"),
        (0, 3, [LEAVES[1], LEAVES[1]], "lead to the root"),
    ],
)
def test_a_bad_path_is_told(index: int, size: int, path: list[bytes], sentence: str) -> None:
    with pytest.raises(BadProof, match=sentence):
        check_inclusion(index, size, LEAVES[0], path, head(LEAVES[: max(size, 1)]))


@pytest.mark.parametrize(
    ("first", "second", "sentence"),
    [
        (0, 3, "begin with one of 0"),
        (4, 3, "begin with one of 4"),
        (3, 3, "there is no path"),
    ],
)
def test_sizes_that_prove_nothing(first: int, second: int, sentence: str) -> None:
    with pytest.raises(BadProof, match=sentence):
        check_consistency(first, second, [LEAVES[0]], LEAVES[0], LEAVES[0])


def _vectors(kind: str) -> list[Any]:
    paths = sorted((VECTORS / kind).rglob("*.json")) if VECTORS.is_dir() else []
    return [
        pytest.param(json.loads(path.read_text()), id=str(path.relative_to(VECTORS)))
        for path in paths
    ]


def _hash(text: str | None) -> bytes:
    return b64decode(text or "")


def _verdict(vector: dict[str, Any], check: Any, *args: Any) -> None:
    if vector["wantErr"]:
        with pytest.raises(BadProof):
            check(*args)
    else:
        check(*args)


@needs_vectors
def test_every_vector_is_here() -> None:
    assert len(_vectors("inclusion")) + len(_vectors("consistency")) == 196


@needs_vectors
@pytest.mark.parametrize("vector", _vectors("inclusion"))
def test_inclusion_as_others_see_it(vector: dict[str, Any]) -> None:
    path = [_hash(each) for each in vector["proof"] or []]
    leaf, root = _hash(vector["leafHash"]), _hash(vector["root"])
    _verdict(vector, check_inclusion, vector["leafIdx"], vector["treeSize"], leaf, path, root)


@needs_vectors
@pytest.mark.parametrize("vector", _vectors("consistency"))
def test_consistency_as_others_see_it(vector: dict[str, Any]) -> None:
    path = [_hash(each) for each in vector["proof"] or []]
    roots = _hash(vector["root1"]), _hash(vector["root2"])
    _verdict(vector, check_consistency, vector["size1"], vector["size2"], path, *roots)


@needs_vectors
def test_the_reference_tree() -> None:
    told = json.loads((VECTORS / "reference-tree.json").read_text())
    leaves = [leaf_hash(bytes.fromhex(each)) for each in told["leaf_inputs_hex"]]
    assert [each.hex() for each in leaves] == told["node_hashes_by_level"][0]
    roots = [head(leaves[:size]).hex() for size in range(len(leaves) + 1)]
    assert roots == told["root_by_tree_size"]
