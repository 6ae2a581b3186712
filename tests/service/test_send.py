"""A program of the business sends one mail to one customer, once, for a contract or a duty."""

from __future__ import annotations

import asyncpg
import pytest

from crm import customers, mail, staff
from crm.businesses import Business
from crm.customers import Customer
from crm.db import Database
from crm.events import Kind
from crm.mail import Scope
from crm.mail.service import PER_DAY
from crm.privacy import merging
from crm.staff import NewKey
from crm.staff import Scope as KeyScope
from tests import make
from tests.browser import Browser
from tests.service.site import (
    MESSAGES,
    asked,
    carried,
    declare,
    post,
    read,
    sent,
    stands,
    words,
)
from tests.smtpd import smtpd


async def test_it_works(
    database: Database, business: Business, api: Browser, customer: Customer
) -> None:
    """It goes once, in the letterhead, with why she gets it, as no mail of a list."""
    await declare(api)
    first = await post(api, asked(customer), key="order-2026-0417")
    again = await post(api, asked(customer), key="order-2026-0417")
    waits = await stands(api, first.json()["id"])
    async with smtpd() as relay:
        await carried(database, business, relay)
        (kept,) = relay.messages
    went = await stands(api, first.json()["id"])
    found = read(kept.content)

    assert first.status_code == 202
    assert first.headers["location"] == f"{MESSAGES}/{first.json()['id']}"
    assert again.json() == first.json()
    assert again.headers["idempotency-replayed"] == "true"
    assert waits["state"] == "waiting"
    assert waits["next_at"]
    assert kept.recipients == [customer.address]
    assert went["state"] == "sent"
    assert (went["code"], went["attempts"]) == (250, 1)
    assert went["reference"] == "2026-0417"
    assert found["subject"] == "Your order 2026-0417"
    assert found["auto-submitted"] == "auto-generated"
    assert not [name for name in found if name.lower().startswith(("list-", "precedence"))]
    for kind in ("plain", "html"):
        said = words(found, kind)
        assert "Cake" in said
        assert "Order confirmation" in said
        assert "You ordered something, and we confirm what you ordered." in " ".join(said.split())
        assert "A contract with you (Art. 6(1)(b) GDPR)" in said
        assert f"{business.origin}/me/mails" in said
        assert business.legal_name in said
        assert "/u/" not in said


async def test_its_events_are_told(
    database: Database, business: Business, api: Browser, customer: Customer
) -> None:
    """Who asked for it, and what became of it, in the stream of the business."""
    await declare(api)
    message_id = await sent(api, customer)
    refused = await sent(api, customer, subject="Another one")
    async with smtpd() as relay:
        relay.fails("rcpt", "550 5.1.1 No such mailbox")
        await carried(database, business, relay)
    told = {
        (each["kind"], each["ref"]): each
        for each in (await api.get("/v1/events?limit=100")).json()["rows"]
        if each["kind"].startswith("service_message.")
    }
    states = {each: (await stands(api, each))["state"] for each in (message_id, refused)}
    (lost,) = [each for each, state in states.items() if state == "failed"]

    assert set(states.values()) == {"sent", "failed"}
    assert {kind for kind, _ in told} == {
        Kind.service_message_posted,
        Kind.service_message_sent,
        Kind.service_message_failed,
    }
    assert told[Kind.service_message_posted, message_id]["actor_kind"] == "key"
    assert "no_such_mailbox" in told[Kind.service_message_failed, lost]["reason"]
    assert (await stands(api, lost))["code"] == 550


async def test_nothing_is_filled_in(
    database: Database, business: Business, api: Browser, customer: Customer
) -> None:
    """Braces are braces, and characters that stand for fields elsewhere are none here."""
    await declare(api)
    odd = "\U0010e000"
    text = f"Dear {{{{ name }}}}, {{% if x %}} 100 % {odd} {{{{ link.unsubscribe }}}}"
    await sent(api, customer, subject="{{ first_name }}", text=text)
    async with smtpd() as relay:
        await carried(database, business, relay)
        found = read(relay.messages[0].content)

    assert found["subject"] == "{{ first_name }}"
    for kind in ("plain", "html"):
        assert "Dear {{ name }}, {% if x %} 100 % \ufffd {{ link.unsubscribe }}" in words(
            found, kind
        )


async def test_to_an_address_and_in_its_language(
    database: Database, business: Business, api: Browser
) -> None:
    """The address is in the body, folded by rule; what we say is in the language of the message."""
    await declare(api)
    async with database.write(business.id) as db:
        await make.customer(db, address="lena@example.com")
    body = asked(None, address="Lena@Example.com", locale="de", text="Danke.")
    answer = await post(api, body)
    async with smtpd() as relay:
        await carried(database, business, relay)
        (kept,) = relay.messages
    found = read(kept.content)

    assert answer.status_code == 202
    assert kept.recipients == ["lena@example.com"]
    assert found["content-language"] == "de"
    assert "Warum Sie das bekommen" in words(found)


@pytest.mark.parametrize(
    ("changes", "status", "code"),
    [
        ({"customer": None}, 422, "no_one"),
        ({"address": "nora@example.com"}, 422, "no_one"),
        ({"customer": "0190f3a0-0000-7000-8000-000000000000"}, 404, "unknown_customer"),
        ({"customer": None, "address": "unknown@example.com"}, 404, "unknown_customer"),
        ({"customer": None, "address": "no address"}, 422, "not_an_address"),
        ({"purpose": "never_declared"}, 422, "unknown_service_purpose"),
        ({"text": " "}, 422, "message_refused"),
        ({"subject": "a\nb"}, 422, "unusable_text"),
        # One letter that is two once it is composed.
        ({"subject": "\u0958" * 101}, 422, "invalid"),
        ({"reference": "\u0958" * 101}, 422, "invalid"),
        ({"text": "\u0958" * 25_001}, 422, "invalid"),
        ({"unknown": 1}, 422, "invalid"),
    ],
)
async def test_what_makes_no_sense_is_refused(
    api: Browser, customer: Customer, changes: dict[str, object], status: int, code: str
) -> None:
    """With a name for machines, and what to do for people."""
    await declare(api)
    answer = await post(api, asked(customer, **changes))

    assert (answer.status_code, answer.json()["code"]) == (status, code), answer.text


async def test_it_needs_a_key_of_idempotency(api: Browser, customer: Customer) -> None:
    """Whoever tries again after an answer got lost must send nothing twice."""
    await declare(api)
    answer = await api.post(MESSAGES, json=asked(customer))

    assert answer.json()["code"] == "key_missing"


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("Hello ![](https://shop.example/logo.png)", "fetched"),
        ('Hello <img src="https://shop.example/o.gif" width="1" height="1">', "Invisible image"),
        ("[Your order](https://bit.ly/3abc)", "counts who presses it"),
        ("[Your order](https://shop.example/o/nora@example.com)", "tells who reads"),
        ("[Your order](https://shop.example/o?utm_source=mail)", "utm_source"),
        ("Hello <script>alert(1)</script>", "script"),
        ("Hello <span style='display:none'>hidden</span>", "Hidden text"),
    ],
)
async def test_what_watches_or_hides_is_refused(
    database: Database, business: Business, api: Browser, text: str, reason: str
) -> None:
    """Promise 4: by its final bytes, with every reason, and nothing is sent."""
    await declare(api)
    async with database.write(business.id) as db:
        nora = await make.customer(db, address="nora@example.com")
    answer = await post(api, asked(nora, text=text))
    async with smtpd() as relay:
        await carried(database, business, relay)

    assert answer.status_code == 422
    assert answer.json()["code"] == "message_refused"
    assert reason in answer.text
    assert relay.messages == []


async def test_all_that_is_wrong_is_told_at_once(
    api: Browser, business: Business, customer: Customer, root: asyncpg.Connection
) -> None:
    """What was taken out and what would watch her: whoever mends one thing hears of no other."""
    await declare(api)
    blank = "UPDATE crm.business SET legal_name = ' ' WHERE business_id = $1"
    await root.execute(blank, business.id)
    text = (
        "Hello <script>alert(1)</script> ![](https://shop.example/logo.png)\n\n"
        "[Your order](https://shop.example/o?utm_source=mail) [all](https://bit.ly/3abc)"
    )
    answer = await post(api, asked(customer, text=text))
    told = [each["detail"] for each in answer.json()["errors"]]

    assert (answer.status_code, answer.json()["code"]) == (422, "message_refused")
    for reason in (
        "no legal name",
        "Taken out: script",
        "logo.png",
        "utm_source",
        "counts who presses it",
    ):
        assert any(reason in each for each in told), told
    # The way out of a newsletter, which is none here.
    assert not [each for each in told if "allow this host" in each]


async def test_suppressed_frozen_and_leaving_get_none(
    database: Database, business: Business, api: Browser
) -> None:
    """Marketing alone is no reason; everything else is, and the answer says which."""
    await declare(api)
    codes: dict[str, str] = {}
    async with database.write(business.id) as db:
        people = {
            name: await make.customer(db, address=f"{name}@example.com")
            for name in ("marketing", "all", "frozen")
        }
        for scope in Scope:
            folded = customers.fold(f"{scope}@example.com")
            fingerprint = db.keys.address_hash(business.id, folded)
            await mail.suppress(db, make.SYSTEM, fingerprint, scope, mail.Why.staff)
        await customers.restrict(db, make.SYSTEM, people["frozen"].id)
    for name, her in people.items():
        answer = await post(api, asked(her))
        codes[name] = answer.json().get("code", "") if answer.status_code == 409 else "sent"

    assert codes == {
        "marketing": "sent",
        "all": "address_suppressed",
        "frozen": "customer_frozen",
    }


async def test_what_changed_meanwhile_holds(
    database: Database, business: Business, api: Browser
) -> None:
    """Who is frozen or suppressed while it waits gets it no more; it says why."""
    await declare(api)
    async with database.write(business.id) as db:
        frozen = await make.customer(db, address="frozen@example.com")
        silent = await make.customer(db, address="silent@example.com")
    ids = [await sent(api, frozen), await sent(api, silent)]
    async with database.write(business.id) as db:
        await customers.restrict(db, make.SYSTEM, frozen.id)
        fingerprint = db.keys.address_hash(business.id, "silent@example.com")
        await mail.suppress(db, make.SYSTEM, fingerprint, Scope.all, mail.Why.staff)
    async with smtpd() as relay:
        await carried(database, business, relay)
    told = [await stands(api, each) for each in ids]

    assert relay.messages == []
    assert [(each["state"], each["reply"]) for each in told] == [
        ("failed", "frozen"),
        ("failed", "suppressed"),
    ]


async def test_nobody_gets_more_than_so_many_a_day(api: Browser, customer: Customer) -> None:
    """It is no newsletter by another name, and the answer says when there is room again."""
    await declare(api)
    for number in range(PER_DAY):
        await sent(api, customer, reference=str(number))
    answer = await post(api, asked(customer))

    assert answer.status_code == 429
    assert answer.json()["code"] == "too_many_service_messages"
    assert 86_000 < int(answer.headers["retry-after"]) <= 86_400


async def test_what_both_records_of_one_person_got_counts_together(
    *,
    api: Browser,
    database: Database,
    business: Business,
    customer: Customer,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("crm.mail.service.PER_DAY", 2)
    await declare(api)
    async with database.write(business.id) as db:
        gone = await make.customer(db)
    for each in (customer, gone):
        await sent(api, each)
    async with database.write(business.id) as db:
        await merging.merge(db, make.SYSTEM, customer.id, gone.id)
    answer = await post(api, asked(customer))
    assert (answer.status_code, answer.json()["code"]) == (429, "too_many_service_messages")


async def test_another_business_knows_none_of_it(
    api: Browser, stranger_api: Browser, customer: Customer
) -> None:
    """Neither her, nor the purpose, nor the message."""
    await declare(api)
    message_id = await sent(api, customer)
    await declare(stranger_api)
    to_her = await post(stranger_api, asked(customer))
    read_it = await stranger_api.get(f"{MESSAGES}/{message_id}")

    assert (to_her.status_code, to_her.json()["code"]) == (404, "unknown_customer")
    assert (read_it.status_code, read_it.json()["code"]) == (404, "unknown_service_message")


async def test_it_is_closed_to_other_keys(
    database: Database, business: Business, api: Browser, web: Browser, customer: Customer
) -> None:
    """To one without the scope, and to one that is bound to purposes."""
    await declare(api)
    message_id = await sent(api, customer)
    every = [each for each in KeyScope if each is not KeyScope.service_messages_send]
    async with database.write(business.id) as db:
        purpose = await make.purpose(db)
        new = NewKey(name="Bound", scopes=list(KeyScope), reason="to write", purposes=[purpose.id])
        _, bound = await staff.add_key(db, make.SYSTEM, new)
    await make.let_in_by_key(database, business, web, every)
    lacking = [await post(web, asked(customer)), await web.get(f"{MESSAGES}/{message_id}")]
    web.headers["authorization"] = f"Bearer {bound}"
    closed = [await post(web, asked(customer)), await web.get(f"{MESSAGES}/{message_id}")]

    assert {each.json()["code"] for each in lacking} == {"scope_missing"}
    assert {each.json()["code"] for each in closed} == {"key_bound"}
