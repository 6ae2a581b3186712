"""A repetition is told with where the address stood first, and a long list takes little memory."""

from __future__ import annotations

import tracemalloc

from hypothesis import given
from hypothesis import strategies as st

from crm.imports.decision import repeated
from crm.imports.model import Spot
from crm.imports.seen import Seen

MANY = 50_000
SPOTS = st.integers(1, 2**31) | st.tuples(st.sampled_from(["a.csv", "b.csv"]), st.integers(1, 9))


def test_repetitions_are_reported_with_the_first_line() -> None:
    seen = Seen()
    assert seen.earlier("a@example.com", 2) is None
    assert seen.earlier("b@example.com", ("left.csv", 3)) is None
    assert seen.earlier("a@example.com", 9) == 2
    assert seen.earlier("a@example.com", 2) is None
    assert seen.earlier("b@example.com", 3) == ("left.csv", 3)
    assert "line 2;" in repeated(2)
    assert "line 2 of left.csv;" in repeated(("left.csv", 2))


@given(st.lists(st.tuples(st.sampled_from("abcdefgh"), SPOTS), max_size=60))
def test_it_says_what_a_dictionary_would(came: list[tuple[str, Spot]]) -> None:
    seen, kept = Seen(), dict[str, Spot]()
    for address, spot in came:
        first = kept.setdefault(address, spot)
        assert seen.earlier(address, spot) == (None if first == spot else first)


def test_a_long_list_is_remembered_in_few_octets() -> None:
    """All of it, also what came before a part grew."""
    tracemalloc.start()
    seen = Seen()
    for number in range(MANY):
        assert seen.earlier(f"reader{number}@example.com", number + 1) is None
    held = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    for number in range(MANY):
        assert seen.earlier(f"reader{number}@example.com", MANY + number + 1) == number + 1
    assert held < 60 * MANY
