"""Sign-ups handed in by a shop's own checkout: mailed, confirmed by the mailbox, and told alike."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import msgspec
import pytest
from litestar.types import ASGIApp

from crm import access, consent, customers, staff
from crm.access import handed_in
from crm.access.handed_in import HandedIn
from crm.access.model import SIGNUPS_PER_NETWORK
from crm.businesses import Business
from crm.consent import ConsentEvent, Method, Status
from crm.customers import Customer
from crm.db import Database
from crm.staff import Caller, NewKey, Scope
from tests import make
from tests.access.conftest import Asking, Inbox, Rows
from tests.access.test_sign_up import Counting, _one_of_each
from tests.browser import Browser

SIGN_UPS = "/v1/sign-ups"
PAGE = "https://shop.example/checkout"


@pytest.fixture
async def checkout(site: ASGIApp, database: Database, business: Business) -> AsyncIterator[Browser]:
    """A program with a key that may hand in sign-ups, and nothing else."""
    async with Browser(site, business.origin) as let_in:
        await make.let_in_by_key(database, business, let_in, [Scope.sign_ups_write])
        yield let_in


def ticked(asking: Asking, address: str = "nora@example.com", **more: Any) -> dict[str, Any]:
    """What somebody entered who ticked the letter."""
    said = {"address": address, "notices": [str(asking.letter_notice.id)], "page": PAGE}
    return {**said, "seen_from": {"address": "203.0.113.9", "agent": "Browser/1"}, **more}


async def decided(database: Database, business: Business, address: str) -> list[ConsentEvent]:
    async with database.read(business.id) as db:
        found = await customers.by_address(db, address)
        assert found is not None
        return await consent.history(db, found.id)


async def test_it_counts_once_the_mailbox_has_confirmed(
    *,
    checkout: Browser,
    asking: Asking,
    inbox: Inbox,
    rows: Rows,
    database: Database,
    business: Business,
) -> None:
    """What the program said stands as said, under its key; her yes is her own."""
    at = datetime.now(UTC) - timedelta(hours=2)
    async with database.read(business.id) as db:
        (key,) = await staff.api_keys(db)
    said = ticked(asking, name="Nora", form="checkout", asked_at=at.isoformat())
    answer = await checkout.post(SIGN_UPS, json=said | {"page": f"{PAGE}?basket=7#pay"})
    # She ticked before that text was there.
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid")
    del said["asked_at"]
    answer = await checkout.post(SIGN_UPS, json=said | {"page": f"{PAGE}?basket=7#pay"})
    assert (answer.status_code, list(answer.json())) == (202, ["taken_at"])
    assert await rows.count("customer") == 0
    sent = await inbox.newest()
    assert (sent.kind, sent.to) == ("confirmation", "nora@example.com")
    assert (await checkout.post(sent.link)).status_code == 200

    given, asked = await decided(database, business, "nora@example.com")
    assert (given.status, given.method) == (Status.given, Method.double_opt_in)
    assert given.actor_kind == "customer"
    assert (asked.status, asked.method) == (Status.requested, Method.api)
    assert (asked.actor_kind, asked.actor_id) == ("key", key.id)
    for each in (asked, given):
        assert (each.form, each.page) == ("checkout", PAGE)
        assert each.notice_id == asking.letter_notice.id
        assert each.evidence == {"handed_in_by": "Shop"}
    async with database.read(business.id) as db:
        record = (await consent.exhibit(db, given.customer_id, given.id)).canonical
    assert "default" not in msgspec.json.decode(record)["control"]


async def test_the_answer_is_the_same_whoever_it_is(
    *,
    checkout: Browser,
    database: Database,
    business: Business,
    asking: Asking,
    nora: Customer,
    inbox: Inbox,
) -> None:
    await _one_of_each(database, business, asking)
    await checkout.post(SIGN_UPS, json=ticked(asking, "waiting@example.com"))
    names = ["new", "nora", "known", "gone", "bounced", "waiting", *["nora"] * 8]
    answers = [
        await checkout.post(SIGN_UPS, json=ticked(asking, f"{name}@example.com")) for name in names
    ]
    told = {(each.status_code, tuple(each.json()), tuple(each.headers)) for each in answers}
    assert len(told) == 1
    kinds = {each.kind for each in await inbox.mails() if each.to == "nora@example.com"}
    assert kinds == {"asked"}
    assert [each.to for each in await inbox.mails()].count("nora@example.com") == 3


async def test_it_costs_the_same_statements_whoever_it_is(
    database: Database, business: Business, asking: Asking, nora: Customer
) -> None:
    await _one_of_each(database, business, asking)
    counts = []
    for name in ["new", "new", "nora", "known", "gone", "bounced", *["nora", "new"] * 5]:
        async with database.write(business.id) as db:
            counting = Counting(db._conn, db.business_id, db.now, db.keys)  # noqa: SLF001
            said = msgspec.convert(ticked(asking, f"{name}@example.com"), HandedIn)
            await access.start(counting, await handed_in.read(counting, CALLER, said))
        counts.append(counting.asked())
    assert len(set(counts)) == 1


CALLER = Caller(id=UUID(int=7), name="Shop", scopes=frozenset(Scope), reason="to sign up")


async def test_a_repeated_request_mails_nobody_twice(
    checkout: Browser, asking: Asking, inbox: Inbox
) -> None:
    headers = {"idempotency-key": "order 1234"}
    first = await checkout.post(SIGN_UPS, json=ticked(asking), headers=headers)
    again = await checkout.post(SIGN_UPS, json=ticked(asking), headers=headers)
    assert (first.status_code, first.json()) == (again.status_code, again.json())
    assert again.headers["idempotency-replayed"] == "true"
    assert len(await inbox.mails()) == 1


async def test_a_network_signs_up_so_many_and_no_more(
    *, checkout: Browser, database: Database, business: Business, asking: Asking, inbox: Inbox
) -> None:
    """Whatever they are called; and another network is counted apart."""
    async with database.write(business.id) as db:
        for _ in range(SIGNUPS_PER_NETWORK):
            await handed_in.count(db, "203.0.113.9")
    refused = await checkout.post(SIGN_UPS, json=ticked(asking))
    assert (refused.status_code, refused.json()["code"]) == (429, "too_many_sign_ups")
    assert int(refused.headers["retry-after"]) > 0
    assert await inbox.mails() == []
    for elsewhere in ("2001:db8::9", "::ffff:203.0.113.8"):
        other = ticked(asking, seen_from={"address": elsewhere})
        assert (await checkout.post(SIGN_UPS, json=other)).status_code == 202
    again = ticked(asking, seen_from={"address": "::ffff:203.0.113.9"})
    assert (await checkout.post(SIGN_UPS, json=again)).status_code == 429


async def test_every_wrong_value_is_told_at_once(
    checkout: Browser, asking: Asking, rows: Rows, database: Database, business: Business
) -> None:
    async with database.write(business.id) as db:
        newer = await make.notice(db, asking.offers.id, text="Yes, send me the newest offers.")
    offers, letter = str(asking.offers_notice.id), str(asking.letter_notice.id)
    said = {
        "address": "nora.example.com",
        "notices": [offers, letter, letter, str(uuid4())],
        "page": "/checkout",
        "asked_at": "2026-01-01T00:00:00Z",
        "seen_from": {"address": "shop"},
    }
    told = (await checkout.post(SIGN_UPS, json=said | {"asked_at": None})).json()
    assert [each["pointer"] for each in told["errors"]] == [
        "#/address",
        "#/notices/0",
        "#/notices/2",
        "#/notices/3",
        "#/page",
        "#/seen_from/address",
    ]
    told = (await checkout.post(SIGN_UPS, json=said)).json()
    assert "#/asked_at" in [each["pointer"] for each in told["errors"]]
    good = ticked(asking, notices=[str(newer.id), letter])
    assert (await checkout.post(SIGN_UPS, json=good)).status_code == 202
    assert await rows.count("signup") == 1


@pytest.mark.parametrize(
    "more",
    [
        {"purposes": ["letter"]},
        {"notices": []},
        {"page": None},
        {"asked_at": "2026-01-01T00:00"},
        # A record takes neither, so she could not confirm it: a line, and letters that are two once
        # they are composed.
        {"name": "Nora\nL."},
        {"name": "\u0958" * 51},
    ],
)
async def test_bad_input(checkout: Browser, asking: Asking, more: dict[str, Any]) -> None:
    answer = await checkout.post(SIGN_UPS, json=ticked(asking) | more)
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid")


async def test_who_is_too_young_is_refused(
    *, checkout: Browser, database: Database, business: Business, asking: Asking, inbox: Inbox
) -> None:
    async with database.write(business.id) as db:
        version = await consent.version(db, asking.letter.id, 1)
        terms = msgspec.structs.replace(version.entered, ages={"DE": 16, "AT": 14})
        new = consent.NewVersion(terms=terms, notices=[], replaces=1)
        await consent.publish_version(db, make.SYSTEM, asking.letter.id, new)
    told = (await checkout.post(SIGN_UPS, json=ticked(asking))).json()
    assert [each["pointer"] for each in told["errors"]] == ["#/country", "#/old_enough"]
    said = ticked(asking, country="AT", old_enough=True)
    assert (await checkout.post(SIGN_UPS, json=said)).status_code == 202
    await checkout.post((await inbox.newest()).link)
    given, _ = await decided(database, business, "nora@example.com")
    assert (given.evidence["of_age"], given.jurisdiction) == (14, "AT")


async def test_a_bound_key_signs_up_for_its_purposes_only(
    *, checkout: Browser, database: Database, business: Business, asking: Asking
) -> None:
    new = NewKey(
        name="Offers",
        scopes=[Scope.sign_ups_write],
        reason="to sign up",
        purposes=[asking.offers.id],
    )
    async with database.write(business.id) as db:
        _, text = await staff.add_key(db, make.SYSTEM, new)
    checkout.headers["authorization"] = f"Bearer {text}"
    refused = await checkout.post(SIGN_UPS, json=ticked(asking))
    assert (refused.status_code, refused.json()["code"]) == (403, "other_purpose")
    allowed = ticked(asking, notices=[str(asking.offers_notice.id)])
    assert (await checkout.post(SIGN_UPS, json=allowed)).status_code == 202


async def test_a_key_without_the_scope_mails_nobody(
    *, checkout: Browser, database: Database, business: Business, asking: Asking, inbox: Inbox
) -> None:
    await make.let_in_by_key(database, business, checkout, [Scope.consents_write])
    refused = await checkout.post(SIGN_UPS, json=ticked(asking))
    assert (refused.status_code, refused.json()["code"]) == (403, "scope_missing")
    assert await inbox.mails() == []
