"""Tags: declared words, put on a customer and taken off, each with an end (promise 13)."""

from __future__ import annotations

from datetime import UTC, datetime
from uuid import UUID, uuid4

import httpx2
import msgspec
import pytest

from crm import consent, customers
from crm.businesses import Business
from crm.consent import Method
from crm.customers import Customer, NewTag, ValueNotAllowed, ends
from crm.db import Database, open_database
from crm.events import Actor
from crm.pieces import Piece
from crm.staff import Scope
from tests import make
from tests.conftest import KEYS, Cluster
from tests.customers import site

_FIRST = UUID(int=0)
BAKES = {"label": "Bakes at home", "purpose": "To tell of courses.", "retention": "P1Y"}
NEW = msgspec.convert(BAKES, NewTag)


async def test_it_is_put_on_and_taken_off(api: httpx2.AsyncClient, nora: Customer) -> None:
    declared = await api.put("/v1/tags/bakes", json=BAKES)
    assert declared.status_code == 200, declared.text
    assert [each["name"] for each in (await api.get("/v1/tags")).json()] == ["bakes"]
    path = f"/v1/customers/{nora.id}/tags"

    (held,) = (await api.put(f"{path}/bakes")).json()
    again = (await api.put(f"{path}/bakes")).json()

    assert (held["label"], held["purpose"], held["source"]) == (*list(BAKES.values())[:2], "key")
    assert datetime.fromisoformat(held["ends_at"]) == ends(
        datetime.fromisoformat(held["set_at"]), "P1Y"
    )
    assert [each["name"] for each in again] == ["bakes"]
    assert (await api.get(path)).json() == again
    assert (await api.delete(f"{path}/bakes")).status_code == 204
    assert (await api.delete(f"{path}/bakes")).status_code == 204
    assert (await api.get(path)).json() == []


async def test_what_is_not_declared_or_not_well_is_refused(
    api: httpx2.AsyncClient, nora: Customer
) -> None:
    unknown = await api.put(f"/v1/customers/{nora.id}/tags/bakes")
    nobody = await api.put(f"/v1/customers/{uuid4()}/tags/bakes")
    endless = await api.put("/v1/tags/bakes", json={**BAKES, "retention": "for ever"})
    nameless = await api.put("/v1/tags/Bakes", json=BAKES)
    bound = await api.put("/v1/tags/bakes", json={**BAKES, "purpose_id": str(uuid4())})

    assert (unknown.status_code, unknown.json()["code"]) == (404, "unknown_tag")
    assert (nobody.status_code, nobody.json()["code"]) == (404, "unknown_customer")
    assert [each.status_code for each in (endless, nameless, bound)] == [422, 422, 422]
    assert endless.json()["errors"][0]["pointer"] == "#/retention"
    assert bound.json()["errors"][0]["pointer"] == "#/purpose_id"


async def test_a_key_that_may_only_write_reads_nothing(
    database: Database, business: Business, nora: Customer
) -> None:
    writer = site.caller([Scope.customers_write])
    async with site.client(database, business, key=writer) as api:
        await api.put("/v1/tags/bakes", json=BAKES)
        put = await api.put(f"/v1/customers/{nora.id}/tags/bakes")
    assert (put.status_code, put.content) == (204, b"")


async def test_it_goes_with_its_time_and_not_before(
    database: Database, shared_cluster: Cluster, business: Business, nora: Customer
) -> None:
    async with database.write(business.id) as db:
        await customers.declare_tag(db, make.SYSTEM, "bakes", NEW)
        await customers.put_tag(db, make.SYSTEM, nora.id, "bakes")
        assert await customers.lapse_tags(db, _FIRST, 10) == Piece(0, None)
    later = datetime.now(UTC).replace(year=datetime.now(UTC).year + 2)
    async with (
        open_database(shared_cluster.app_url, KEYS, clock=lambda: later) as clocked,
        clocked.write(business.id) as db,
    ):
        assert await customers.lapse_tags(db, _FIRST, 10) == Piece(1, None)
        assert await customers.tags_of(db, nora.id) == []


async def test_it_goes_with_its_purpose(
    database: Database, business: Business, nora: Customer
) -> None:
    me = Actor.customer(nora.id)
    async with database.write(business.id) as db:
        purpose = await make.purpose(db)
        other = await make.purpose(db, name="Offers")
        notice = await make.notice(db, purpose.id)
        await customers.declare_tag(
            db, make.SYSTEM, "bakes", msgspec.structs.replace(NEW, purpose_id=purpose.id)
        )
        with pytest.raises(ValueNotAllowed):
            await customers.put_tag(db, make.SYSTEM, nora.id, "bakes")
        word = await make.own_word(db, nora.id)
        await consent.give(db, me, nora.id, notice.question, word)
        await customers.put_tag(db, make.SYSTEM, nora.id, "bakes")
        assert await customers.lapse_tags(db, _FIRST, 10) == Piece(0, None)
        assert await customers.ending_with(db, nora.id) == {purpose.id: ["Bakes at home"]}
        for_it = await customers.tags_of(db, nora.id, purpose_id=purpose.id)
        assert [each.name for each in for_it] == ["bakes"]
        assert await customers.tags_of(db, nora.id, purpose_id=other.id) == []
        await consent.withdraw(db, me, nora.id, purpose.id, method=Method.portal)
        assert await customers.lapse_tags(db, _FIRST, 10) == Piece(1, None)


async def test_staff_put_it_on_and_the_customer_reads_it(
    database: Database, business: Business, nora: Customer
) -> None:
    bob = await site.member(database, business)
    async with site.client(database, business, who=bob) as staff:
        declared = await staff.post("/staff/tags", data=site.form(**BAKES, name="bakes"))
        path = f"/staff/customers/{nora.id}/tags"
        wrong = await staff.post(path, data=site.form(tag="rides", decision="put"))
        put = await staff.post(path, data=site.form(tag="bakes", decision="put"))
    assert (declared.status_code, wrong.status_code, put.status_code) == (303, 422, 303)
    async with database.read(business.id) as read:
        (hers,) = (await customers.held(read, nora)).tags
    assert (hers.label, hers.source) == ("Bakes at home", "member")
