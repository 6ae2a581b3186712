"""A letter that is two once it is composed counts as two: what has no room is refused, or left."""

from __future__ import annotations

import httpx2
import pytest

from crm import customers
from crm.businesses import Business
from crm.customers import Customer
from crm.db import Database
from crm.errors import Invalid
from tests.customers import site
from tests.customers.conftest import SYSTEM

# DEVANAGARI LETTER QA: it is excluded from composition, so NFC makes a letter and a mark of it.
GROWS = "\u0958"
DECLARED = {"label": "Bought", "purpose": "Because tax law says so.", "retention": "P6Y"}
FIELD = DECLARED | {"type": "text", "basis": "contract", "origin": "From you."}


def _refused(answer: httpx2.Response, field: str, found: int, room: int) -> None:
    said = f"This has {found} characters; there is room for {room}."
    assert answer.status_code == 422, answer.text
    assert answer.json()["errors"] == [{"pointer": f"#/{field}", "detail": said}]


@pytest.mark.parametrize("method", ["POST", "PUT"])
@pytest.mark.parametrize("field", ["name", "external_id"])
async def test_of_a_new_customer(api: httpx2.AsyncClient, method: str, field: str) -> None:
    body = {"address": "a@example.com", "external_id": "7", field: GROWS * 101}
    _refused(await api.request(method, "/v1/customers", json=body), field, 202, 200)
    answer = await api.request(method, "/v1/customers", json=body | {field: GROWS * 100})
    assert (answer.status_code, len(answer.json()[field])) == (201, 200)


@pytest.mark.parametrize("field", ["name", "external_id"])
async def test_of_a_known_customer(api: httpx2.AsyncClient, nora: Customer, field: str) -> None:
    headers = {"if-match": '"v1"', "content-type": "application/merge-patch+json"}
    answer = await api.patch(f"/v1/customers/{nora.id}", json={field: GROWS * 101}, headers=headers)
    _refused(answer, field, 202, 200)


@pytest.mark.parametrize(("field", "room"), [("title", 300), ("detail", 10_000)])
async def test_of_what_happened(
    api: httpx2.AsyncClient, nora: Customer, field: str, room: int
) -> None:
    assert (await api.put("/v1/interaction-kinds/purchase", json=DECLARED)).status_code == 200
    path, half = f"/v1/customers/{nora.id}/interactions", room // 2
    body = {"kind": "purchase", "title": "Cake", field: GROWS * (half + 1)}
    _refused(await api.post(path, json=body), field, room + 2, room)
    answer = await api.post(path, json=body | {field: GROWS * half})
    assert (answer.status_code, len(answer.json()[field])) == (201, room)


@pytest.mark.parametrize(
    ("path", "body", "field", "room"),
    [
        ("tags/regular", DECLARED, "label", 200),
        ("tags/regular", DECLARED, "purpose", 500),
        ("interaction-kinds/purchase", DECLARED, "label", 200),
        ("interaction-kinds/purchase", DECLARED, "purpose", 500),
        ("attributes/shop", FIELD, "label", 200),
        ("attributes/shop", FIELD, "purpose", 500),
        ("attributes/shop", FIELD, "origin", 500),
    ],
)
async def test_of_a_declaration(
    api: httpx2.AsyncClient, path: str, body: dict[str, str], field: str, room: int
) -> None:
    half = room // 2
    answer = await api.put(f"/v1/{path}", json=body | {field: GROWS * (half + 1)})
    _refused(answer, field, room + 2, room)
    answer = await api.put(f"/v1/{path}", json=body | {field: GROWS * half})
    assert (answer.status_code, len(answer.json()[field])) == (200, room)


async def test_of_a_value(api: httpx2.AsyncClient, nora: Customer) -> None:
    assert (await api.put("/v1/attributes/shop", json=FIELD)).status_code == 200
    path = f"/v1/customers/{nora.id}/attributes"
    answer = await api.put(path, json={"shop": GROWS * 1001})
    _refused(answer, "attributes/shop", 2002, 2000)
    assert (await api.put(path, json={"shop": GROWS * 1000})).status_code == 200


@pytest.mark.parametrize(
    ("path", "field", "room"),
    [
        ("", "name", 200),
        ("", "external_id", 200),
        ("/{id}/change", "name", 200),
        ("/{id}/change", "external_id", 200),
        ("/{id}/notes", "title", 300),
        ("/{id}/notes", "detail", 10_000),
    ],
)
async def test_of_what_staff_type(
    console: httpx2.AsyncClient, nora: Customer, path: str, field: str, room: int
) -> None:
    typed = site.form(address="a@example.com", version="1", title="Rang")
    await console.post(f"/staff/customers/{nora.id}/look", data=site.form(reason="she rang"))
    url, half = f"/staff/customers{path.format(id=nora.id)}", room // 2
    answer = await console.post(url, data=typed | {field: GROWS * (half + 1)})
    assert answer.status_code == 422
    assert f"This has {room + 2} characters; there is room for {room}." in answer.text
    answer = await console.post(url, data=typed | {field: GROWS * half})
    assert answer.status_code == 303


@pytest.mark.parametrize(
    "typed", [{"title": GROWS * 151}, {"detail": GROWS * 5001, "title": "Rang"}]
)
async def test_of_a_note(
    database: Database, business: Business, nora: Customer, typed: dict[str, str]
) -> None:
    with pytest.raises(Invalid) as refusal:
        async with database.write(business.id) as db:
            await customers.note(db, SYSTEM, nora.id, **typed)
    assert [each.field for each in refusal.value.problems] == [next(iter(typed))]


async def test_of_what_she_types(portal: httpx2.AsyncClient) -> None:
    answer = await portal.post("/me/details", data=site.form(name=GROWS * 101))
    assert answer.status_code == 422
    assert "This has 202 characters; there is room for 200." in answer.text
    answer = await portal.post("/me/details", data=site.form(name=GROWS * 100))
    assert answer.status_code == 303
