"""A second run changes nothing, and an opt-out wins whatever the order of rows and files."""

from __future__ import annotations

from itertools import permutations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from crm.businesses import Business
from crm.consent import Status
from crm.db import Database
from crm.imports import working
from tests import make
from tests.imports import lists
from tests.imports.lists import HEADER, held, letter, recorded, row, rows, take, tally

_TABLES = ("customer", "consent", "consent_event", "consent_record", "suppression")
_KINDS = {
    "proven": {},
    "unconfirmed": {"confirmed": ""},
    "unproven": {"asked": "", "confirmed": ""},
    "left": {"left": lists.LEFT},
    "gone": {"gone": lists.LEFT},
}
_WHO = ("ada", "bo", "cy")


def _row(who: str, kind: str) -> str:
    return row(f"{who}@example.com", **_KINDS[kind])


async def test_the_same_file_twice(database: Database, business: Business) -> None:
    await letter(database, business.id)
    text = HEADER + "".join(_row(kind, kind) for kind in _KINDS) + row("nobody")

    first = await take(database, business.id, text)
    before = [await rows(database, business.id, table) for table in _TABLES]
    second = await take(database, business.id, text)

    assert tally(first) == (5, 0, 0, 1)
    assert tally(second) == (0, 0, 5, 1)
    assert recorded(second) == (0, 0, 0, 0)
    assert [await rows(database, business.id, table) for table in _TABLES] == before


@pytest.mark.parametrize("size", [1, 2, 2000])
async def test_any_order_of_rows_comes_to_the_same(
    database: Database, business: Business, size: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each of the 120 orders of five rows has an address of its own, in batches of any size."""
    monkeypatch.setattr(working, "BATCH", size)
    notice = await letter(database, business.id)
    orders = list(permutations(_KINDS)) if size > 1 else list(permutations(_KINDS))[::11]
    text = "".join(_row(f"nr{nr}", kind) for nr, order in enumerate(orders) for kind in order)

    done = await take(database, business.id, HEADER + text)

    assert tally(done) == (len(orders), 0, 4 * len(orders), 0)
    for nr in range(len(orders)):
        found = await held(database, notice, business.id, f"nr{nr}@example.com")
        assert (found.status, found.suppressed) == (Status.withdrawn, True)
    again = await take(database, business.id, HEADER + text)
    assert tally(again) == (0, 0, 5 * len(orders), 0)


@pytest.mark.parametrize("size", [1, 2000])
async def test_proof_counts_wherever_it_stands(
    database: Database, business: Business, size: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(working, "BATCH", size)
    notice = await letter(database, business.id)
    kinds = ("unproven", "proven", "unconfirmed")
    orders = list(permutations(kinds))
    text = "".join(_row(f"nr{nr}", kind) for nr, order in enumerate(orders) for kind in order)

    done = await take(database, business.id, HEADER + text)

    assert recorded(done) == (6, 0, 0, 0)
    assert tally(done) == (6, 0, 12, 0)
    found = await held(database, notice, business.id, "nr3@example.com")
    assert found.mailable
    assert len(found.history) == 1


_FILES = st.lists(
    st.lists(
        st.tuples(st.sampled_from(_WHO), st.sampled_from(sorted(_KINDS))), min_size=1, max_size=6
    ),
    min_size=1,
    max_size=3,
)


@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(files=_FILES, size=st.integers(1, 7))
async def test_any_order_of_files_mails_no_opt_out(
    database: Database, files: list[list[tuple[str, str]]], size: int
) -> None:
    business = await make.business(database)
    notice = await letter(database, business.id)
    texts = [HEADER + "".join(_row(*each) for each in file) for file in files]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(working, "BATCH", size)
        for text, file in zip(texts, files, strict=True):
            assert sum(tally(await take(database, business.id, text))) == len(file)
        for text, file in zip(texts, files, strict=True):
            assert tally(await take(database, business.id, text)) == (0, 0, len(file), 0)
    for who in _WHO:
        said = {kind for file in files for name, kind in file if name == who}
        found = await held(database, notice, business.id, f"{who}@example.com")
        assert found.known == bool(said)
        assert found.mailable == ("proven" in said and not said & {"left", "gone"})
        assert (found.status is Status.withdrawn) == ("left" in said)
        assert found.suppressed == ("gone" in said)
