"""Tags of a list: those that are declared are put on, and none is lost without a word."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from crm import consent, customers, imports
from crm.businesses import Business
from crm.consent import Method
from crm.customers import HeldTag, NewTag
from crm.db import Database, Db, Statement
from crm.events import Actor
from crm.imports import Import, Row, RowStatus, working
from crm.imports.fields import Fields
from tests import make
from tests.imports import lists
from tests.imports.lists import HEADER, letter, report, row, rows, take, tally

_BY = Actor.system()
_UNDECLARED = (
    "The tag “{}” of {} was left out: it is not declared. "
    "Declare it and import the list again: that only adds what is missing."
)
_NOT_ALLOWED = "The tag {} was left out: it is for a purpose that is not allowed."


async def declare(db: Db, name: str, label: str = "", *, purpose_id: UUID | None = None) -> None:
    new = NewTag(
        label=label or name, purpose="To tell of courses.", retention="P1Y", purpose_id=purpose_id
    )
    await customers.declare_tag(db, _BY, name, new)


async def tags(database: Database, business: Business, address: str) -> dict[str, HeldTag]:
    async with database.read(business.id) as db:
        found = await customers.by_address(db, address)
        assert found is not None, address
        return {each.name: each for each in await customers.tags_of(db, found.id)}


async def reasons(database: Database, business: Business, done: Import) -> list[str]:
    return [each.reason for each in await report(database, business.id, done.id)]


async def test_it_works(database: Database, business: Business) -> None:
    """By name or label, in whatever letters; with blanks, hyphens or neither."""
    await letter(database, business.id)
    async with database.write(business.id) as db:
        await declare(db, "bakes_at_home", "Likes to bake")
        await declare(db, "vip", "Important")
    text = (
        HEADER
        + row("ada@example.com", tags="VIP,Bakes at home,vip")
        + row("bo@example.com", tags="likes-to-bake")
        + row("cy@example.com", confirmed="", tags="IMPORTANT")
        + row("di@example.com")
    )

    done = await take(database, business.id, text)

    assert tally(done) == (4, 0, 0, 0)
    hers = await tags(database, business, "ada@example.com")
    assert set(hers) == {"vip", "bakes_at_home"}
    assert {(each.source, each.set_at) for each in hers.values()} == {("import", done.done_at)}
    assert set(await tags(database, business, "bo@example.com")) == {"bakes_at_home"}
    assert set(await tags(database, business, "cy@example.com")) == {"vip"}
    assert await tags(database, business, "di@example.com") == {}
    assert not any("tag" in each for each in await reasons(database, business, done))


async def test_what_is_not_declared_is_named_once(database: Database, business: Business) -> None:
    """With how many rows have it, of whom it could be; declared, it comes with a second import."""
    await letter(database, business.id)
    async with database.write(business.id) as db:
        await declare(db, "vip")
    text = (
        HEADER
        + row("ada@example.com", tags="VIP,Friends of ours, ")
        + row("bo@example.com", tags="friends-of-ours,Wholesale")
        + row("left@example.com", left=lists.LEFT, tags="Friends of ours,Gone")
    )

    first = await take(database, business.id, text)
    async with database.write(business.id) as db:
        await declare(db, "friends", "Friends of ours")
    second = await take(database, business.id, text)
    third = await take(database, business.id, text)

    said = [each for each in await reasons(database, business, first) if "tag" in each]
    friends = _UNDECLARED.format("Friends of ours", "2 rows")
    assert said == [friends, _UNDECLARED.format("Wholesale", "1 row")]
    assert set(await tags(database, business, "ada@example.com")) == {"vip", "friends"}
    assert await tags(database, business, "left@example.com") == {}
    assert (tally(second), tally(third)) == ((0, 2, 1, 0), (0, 0, 3, 0))
    assert friends not in await reasons(database, business, second)


async def test_of_very_many_that_are_not_declared_some_are_named(
    database: Database, business: Business
) -> None:
    await letter(database, business.id)
    text = HEADER + "".join(row(f"r{nr}@example.com", tags=f"tag {nr},all") for nr in range(60))

    done = await take(database, business.id, text)

    said = [each for each in await reasons(database, business, done) if "not declared" in each]
    async with database.read(business.id) as db:
        whole = await imports.report(db, done.id, limit=100)
    assert len(whole) == 51
    assert len({each.reason for each in whole}) == 51
    assert _UNDECLARED.format("all", "60 rows") in said
    assert whole[-1].reason.startswith("Other tags of 11 rows were left out:")


async def test_the_list_as_a_whole_and_its_first_line_are_both_spoken_of(
    database: Database, business: Business
) -> None:
    """Of JSON lines the first line is a row; the report is written in several pieces."""
    await letter(database, business.id)
    text = '{"email":"ada@example.com","tags":["vip"],"locale":"?"}\n'

    done = await take(database, business.id, text)

    closing, locale, quarantined, tag = await reasons(database, business, done)
    assert "no closing record" in closing
    assert "locale" in locale
    assert "quarantine" in quarantined
    assert tag == _UNDECLARED.format("vip", "1 row")


async def test_what_is_for_a_purpose_needs_her_yes(database: Database, business: Business) -> None:
    """As it is at that moment: what the row itself proves counts."""
    notice = await letter(database, business.id)
    async with database.write(business.id) as db:
        await declare(db, "bakes", purpose_id=notice.purpose_id)
        await declare(db, "vip")
        other = await make.purpose(db, slug="offers")
        await declare(db, "buys", purpose_id=other.id)
    text = (
        HEADER
        + row("yes@example.com", tags="bakes")
        + row("no@example.com", confirmed="", tags="bakes,vip")
        + row("nor@example.com", tags="buys")
    )

    done = await take(database, business.id, text)
    again = await take(database, business.id, text)

    assert set(await tags(database, business, "yes@example.com")) == {"bakes"}
    assert set(await tags(database, business, "no@example.com")) == {"vip"}
    assert await tags(database, business, "nor@example.com") == {}
    for each in (done, again):
        said = await report(database, business.id, each.id)
        assert [one.line for one in said if one.reason == _NOT_ALLOWED.format("bakes")] == [3]
        assert [one.line for one in said if one.reason == _NOT_ALLOWED.format("buys")] == [4]
    assert (tally(done), tally(again)) == ((3, 0, 0, 0), (0, 0, 3, 0))


async def test_who_left_or_is_frozen_gets_none(database: Database, business: Business) -> None:
    notice = await letter(database, business.id)
    async with database.write(business.id) as db:
        await declare(db, "vip")
        left = await make.customer(db, address="left@example.com", name="Lea")
        await consent.withdraw(db, _BY, left.id, notice.purpose_id, method=Method.portal)
        frozen = await make.customer(db, address="frozen@example.com", name="Finn")
        await customers.restrict(db, _BY, frozen.id)
    text = (
        HEADER
        + row("left@example.com", tags="vip")
        + row("frozen@example.com", confirmed="", tags="vip")
        + row("gone@example.com", gone=lists.LEFT, tags="vip")
    )

    await take(database, business.id, text)

    assert await rows(database, business.id, "customer_tag") == 0


async def test_what_she_has_stays_as_it_is(database: Database, business: Business) -> None:
    """With its time and its source; a row that only adds a tag has changed her."""
    await letter(database, business.id)
    async with database.write(business.id) as db:
        await declare(db, "vip")
        await declare(db, "bakes")
    await take(database, business.id, HEADER + row("ada@example.com", "Ada"))
    async with database.write(business.id) as db:
        ada = await customers.by_address(db, "ada@example.com")
        assert ada is not None
        [before] = await customers.put_tag(db, _BY, ada.id, "vip")

    same = await take(database, business.id, HEADER + row("ada@example.com", tags="vip"))
    more = await take(database, business.id, HEADER + row("ada@example.com", tags="vip,bakes"))

    assert (tally(same), tally(more)) == ((0, 0, 1, 0), (0, 1, 0, 0))
    hers = await tags(database, business, "ada@example.com")
    assert hers["vip"] == before
    assert hers["bakes"].source == "import"


async def test_a_try_puts_none_on_and_says_the_same(database: Database, business: Business) -> None:
    await letter(database, business.id)
    async with database.write(business.id) as db:
        await declare(db, "vip")
        text = HEADER + row("ada@example.com", tags="vip,other")
        received = await make.received(db, lists.SLUG, text, only_try=True)

    tried = await imports.work_waiting(database, business.id, received.id)

    assert tried is not None
    said = await reasons(database, business, tried)
    assert said == [_UNDECLARED.format("other", "1 row")]
    assert await rows(database, business.id, "customer_tag") == 0
    async with database.write(business.id) as db:
        await imports.start(db, _BY, received.id)
    done = await imports.work_waiting(database, business.id, received.id)
    assert done is not None
    assert await reasons(database, business, done) == said
    assert set(await tags(database, business, "ada@example.com")) == {"vip"}


_KINDS: dict[str, dict[str, Any]] = {
    "proven": {},
    "unproven": {"asked": "", "confirmed": ""},
    "left": {"left": lists.LEFT},
}
_ROW = st.tuples(
    st.sampled_from(("ada", "bo")),
    st.sampled_from(sorted(_KINDS)),
    st.lists(st.sampled_from(("vip", "bakes", "other", "another")), max_size=3),
)


@settings(
    max_examples=10, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    file=st.lists(_ROW, min_size=1, max_size=6),
    size=st.integers(1, 7),
    order=st.randoms(use_true_random=False),
)
async def test_no_order_and_no_cut_into_batches_matters(
    database: Database, file: list[tuple[str, str, list[str]]], size: int, order: Any
) -> None:
    """Who left has none; everybody else has what is declared of all her rows together."""
    texts = [
        row(f"{who}@example.com", tags=",".join(words), **_KINDS[kind]) for who, kind, words in file
    ]
    shuffled = order.sample(texts, len(texts))
    found = []
    for rows_of_file, batch in ((texts, 2000), (shuffled, size)):
        business = await make.business(database)
        await letter(database, business.id)
        async with database.write(business.id) as db:
            await declare(db, "vip")
            await declare(db, "bakes")
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(working, "BATCH", batch)
            done = await take(database, business.id, HEADER + "".join(rows_of_file))
            again = await take(database, business.id, HEADER + "".join(rows_of_file))
        assert tally(again) == (0, 0, len(file), 0)
        here = {who: await tags(database, business, f"{who}@example.com") for who, _, _ in file}
        said = {each for each in await reasons(database, business, done) if "tag" in each}
        found.append(({who: set(each) for who, each in here.items()}, said))
    assert found[0] == found[1]
    for who, hers in found[0][0].items():
        mine = [(kind, words) for name, kind, words in file if name == who]
        gone = any(kind == "left" for kind, _ in mine)
        wanted = {word for _, words in mine for word in words} & {"vip", "bakes"}
        assert hers == (set() if gone else wanted)


def test_tags_of_signs_are_told_apart_and_long_ones_are_none() -> None:
    """One of a million letters is no label; it is counted, and not kept."""
    new = customers.Tag(
        name="star", label="★", purpose="To help.", retention="P1Y", purpose_id=None,
        declared_at=datetime(2026, 1, 1, tzinfo=UTC),
    )  # fmt: skip
    fields = Fields([], [new])
    said = ("★", "☆", "STAR", "star+", "x" * 10**6)
    row = Row(1, "a@example.com", "", RowStatus.subscribed, tags=said)
    fields.count(row)

    assert fields.of(row).tags == ("star",)
    told = [each.reason for each in fields.undeclared()]
    assert ["☆" in told[0], "star+" in told[1], len(told)] == [True, True, 3]
    assert max(map(len, told)) < 500


async def test_where_no_tag_is_declared_nothing_is_asked(
    database: Database, business: Business, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nor where no row has one."""
    await letter(database, business.id)
    asked: list[str] = []

    async def many(self: Db, statement: Statement, to: Any, **params: Any) -> Any:
        asked.append(statement.name)
        return await ask(self, statement, to, **params)

    async def run(self: Db, statement: Statement, **params: Any) -> int:
        asked.append(statement.name)
        return await write(self, statement, **params)

    ask, write = Db.many, Db.run
    text = HEADER + row("ada@example.com", tags="vip")
    bare = HEADER + row("ada@example.com")
    monkeypatch.setattr(Db, "many", many)
    monkeypatch.setattr(Db, "run", run)
    for _ in range(2):
        await take(database, business.id, text)
    async with database.write(business.id) as db:
        await declare(db, "vip")
    await take(database, business.id, bare)

    assert not {"tags_held", "tags_not_allowed", "fill_tags", "external_ids_held"} & set(asked)
    await take(database, business.id, text)
    assert {"tags_held", "fill_tags"} <= set(asked)
    assert "tags_not_allowed" not in asked
