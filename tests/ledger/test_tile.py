"""Tiles: the same tree as leaf by leaf, whatever the steps it grew in; paths in one spelling."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crm.ledger import tile
from crm.ledger.tile import WIDTH, Place
from crm.ledger.tree import (
    EMPTY,
    HASH_SIZE,
    check_consistency,
    check_inclusion,
    leaf_hash,
)
from tests.ledger.test_tree import head

# Enough for three levels of tiles.
MANY = WIDTH * WIDTH + 2 * WIDTH + 17


class Store(dict[Place, bytes]):
    """Tiles as a table keeps them."""

    size = 0

    def grow(self, leaves: bytes) -> None:
        """Append leaf hashes; what stands in a tile stays."""
        held = {place: self[place] for place in tile.edge(self.size)}
        for each in tile.grown(self.size, held, leaves):
            assert each.hashes.startswith(self.get(each.place, b""))
            assert len(each.hashes) <= WIDTH * HASH_SIZE
            self[each.place] = each.hashes
        self.size += len(leaves) // HASH_SIZE

    def only(self, places: list[Place]) -> dict[Place, bytes]:
        """Give exactly these tiles."""
        return {place: self[place] for place in places}

    def root(self, size: int) -> bytes:
        """Compute a head from the tiles that are named for it, and no other."""
        return tile.root(size, self.only(tile.places_of_root(size)))


@pytest.fixture(scope="module")
def leaves() -> list[bytes]:
    return [leaf_hash(number.to_bytes(4)) for number in range(MANY)]


@pytest.fixture(scope="module")
def store(leaves: list[bytes]) -> Store:
    grown = Store()
    steps = random.Random(3)
    while grown.size < MANY:
        step = steps.choice([1, 2, 255, 256, 257, 700, 9_000])
        grown.grow(b"".join(leaves[grown.size : grown.size + step]))
    return grown


def test_it_comes_to_the_same_root_whatever_the_steps(leaves: list[bytes], store: Store) -> None:
    at_once = Store()
    at_once.grow(b"".join(leaves))
    assert at_once == store
    assert store.root(MANY) == head(leaves)
    assert {place.level for place in store} == {0, 1, 2}


def test_every_earlier_root_can_be_computed(leaves: list[bytes], store: Store) -> None:
    for size in [*range(1, 600), *range(997, MANY, 9_973)]:
        assert store.root(size) == head(leaves[:size])
    assert tile.root(0, {}) == EMPTY


@settings(max_examples=200)
@given(data=st.data())
def test_proofs_come_from_the_tiles_named_for_them(
    leaves: list[bytes], store: Store, data: st.DataObject
) -> None:
    size = data.draw(st.integers(1, MANY))
    index = data.draw(st.integers(0, size - 1))
    path = tile.inclusion(index, size, store.only(tile.places_of_inclusion(index, size)))
    check_inclusion(index, size, leaves[index], path, store.root(size))
    first = data.draw(st.integers(1, size))
    between = tile.consistency(first, size, store.only(tile.places_of_consistency(first, size)))
    check_consistency(first, size, between, store.root(first), store.root(size))


def test_small_proofs_all_of_them(leaves: list[bytes], store: Store) -> None:
    for size in range(1, 70):
        for index in range(size):
            path = tile.inclusion(index, size, store)
            check_inclusion(index, size, leaves[index], path, store.root(size))
        for first in range(1, size + 1):
            path = tile.consistency(first, size, store)
            check_consistency(first, size, path, store.root(first), store.root(size))


@pytest.mark.parametrize(
    ("size", "widths"),
    [
        (0, {}),
        (255, {Place(0, 0): 255}),
        (256, {Place(1, 0): 1}),
        # The example of C2SP tlog-tiles.
        (70_000, {Place(0, 273): 112, Place(1, 1): 17, Place(2, 0): 1}),
    ],
)
def test_the_edge_is_what_is_not_full(size: int, widths: dict[Place, int]) -> None:
    assert {place: tile.width_at(place, size) for place in tile.edge(size)} == widths


@pytest.mark.parametrize(
    ("place", "width", "path"),
    [
        (Place(0, 1_234_067), WIDTH, "0/x001/x234/067"),
        (Place(0, 0), WIDTH, "0/000"),
        (Place(1, 999), 7, "1/999.p/7"),
        (Place(2, 1_000), 255, "2/x001/000.p/255"),
    ],
)
def test_a_path_has_one_spelling(place: Place, width: int, path: str) -> None:
    assert tile.path(place, width) == path
    assert tile.read_path(path) == (place, width)


@pytest.mark.parametrize(
    "path",
    [
        "0/0",
        "0/x000/067",
        "0/067.p/0",
        "0/067.p/256",
        "0/067.p/07",
        "00/067",
        "64/067",
        "0/x001/x234/x067",
        "0/1234067",
        "0/067/",
        "entries/000",
        "0/٠٦٧",
        "-1/067",
    ],
)
def test_no_other_spelling_is_read(path: str) -> None:
    assert tile.read_path(path) is None
