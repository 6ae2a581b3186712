"""Every reason for which a mail is not sent has words, for staff and for her."""

from __future__ import annotations

import re
from typing import Any

import asyncpg

from crm.web.pages import environment

_NO_REASON = "Not sent to you"


async def test_every_reason_has_words(root: asyncpg.Connection) -> None:
    """Those that a delivery may have are what its table takes."""
    named = "conname = 'delivery_reason_check'"
    rule = await root.fetchval(
        f"SELECT pg_get_constraintdef(oid) FROM pg_constraint WHERE {named}"  # noqa: S608
    )
    known = set(re.findall(r"'(\w+)'::text", rule))
    staff: Any = environment.get_template("campaigns/pages/words.html").module
    hers: Any = environment.get_template("campaigns/pages/words_for_her.html").module
    told = {each: str(hers.told("excluded", each)).strip() for each in known}

    assert "soft_opt_in_off" in known
    assert set(staff.reasons) == known
    assert [each for each, words in told.items() if words == _NO_REASON] == []
    assert str(hers.told("excluded", "another")).strip() == _NO_REASON
