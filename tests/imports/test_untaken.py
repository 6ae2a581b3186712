"""Columns and fields of which nothing is taken: each is named once, with what to do about it."""

from __future__ import annotations

import tracemalloc

import pytest

from crm import customers
from crm.businesses import Business
from crm.customers import NewTag
from crm.db import Database
from crm.events import Actor
from crm.imports import Import, Row, RowStatus
from crm.imports.fields import Fields
from crm.imports.gathering import gather
from crm.imports.presets import left_behind, words
from tests.imports.lists import declared, letter, report, take, tally

_BY = Actor.system()
_AGAIN = "Declare it and import the list again: that only adds what is missing."


def undeclared(title: str, rows: str) -> str:
    return f"The values under “{title}” in {rows} were left out: no such attribute is declared."


def observed(title: str, rows: str) -> str:
    return (
        f"The values under “{title}” in {rows} were left behind: "
        "a tool observed or numbered that, and nobody gave it."
    )


async def values(database: Database, business: Business, address: str) -> dict[str, object]:
    async with database.read(business.id) as db:
        found = await customers.by_address(db, address)
        assert found is not None
        return {each.name: each.value for each in await customers.values(db, found.id)}


async def reasons(database: Database, business: Business, done: Import) -> list[str]:
    """What is said of the list as a whole."""
    return [
        each.reason
        for each in await report(database, business.id, done.id)
        if "were left" in each.reason
    ]


async def test_it_works(database: Database, business: Business) -> None:
    """Declared, it comes with a second import; who left there, and empty cells, are not counted."""
    await letter(database, business.id)
    async with database.write(business.id) as db:
        await declared(db, "city")
    text = (
        "email,status,City,phone,customer_no,note\n"
        "ada@example.com,subscribed,Oslo,555 1,K-1,\n"
        "bo@example.com,subscribed,Rome,555 2,,\n"
        "left@example.com,unsubscribed,Bonn,555 3,K-3,gone\n"
    )

    first = await take(database, business.id, text)
    async with database.write(business.id) as db:
        await declared(db, "phone")
    second = await take(database, business.id, text)

    number = f"{undeclared('customer_no', '1 row')} {_AGAIN}"
    phone = f"{undeclared('phone', '2 rows')} {_AGAIN}"
    assert await reasons(database, business, first) == [phone, number]
    assert await reasons(database, business, second) == [number]
    assert (tally(first), tally(second)) == ((3, 0, 0, 0), (0, 2, 1, 0))
    ada = await values(database, business, "ada@example.com")
    assert ada == {"city": "Oslo", "phone": "555 1"}
    assert await values(database, business, "left@example.com") == {}


async def test_of_a_ghost_list_labels_are_tags_and_the_rest_is_named(
    database: Database, business: Business
) -> None:
    await letter(database, business.id)
    async with database.write(business.id) as db:
        new = NewTag(label="Bakes at home", purpose="To tell of courses.", retention="P1Y")
        await customers.declare_tag(db, _BY, "bakes", new)
    text = (
        "id,email,name,note,subscribed_to_emails,stripe_customer_id,created_at,labels,tiers\n"
        '6,ada@example.com,Ada,Likes rye,true,cus_1,,"Bakes at home, Wholesale",Gold\n'
        "7,bo@example.com,Bo,,true,,,Wholesale,\n"
    )

    done = await take(database, business.id, text)

    assert done.format == "ghost"
    async with database.read(business.id) as db:
        ada = await customers.by_address(db, "ada@example.com")
        assert ada is not None
        assert [each.name for each in await customers.tags_of(db, ada.id)] == ["bakes"]
    said = await reasons(database, business, done)
    assert said == [
        observed("id", "2 rows"),
        f"{undeclared('note', '1 row')} {_AGAIN}",
        observed("stripe_customer_id", "1 row"),
        f"{undeclared('tiers', '1 row')} {_AGAIN}",
    ]
    told = [each.reason for each in await report(database, business.id, done.id)]
    assert f"The tag “Wholesale” of 2 rows was left out: it is not declared. {_AGAIN}" in told


async def test_labels_of_others_are_a_column_like_any(
    database: Database, business: Business
) -> None:
    await letter(database, business.id)

    done = await take(database, business.id, "email,labels\nada@example.com,Wholesale\n")

    assert await reasons(database, business, done) == [f"{undeclared('labels', '1 row')} {_AGAIN}"]


@pytest.mark.parametrize(
    "line",
    [
        '{"email":"a@example.com","subscribed_to_emails":true,"labels":"Wholesale"}',
        '{"email":"a@example.com","Tags":"Wholesale"}',
        '{"email":"a@example.com","tags":["Wholesale"]}',
    ],
)
async def test_tags_of_json_lines_are_those_of_the_column_of_that_name(
    database: Database, business: Business, line: str
) -> None:
    await letter(database, business.id)

    done = await take(database, business.id, f"{line}\n")

    told = [each.reason for each in await report(database, business.id, done.id)]
    assert f"The tag “Wholesale” of 1 row was left out: it is not declared. {_AGAIN}" in told


@pytest.mark.parametrize(
    "text",
    [
        'email,name,attributes\na@example.com,A,"{""home"": {""city"": ""Oslo""}, ""opens"": 7}"\n',
        'Email,First name,Last name,Data\na@example.com,,,"{""home.city"":""Oslo"",""opens"":7}"\n',
        '{"email":"a@example.com","attributes":{"home.city":"Oslo","opens":7}}\n',
        '{"email":"a@example.com","home.city":"Oslo","opens":7}\n',
    ],
)
async def test_so_is_what_stands_in_json(database: Database, business: Business, text: str) -> None:
    await letter(database, business.id)

    done = await take(database, business.id, text)

    assert set(await reasons(database, business, done)) == {
        f"{undeclared('home.city', '1 row')} {_AGAIN}",
        observed("opens", "1 row"),
    }


async def test_what_a_tool_numbered_is_taken_where_it_is_declared(
    database: Database, business: Business
) -> None:
    """A club has member ids of its own; what a pixel saw is never taken."""
    await letter(database, business.id)
    async with database.write(business.id) as db:
        await declared(db, "member_id")
        await declared(db, "last_open")
    text = "email,Member ID,Last open\nada@example.com,12,2024-01-01\n"

    done = await take(database, business.id, text)

    assert await values(database, business, "ada@example.com") == {"member_id": "12"}
    assert await reasons(database, business, done) == []
    [first, *_] = await report(database, business.id, done.id)
    assert first.reason == (
        "Read as a table. Left behind, as no evidence but observation: “Last open”."
    )


def test_what_is_observed_or_numbered_is_known_as_that() -> None:
    watched = words(
        "id stripecustomerid subscriberid contactid memberid devicetype browser score lastopen "
        "lastclick lastemailopen lastopendate opens clickrate"
    )
    given = words("phone city note customerno lastname lastshop openinghours tiers")
    assert {each for each in watched | given if left_behind(each)} == watched


def rows_of(count: int, *, watched: bool = False) -> list[Row]:
    """Each with a title, and something watched, that no other has."""
    return [
        Row(
            number,
            f"r{number}@example.com",
            other={f"title {number}": "x", f"{number}" + "y" * 2000: "x", "all": "x"},
            watched=(f"opens {number}",) if watched else (),
        )
        for number in range(count)
    ]


def test_of_very_many_titles_some_are_named() -> None:
    fields = Fields([])
    gather(iter(rows_of(60, watched=True)), 100, str.encode, fields)

    said = [each.reason for each in fields.undeclared()]

    assert len(set(said)) == len(said) == 102
    assert f"{undeclared('all', '60 rows')} {_AGAIN}" in said
    assert max(map(len, said)) < 500
    behind, out = [each for each in said if "other titles" in each]
    assert "in 10 rows were left behind: a tool observed" in behind
    assert "in 36 rows were left out. Declare those that you want to keep and import" in out


def test_a_list_with_other_titles_in_every_line_takes_no_more_memory() -> None:
    def kept(count: int) -> int:
        fields = Fields([])
        tracemalloc.start()
        for number in range(count):
            row = Row(1, "a@example.com", other={f"{number}" + "y" * 500: "x", "City": "Oslo"})
            fields.count(row)
            assert fields.of(row).other == {}
        size = tracemalloc.get_traced_memory()[0]
        tracemalloc.stop()
        return size

    assert kept(20_000) < 1.5 * kept(1_000)


def test_who_left_there_is_not_counted() -> None:
    fields = Fields([])
    fields.count(Row(1, "a@example.com", "", RowStatus.cleaned, other={"phone": "1"}))
    assert list(fields.undeclared()) == []
