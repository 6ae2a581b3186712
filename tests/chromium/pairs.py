"""Combinations, fewer than all: each two values of any two axes meet in at least one of them."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from itertools import combinations
from typing import Any

Axes = Mapping[str, Sequence[Hashable]]
_Pair = frozenset[tuple[str, Hashable]]


def pairwise(axes: Axes) -> list[dict[str, Any]]:
    """Choose rows greedily: each begins with a pair that has not met, and adds what meets most."""
    left = {
        frozenset({(one, a), (other, b)}): None
        for one, other in combinations(axes, 2)
        for a in axes[one]
        for b in axes[other]
    }
    rows = []
    while left:
        row = dict(next(iter(left)))
        for name in axes:
            if name not in row:
                row[name] = _best(row, name, axes[name], left)
        for pair in combinations(row.items(), 2):
            left.pop(frozenset(pair), None)
        rows.append({name: row[name] for name in axes})
    return rows


def _best(
    row: dict[str, Hashable], name: str, values: Sequence[Hashable], left: Mapping[_Pair, None]
) -> Hashable:
    def meets(value: Hashable) -> int:
        return sum(frozenset({(name, value), each}) in left for each in row.items())

    return max(values, key=meets)
