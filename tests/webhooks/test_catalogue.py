"""docs/webhooks.md says what the program does: its kinds, its sample and its schedule."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import msgspec
import pytest

from crm.events import Kind
from crm.events.console import WORDS
from crm.webhooks import signature
from crm.webhooks.model import DuePost, payload
from tests.routes import DOCUMENT
from tests.webhooks import catalogue

_DOCS = catalogue.DOCS.read_text()
LOOKS = {Kind.customer_looked}


def test_it_names_every_kind_that_can_be_told() -> None:
    """`make words` would change nothing."""
    assert catalogue.written(_DOCS) == _DOCS
    assert all(f"| `{each}` | {WORDS[each]} |\n" in _DOCS for each in set(Kind) - LOOKS)


def _sample() -> tuple[Callable[..., bool], int]:
    """The sample of our own page, and the hour by its clock."""
    (sample,) = re.findall(r"```python\n(.+?)```", _DOCS, re.DOTALL)
    found: dict[str, Any] = {}
    exec(sample, found)  # noqa: S102
    is_ours: Callable[..., bool] = found["is_ours"]
    return is_ours, int(found["time"].time())


@pytest.mark.parametrize("secrets", [[bytes(32)], [b"n" * 32, bytes(32)]])
def test_its_sample_checks_what_is_sent(secrets: list[bytes]) -> None:
    is_ours, now = _sample()
    headers = signature.headers(secrets, "an-id", now, b"{}")
    assert is_ours(signature.written(bytes(32)), headers, b"{}")
    assert not is_ours(signature.written(bytes(32)), headers, b"[]")
    old = signature.headers(secrets, "an-id", now - 400, b"{}")
    assert not is_ours(signature.written(bytes(32)), old, b"{}")


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("webhook-id", ["msg_other", "\udcff"]),
        ("webhook-timestamp", ["", "now", "9" * 400, "1" * 5000, "\N{SUPERSCRIPT TWO}"]),
        ("webhook-signature", ["", "v1", "v1,", "v1,\xff", "v1,\udcff"]),
    ],
)
def test_its_sample_says_no_to_whatever_a_stranger_sends(name: str, values: list[str]) -> None:
    is_ours, now = _sample()
    secret = signature.written(bytes(32))
    good = signature.headers([bytes(32)], "an-id", now, b"{}")
    assert is_ours(secret, good, b"{}")
    assert not is_ours(secret, {each: good[each] for each in good if each != name}, b"{}")
    for value in values:
        assert not is_ours(secret, good | {name: value}, b"{}")


def test_the_openapi_document_says_what_is_posted() -> None:
    """A generated receiver knows every kind, and each field of a post."""
    told = DOCUMENT["webhooks"]["event"]["post"]
    event = told["requestBody"]["content"]["application/json"]["schema"]
    assert set(event["properties"]["type"]["enum"]) == set(Kind) - {Kind.customer_looked}
    post = DuePost(
        number=1,
        event_id=UUID(int=1),
        kind=Kind.consent_withdrawn,
        at=datetime(2026, 5, 1, tzinfo=UTC),
        customer_id=UUID(int=2),
        ref=UUID(int=3),
        asks=True,
        attempts=0,
        begun_at=None,
        beginning=0,
    )
    sent = msgspec.json.decode(payload(post))
    assert set(sent) == set(event["properties"])
    assert set(sent["data"]) == set(event["properties"]["data"]["properties"])
    headers = signature.headers([bytes(32)], "an-id", 0, b"")
    assert {each["name"] for each in told["parameters"]} == set(headers)
