"""A shop that writes to its customers: what it declares, what it sends, and who hands it over."""

from __future__ import annotations

from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from typing import Any
from uuid import uuid4

import httpx2

from crm.businesses import Business
from crm.customers import Customer
from crm.db import Database
from crm.mail.carrying import turn
from tests.browser import Browser
from tests.campaigns.test_send import settings
from tests.smtpd import Smtpd

PURPOSE = "/v1/service-purposes/order_confirmation"
MESSAGES = "/v1/service-messages"
DECLARED = {
    "label": "Order confirmation",
    "purpose": "You ordered something, and we confirm what you ordered.",
    "basis": "contract",
}
TEXT = "Thank you, Nora.\n\n| What | Price |\n| --- | --- |\n| Cake | 32.00 EUR |\n"


async def declare(api: Browser) -> None:
    """Say what the messages of the tests are for."""
    answer = await api.put(PURPOSE, json=DECLARED)
    assert answer.status_code == 200


def asked(to: Customer | None, **changes: Any) -> dict[str, Any]:
    """Write a confirmation to a customer, or to an address among the changes."""
    given: dict[str, Any] = {
        "customer": str(to.id) if to else None,
        "purpose": "order_confirmation",
        "subject": "Your order 2026-0417",
        "text": TEXT,
        "reference": "2026-0417",
    }
    return {name: value for name, value in (given | changes).items() if value is not None}


async def post(api: Browser, body: dict[str, Any], key: str = "") -> httpx2.Response:
    """Ask for it to be sent, under a key of its own unless one is given."""
    return await api.post(MESSAGES, json=body, headers={"idempotency-key": key or uuid4().hex})


async def sent(api: Browser, to: Customer, **changes: Any) -> str:
    """Have a message wait; return its id."""
    answer = await post(api, asked(to, **changes))
    assert answer.status_code == 202, answer.text
    return str(answer.json()["id"])


async def stands(api: Browser, message_id: str) -> dict[str, Any]:
    """Ask where a message stands."""
    answer = await api.get(f"{MESSAGES}/{message_id}")
    assert answer.status_code == 200
    told: dict[str, Any] = answer.json()
    return told


async def carried(database: Database, business: Business, relay: Smtpd) -> None:
    """Hand over what is due, as a worker does."""
    while await turn(database, business.id, settings(relay.port)):
        pass


def read(content: bytes) -> EmailMessage:
    """Read a mail as a mail program does."""
    return message_from_bytes(content, policy=default)


def words(mail: EmailMessage, kind: str = "plain") -> str:
    """Return one of its texts."""
    part = mail.get_body((kind,))
    assert isinstance(part, EmailMessage)
    return str(part.get_content())
