"""What Postmark posts: bounces by its own kinds, and of what it stops only what she chose."""

from __future__ import annotations

from typing import Any

import pytest

from crm import consent, inbound, mail
from crm.businesses import Business
from crm.consent import Status
from crm.db import Database
from crm.inbound import Provider
from crm.inbound.providers import make_webhook
from crm.mail import Scope, Why
from tests import make
from tests.browser import Browser
from tests.inbound.letters import Sent, sent


async def _address(database: Database, business: Business) -> str:
    async with database.write(business.id) as db:
        return f"/hooks/postmark/{await make_webhook(db, make.SYSTEM, Provider.postmark, '')}"


async def _suppressed(database: Database, known: Sent, number: int = 0) -> tuple[Scope, Why] | None:
    async with database.read(known.business.id) as db:
        found = await mail.suppressed(db, known.hashed(database, number))
    return (found.scope, found.reason) if found else None


async def test_postmark(database: Database, business: Business, web: Browser) -> None:
    """Bounces and complaints by its own kinds; what is not asked for is counted."""
    known = await sent(database, business)
    path = await _address(database, business)
    to = [each.recipients[0] for each in known.messages]
    details = "smtp;550 5.1.1 The email account that you tried to reach does not exist"
    posted = [
        {"RecordType": "Bounce", "Type": "HardBounce", "Email": to[0], "Details": details},
        {"RecordType": "SpamComplaint", "Type": "SpamComplaint", "Email": to[1]},
        {"RecordType": "Bounce", "Type": "Blocked", "Email": to[2], "Details": "550 5.7.1 no"},
    ]
    for each in [*posted, posted[0]]:
        assert (await web.post(path, json=each)).status_code == 204
    assert (await web.post(path, json=[])).status_code == 422

    assert await _suppressed(database, known, 0) == (Scope.all, Why.bounced)
    assert await _suppressed(database, known, 1) == (Scope.marketing, Why.complained)
    assert await _suppressed(database, known, 2) is None
    assert await known.kinds(database) == {"hard": 1, "complaint": 1, "policy": 1}


@pytest.mark.parametrize("kind", ["AutoResponder", "AddressChange"])
async def test_an_answer_that_postmark_calls_a_bounce_is_none(
    database: Database, business: Business, web: Browser, kind: str
) -> None:
    """She is away: five of them are no reason to give her mailbox up."""
    known = await sent(database, business)
    path = await _address(database, business)
    to = known.messages[0].recipients[0]
    said = {"RecordType": "Bounce", "Type": kind, "Email": to, "Details": "Out of the office"}
    assert (await web.post(path, json=said)).status_code == 204
    reader = await known.reader(database)
    async with database.read(business.id) as db:
        assert await inbound.export(db, reader.id) == []
    assert await known.kinds(database) == {"auto_reply": 1}


@pytest.mark.parametrize(
    ("reason", "origin", "method"),
    [
        ("ManualSuppression", "Recipient", consent.Method.one_click),
        ("ManualSuppression", "Customer", None),
        ("ManualSuppression", "Admin", None),
        ("SpamComplaint", "Recipient", consent.Method.complaint),
        ("SpamComplaint", "Customer", None),
        ("HardBounce", "Recipient", None),
        ("Another", "Recipient", None),
        (None, "Recipient", None),
    ],
)
async def test_a_change_of_subscription_at_postmark(  # noqa: PLR0917
    database: Database,
    business: Business,
    web: Browser,
    reason: str | None,
    origin: str,
    method: consent.Method | None,
) -> None:
    """Who left there leaves here; what she did not choose is not her wish."""
    known = await sent(database, business)
    path = await _address(database, business)
    change = _change(known, SuppressionReason=reason, Origin=origin)

    assert (await web.post(path, json=change)).status_code == 204

    reader = await known.reader(database)
    async with database.read(business.id) as db:
        (state,) = await consent.states(db, reader.id)
    if method is None:
        assert state.status is Status.given
        assert await _suppressed(database, known) is None
    else:
        assert (state.status, state.method) == (Status.withdrawn, method)


async def test_postmark_may_send_again(
    database: Database, business: Business, web: Browser
) -> None:
    """It gives no reason then, and nobody's mind has changed."""
    known = await sent(database, business)
    path = await _address(database, business)
    change = _change(known, SuppressSending=False, SuppressionReason=None, MessageID=None)
    assert (await web.post(path, json=change)).status_code == 204
    assert await known.kinds(database) == {"unreadable": 1}


@pytest.mark.parametrize("first", [0, 1])
async def test_a_complaint_that_postmark_tells_twice_counts_once(
    database: Database, business: Business, web: Browser, first: int
) -> None:
    """As a complaint, and as a change of subscription; whichever comes first."""
    known = await sent(database, business)
    path = await _address(database, business)
    told = [
        {"RecordType": "SpamComplaint", "Email": known.messages[0].recipients[0], "MessageID": "m"},
        _change(known, SuppressionReason="SpamComplaint", MessageID="m"),
    ]
    for each in (told[first], told[1 - first]):
        assert (await web.post(path, json=each)).status_code == 204
    assert await known.kinds(database) == {"complaint": 1}
    assert await _suppressed(database, known) == (Scope.marketing, Why.complained)


def _change(known: Sent, **changes: Any) -> dict[str, Any]:
    return {
        "RecordType": "SubscriptionChange",
        "Recipient": known.messages[0].recipients[0],
        "Origin": "Recipient",
        "SuppressSending": True,
    } | changes
