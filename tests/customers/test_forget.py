"""Export and erasure: everything out, and then nothing left but an empty row."""

from __future__ import annotations

import msgspec
import pytest

from crm import customers
from crm.businesses import Business
from crm.customers import AttributeType, Customer, LawfulBasis, NewAttribute, NewCustomer, Source
from crm.customers.model import UnknownCustomer
from crm.db import Database, Db
from tests.customers.conftest import SYSTEM


async def _fill(db: Db, customer: Customer) -> None:
    new = NewAttribute(
        basis=LawfulBasis.legitimate_interests,
        origin="From you.",
        label="Shop",
        type=AttributeType.text,
        purpose="Hours.",
        retention="P2Y",
    )
    await customers.declare_attribute(db, SYSTEM, "shop", new)
    await customers.set_attributes(db, SYSTEM, customer.id, {"shop": "Mill Lane"})
    await customers.note(db, SYSTEM, customer.id, "Wants rye", "On Saturdays")
    await customers.change(db, SYSTEM, customer.id, customers.Changes(external_id="N-7"))


async def test_the_export_holds_everything(
    database: Database, business: Business, nora: Customer
) -> None:
    async with database.write(business.id) as db:
        await _fill(db, nora)
    async with database.read(business.id) as read:
        happened = [each async for each in customers.all_interactions(read, nora.id)]
        text = msgspec.json.encode([await customers.export(read, nora.id), happened]).decode()
    for held in ("Nora@Example.com", "nora@example.com", "Nora Lindqvist", "N-7", "Mill Lane"):
        assert held in text
    assert "Wants rye" in text
    assert "On Saturdays" in text
    assert "address_hash" in text


async def test_nothing_is_left_but_an_empty_row(
    database: Database, business: Business, nora: Customer
) -> None:
    async with database.write(business.id) as db:
        await _fill(db, nora)
        fingerprint = db.keys.address_hash(business.id, "nora@example.com")
        gone = await customers.forget(db, nora.id)
        assert gone == customers.Forgotten(
            fingerprint, {"customer": 1, "attribute_value": 1, "customer_tag": 0, "interaction": 1}
        )
    async with database.write(business.id) as db:
        again = await customers.forget(db, nora.id)
        assert again == customers.Forgotten(
            None, {"customer": 0, "attribute_value": 0, "customer_tag": 0, "interaction": 0}
        )
        for refused in (customers.get, customers.export):
            with pytest.raises(UnknownCustomer):
                await refused(db, nora.id)
        with pytest.raises(UnknownCustomer):
            await customers.note(db, SYSTEM, nora.id, "Still here?")
        assert await customers.by_hash(db, fingerprint) is None
        assert await customers.by_address(db, nora.address) is None
        assert await customers.page(db) == []
        assert await customers.find(db, "nora") == []
        tombstone = (await customers.of_ids(db, [nora.id]))[nora.id]
    assert tombstone.erased_at is not None
    assert (tombstone.address, tombstone.name, tombstone.external_id) == ("", "", None)


async def test_the_address_can_come_back_as_somebody_new(
    database: Database, business: Business, nora: Customer
) -> None:
    async with database.write(business.id) as db:
        await customers.forget(db, nora.id)
        new = NewCustomer(address=nora.address)
        back = await customers.add(db, SYSTEM, new, source=Source.sign_up)
    assert back.id != nora.id
    assert back.name == ""


async def test_an_import_gives_an_erased_customer_nothing(
    database: Database, business: Business, nora: Customer
) -> None:
    async with database.write(business.id) as db:
        await _fill(db, nora)
        await customers.forget(db, nora.id)
        filled = await customers.fill_attributes(
            db, [customers.NewValue(nora.id, "shop", "Harbour")]
        )
        named = await customers.fill_many(db, [customers.Fill(nora.id, "Nora")])
    assert (filled, named) == (0, 0)
