"""All customers as a stream: what a line says, who looked, and how it is known as whole."""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import AsyncIterator, Sequence
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import msgspec
import pytest
from litestar.types import ASGIApp

from crm import consent, customers, events, mail, privacy, staff
from crm.businesses import Business
from crm.consent import Circumstances, Method, Status
from crm.customers import AttributeType, LawfulBasis, NewAttribute, NewTag
from crm.db import Database, Db
from crm.events import Actor, Look
from crm.exports import EveryCustomer, Reading
from crm.exports.model import CustomerLine
from crm.exports.streaming import BATCH
from crm.privacy import Fingerprint
from crm.staff import Caller, NewKey, Scope, credentials
from crm.staff.auth import Looks
from tests import make
from tests.browser import Browser
from tests.conftest import Cluster

PATH = "/v1/customers.ndjson"
ALL = Reading(purpose_id=None, consents=True)


def read(content: bytes) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """The lines, and what the last one says of them; it says what they come to, or why not."""
    *lines, last = content.splitlines(keepends=True)
    told: dict[str, Any] = json.loads(last)
    if "closing" in told:
        summed = hashlib.sha256(b"".join(lines)).hexdigest()
        assert told == {"closing": {"count": len(lines), "sha256": summed}}
    return [json.loads(line) for line in lines], told


async def _declare(db: Db, name: str, type: AttributeType, purpose: UUID | None = None) -> None:
    new = NewAttribute(
        label=name,
        type=type,
        purpose="To help.",
        basis=LawfulBasis.contract,
        origin="You told us.",
        retention="P2Y",
        purpose_id=purpose,
    )
    await customers.declare_attribute(db, make.SYSTEM, name, new)


async def _tagged(db: Db, customer_id: UUID, name: str, purpose: UUID | None = None) -> None:
    new = NewTag(label=name, purpose="To help.", retention="P2Y", purpose_id=purpose)
    await customers.declare_tag(db, make.SYSTEM, name, new)
    await customers.put_tag(db, make.SYSTEM, customer_id, name)


async def _looks(database: Database, business: Business, customer_id: UUID) -> list[Look]:
    async with database.read(business.id) as db:
        return await events.looks_at(db, customer_id)


async def _key(
    database: Database, business: Business, *scopes: Scope, purposes: Sequence[UUID] = ()
) -> str:
    new = NewKey(
        name="Desk", scopes=list(scopes), reason="to print the cards", purposes=list(purposes)
    )
    async with database.write(business.id) as db:
        return (await staff.add_key(db, make.SYSTEM, new))[1]


@pytest.fixture
async def program(site: ASGIApp, business: Business) -> AsyncIterator[Browser]:
    """A program without a key as yet."""
    async with Browser(site, business.origin) as browser:
        yield browser


class Three(msgspec.Struct, frozen=True):
    """One of whom much is known, one whose address is suppressed, and one from a list."""

    nora: customers.Customer
    given: dict[str, Any]
    word: Circumstances
    silent: customers.Customer
    elsewhere: UUID


async def _three(db: Db) -> Three:
    nora = await make.customer(db, name='Nora "Ó" Lindqvist', external_id="n-1", locale="pt")
    await _declare(db, "points", AttributeType.number)
    await _declare(db, "member", AttributeType.boolean)
    await _declare(db, "town", AttributeType.text)
    given: dict[str, Any] = {"points": 9.4, "member": True, "town": "Évora\nnorth"}
    await customers.set_attributes(db, make.SYSTEM, nora.id, given)
    await _tagged(db, nora.id, "regular")
    letter = await make.purpose(db, slug="letter")
    notice = await make.notice(db, letter.id)
    word = await make.own_word(db, nora.id)
    await consent.give(db, Actor.customer(nora.id), nora.id, notice.question, word)
    silent = await make.customer(db)
    fingerprint = db.keys.address_hash(db.business_id, customers.fold(silent.address))
    await mail.suppress_many(db, [(fingerprint, mail.Scope.all, mail.Why.bounced)])
    (elsewhere,) = await make.audience(db, notice, 1)
    return Three(nora, given, word, silent, elsewhere)


async def test_it_works(
    program: Browser, database: Database, business: Business, other_business: Business
) -> None:
    """Each as one line, with what is held of her; and a stranger is in none."""
    async with database.write(other_business.id) as db:
        await make.customer(db)
    async with database.write(business.id) as db:
        three = await _three(db)
    key = await _key(database, business, Scope.customers_read, Scope.consents_read)
    program.headers["authorization"] = f"Bearer {key}"

    answer = await program.get(PATH)

    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("application/x-ndjson")
    lines, last = read(answer.content)
    assert last["closing"]["count"] == 3
    told = {each.id: each for each in msgspec.convert(lines, list[CustomerLine])}
    assert set(told) == {three.nora.id, three.silent.id, three.elsewhere}
    _is_nora(told[three.nora.id], three)
    silent = told[three.silent.id]
    assert (silent.suppressed, silent.consents) == ("bounced", {})
    theirs = told[three.elsewhere].consents
    assert isinstance(theirs, dict)
    assert theirs["letter"].method is Method.imported
    assert theirs["letter"].opted_in_at == theirs["letter"].at
    for each in told:
        (look,) = await _looks(database, business, each)
        assert look.reason == "to print the cards (export of all)"


def _is_nora(hers: CustomerLine, three: Three) -> None:
    assert (hers.name, hers.external_id, hers.locale) == ('Nora "Ó" Lindqvist', "n-1", "pt")
    assert (hers.attributes, hers.tags) == (three.given, ["regular"])
    assert isinstance(hers.consents, dict)
    decided = hers.consents["letter"]
    assert (decided.status, decided.method) == (Status.given, Method.portal)
    asked = three.word.opt_in
    assert asked is not None
    assert (decided.opted_in_at, decided.confirmed_at) == (asked.mailed_at, asked.confirmed_at)
    assert (decided.authorises, decided.reason, hers.suppressed) == (True, None, None)


async def test_what_a_key_may_not_read_is_not_in_it(
    program: Browser, database: Database, business: Business, customer: customers.Customer
) -> None:
    """Without consents:read nothing of what she decided; without customers:read nothing at all."""
    for scope, status in ((Scope.customers_read, 200), (Scope.consents_read, 403)):
        key = await _key(database, business, scope)
        program.headers["authorization"] = f"Bearer {key}"
        answer = await program.get(PATH)
        assert answer.status_code == status
        if status == 200:
            ((line,), _) = read(answer.content)
            assert line["id"] == str(customer.id)
            assert not {"consents", "suppressed"} & set(line)
    assert len(await _looks(database, business, customer.id)) == 1


async def test_whoever_asks_for_no_body_looks_at_nobody(
    api: Browser, database: Database, business: Business, customer: customers.Customer
) -> None:
    """HEAD says what GET would be, and nothing leaves."""
    answer = await api.head(PATH)

    assert (answer.status_code, answer.content) == (200, b"")
    assert answer.headers["content-type"].startswith("application/x-ndjson")
    assert not await _looks(database, business, customer.id)


@pytest.mark.parametrize("bound", ["by its key", "by the request"])
async def test_bound_it_says_what_the_purpose_allows(
    program: Browser, database: Database, business: Business, bound: str
) -> None:
    """Of whoever allows it, and of her only what is kept for it; of others not even a look."""
    async with database.write(business.id) as db:
        support = await make.purpose(db, slug="support", channel="none")
        other = await make.purpose(db, slug="offers")
        hers, not_hers = [(await make.customer(db)).id for _ in range(2)]
        for each in (support, other):
            notice = await make.notice(db, each.id)
            word = await make.own_word(db, hers)
            await consent.give(db, Actor.customer(hers), hers, notice.question, word)
        await _declare(db, "device", AttributeType.text, support.id)
        await _declare(db, "shoe_size", AttributeType.text)
        await customers.set_attributes(db, make.SYSTEM, hers, {"device": "D2", "shoe_size": "42"})
        await _tagged(db, hers, "helped", support.id)
        await _tagged(db, hers, "regular")
    purposes = [support.id] if bound == "by its key" else []
    key = await _key(database, business, *Scope, purposes=purposes)
    program.headers["authorization"] = f"Bearer {key}"

    answer = await program.get(PATH if purposes else f"{PATH}?purpose=support")

    ((line,), _) = read(answer.content)
    assert (line["id"], line["attributes"], line["tags"]) == (
        str(hers),
        {"device": "D2"},
        ["helped"],
    )
    assert list(line["consents"]) == ["support"]
    assert not await _looks(database, business, not_hers)


async def _crowd(database: Database, business: Business, count: int) -> list[UUID]:
    async with database.write(business.id) as db:
        purpose = await make.purpose(db)
        return sorted(await make.audience(db, await make.notice(db, purpose.id), count))


async def test_a_key_revoked_meanwhile_stops_it(
    site: ASGIApp, database: Database, business: Business
) -> None:
    """What had left is there; then comes why, and no closing record."""
    await _crowd(database, business, BATCH + 1)
    text = await _key(database, business, Scope.customers_read)
    key = credentials.read_key(text)
    assert key is not None
    heard: list[bytes] = []
    asked: asyncio.Queue[Any] = asyncio.Queue()
    asked.put_nowait({"type": "http.request", "body": b"", "more_body": False})

    async def send(message: Any) -> None:
        heard.append(message.get("body", b""))
        if heard[-1] and not any(heard[:-1]):
            async with database.write(business.id) as db:
                await staff.revoke_key(db, make.SYSTEM, key.key_id)
        if message["type"] == "http.response.body" and not message["more_body"]:
            asked.put_nowait({"type": "http.disconnect"})

    scope: Any = {
        "type": "http",
        "http_version": "1.1",
        "method": "GET",
        "scheme": "http",
        "path": PATH,
        "raw_path": PATH.encode(),
        "root_path": "",
        "query_string": b"",
        "headers": [(b"host", b"x"), (b"authorization", f"Bearer {text}".encode())],
        "client": ("198.18.9.9", 1),
        "server": ("x", 80),
    }
    await site(scope, asked.get, send)

    lines, last = read(b"".join(heard))
    assert len(lines) == BATCH
    assert last["stopped"]["code"] == "unknown_key"


class Slow:
    """A reader of the stream who takes one customer at a time."""

    def __init__(self, database: Database, business: Business) -> None:
        caller = Caller(
            id=uuid4(), name="Desk", scopes=frozenset(Scope), reason="to print the cards"
        )
        self.looks = Looks(database, business.id, caller)
        everybody = EveryCustomer(database, business.id, ALL, self.look, batch=1)
        self.lines = everybody.lines()

    async def look(self, db: Db, customer_ids: Sequence[UUID]) -> bool:
        return await self.looks.within(db, customer_ids, reason="export of all")

    async def rest(self) -> bytes:
        return b"".join([line async for line in self.lines])


async def test_a_look_is_there_before_the_line(database: Database, business: Business) -> None:
    """And while the reader takes her time, no transaction is open."""
    first, second = await _crowd(database, business, 2)
    reader = Slow(database, business)

    line = json.loads(await anext(reader.lines))

    assert line["id"] == str(first)
    assert len(await _looks(database, business, first)) == 1
    assert not await _looks(database, business, second)
    await reader.rest()
    assert len(await _looks(database, business, second)) == 1


async def test_a_slow_reader_holds_nothing(own_database: Database, own_cluster: Cluster) -> None:
    """No transaction is open between two batches, so nothing waits for her, nor does VACUUM."""
    business = await make.business(own_database)
    await _crowd(own_database, business, 2)
    reader = Slow(own_database, business)
    conn = await asyncpg.connect(own_cluster.superuser_url)

    await anext(reader.lines)

    held = await conn.fetchval(
        "SELECT count(*) FROM pg_stat_activity"
        " WHERE datname = current_database() AND usename = 'crm_app' AND xact_start IS NOT NULL"
    )
    await conn.close()
    assert held == 0
    assert b"closing" in await reader.rest()


async def test_who_is_erased_meanwhile_is_not_in_it(database: Database, business: Business) -> None:
    """The rest is whole all the same."""
    ids = await _crowd(database, business, 3)
    reader = Slow(database, business)
    begun = await anext(reader.lines)
    async with database.write(business.id) as db:
        await privacy.erase(db, make.SYSTEM, ids[1])

    lines, last = read(begun + await reader.rest())

    assert [line["id"] for line in lines] == [str(ids[0]), str(ids[2])]
    assert "closing" in last


async def test_who_waits_for_her_deletion_is_not_in_it(
    database: Database, business: Business
) -> None:
    """Nor who wishes it at the very moment in which her line was read."""
    waits, wishes, stays = await _crowd(database, business, 3)
    async with database.write(business.id) as db:
        await privacy.plan(db, await customers.get(db, waits), Fingerprint.drop)

    class Meanwhile(Slow):
        async def look(self, db: Db, customer_ids: Sequence[UUID]) -> bool:
            if wishes in customer_ids:
                async with database.write(business.id) as beside:
                    await privacy.plan(
                        beside, await customers.get(beside, wishes), Fingerprint.drop
                    )
            return await super().look(db, customer_ids)

    lines, _ = read(await Meanwhile(database, business).rest())

    assert [line["id"] for line in lines] == [str(stays)]
    assert not await _looks(database, business, waits)
    assert not await _looks(database, business, wishes)


async def test_records_with_very_much_in_them_come_in_smaller_batches(
    database: Database, business: Business
) -> None:
    """Memory does not grow with them."""
    ids = await _crowd(database, business, 240)
    names = [f"note_{number}" for number in range(10)]
    async with database.write(business.id) as db:
        for name in names:
            await _declare(db, name, AttributeType.text)
        values = [customers.NewValue(each, name, "x" * 2000) for each in ids for name in names]
        await customers.fill_attributes(db, values)
    reader = Slow(database, business)
    everybody = EveryCustomer(database, business.id, ALL, reader.look, batch=120)

    pieces = [piece async for piece in everybody.lines()]

    *batches, _ = (piece.count(b"\n") for piece in pieces)
    assert batches[0] == 120
    assert max(batches[1:]) < 120
    assert sum(batches) == 240


async def test_a_stranger_reads_nothing_of_it(
    stranger_api: Browser, customer: customers.Customer
) -> None:
    lines, last = read((await stranger_api.get(PATH)).content)

    assert lines == []
    assert last["closing"]["count"] == 0
