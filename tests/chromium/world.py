"""A business that has lived through everything, and the places that its people can open."""

from __future__ import annotations

import email
import email.policy
import re
from email.message import EmailMessage
from pathlib import Path
from random import Random
from typing import Any, Literal
from uuid import UUID, uuid4

import asyncpg
from msgspec import Struct

from crm import businesses, campaigns, consent, customers, ledger, privacy, segments, staff, trust
from crm.access.auth import BROWSER, SESSION, cookie_name
from crm.businesses import Theme, logo
from crm.consent import Method
from crm.db import Database, Db
from crm.journal import Journal
from crm.mail import relays
from crm.mail.relays import NewRelay
from crm.privacy import Fingerprint, NewRequest, RequestKind, requests
from crm.privacy.requests.model import Way
from crm.segments import NewSegment
from crm.staff import auth as staff_auth
from crm.staff import sessions as staff_sessions
from crm.staff.model import Credentials
from crm.tokens import Stop, Why, stop_token, why_token
from tests import make
from tests.campaigns.test_images import PNG
from tests.conftest import Cluster
from tests.privacy.life import Life, lived
from tests.routes import ROUTES

Who = Literal["nobody", "customer", "staff"]
_ALL = 10**6
# One word each, wider than a phone in the size of a title.
_BUSINESS = "Wirtschaftsförderungsgesellschaft Osnabrück"
_HER = "Wolfeschlegelsteinhausenbergerdorff"
_LETTER = "Donaudampfschifffahrtsgesellschaft"
# No customer of this business: what is said must not tell.
STRANGER = "nobody.at.all@example.net"
# What answers a GET and is no page, and why.
NO_PAGES = {
    "/": "leads to the sign-up form",
    "/.well-known/jwks.json": "keys",
    "/archive/feed.xml": "a feed",
    "/archive/logo": "a picture",
    "/archive/{id}/images/{name}": "a picture",
    "/docs/api.md": "for programs",
    "/docs/openapi.json": "for programs",
    "/erased/{token}/certificate.json": "a file",
    "/favicon.ico": "a picture",
    "/health": "for programs",
    "/metrics": "for programs",
    "/ledger/consistency/{first}/{second}": "for programs",
    "/ledger/endorsements": "for programs",
    "/ledger/vkeys": "keys",
    "/ledger/{number}/checkpoint": "for programs",
    "/ledger/{number}/tile/{place}": "for programs",
    "/mail-check/{campaign}/skeleton/{seal}": "a file",
    "/mail-check/{campaign}/verdict.json": "a file",
    "/me/copy/file": "a file",
    "/me/mails/{id}/file": "a file",
    "/me/mails/{id}/page": "a mail in a frame",
    "/me/receipts/bundle.json": "a file",
    "/me/receipts/{event_id}/bundle.json": "a file",
    "/me/receipts/{event_id}/proof.tlog-proof": "a file",
    "/me/receipts/{event_id}/receipt.jws": "a file",
    "/staff/campaigns/{id}/account": "a part of a page, asked for anew",
    "/staff/campaigns/{id}/values": "a part of a page, asked for anew",
    "/llms.txt": "for programs",
    "/look/{name}": "what pages bring with them",
    "/static/{name}": "what pages bring with them",
    "/staff/campaigns/{id}/images/{name}": "a picture",
    "/staff/campaigns/{id}/mail": "a mail in a frame",
    "/staff/consents": "leads to the purposes",
    "/staff/customers/{id}/consent/files/{file_id}": "a file",
    "/staff/customers/{id}/consent/record": "a file",
    "/staff/customers/{id}/copy/file": "a file",
    "/staff/imports/{import_id}/report.csv": "a file",
    "/staff/theme/logo": "a picture",
    "/staff/theme/mail": "a mail in a frame",
}


class Place(Struct, frozen=True):
    """An address to open, by whom, and the status that is right there."""

    path: str
    who: Who = "nobody"
    status: int = 200


class World(Struct, frozen=True, kw_only=True):
    """Whose pages these are, who is signed in, and every place by the route that it is of."""

    life: Life
    origin: str
    cookies: dict[Who, dict[str, str]]
    places: dict[str, list[Place]]


async def built(database: Database, cluster: Cluster, directory: Path) -> World:
    """Live through everything, and find the way to each page."""
    origin = f"http://{uuid4().hex}.localhost"
    business = await make.business(database, origin=origin, name=_BUSINESS, legal_name=_BUSINESS)
    life = await lived(database, business, "nora.lindqvist@example.com", _HER)
    more = await _more(database, life)
    await _long_history(database, life)
    async with database.write(business.id) as db:
        # Then the browser says which language, as for somebody who has not chosen.
        await customers.change(db, make.SYSTEM, life.customer.id, customers.Changes(locale=""))
    journal = Journal(directory / "journal")
    await ledger.seal(database, business.id, journal, most=_ALL)
    async with database.write(business.id) as db:
        session = await make.signed_in(db, life.customer.id)
        _, who = await staff_sessions.open_session(
            db, Credentials(life.member.id, life.member.address, "not a hash")
        )
    cookies: dict[Who, dict[str, str]] = {
        "nobody": {cookie_name(business, BROWSER): "a browser"},
        "customer": {cookie_name(business, SESSION): session},
        "staff": {staff_auth.cookie_name(business): who},
    }
    await _keep_fresh(cluster, life)
    ids = await _ids(cluster, life) | more
    places = _plain() | _named(life, ids) | _by_link(database, life, ids)
    return World(life=life, origin=origin, cookies=cookies, places=places | _console(life, ids))


async def _keep_fresh(cluster: Cluster, life: Life) -> None:
    """Let her sign-in, the link to another, and why staff look, be new as long as it all takes."""
    root = await asyncpg.connect(cluster.superuser_url)
    for table, column in (
        ("portal_session", "created_at"),
        ("portal_link", "expires_at"),
        ("look_reason", "expires_at"),
    ):
        await root.execute(
            f"UPDATE crm.{table} SET {column} = {column} + interval '6 hours'"  # noqa: S608
            " WHERE business_id = $1",
            life.business.id,
        )
    await root.close()


async def _more(database: Database, life: Life) -> dict[str, Any]:
    """Add what a life leaves empty: colours far from ours, an issue with a question, a relay."""
    business = life.business
    async with database.write(business.id) as db:
        relay: UUID = await relays.add(
            db, make.SYSTEM, NewRelay(name="Main", host="localhost", rate=9), db.now.date()
        )
        await trust.count(db)
        await businesses.change_theme(db, make.SYSTEM, Theme(band="#7a1e5c", link="#8a3d00"))
        # The largest there can be, of bytes that nothing packs.
        noise = Random(7).randbytes(logo.LARGEST - len(PNG))
        await logo.keep(db, make.SYSTEM, "logo.png", PNG + noise)
        asks = await make.campaign(
            db,
            life.notice.purpose_id,
            subject=f"{_LETTER}?",
            question="Which bread next?",
            answers=["Rye", "Spelt & oats", "Neither"],
            public=True,
        )
        await campaigns.start(db, make.SYSTEM, asks.id)
        rule = {"test": "tag", "name": "bakes_at_home"}
        bakers = await segments.add(db, make.SYSTEM, NewSegment(name="Bakers", rule=rule))
        await make.campaign(db, life.notice.purpose_id, segment_id=bakers.id)
        doubted = NewRequest(
            kind=RequestKind.access, address=STRANGER, words="What is known of me?"
        )
        asked = await requests.receive(db, make.SYSTEM, doubted, way=Way.mail)
        await requests.send_link(db, make.SYSTEM, asked.id)
        await privacy.plan(db, await make.customer(db), Fingerprint.keep)
        gone = await make.customer(db)
        await privacy.erase(db, make.SYSTEM, gone.id)
        once, twice = await _twins(db, life)
    return {
        "relay": relay,
        "erased": gone.id,
        "segment": bakers.id,
        "once": once,
        "twice": twice,
    }


async def _twins(db: Db, life: Life) -> tuple[UUID, UUID]:
    """Two records of one person, of which one said yes and the other no."""
    once = await make.customer(db, name="Nora L.", external_id="K-4711")
    twice = await make.customer(db, name="N. Lindqvist", external_id="K-0815", locale="de")
    await consent.give(db, make.SYSTEM, once.id, life.notice.question, make.ELSEWHERE)
    purpose_id = life.notice.purpose_id
    await consent.withdraw(db, make.SYSTEM, twice.id, purpose_id, method=Method.api)
    await customers.set_attributes(db, make.SYSTEM, twice.id, {"usual_shop": "Quay Street"})
    await staff.give_reason(db, life.member, once.id, "to put right a mistake in your record")
    return once.id, twice.id


async def _long_history(database: Database, life: Life) -> None:
    """Five purposes, each with all that the law asks for, decided upon again and again."""
    me = life.customer.id
    for number in range(5):
        said = f"Letter {number}: who we are, for how long, and your rights. "
        async with database.write(life.business.id) as db:
            purpose = await make.purpose(db, slug=f"more-{number}", name=f"{_LETTER} {number}")
            notice = await make.notice(db, purpose.id, particulars=said * 60)
        for _ in range(4):
            # Each in its own: the clock of a transaction stands still.
            async with database.write(life.business.id) as db:
                word = await make.own_word(db, me)
                await consent.give(db, life.actor, me, notice.question, word)
                await consent.withdraw(db, life.actor, me, purpose.id, method=Method.portal)


async def _ids(cluster: Cluster, life: Life) -> dict[str, Any]:
    """Ask the database for the ids that no action returned."""
    wanted = {
        "asks": "SELECT campaign_id FROM crm.campaign WHERE business_id = $1 AND question <> ''",
        "draft": "SELECT campaign_id FROM crm.campaign WHERE business_id = $1 AND state = 'draft'",
        "endpoint": "SELECT endpoint_id FROM crm.endpoint WHERE business_id = $1",
        "event": "SELECT event_id FROM crm.consent_record"
        " WHERE business_id = $1 ORDER BY event_id LIMIT 1",
        "import": "SELECT import_id FROM crm.import WHERE business_id = $1",
        "request": "SELECT request_id FROM crm.privacy_request WHERE business_id = $1"
        " ORDER BY request_id LIMIT 1",
        "letters": "SELECT array_agg(content) FROM crm.service_message"
        " WHERE business_id = $1 AND content IS NOT NULL",
        "code": "SELECT code FROM crm.purpose JOIN crm.campaign USING (business_id, purpose_id)"
        " WHERE business_id = $1 LIMIT 1",
    }
    conn = await asyncpg.connect(cluster.superuser_url)
    try:
        # A sign-up goes on in the language of its form; here the browser says which, as above.
        unsaid = "UPDATE crm.signup SET locale = '' WHERE business_id = $1"
        await conn.execute(unsaid, life.business.id)
        # What an import had no evidence of.
        apart = """INSERT INTO crm.quarantine
            SELECT i.business_id, c.customer_id, i.purpose_id, i.import_id, 'june.csv', 7,
                   'In quarantine: the file has no time of a sign-up.', now(), now() + '90 days'
              FROM crm.import i JOIN crm.customer c USING (business_id)
             WHERE i.business_id = $1 AND c.erased_at IS NULL LIMIT 3"""
        await conn.execute(apart, life.business.id)
        return {name: await conn.fetchval(sql, life.business.id) for name, sql in wanted.items()}
    finally:
        await conn.close()


def _plain() -> dict[str, list[Place]]:
    """Give every page whose address names nothing a place: nobody has to think of it."""
    return {
        route.path: [Place(route.path, _who(route.path))]
        for route in ROUTES
        if route.method == "GET"
        and not route.types
        and not route.path.startswith("/v1/")
        and route.path not in NO_PAGES
    }


def _who(path: str) -> Who:
    if path in {"/staff/sign-in", "/staff/new-password"}:
        return "nobody"
    signed_in: dict[str, Who] = {"/me": "customer", "/staff": "staff"}
    return next((who for at, who in signed_in.items() if path.startswith(at)), "nobody")


def _named(life: Life, ids: dict[str, Any]) -> dict[str, list[Place]]:
    """Fill in what a page is of; and what is read by whoever follows a link of nothing."""
    got, event = life.got.id, ids["event"]
    return {
        "/archive/{id}": [Place(f"/archive/{got}"), Place(f"/archive/{uuid4()}", status=404)],
        "/docs": [Place("/docs"), Place("/docs?q=withdrawal")],
        "/docs/{path}": [Place("/docs/nothing-there", status=404)],
        "/me/mails/{id}": [Place(f"/me/mails/{got}", "customer")],
        "/mail-check/{campaign}": [Place(f"/mail-check/{got}")],
        "/me": [Place("/me", "customer"), Place("/me")],
        "/me/receipts/{event_id}": [
            Place(f"/me/receipts/{event}", "customer"),
            Place(f"/me/receipts/{uuid4()}", "customer", 404),
        ],
        "/poll/{campaign}/{number}": [Place(f"/poll/{ids['asks']}/2")],
        "/problems/{code}": [Place("/problems/not_found")],
        "/sign-up": [Place("/sign-up"), Place("/sign-up?purposes=nothing-there", status=404)],
    }


def _by_link(database: Database, life: Life, ids: dict[str, Any]) -> dict[str, list[Place]]:
    """Links of mails: of her, who gets some of them, and of an address that nobody knows."""
    keys, business = database.keys, life.business.id
    hers = keys.address_hash(business, customers.fold(life.customer.address))
    theirs = keys.address_hash(business, customers.fold(STRANGER))
    stops = [stop_token(keys, Stop(business, each, ids["code"])) for each in (hers, theirs)]
    whys = [why_token(keys, Why(business, each, life.got.id)) for each in (hers, theirs)]
    confirm, way_in, doubted, moves, undo, call_off = (
        _secret(ids["letters"], path)
        for path in (
            "/confirm/",
            "/sign-in/",
            "/identity/",
            "/me/address/",
            "/undo/",
            "/call-off/",
        )
    )
    erased = privacy.certificate_token(keys, business, ids["erased"])
    return {
        "/call-off/{token}": [Place(f"/call-off/{call_off}"), Place("/call-off/x", status=404)],
        "/erased/{token}": [Place(f"/erased/{erased}"), Place("/erased/x", status=404)],
        "/me/address/{token}": [
            Place(f"/me/address/{moves}", "customer"),
            Place("/me/address/x", "customer", 404),
        ],
        "/undo/{token}": [Place(f"/undo/{undo}"), Place("/undo/x", status=404)],
        "/identity/{token}": [Place(f"/identity/{doubted}"), Place("/identity/x", status=404)],
        "/confirm/{token}": [Place(f"/confirm/{confirm}"), Place("/confirm/x", status=404)],
        "/sign-in/{token}": [
            Place(f"/sign-in/{way_in}"),
            Place(f"/sign-in/{way_in}", who="customer"),
            Place("/sign-in/x", status=404),
        ],
        "/p/{token}": [Place(f"/p/{stops[0]}"), Place(f"/p/{stops[1]}")],
        "/u/{token}": [Place(f"/u/{each}") for each in stops] + [Place("/u/x", status=404)],
        "/why/{token}": [Place(f"/why/{whys[0]}"), Place(f"/why/{whys[1]}")],
    }


def _secret(letters: list[bytes], path: str) -> str:
    """Find the secret of a link in the letters that wait for her."""
    link = re.compile(re.escape(path) + r"([\w-]{20,})")
    for content in letters:
        letter = email.message_from_bytes(content, policy=email.policy.default)
        part = letter.get_body(("plain",))
        assert isinstance(part, EmailMessage)
        if found := link.search(part.get_content()):
            return found[1]
    message = f"no letter holds a link for {path}"
    raise AssertionError(message)


def _console(life: Life, ids: dict[str, Any]) -> dict[str, list[Place]]:
    """List the rooms; a path with an id has it filled in, whatever room it is of."""
    campaign, draft, her = life.got.id, ids["draft"], life.customer.id
    purpose = life.notice.purpose_id
    named = {
        "/staff/campaigns/{id}": draft,
        "/staff/campaigns/{id}/preview": draft,
        "/staff/campaigns/{id}/review": draft,
        "/staff/campaigns/{id}/text": draft,
        "/staff/campaigns/{id}/deliveries/{kind}": campaign,
        "/staff/campaigns/{id}/figures": campaign,
        "/staff/campaigns/{id}/progress": campaign,
        "/staff/customers/{id}/erasure": ids["erased"],
        "/staff/customers/{id}/merge/{other}": ids["once"],
        "/staff/relays/{id}": ids["relay"],
        "/staff/requests/{id}": ids["request"],
        "/staff/segments/{id}": ids["segment"],
    }
    plain = {
        "endpoint_id": ids["endpoint"],
        "event_id": ids["event"],
        "import_id": ids["import"],
        "other": ids["twice"],
        "purpose_id": purpose,
        "kind": "sent",
    }
    return {
        route.path: [
            Place(route.path.format(**{"id": named.get(route.path, her), **plain}), "staff")
        ]
        for route in ROUTES
        if route.method == "GET"
        and route.types
        and route.path.startswith("/staff")
        and route.path not in NO_PAGES
    }
