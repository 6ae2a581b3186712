"""The table of kinds in docs/webhooks.md: `make words` writes it anew."""

from __future__ import annotations

import re
from pathlib import Path

from crm.events import Kind
from crm.events.console import WORDS

DOCS = Path(__file__).resolve().parents[2] / "docs" / "webhooks.md"
_TABLE = re.compile(r"\| kind \| somebody \|\n(?:\|.*\n)+")


def written(text: str) -> str:
    """Put the kinds there are in place of those that the page names."""
    rows = [f"| `{each}` | {WORDS[each]} |" for each in sorted(Kind) if each.value not in LEFT_OUT]
    table = "\n".join(("| kind | somebody |", "| --- | --- |", *rows, ""))
    return _TABLE.sub(lambda _: table, text, count=1)


# No part of the stream.
LEFT_OUT = {"customer.looked"}

if __name__ == "__main__":
    DOCS.write_text(written(DOCS.read_text()))
