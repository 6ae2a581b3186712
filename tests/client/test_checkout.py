"""The recipe of docs/embedding.md: a box in a checkout that is asked rightly."""

from __future__ import annotations

import re
from html import escape
from typing import Any
from uuid import UUID

import pytest

from crm import mail
from crm.businesses import Business
from crm.client import Client
from crm.consent import EvidenceKind
from crm.db import Database
from tests import make
from tests.test_rules import ROOT

TEXT = "Yes, send me bread & <news>. I can stop at any time."
HERS = {"email": "nora@example.com", "name": "Nora"}


@pytest.fixture
def recipe() -> dict[str, Any]:
    """The code of the page."""
    text = (ROOT / "docs" / "embedding.md").read_text()
    known: dict[str, Any] = {}
    for code in re.findall(r"```python\n(.*?)```", text, re.DOTALL):
        exec(code, known)  # noqa: S102  (what the page shows)
    return known


@pytest.fixture
async def letter(database: Database, business: Business) -> UUID:
    """A purpose that a form of the shop's own may ask for, in two languages and two versions."""
    async with database.write(business.id) as db:
        purpose = await make.purpose(db, double_opt_in=False)
        for locale, text in (
            ("en", "Yes, as it was before."),
            ("en", TEXT),
            ("de", "Ja, gern, bis auf Weiteres."),
        ):
            await make.notice(
                db, purpose.id, locale=locale, text=text, accepts=[EvidenceKind.own_form]
            )
    return purpose.id


async def test_a_tick_is_recorded_with_its_evidence(
    client: Client, recipe: dict[str, Any], letter: UUID
) -> None:
    """Once, however often the order comes; an empty box leaves nothing, not even a customer."""
    notice = await recipe["notice_to_show"](client, letter, "fr")
    box = recipe["box"](notice)
    empty = await recipe["ordered"](client, letter, "1", notice.id, HERS)
    nobody = await client.customers.post_customer_search(address=HERS["email"])
    ticked = {**HERS, "letter": "yes"}
    for _ in range(2):
        assert await recipe["ordered"](client, letter, "2", notice.id, ticked) == "recorded"

    assert notice.text == TEXT
    assert escape(TEXT) in box
    assert "checked" not in box
    assert (empty, nobody) == ("nothing to record", [])
    (nora,) = await client.customers.post_customer_search(address=HERS["email"])
    (given,) = await client.consent.get_consent_events(nora.id)
    assert (given.status, given.notice_id) == ("given", notice.id)
    assert (await client.consent.get_check(customer=nora.id, purpose=letter)).authorises


async def test_a_no_stands(client: Client, recipe: dict[str, Any], letter: UUID) -> None:
    """A box brings nobody back who has left."""
    notice = await recipe["notice_to_show"](client, letter, "de")
    ticked = {**HERS, "letter": "yes"}
    await recipe["ordered"](client, letter, "1", notice.id, ticked)
    await client.consent.post_withdrawal(address=HERS["email"], purpose=letter)

    again = await recipe["ordered"](client, letter, "2", notice.id, ticked)

    (nora,) = await client.customers.post_customer_search(address=HERS["email"])
    assert notice.locale == "de"
    assert again == "offer the sign-up form"
    assert not (await client.consent.get_check(customer=nora.id, purpose=letter)).authorises


async def test_a_tick_is_mailed_and_counts_for_nothing_yet(
    client: Client, recipe: dict[str, Any], letter: UUID, database: Database, business: Business
) -> None:
    """Once, however often the order comes; and an empty box mails nobody."""
    notice = await recipe["notice_to_show"](client, letter, "en")
    await recipe["ticked"](client, "1", notice.id, HERS, "203.0.113.9")
    for _ in range(2):
        await recipe["ticked"](client, "2", notice.id, {**HERS, "letter": "yes"}, "203.0.113.9")

    assert await client.customers.post_customer_search(address=HERS["email"]) == []
    async with database.write(business.id) as db:
        (sent,) = await mail.actions.claim_letters(db, 10)
    assert sent.address == HERS["email"]
