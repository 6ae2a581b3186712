"""What nobody reads in an address is refused, by every operation of the API."""

from __future__ import annotations

from uuid import uuid4

from tests.browser import Browser
from tests.routes import ROUTES

_API = [route for route in ROUTES if route.path.startswith("/v1/")]


async def test_it_works(api: Browser) -> None:
    """What is there is named; what is read goes through."""
    wrong = await api.get("/v1/customers?limit=5&state=given&lmit=3")
    right = await api.get("/v1/customers?limit=5")

    assert (wrong.status_code, right.status_code) == (422, 200)
    assert [each["pointer"] for each in wrong.json()["errors"]] == ["#/lmit", "#/state"]
    assert "only the parameters after, limit, purpose" in wrong.json()["detail"]


async def test_every_operation_refuses_it(api: Browser) -> None:
    """Before it does anything."""
    wrong = []
    for route in _API:
        named = {"name": "shop", **{name: uuid4() for name in route.types if name != "name"}}
        path = route.path.format(**named)
        answer = await api.request(route.method, f"{path}?nonsense=1", json={})
        errors = answer.json().get("errors", [{}])
        if (answer.status_code, errors[0].get("pointer")) != (422, "#/nonsense"):
            wrong.append((str(route), answer.text))

    assert not wrong
