"""Every way in writes the whole record; leaving is taken in every state; erasure is final."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from email import policy
from email.parser import BytesParser
from typing import Any
from uuid import UUID

import asyncpg
import msgspec
import pytest
from msgspec import json

from crm import access, consent, customers, mail, privacy
from crm.access import Choice, NewSignup
from crm.businesses import Business
from crm.consent import (
    Circumstances,
    ConsentEvent,
    Form,
    Method,
    Notice,
    Silenced,
    Status,
)
from crm.consent.states import OWN_WORD
from crm.customers import NewCustomer, Source, UnknownCustomer
from crm.db import Database, Db
from crm.events import Actor
from crm.mail import Scope
from tests import make
from tests.consent.conftest import SIGNED, add_customer, imported, say_no, say_yes

# What each record says, whichever way it came (ISO/IEC TS 27560, and more).
ALWAYS = {
    "actor",
    "at",
    "basis",
    "business",
    "customer",
    "event",
    "evidence",
    "jurisdiction",
    "method",
    "purpose",
    "record",
    "recorded_at",
    "request",
    "status",
    "supersedes",
    "type",
    "valid_until",
    "version",
}
SHOWN = {"notice", "control"}
Way = Callable[[Db, UUID, Notice], Awaitable[ConsentEvent]]


async def by_portal(db: Db, customer: UUID, notice: Notice) -> ConsentEvent:
    word = await make.own_word(db, customer, form=Form("portal", "/me/consent"))
    return await consent.give(db, Actor.customer(customer), customer, notice.question, word)


async def by_api(db: Db, customer: UUID, notice: Notice) -> ConsentEvent:
    how = Circumstances(
        Method.api,
        evidence=SIGNED,
        form=Form("checkout", "https://shop.example/checkout"),
        jurisdiction="AT",
        request="order 4711",
    )
    shop = Actor.key(UUID(int=9), "Shop")
    return await consent.give(db, shop, customer, notice.question, how)


async def by_staff(db: Db, customer: UUID, notice: Notice) -> ConsentEvent:
    how = Circumstances(Method.staff, evidence=SIGNED)
    bob = Actor.member(UUID(int=8), "Bob")
    return await consent.give(db, bob, customer, notice.question, how)


async def by_import(db: Db, customer: UUID, notice: Notice) -> ConsentEvent:
    rows = [await imported(db, customer, notice, Status.given)]
    await consent.append_many(db, Actor.system(), rows)
    return (await consent.history(db, customer))[0]


async def by_one_click(db: Db, customer: UUID, notice: Notice) -> ConsentEvent:
    by, purpose = Actor.customer(customer), notice.purpose_id
    return await consent.withdraw(db, by, customer, purpose, method=Method.one_click)


async def by_complaint(db: Db, customer: UUID, notice: Notice) -> ConsentEvent:
    by, purpose = Actor.system(), notice.purpose_id
    return await consent.withdraw(db, by, customer, purpose, method=Method.complaint)


@pytest.mark.parametrize(
    ("way", "more"),
    [
        (by_portal, SHOWN | {"form", "opt_in"}),
        (by_api, SHOWN | {"form"}),
        (by_staff, SHOWN),
        (by_import, SHOWN),
        (by_one_click, set()),
        (by_complaint, set()),
    ],
)
async def test_the_record_is_whole(
    *, db: Db, business: Business, customer: UUID, notice: Notice, way: Way, more: set[str]
) -> None:
    event = await way(db, customer, notice)
    found = await consent.exhibit(db, customer, event.id)
    said: dict[str, Any] = json.decode(found.canonical)
    assert said.keys() == ALWAYS | more
    assert (said["business"], said["customer"]) == (str(business.id), str(customer))
    assert (said["event"], said["record"]) == (str(event.id), str(event.record_id))
    assert said["purpose"] == {
        "id": str(notice.purpose_id),
        "sha256": found.version.sha256.hex(),
        "version": 1,
    }
    assert said["actor"] == {
        "id": str(event.actor_id) if event.actor_id else "",
        "kind": event.actor_kind,
    }
    if "notice" in more:
        assert said["notice"] == {
            "id": str(notice.id),
            "language": "en",
            "sha256": notice.sha256.hex(),
            "version": 1,
        }
        # How a form of others was, we have not seen, and do not say.
        ours = {"default": False} if way is by_portal else {}
        assert said["control"] == {"label": notice.control_label} | ours
    if way is by_api:
        assert (said["jurisdiction"], said["request"]) == ("AT", "order 4711")
        assert said["form"]["page"] == "https://shop.example/checkout"


async def test_a_sign_up_says_both_steps_and_the_mail_between(
    database: Database, business: Business, notice: Notice
) -> None:
    async with database.write(business.id) as db:
        await access.start(
            db,
            NewSignup(
                address=customers.parse("nora@example.com"),
                name="Nora",
                locale="en",
                choices=(Choice(notice.purpose_id, notice.id),),
                page="https://shop.example/rye",
            ),
        )
        (letter,) = await mail.actions.claim_letters(db, 5)
        caught = BytesParser(policy=policy.default).parsebytes(letter.content)
        text = caught.get_body(("plain",))
        assert text is not None
        token = re.search(r"/confirm/([\w-]+)", text.get_content())
        assert token is not None
        await access.confirm(db, token[1])
        found = await customers.by_address(db, "nora@example.com")
        assert found is not None
        given, asked = await consent.history(db, found.id)
    assert (asked.status, asked.method) == (Status.requested, Method.web_form)
    assert (given.status, given.method) == (Status.given, Method.double_opt_in)
    assert given.opt_in is not None
    assert given.opt_in.message_id
    assert given.request == asked.request
    assert (given.page, given.supersedes) == ("https://shop.example/rye", asked.id)


async def put(db: Db, customer: UUID, notice: Notice, status: Status | None) -> None:
    """Bring a customer into a state by the ways there are."""
    asked, me = notice.question, Actor.customer(customer)
    here = Circumstances(Method.portal)
    if status is Status.requested:
        await consent.request(db, me, customer, asked, Circumstances(Method.web_form))
    elif status is Status.deferred:
        await consent.defer(db, me, customer, asked, here)
    elif status is Status.refused:
        await consent.refuse(db, me, customer, asked, here)
    elif status is Status.unknown:
        row = await imported(db, customer, notice, status)
        await consent.append_many(db, Actor.system(), [row])
    elif status is not None:
        await say_yes(db, customer, notice)
    if status is Status.renewed:
        await say_yes(db, customer, notice)
    elif status is Status.withdrawn:
        await say_no(db, customer, notice.purpose_id)
    elif status is Status.invalidated:
        await consent.invalidate(db, Actor.system(), customer, notice.purpose_id, why="No.")


@pytest.mark.parametrize(
    "status", [None, *sorted(set(Status) - {Status.unobjected, Status.expired, Status.revoked})]
)
@pytest.mark.parametrize("method", sorted(set(Method) - OWN_WORD - {Method.web_form}))
async def test_leaving_is_taken_in_every_state_by_every_way(
    db: Db, customer: UUID, notice: Notice, status: Status | None, method: Method
) -> None:
    await put(db, customer, notice, status)
    for _ in range(2):
        by = Actor.system()
        event = await consent.withdraw(db, by, customer, notice.purpose_id, method=method)
        assert event.status is Status.withdrawn
    state = await consent.state(db, customer, notice.purpose_id)
    assert state is not None
    assert state.status is Status.withdrawn


async def test_nobody_says_yes_for_her_after_an_erasure(
    database: Database, business: Business, notice: Notice
) -> None:
    """Not for the old id, and not for her address under a new one; she herself can."""
    new = NewCustomer(address="nora@example.com")
    on_paper = Circumstances(Method.api, evidence=SIGNED)
    async with database.write(business.id) as db:
        gone = await customers.add(db, make.SYSTEM, new, source=Source.api)
        await say_yes(db, gone.id, notice)
        await privacy.erase(db, Actor.customer(gone.id), gone.id)
        with pytest.raises(UnknownCustomer):
            await consent.give(db, make.SYSTEM, gone.id, notice.question, on_paper)
        fingerprint = db.keys.address_hash(business.id, "nora@example.com")
        kept = await mail.suppressed(db, fingerprint)
        assert kept is not None
        assert kept.scope in {Scope.all, Scope.marketing}
        again = await customers.add(db, make.SYSTEM, new, source=Source.api)
        with pytest.raises(Silenced):
            await consent.give(db, make.SYSTEM, again.id, notice.question, on_paper)
        assert await consent.history(db, again.id) == []
        event = await say_yes(db, again.id, notice)
        assert event.status is Status.given
        assert await mail.suppressed(db, fingerprint) is None


async def test_postgres_keeps_the_silence_too(
    database: Database, business: Business, notice: Notice
) -> None:
    """Where the rule of the program were left out: the statement itself is refused."""
    from_elsewhere = await _suppressed(database, business)
    shop = Actor.key(UUID(int=9), "Shop")
    async with database.read(business.id) as read:
        row, state = await imported(read, from_elsewhere, notice, Status.given)
    forged = msgspec.structs.replace(row, method=Method.api)
    with pytest.raises(asyncpg.InsufficientPrivilegeError, match="while her address is suppressed"):
        async with database.write(business.id) as db:
            await consent.append_many(db, shop, [(forged, state)])


async def _suppressed(database: Database, business: Business) -> UUID:
    async with database.write(business.id) as db:
        customer = await add_customer(db)
        address = (await customers.get(db, customer)).address
        fingerprint = db.keys.address_hash(business.id, address)
        await mail.suppress(db, make.SYSTEM, fingerprint, Scope.all, mail.Why.bounced)
    return customer
