"""The ledger for everybody and for staff: what a client of C2SP reads, and nothing of anybody."""

from __future__ import annotations

from base64 import b64decode
from collections.abc import AsyncIterator
from html import unescape
from uuid import UUID

import pytest
from litestar.types import ASGIApp

from crm import consent, ledger
from crm.businesses import Business
from crm.db import Database
from crm.events import Actor
from crm.journal import CHECKPOINT, Journal
from crm.ledger import Finding, KeyKind, note
from crm.ledger.checkpoint import checkpoint_of
from crm.ledger.note import read_vkey
from tests import make
from tests.browser import Browser
from tests.ledger.conftest import commitment, entered


@pytest.fixture
async def web(site: ASGIApp, business: Business) -> AsyncIterator[Browser]:
    async with Browser(site, business.origin) as browser:
        yield browser


@pytest.fixture
async def entries(database: Database, business: Business, journal: Journal) -> list[UUID]:
    """A ledger with one full tile and a part of another, and two heads."""
    known = await entered(database, business.id, 100)
    await ledger.seal(database, business.id, journal, most=1000)
    known += await entered(database, business.id, 200)
    await ledger.seal(database, business.id, journal, most=1000)
    return known


async def test_a_stranger_checks_the_tree_from_what_is_published(
    web: Browser, entries: list[UUID], database: Database, business: Business
) -> None:
    """Only with what comes from the paths: head, keys, tiles and a path between heads."""
    signed = (await web.get("/ledger/1/checkpoint")).text
    keys = [read_vkey(line) for line in (await web.get("/ledger/vkeys")).text.splitlines()]
    note.read(signed).check(keys)
    head = checkpoint_of(signed)
    assert head.size == 300

    full = await web.get("/ledger/1/tile/0/000")
    part = await web.get("/ledger/1/tile/0/001.p/44")
    assert (
        full.headers["content-type"] == part.headers["content-type"] == "application/octet-stream"
    )
    assert "immutable" in full.headers["cache-control"]
    assert part.headers["cache-control"] == "no-cache"
    leaves = full.content + part.content
    assert leaves == b"".join(ledger.leaf_hash(commitment(each)) for each in entries)

    path = [b64decode(line) for line in (await web.get("/ledger/consistency/100/300")).text.split()]
    async with database.read(business.id) as db:
        earlier = {each.size: each.root for each in await ledger.signed_heads(db)}
    ledger.check_consistency(100, 300, path, earlier[100], head.root)


@pytest.mark.parametrize(
    "path",
    [
        "/ledger/2/checkpoint",
        "/ledger/99999999999999999999/checkpoint",
        "/ledger/1/tile/0/001",
        "/ledger/1/tile/0/001.p/45",
        "/ledger/1/tile/0/001.p/0",
        "/ledger/1/tile/0/0",
        "/ledger/1/tile/0/../000",
        "/ledger/1/tile/data/000",
        "/ledger/1/tile/entries/000",
        "/ledger/1/tile/7/000",
        "/ledger/1/tile/",
        "/ledger/consistency/0/300",
        "/ledger/consistency/300/100",
        "/ledger/consistency/100/301",
        "/ledger/consistency/-1/300",
        "/ledger/1/entry/0",
    ],
)
async def test_what_is_not_published_is_not_there(
    web: Browser, entries: list[UUID], path: str
) -> None:
    assert (await web.get(path)).status_code == 404


@pytest.mark.parametrize("path", ["/ledger/1/checkpoint", "/ledger/vkeys", "/ledger/1/tile/0/000"])
async def test_before_anything_is_sealed(web: Browser, path: str) -> None:
    assert (await web.get(path)).status_code == 404
    assert "Nothing sealed yet" in (await web.get("/ledger")).text


async def test_the_page_shows_what_there_is_and_nobodys_data(
    *, web: Browser, database: Database, business: Business, journal: Journal
) -> None:
    async with database.write(business.id) as db:
        text = await make.notice(db, (await make.purpose(db)).id)
        customer = await make.customer(db)
        give = await make.own_word(db, customer.id)
        by = Actor.customer(customer.id)
        event = await consent.give(db, by, customer.id, text.question, give)
    await ledger.seal(database, business.id, journal, most=1000)
    page = await web.get("/ledger")
    assert page.status_code == 200
    assert f"{business.host}/ledger/1" in page.text
    assert "<script" not in page.text
    for secret in (customer.address, str(customer.id), str(event.id)):
        assert secret not in page.text


async def test_a_gap_is_shown_to_everybody(
    *,
    web: Browser,
    entries: list[UUID],
    database: Database,
    business: Business,
    journal: Journal,
) -> None:
    async with database.read(business.id) as db:
        signer = await ledger.signer(db, KeyKind.checkpoint)
        head = await ledger.head(db)
    assert signer is not None
    assert head is not None
    later = ledger.Checkpoint(head.origin, head.size + 5, bytes(32))
    signed = note.sign(later.text(), signer.name, signer.private)
    journal.keep(business.id, CHECKPOINT, lambda _: signed)
    await entered(database, business.id, 1)
    await ledger.seal(database, business.id, journal, most=10)
    assert "Nothing is sealed at the moment." in unescape((await web.get("/ledger")).text)

    async with database.write(business.id) as db:
        await ledger.reopen(db, make.SYSTEM, signed, reason="The disk of 3 May failed.")
    await ledger.seal(database, business.id, journal, most=10)

    page = unescape((await web.get("/ledger")).text)
    assert "5 entries that were signed once are not here any more." in page
    assert "The disk of 3 May failed." in page
    assert f"{business.host}/ledger/2" in page
    # Under the old name the head that everybody knows goes on being served.
    assert (await web.get("/ledger/1/checkpoint")).text == signed
    assert (await web.get("/ledger/2/checkpoint")).status_code == 200


async def test_all_keys_are_published_for_ever(
    web: Browser, entries: list[UUID], database: Database, business: Business
) -> None:
    for _ in range(2):
        async with database.write(business.id) as db:
            await ledger.rotate(db, make.SYSTEM, KeyKind.checkpoint)
            await ledger.rotate(db, make.SYSTEM, KeyKind.receipt)
    found = await web.get("/.well-known/jwks.json")
    assert found.headers["content-type"].startswith("application/jwk-set+json")
    async with database.read(business.id) as db:
        ours = await ledger.keys(db)
    receipts = [each for each in ours if each.kind is KeyKind.receipt]
    assert len(found.json()["keys"]) == len(receipts) > 1
    assert all(each.keys() >= {"kty", "crv", "x", "kid"} for each in found.json()["keys"])
    assert not any("d" in each for each in found.json()["keys"])
    vkeys = (await web.get("/ledger/vkeys")).text.splitlines()
    assert len(vkeys) == 3
    notes = (await web.get("/ledger/endorsements")).text
    assert all(vkey in notes for vkey in vkeys[1:])


async def test_staff_see_what_the_monitor_found(
    web: Browser, entries: list[UUID], database: Database, business: Business
) -> None:
    await make.let_in_as_owner(database, business, web)
    assert "All that was sealed is what it was." in (await web.get("/staff/ledger")).text
    async with database.write(business.id) as db:
        found = Finding("leaf_changed", "leaf 17", "It is not <b>what</b> was sealed.")
        await ledger.report(db, [found])
    page = (await web.get("/staff/ledger")).text
    assert "One alarm: what is kept is not what was sealed." in unescape(page)
    assert "leaf 17" in page
    assert "&lt;b&gt;what" in page
    # Nobody else learns of it there; the tree itself says what can be checked.
    assert "leaf 17" not in (await web.get("/ledger")).text


async def test_staff_see_what_came_of_an_alarm(
    web: Browser, entries: list[UUID], database: Database, business: Business
) -> None:
    """Whoever settles one gives a reason, which is there to be read."""
    await make.let_in_as_owner(database, business, web)
    async with database.write(business.id) as db:
        await ledger.report(db, [Finding("leaf_changed", "leaf 17", "It is another.")])
        (alarm,) = await ledger.alarms(db)
        why = f"A disk that was <b>worn</b>. {'x' * 600}"
        assert await ledger.settle(db, make.SYSTEM, alarm.id, why=why)
    page = (await web.get("/staff/ledger")).text

    assert "leaf 17" in page
    assert "A disk that was &lt;b&gt;worn" in page
    assert "All that was sealed is what it was." not in page
    assert "One alarm" not in page
    assert "worn" not in (await web.get("/ledger")).text
