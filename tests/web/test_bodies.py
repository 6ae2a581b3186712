"""A body is read as the document says it: of its Content-Type, and of its types to the letter."""

from __future__ import annotations

import json
import re
from typing import Any
from uuid import uuid4

import pytest

from crm.web import openapi
from crm.web.bodies import MERGE_PATCH
from tests.browser import Browser
from tests.routes import DOCUMENT, ROUTES, Route

JSON = ("application/json", MERGE_PATCH)
_HERE = {"if-match": "*"}
# What the document writes where an id belongs.
_PLACEHOLDER = re.compile('"[A-Z]+_ID"')


def _media(route: Route) -> str:
    return openapi.body_sample(DOCUMENT, route.operation)[0] if route.operation else ""


READ = [route for route in ROUTES if _media(route) in JSON]


def _path(route: Route) -> str:
    return route.path.format(**{name: uuid4() for name in route.types})


@pytest.mark.parametrize("media", ["text/plain", "application/x-www-form-urlencoded", "a/b+xml"])
async def test_it_reads_no_other_content_type(api: Browser, media: str) -> None:
    """And says which it reads, in the header that its method has for that."""
    wrong = []
    for route in READ:
        headers = {**_HERE, "content-type": media}
        answer = await api.request(route.method, _path(route), content=b"{}", headers=headers)
        told = answer.headers.get("accept" + ("-patch" if route.method == "PATCH" else ""))
        if (answer.status_code, told) != (415, _media(route)):
            wrong.append((str(route), answer.status_code, told))

    assert READ
    assert not wrong


@pytest.mark.parametrize(
    "media", ["", "application/json", "Application/JSON; charset=utf-8", "application/x+json"]
)
async def test_it_reads_json_however_it_is_written(api: Browser, media: str) -> None:
    """Also without a word about it."""
    headers = {"content-type": media} if media else {}
    body = json.dumps({"address": f"{uuid4().hex}@example.com"})
    answer = await api.post("/v1/customers", content=body, headers=headers)

    assert answer.status_code == 201, answer.text


# Values that pass for another kind in the query of a URL.
_OTHERS: dict[str, list[Any]] = {"boolean": [0, "true"], "integer": ["7", True], "string": [0]}


async def test_a_value_of_another_type_is_refused(api: Browser) -> None:
    """0 is no `false`, "7" no number and a number no instant, and each is pointed at."""
    passed, tried = [], 0
    for route in READ:
        media, good = openapi.body_sample(DOCUMENT, route.operation)
        content = route.operation["requestBody"]["content"][media]
        schema = openapi.resolved(DOCUMENT, content["schema"])
        for name, field in schema.get("properties", {}).items():
            kind = str(openapi.resolved(DOCUMENT, field).get("type"))
            for value in _OTHERS.get(kind, ()):
                body = _PLACEHOLDER.sub(f'"{uuid4()}"', json.dumps({**good, name: value}))
                headers = {**_HERE, "content-type": media}
                answer = await api.request(
                    route.method, _path(route), content=body, headers=headers
                )
                pointers = [each["pointer"] for each in answer.json().get("errors", ())]
                tried += 1
                if (answer.status_code, pointers) != (422, [f"#/{name}"]):
                    passed.append((str(route), name, value, answer.status_code, pointers))

    assert tried
    assert not passed


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({"data": [{"kind": "email"}, {"kind": 5}]}, "#/data/1/kind"),
        ({"wording": {"no language": {}}}, "#/wording"),
        ({"wording": {"en": {"name": 5}}}, "#/wording"),
        ([], "#"),
    ],
)
async def test_the_place_is_pointed_at(api: Browser, body: Any, pointer: str) -> None:
    """As RFC 6901 writes it; of a mapping as far as is known."""
    answer = await api.post(f"/v1/purposes/{uuid4()}/version-previews", json=body)

    assert answer.status_code == 422
    assert [each["pointer"] for each in answer.json()["errors"]] == [pointer]
