"""docs/webhooks.md says what the program does: its kinds, its sample and its schedule."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from crm.events import Kind
from crm.events.console import WORDS
from crm.webhooks import signature

_DOCS = (Path(__file__).resolve().parents[2] / "docs" / "webhooks.md").read_text()


def test_it_names_every_kind_that_can_be_told() -> None:
    told = dict(re.findall(r"^\| `([a-z_.]+)` \| (.+) \|$", _DOCS, re.MULTILINE))
    assert told == {each.value: WORDS[each] for each in Kind if each is not Kind.customer_looked}


@pytest.mark.parametrize("secrets", [[bytes(32)], [b"n" * 32, bytes(32)]])
def test_its_sample_checks_what_is_sent(secrets: list[bytes]) -> None:
    (sample,) = re.findall(r"```python\n(.+?)```", _DOCS, re.DOTALL)
    found: dict[str, Any] = {}
    exec(sample, found)  # noqa: S102  (the sample of our own page)
    is_ours: Callable[..., bool] = found["is_ours"]
    now = int(found["time"].time())
    headers = signature.headers(secrets, "an-id", now, b"{}")
    assert is_ours(signature.written(bytes(32)), headers, b"{}")
    assert not is_ours(signature.written(bytes(32)), headers, b"[]")
    old = signature.headers(secrets, "an-id", now - 400, b"{}")
    assert not is_ours(signature.written(bytes(32)), old, b"{}")
