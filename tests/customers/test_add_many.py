"""Adding many at once, as an import does: new ones in, known ones kept as they are."""

from __future__ import annotations

import asyncio
from uuid import UUID

import pytest

from crm import customers
from crm.businesses import Business
from crm.customers import Arrival, Customer, ExternalIdTaken, Fill, Source
from crm.db import Database


def _arrivals(*addresses: str) -> list[Arrival]:
    return [Arrival(customers.parse(address), name=address.partition("@")[0], locale="")
            for address in addresses]  # fmt: skip


async def test_new_ones_are_added_and_known_ones_left(
    database: Database, business: Business, nora: Customer
) -> None:
    arrivals = _arrivals("NORA@example.com", "a@example.com", "A@Example.com", "b@example.com")
    async with database.write(business.id) as db:
        added = await customers.add_many(db, arrivals, source=Source.imported)
        known = await customers.known_by_folded(
            db, ["nora@example.com", "a@example.com", "b@example.com", "c@example.com"]
        )
        assert known.pop("nora@example.com").id == nora.id
        assert sorted(known) == ["a@example.com", "b@example.com"]
        assert added == [known[each].id for each in ("a@example.com", "b@example.com")]
        assert await customers.add_many(db, arrivals, source=Source.imported) == []
        fingerprint = db.keys.address_hash(business.id, "b@example.com")
        found = await customers.by_hash(db, fingerprint)
    assert found is not None
    assert (found.address, found.name, found.source) == ("b@example.com", "b", Source.imported)


async def test_none_at_all_is_fine(database: Database, business: Business) -> None:
    async with database.write(business.id) as db:
        assert await customers.add_many(db, [], source=Source.imported) == []
        assert await customers.known_by_folded(db, []) == {}
        assert await customers.fill_many(db, []) == 0


async def test_two_imports_at_once_add_each_customer_once(
    database: Database, business: Business
) -> None:
    names = [f"reader{number}@example.com" for number in range(300)]

    async def add(addresses: list[str]) -> list[UUID]:
        async with database.write(business.id) as db:
            return await customers.add_many(db, _arrivals(*addresses), source=Source.imported)

    one, two = await asyncio.gather(add(names), add(names[100:]))
    assert not set(one) & set(two)
    async with database.read(business.id) as read:
        known = await customers.known_by_folded(read, names)
    assert {each.id for each in known.values()} == {*one, *two}
    assert sorted(known) == sorted(names)


async def test_only_what_is_empty_is_filled(
    database: Database, business: Business, nora: Customer
) -> None:
    async with database.write(business.id) as db:
        (other,) = await customers.add_many(
            db, [Arrival(customers.parse("a@example.com"))], source=Source.imported
        )
        fills = [Fill(nora.id, "Changed", "de"), Fill(other, "Anna", "sv")]
        assert await customers.fill_many(db, fills) == 1
        assert await customers.fill_many(db, fills) == 0
        found = await customers.of_ids(db, [nora.id, other])
    assert found[nora.id] == nora
    assert (found[other].name, found[other].locale, found[other].version) == ("Anna", "sv", 2)


async def test_an_external_id_is_one_customers(database: Database, business: Business) -> None:
    """Who would be the second is not added; of fills none is kept, and what came before stays."""
    ann, bo = [Arrival(customers.parse(f"{name}@example.com"), external_id="1") for name in "ab"]
    late = Arrival(customers.parse("c@example.com"), time_zone="Europe/Oslo")
    async with database.write(business.id) as db:
        (first,) = await customers.add_many(db, [ann, bo], source=Source.imported)
        (other,) = await customers.add_many(db, [late], source=Source.imported)
        assert await customers.external_ids_among(db, ["1", "2"]) == {"1"}
        fills = [Fill(first, "Ann"), Fill(other, "Cy", external_id="1")]
        with pytest.raises(ExternalIdTaken):
            await customers.fill_many(db, fills)
        free = Fill(other, time_zone="Europe/Rome", external_id="2")
        assert await customers.fill_many(db, [free]) == 1
        assert await customers.fill_many(db, [Fill(other, external_id="3")]) == 0
        found = await customers.of_ids(db, [first, other])
    assert (found[first].name, found[first].external_id) == ("", "1")
    her = found[other]
    assert (her.name, her.time_zone, her.external_id) == ("", "Europe/Oslo", "2")
