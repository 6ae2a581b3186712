"""The examples of docs/client.md work."""

from __future__ import annotations

import re
from typing import Any

from crm.client import Client
from tests.test_rules import ROOT


async def test_the_example_works(client: Client) -> None:
    """Twice: the second time she is known."""
    text = (ROOT / "docs" / "client.md").read_text()
    (code,) = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    known: dict[str, Any] = {}
    exec(code, known)  # noqa: S102  (what the page shows)

    assert await known["greet"](client) == "Olá, Nora"
    assert await known["greet"](client) == "Olá, Nora"
