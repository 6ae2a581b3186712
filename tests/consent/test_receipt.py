"""A receipt of each decision: what it says, and that it holds with the network off, for years."""

from __future__ import annotations

import json
import socket
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID

import asyncpg
import msgspec
import pytest
from msgspec import Struct

from crm import consent, ledger, privacy
from crm.businesses import Business
from crm.consent import (
    Basis,
    Bundle,
    Circumstances,
    ConsentEvent,
    Method,
    NoReceiptKey,
    Notice,
    Status,
    UnknownEvent,
)
from crm.db import Database, open_database
from crm.events import Actor
from crm.journal import CHECKPOINT, Journal
from crm.ledger import KeyKind
from tests import make
from tests.conftest import KEYS, Cluster
from tests.consent.conftest import say_no, say_yes
from tests.consent.forge import bytes_of
from tests.consent.test_verify import verdict
from tests.privacy.taken import inside, taken

ALL = 10**6
# A2 of the GDPR's stricter set: what ISO/IEC TS 27560 demands of a record and of each process.
DEMANDED = {
    *("dct:identifier", "dct:conformsTo", "dpv:hasDataSubject", "dpv:hasDataController"),
    *("dpv:hasJurisdiction", "dpv:hasProcess", "dpv:hasNotice", "dpv:hasConsentControl"),
    *("dpv:hasRight", "dpv:hasConsentStatus"),
}
DEMANDED_OF_PROCESS = {
    *("dpv:hasPurpose", "dpv:hasLegalBasis", "dpv:hasPersonalData", "dpv:hasRecipient"),
    "dpv:hasStorageCondition",
}


@pytest.fixture
def journal(tmp_path: Path) -> Journal:
    """A journal of the test's own."""
    return Journal(tmp_path / "journal")


@pytest.fixture
async def given(
    database: Database, business: Business, customer: UUID, notice: Notice
) -> ConsentEvent:
    """A yes of the customer's."""
    async with database.write(business.id) as db:
        return await say_yes(db, customer, notice)


def packed(bundle: Bundle | None) -> bytes:
    assert bundle is not None
    return consent.packed(bundle)


def said(bundle: Bundle, number: int = 0) -> dict[str, Any]:
    """Read what a receipt says."""
    told = json.loads(bytes_of(bundle.receipts[number].receipt.split(".")[1]))
    assert isinstance(told, dict)
    return told


async def bundle_of(database: Database, business: Business, event: ConsentEvent) -> Bundle:
    async with database.read(business.id) as db:
        return await consent.bundle(db, event.customer_id, event.id)


async def test_it_is_pending_and_then_sealed(
    database: Database, business: Business, given: ConsentEvent, journal: Journal
) -> None:
    pending = await bundle_of(database, business, given)
    told = consent.verify([packed(pending)])
    assert [name for name, _ in told.shown] == ["receipt", "record"]
    assert [name for name, _ in told.open] == ["proof"]
    assert told.holds
    await ledger.seal(database, business.id, journal, most=ALL)
    sealed = await bundle_of(database, business, given)
    assert verdict([packed(sealed)]) == ""
    assert [name for name, _ in consent.verify([packed(sealed)]).open] == []
    async with database.read(business.id) as db:
        receipt = await consent.receipt(db, given.customer_id, given.id)
    assert receipt.event == given
    assert receipt.proof is not None
    assert receipt.proof.index == 0
    assert receipt.kept_for == "3 years"


async def test_it_says_what_27560_and_the_gdpr_demand(
    database: Database, business: Business, notice: Notice, given: ConsentEvent
) -> None:
    told = said(await bundle_of(database, business, given))
    (record,) = told["dpv:hasRecordOfActivity"]
    (process,) = record["dpv:hasProcess"]
    (shown,) = record["dpv:hasNotice"]
    (state,) = record["dpv:hasConsentStatus"]
    assert record.keys() >= DEMANDED
    assert process.keys() >= DEMANDED_OF_PROCESS
    assert told["dct:conformsTo"].endswith("dpv-27560#receipt-eu-gdpr")
    assert record["dct:conformsTo"].endswith("dpv-27560#record-eu-gdpr")
    assert (shown["dct:description"], shown["our:sha256"]) == (notice.text, notice.sha256.hex())
    assert shown["our:controlLabel"] == notice.control_label
    assert state["@type"] == ["dpv:ConsentGiven", "dpv:ExpressedConsent"]
    assert state["dpv:isIndicatedAtTime"].endswith("Z")
    assert process["dpv:hasLegalBasis"] == "eu-gdpr:A6-1-a-non-explicit-consent"
    assert record["dpv:hasDataController"]["dpv:hasName"] == business.legal_name
    # Not in a receipt, which travels: her address, and from where she decided.
    assert "@example.com" not in json.dumps(told)


async def test_every_term_is_of_its_own_context(
    database: Database, business: Business, given: ConsentEvent
) -> None:
    """Nothing has to be fetched to know what a word means."""
    told = said(await bundle_of(database, business, given))
    context = told.pop("@context")
    sealed = told.pop("sealed")

    def names(part: Any) -> set[str]:
        if isinstance(part, dict):
            return set(part).union(*map(names, part.values()))
        return set().union(*map(names, part)) if isinstance(part, list) else set()

    prefixes = {name.split(":")[0] for name in names(told) if ":" in name}
    assert prefixes <= context.keys()
    assert {name for name in names(told) if ":" not in name} == {"@id", "@type", *_PLAIN}
    assert all(context[name] is None for name in (*_PLAIN, "sealed"))
    assert len(bytes_of(sealed["salt"])) == 32


_PLAIN = ("iss", "iat", "jti")


async def test_every_decision_has_one(
    database: Database, business: Business, customer: UUID, notice: Notice, journal: Journal
) -> None:
    async with database.write(business.id) as db:
        await say_yes(db, customer, notice)
        await say_yes(db, customer, notice)
        await say_no(db, customer, notice.purpose_id)
        await say_yes(db, customer, notice)
    await ledger.seal(database, business.id, journal, most=ALL)
    async with database.read(business.id) as db:
        every = await consent.receipts(db, customer)
        told = await consent.history(db, customer)
    assert verdict([packed(every)]) == ""
    assert [each.status for each in told] == [
        Status.given,
        Status.withdrawn,
        Status.renewed,
        Status.given,
    ]
    names = [
        said(every, number)["dpv:hasRecordOfActivity"][0]["dpv:hasConsentStatus"][0]["@type"][0]
        for number in range(4)
    ]
    assert names == [
        "dpv:ConsentGiven",
        "dpv:ConsentWithdrawn",
        "dpv:RenewedConsentGiven",
        "dpv:ConsentGiven",
    ]


async def test_a_soft_opt_in_is_never_called_a_consent(
    database: Database, journal: Journal
) -> None:
    business = await make.business(database, soft_opt_in=True)
    async with database.write(business.id) as db:
        customer = (await make.customer(db)).id
        purpose = await make.purpose(db, basis=Basis.soft_opt_in)
        notice = await make.notice(db, purpose.id)
        how = Circumstances(Method.api, evidence={"order": "4711"})
        shop = Actor.key(UUID(int=9), "Shop")
        told = await consent.tell_at_sale(db, shop, customer, notice.question, how)
        objected = await consent.withdraw(
            db, Actor.customer(customer), customer, purpose.id, method=Method.portal
        )
    await ledger.seal(database, business.id, journal, most=ALL)
    for event, term in ((told, "NotObjected"), (objected, "Objected")):
        bundle = await bundle_of(database, business, event)
        assert verdict([packed(bundle)]) == ""
        payload = said(bundle)
        del payload["sealed"]
        assert f'"dpv:LegitimateInterest{term}"' in json.dumps(payload)
        assert "dpv:Consent" not in json.dumps(payload)
        assert "eu-gdpr:A6-1-f" in json.dumps(payload)


async def test_whose_it_is_not_gets_none(
    database: Database, business: Business, other_business: Business, given: ConsentEvent
) -> None:
    async with database.read(business.id) as db:
        with pytest.raises(UnknownEvent):
            await consent.receipt(db, UUID(int=1), given.id)
        with pytest.raises(UnknownEvent):
            await consent.bundle(db, given.customer_id, UUID(int=1))
    async with database.read(other_business.id) as db:
        with pytest.raises(UnknownEvent):
            await consent.receipt(db, given.customer_id, given.id)


async def test_a_key_that_cannot_be_read_is_said(own_database: Database) -> None:
    """And everything else that is held is given all the same."""
    business = await make.business(own_database)
    async with own_database.write(business.id) as db:
        notice = await make.notice(db, (await make.purpose(db)).id)
        nora = await make.customer(db)
        event = await say_yes(db, nora.id, notice)
    own_database.keys = msgspec.structs.replace(own_database.keys, storage_keys=((2, b"t" * 32),))
    async with own_database.read(business.id) as db:
        with pytest.raises(NoReceiptKey):
            await consent.receipt(db, nora.id, event.id)
        held = await consent.export(db, nora.id)
    assert held.receipts is None
    assert [each.id for each in held.told.events] == [event.id]


class Years(Struct):
    """What a business went through, and what people kept of it."""

    business: Business
    nora: UUID
    event: ConsentEvent
    # A receipt from the first day, and a checkpoint that somebody kept then.
    first: bytes
    kept: bytes
    # A receipt of a decision that a restore lost.
    lost: bytes


async def _execute(cluster: Cluster, statement: str) -> None:
    conn = await asyncpg.connect(cluster.named("postgres").superuser_url)
    try:
        await conn.execute(statement)
    finally:
        await conn.close()


@pytest.fixture
async def years(own_cluster: Cluster, journal: Journal) -> AsyncIterator[tuple[Database, Years]]:
    """Two rotations of each key, a backup, lost decisions, the backup put back, an erasure."""
    async with open_database(own_cluster.app_url, KEYS, size=4) as database:
        business = await make.business(database)
        async with database.write(business.id) as db:
            notice = await make.notice(db, (await make.purpose(db)).id)
            nora, ola = await make.customer(db), await make.customer(db)
            event = await say_yes(db, nora.id, notice)
            await say_yes(db, ola.id, notice)
        await ledger.seal(database, business.id, journal, most=ALL)
        first = packed(await bundle_of(database, business, event))
        async with database.read(business.id) as db:
            kept = (await ledger.signed_head(db, 1)).encode()
        for _ in range(2):
            async with database.write(business.id) as db:
                await ledger.rotate(db, make.SYSTEM, KeyKind.receipt)
                await ledger.rotate(db, make.SYSTEM, KeyKind.checkpoint)
                await say_no(db, ola.id, notice.purpose_id)
                await say_yes(db, ola.id, notice)
            await ledger.seal(database, business.id, journal, most=ALL)
    name = f"{urlsplit(own_cluster.app_url).path.strip('/')}_backup"
    template = urlsplit(own_cluster.app_url).path.strip("/")
    await _execute(own_cluster, f"CREATE DATABASE {name} TEMPLATE {template} OWNER crm_owner")
    async with open_database(own_cluster.app_url, KEYS, size=4) as database:
        async with database.write(business.id) as db:
            left = await say_no(db, ola.id, notice.purpose_id)
        await ledger.seal(database, business.id, journal, most=ALL)
        lost = packed(await bundle_of(database, business, left))
    async with open_database(own_cluster.named(name).app_url, KEYS, size=4) as database:
        async with database.write(business.id) as db:
            known = journal.read(business.id, CHECKPOINT)
            await ledger.reopen(db, make.SYSTEM, known, reason="The disk failed.")
            await privacy.erase(db, make.SYSTEM, ola.id)
        await ledger.seal(database, business.id, journal, most=ALL)
        yield database, Years(business, nora.id, event, first, kept, lost)
    await _execute(own_cluster, f"DROP DATABASE {name} WITH (FORCE)")


async def test_an_old_receipt_holds_for_years(
    years: tuple[Database, Years], monkeypatch: pytest.MonkeyPatch
) -> None:
    database, told = years
    now = await bundle_of(database, told.business, told.event)
    async with database.read(told.business.id) as db:
        jwks = msgspec.json.encode(await consent.jwks(db))
        head = (await ledger.signed_head(db, 2)).encode()
        same = await consent.bundle(db, told.nora, told.event.id, since=2)

    def refuse(*args: object, **names: object) -> None:
        raise AssertionError("the network is off")

    monkeypatch.setattr(socket, "socket", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    # As it was kept, by the keys of then; and by those that are published now.
    assert verdict([told.first]) == ""
    assert verdict([told.first], [], [jwks]) == ""
    assert verdict([told.first], [told.kept]) == ""
    # As it is had now: by new keys, under the new origin, and continuing what was kept then.
    assert [each.origin.rpartition("/")[2] for each in now.origins] == ["1", "2"]
    assert len(now.jwks.keys) == len(now.receipt_keys) == 3
    assert len(now.checkpoint_keys) == 4
    assert verdict([packed(now)], [told.kept, head]) == ""
    assert verdict([packed(now)], [], [told.first]) == ""
    assert verdict([packed(same)], [told.kept]) == ""
    # What the restore lost was signed: it holds, and shows that it is not in the ledger any more.
    assert verdict([told.lost]) == ""
    assert verdict([told.lost], [head]).startswith("checkpoint.")


async def test_what_was_lost_shows(years: tuple[Database, Years]) -> None:
    """The head signed last before the restore is not continued, and both verifiers say so."""
    database, told = years
    now = await bundle_of(database, told.business, told.event)
    predecessor = now.origins[1].predecessor.encode()
    assert verdict([packed(now)], [predecessor]).startswith("consistency.")


async def test_every_receipt_of_a_copy_holds(years: tuple[Database, Years]) -> None:
    database, told = years
    files = inside(await taken(database, told.business.id, told.nora))
    for name in ("copy.json", "receipts.json"):
        assert verdict([files[name]]) == ""
        assert [name for name, _ in consent.verify([files[name]]).open] == []
