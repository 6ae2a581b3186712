"""The certificate of an erasure: every store with its count, what stays, signed, naming nobody."""

from __future__ import annotations

import json
from typing import Any
from uuid import UUID

import httpx2
import pytest
from joserfc import jws
from joserfc.jwk import OKPKey

from crm import consent, customers, events, ledger, privacy
from crm.businesses import Business
from crm.consent.receipt import ALGORITHM, REGISTRY
from crm.customers import UnknownCustomer
from crm.db import Database
from crm.events import Actor
from crm.ledger import KeyKind
from crm.privacy import Fingerprint, UnknownErasure
from crm.privacy.retention.sweeps import SWEEPS
from crm.staff import Role, Scope
from tests import make
from tests.privacy import site
from tests.privacy.conftest import Clock
from tests.privacy.life import Life, erase_traces
from tests.privacy.taken import inside, lines, taken


@pytest.fixture
async def web(database: Database, business: Business) -> Any:
    """Somebody with nothing but a link."""
    app = site.application(database)
    async with httpx2.AsyncClient(
        transport=httpx2.ASGITransport(app=app), base_url=business.origin
    ) as client:
        yield client


_LISTS = (
    "interactions",
    "attributes",
    "letters",
    "proofs",
    "copies",
    "events",
    "decisions",
)


async def _erased(
    database: Database, life: Life, fingerprint: Fingerprint = Fingerprint.keep
) -> privacy.Certificate:
    async with database.write(life.business.id) as db:
        await ledger.ensure_key(db, KeyKind.receipt, "receipts")
        await privacy.erase(db, life.actor, life.customer.id, fingerprint=fingerprint)
        return (await privacy.certificate(db, life.customer.id)).certificate


async def test_it_counts_every_store(database: Database, nora: Life) -> None:
    """What it says is what the copy taken before had."""
    files = inside(await taken(database, nora.business.id, nora.customer.id))
    held = {name: len(lines(files, name)) for name in _LISTS}
    found = await _erased(database, nora)
    counts = {each.table: each.gone for each in found.stores}

    assert counts["customer"] == 1
    assert counts["interaction"] == held["interactions"]
    assert counts["attribute_value"] == held["attributes"]
    # And the letter that the copy was ready.
    assert counts["service_message"] == held["letters"] + 1
    assert counts["mailbox_proof"] == held["proofs"]
    assert counts["copy"] == held["copies"]
    assert counts["copy_part"] >= held["copies"]
    assert counts["former_address"] == 1
    # With the copy itself, and the withdrawals that the erasure recorded and deleted again.
    assert counts["event"] > held["events"]
    assert counts["consent_record"] > held["decisions"]
    stays = {each.what: each.count for each in found.stays}
    assert stays["Checksums of decisions"] == counts["consent_record"]
    assert stays["Newsletters that went to somebody or left somebody out"] == 2
    assert stays["The fingerprint of each address you had"] == 2


async def test_a_dropped_fingerprint_is_a_store_too(database: Database, nora: Life) -> None:
    """Then none is said to stay."""
    found = await _erased(database, nora, Fingerprint.drop)

    assert next(each.gone for each in found.stores if each.table == "suppression") == 1
    assert not [each for each in found.stays if each.what.startswith("The fingerprint")]


async def test_it_is_signed(
    database: Database, business: Business, nora: Life, web: httpx2.AsyncClient
) -> None:
    """Anybody can check the file with the published key; it names nobody."""
    await _erased(database, nora)
    token = privacy.certificate_token(database.keys, business.id, nora.customer.id)
    page = await web.get(f"/erased/{token}")
    file = await web.get(f"/erased/{token}/certificate.json")
    told = file.json()
    async with database.read(business.id) as db:
        (key,) = (await consent.jwks(db)).keys
    public_key = OKPKey.import_key({"kty": "OKP", "crv": ALGORITHM, "x": key.x})
    signed = jws.deserialize_compact(told["jws"], public_key, registry=REGISTRY)

    assert json.loads(signed.payload) == told["certificate"]
    assert signed.headers()["typ"] == "firsthand-erasure+jws"
    assert "Purchases, notes, calls and answers" in page.text
    for said in (page.text, file.text):
        assert "nora" not in said.lower()
        assert "lindqvist" not in said.lower()


@pytest.mark.parametrize("cut", [0, 4, 30])
async def test_a_link_of_nobody(
    *,
    database: Database,
    business: Business,
    other_business: Business,
    nora: Life,
    web: httpx2.AsyncClient,
    cut: int,
) -> None:
    """Forged, cut, or of another business: not there."""
    await _erased(database, nora)
    token = privacy.certificate_token(database.keys, other_business.id, nora.customer.id)
    other = token[:-cut] if cut else token

    assert (await web.get(f"/erased/{other}")).status_code == 404
    async with database.read(other_business.id) as db:
        with pytest.raises(UnknownErasure):
            await privacy.certificate(db, nora.customer.id)


async def test_her_last_page_is_the_certificate(
    database: Database, business: Business, nora: Life, web: httpx2.AsyncClient
) -> None:
    """With a link that goes on working when she is signed out."""
    path = "/me/deletion?fingerprint=keep"
    async with await site.her_browser(database, business, nora.customer) as browser:
        done = await browser.fill(path, "/me/deletion/confirmation", fingerprint="keep", when="now")
        shown = await browser.get(done.headers["location"])
        again = await browser.get(done.headers["location"])
    token = privacy.certificate_token(database.keys, business.id, nora.customer.id)

    assert (done.status_code, done.headers["location"]) == (303, f"/erased/{token}")
    assert "Everything we held about you is gone" in shown.text
    for each in (shown, again, await web.get(f"/erased/{token}")):
        assert "Decisions with their evidence" in each.text
        assert f'href="/erased/{token}/certificate.json"' in each.text


async def test_staff_and_programs_find_it(
    database: Database, business: Business, nora: Life
) -> None:
    """By the number of the record, which is all that is left of her."""
    await _erased(database, nora)
    path = f"customers/{nora.customer.id}/erasure"
    async with await site.staff_browser(database, business, Role.owner) as browser:
        page = await browser.get(f"/staff/{path}")
    async with await site.program(database, business, Scope.customers_read) as api:
        told = (await api.get(f"/v1/{path}")).json()

    assert "by the customer herself" in page.text
    assert f"{business.origin}/erased/" in page.text
    assert told["certificate"]["record"] == str(nora.customer.id)


async def test_what_was_found_later_is_added(database: Database, nora: Life) -> None:
    """An erasure that is completed by the sweep says so in the same certificate."""
    first = await _erased(database, nora)
    async with database.write(nora.business.id) as db:
        await events.look(db, nora.member.actor, [nora.customer.id], "came too late")
        await erase_traces(db)
        second = (await privacy.certificate(db, nora.customer.id)).certificate

    before = {each.table: each.gone for each in first.stores}
    assert {each.table: each.gone for each in second.stores} == before | {
        "event": before["event"] + 1
    }
    assert (second.erased_at, second.asked_by) == (first.erased_at, first.asked_by)


async def test_it_ends(clocked: Database, clock: Clock, business: Business) -> None:
    """After its time nobody has it any more."""
    async with clocked.write(business.id) as db:
        ada = await make.customer(db)
        await privacy.erase(db, Actor.customer(ada.id), ada.id)
        ends = (await privacy.certificate(db, ada.id)).certificate.kept_until
    clock.now = ends
    async with clocked.write(business.id) as db:
        assert (await SWEEPS["certificates"](db, UUID(int=0), 10)).deleted == 1
        with pytest.raises(UnknownErasure):
            await privacy.certificate(db, ada.id)
        with pytest.raises(UnknownCustomer):
            await customers.get(db, ada.id)
