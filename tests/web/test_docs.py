"""What programmers read is true: the document, the page, its curl lines, and the codes."""

from __future__ import annotations

import asyncio
import html
import re
import shlex
from collections import Counter
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID, uuid4

import httpx2
import msgspec
import pytest

from crm import (
    campaigns,
    consent,
    customers,
    events,
    imports,
    mail,
    privacy,
    segments,
    service,
    staff,
)
from crm.businesses import Business
from crm.campaigns import images, jobs
from crm.client import Client, Problem
from crm.customers import AttributeType, LawfulBasis, NewAttribute, NewKind
from crm.db import Database, Db
from crm.events import Kind
from crm.imports import jobs as importing
from crm.imports import mappings
from crm.imports.mapping import Column, Means, NewMapping
from crm.mail import ServiceMessage
from crm.privacy import NewRequest, RequestKind, requests
from crm.privacy import jobs as building
from crm.privacy.requests.model import Proof, Way
from crm.segments import NewSegment
from crm.service import NewServiceMessage
from crm.settings import Settings
from crm.web.docs import problems
from crm.web.lines import curl as curl_line
from crm.web.openapi import operations, resolved
from tests import make
from tests.browser import Browser
from tests.campaigns.test_images import PNG
from tests.privacy.taken import taken
from tests.routes import DOCUMENT, ROUTES
from tests.webhooks.receiver import receiver
from tests.webhooks.site import added, turn

OPERATIONS = [
    pytest.param(path, operation, id=f"{method.upper()} {path}")
    for path, method, operation in operations(DOCUMENT)
]
SETTINGS = Settings(link_keys="1:" + "31" * 32, storage_keys="1:" + "73" * 32, pepper="70" * 32)
_CURL = re.compile(r'<p class="proof">(curl [^<]*)</p>')
_LINES = re.compile(
    r'<p class="proof">(curl [^<]*)</p>\s*<p class="proof" data-language="python">([^<]*)</p>'
)


def test_it_is_openapi() -> None:
    """Version 3.1, every operation of the API and nothing else, each under a name of its own."""
    named = Counter(operation["operationId"] for _, _, operation in operations(DOCUMENT))
    listed = {f"{method.upper()} {path}" for path, method, _ in operations(DOCUMENT)}

    assert DOCUMENT["openapi"].startswith("3.1")
    assert listed == {str(route) for route in ROUTES if route.path.startswith("/v1")}
    assert set(named.values()) == {1}


def _references(found: Any) -> set[str]:
    if isinstance(found, dict):
        own = {found["$ref"]} if isinstance(found.get("$ref"), str) else set()
        return own.union(*(_references(each) for each in found.values()))
    if isinstance(found, list):
        return set().union(*(_references(each) for each in found))
    return set()


def test_every_reference_leads_somewhere() -> None:
    """And names of components are names that generators take."""
    for reference in _references(DOCUMENT):
        _, where, kind, name = reference.split("/")
        assert name in DOCUMENT[where][kind], reference
        assert re.fullmatch(r"[\w.-]+", name)


@pytest.mark.parametrize(("path", "operation"), OPERATIONS)
def test_an_operation_is_complete(path: str, operation: dict[str, Any]) -> None:
    """Tag, summary, key, parameters of its path, and every way to say no."""
    parameters = operation.get("parameters", [])
    in_path = {each["name"] for each in parameters if each["in"] == "path"}
    names = [(each["in"], each["name"]) for each in parameters]

    assert operation["tags"]
    assert operation["summary"]
    assert len(operation["security"]) == 1
    assert in_path == set(re.findall(r"{(\w+)}", path))
    assert len(set(names)) == len(names)
    assert {"401", "403", "404", "409", "422", "429"} <= set(operation["responses"])
    assert any(status.startswith("2") for status in operation["responses"])


@pytest.mark.parametrize(("path", "operation"), OPERATIONS)
def test_a_body_is_closed(path: str, operation: dict[str, Any]) -> None:
    """An unknown field is refused, and the document says so."""
    content = operation.get("requestBody", {}).get("content", {})
    for each in content.values():
        schema = resolved(DOCUMENT, each["schema"])
        assert "properties" not in schema or schema["additionalProperties"] is False, path


def test_every_link_leads_on() -> None:
    """To an operation that there is, with all that its path needs, and what its reader knows."""
    named = {each["operationId"]: (path, each) for path, _, each in operations(DOCUMENT)}
    led: dict[str, set[str]] = {}
    for path, _, operation in operations(DOCUMENT):
        for answer in operation["responses"].values():
            for link in answer.get("links", {}).values():
                target, linked = named[link["operationId"]]
                known = {each["name"] for each in linked["parameters"]}
                assert set(re.findall(r"{(\w+)}", target)) <= set(link["parameters"]) <= known
                for value in link["parameters"].values():
                    where, _, name = value.removeprefix("$request.path.").partition(".")
                    assert value.startswith("$response.") or (not name and f"{{{where}}}" in path)
                led.setdefault(operation["operationId"], set()).add(link["operationId"])

    assert {"get_customer", "patch_customer", "post_interaction"} <= led["post_customer"]
    assert {"put_webhook", "delete_webhook"} <= led["get_webhook"]
    assert "get_receipt" in led["post_consent_event"]
    assert "get_copy" in led["post_copy"]


def test_limits_within_are_named() -> None:
    """What is asked of the keys and the parts of a value, which a framework leaves out."""
    terms = DOCUMENT["components"]["schemas"]["Terms"]["properties"]

    assert "pattern" in terms["wording"]["propertyNames"]
    assert "pattern" in terms["storage"]["items"]
    assert terms["ages"]["additionalProperties"]["minimum"] == 1


def test_scopes_are_named() -> None:
    """Without a scope are the first try, and what makes a key safe."""
    free = [
        each["operationId"]
        for _, _, each in operations(DOCUMENT)
        if each["security"] == [{"key": []}]
    ]

    assert free == ["get_key", "post_key_rotation"]


def _takes_key(operation: dict[str, Any]) -> bool:
    return any(each["name"] == "Idempotency-Key" for each in operation.get("parameters", ()))


def test_keys_that_are_spoken_of_are_taken() -> None:
    """Where a description names the Idempotency-Key a client can send one."""
    for path, method, operation in operations(DOCUMENT):
        said = operation.get("description", "").replace("needs no Idempotency-Key", "")
        assert _takes_key(operation) or "Idempotency-Key" not in said, (method, path)


async def test_each_scope_that_is_needed_is_named(web: Browser) -> None:
    """Not the first alone: in the document, on the page, and in plain text."""
    scopes = {
        each["operationId"]: each["security"][0]["key"] for _, _, each in operations(DOCUMENT)
    }
    page = re.sub("<[^>]+>", "", (await web.get("/docs?q=post_merge")).text)
    plain = (await web.get("/docs/api.md")).text

    assert scopes["post_merge"] == ["customers:write", "consents:write"]
    assert scopes["put_segment"] == ["campaigns:write", "customers:read", "consents:read"]
    assert scopes["get_business"] == ["business:read"]
    assert "Needs the scopes customers:write consents:write" in page
    assert "Needs the scopes `customers:write`, `consents:write`." in plain
    assert "Needs the scope `business:read`." in plain


async def test_the_page_loads_nothing(web: Browser) -> None:
    """No script, no style in the page, and no address of another host but in examples."""
    answer = await web.get("/docs")

    assert answer.status_code == 200
    assert "<script" not in answer.text
    assert "style=" not in answer.text
    assert not re.findall(r'(?:src|href)="(?:https?:)?//', answer.text)


async def test_the_page_shows_every_operation(web: Browser) -> None:
    """With its method, its path and its scope; and every link of the page leads somewhere."""
    text = html.unescape((await web.get("/docs")).text)
    ids = set(re.findall(r'id="([^"]+)"', text))

    for path, method, operation in operations(DOCUMENT):
        assert f"<b>{method.upper()}</b> {path}<" in text
        assert operation["operationId"] in ids
    assert set(re.findall(r'href="#([^"]+)"', text)) <= ids


async def test_the_document_names_the_host_that_was_asked(web: Browser, business: Business) -> None:
    """So that a client made from it works."""
    found = (await web.get("/docs/openapi.json")).json()

    assert found["servers"] == [{"url": business.origin}]


@pytest.mark.parametrize("path", ["/docs/nope", "/docs/swagger", "/docs/redoc", "/problems/nope"])
async def test_nothing_else_is_there(web: Browser, path: str) -> None:
    """Not what a framework would put there, with scripts from elsewhere."""
    answer = await web.get(path)

    assert answer.status_code == 404
    assert "firsthand." in answer.text


class Shop:
    """A business with one of everything, and the words in capitals that stand for it."""

    def __init__(self, database: Database, business: Business) -> None:
        self._database = database
        self._business = business

    async def words(self, line: str) -> dict[str, str]:
        """Make anew what a line names, so that no line depends on another."""
        async with self._database.write(self._business.id) as db:
            purpose = await make.purpose(db)
            notice = await make.notice(db, purpose.id)
            customer = await make.customer(db)
            other = await make.customer(db)
            await make.audience(db, notice, 1, prefix=f"{customer.id.hex}-")
            asked = consent.Circumstances(consent.Method.web_form)
            decided = await consent.request(db, make.SYSTEM, customer.id, notice.question, asked)
            campaign = await make.campaign(db, purpose.id)
            rule = NewSegment(name=customer.id.hex, rule={"test": "mailed"})
            segment = await segments.add(db, make.SYSTEM, rule)
            received = await imports.receive(
                db,
                make.SYSTEM,
                purpose.id,
                "list.csv",
                b"Email Address\na@example.com\n",
                only_try="/start" in line,
            )
            asks = NewRequest(
                kind=RequestKind.access, address=f"{customer.id.hex}@example.com", words="And I?"
            )
            request = await requests.receive(
                db, make.SYSTEM, asks, way=Way.mail, proof=Proof.mailbox
            )
            new = staff.NewKey(name="Till", scopes=[staff.Scope.customers_read], reason="to greet")
            key, _ = await staff.add_key(db, make.SYSTEM, new)
            message = await self._written(db, customer.id)
            address = f"{customer.id.hex}@bakery.example"
            member = await make.employ(db, address, staff.Role.viewer)
            if "/erasure" in line and "-X POST" not in line:
                await privacy.erase(db, make.SYSTEM, customer.id)
        if received.only_try or "undo" in line or "quarantine" in line:
            ctx: importing.Ctx = {"database": self._database, "settings": SETTINGS}
            await importing.work(ctx, str(self._business.id), str(received.id))
        await self._ready(line, campaign.id)
        if "import-mappings" in line and "-X PUT" not in line:
            columns = [Column("Mail", Means.address)]
            async with self._database.write(self._business.id) as db:
                await mappings.save(db, make.SYSTEM, "usual_shop", NewMapping(columns=columns))
        if "quarantine" in line:
            async with self._database.read(self._business.id) as read:
                customer = (await customers.by_address(read, "a@example.com")) or customer
        return {
            "PRIVACY_REQUEST_ID": str(request.id),
            "CUSTOMER_ID": str(customer.id),
            "OTHER": str(other.id),
            "EVENT_ID": str(decided.id),
            "NOTICE_ID": str(notice.id),
            "PURPOSE_ID": str(purpose.id),
            "MEMBER_ID": str(member.id),
            "CAMPAIGN_ID": str(campaign.id),
            "IMPORT_ID": str(received.id),
            "/KEY_ID": f"/{key.id}",
            "SEGMENT_ID": str(segment.id),
            "SERVICE_MESSAGE_ID": str(message.id),
            "A_NAME_OF_YOUR_CHOICE": customer.id.hex,
            "/images/NAME": "/images/bread.png",
            "/NAME": "/usual_shop",
            "purpose=purpose": f"purpose={purpose.slug}",
        }

    async def _written(self, db: Db, customer_id: UUID) -> ServiceMessage:
        declared = mail.NewServicePurpose(
            label="Your order", purpose="You ordered something.", basis=LawfulBasis.contract
        )
        await mail.declare_service_purpose(db, make.SYSTEM, "order_confirmation", declared)
        new = NewServiceMessage(
            customer=customer_id, purpose="order_confirmation", subject="Hello", text="Hello"
        )
        return await service.send(db, make.SYSTEM, new)

    async def copied(self, api: Browser, customer_id: str) -> str:
        """Have a copy ready that this program asked for."""
        asked = await api.post(
            f"/v1/customers/{customer_id}/copies",
            json={},
            headers={"idempotency-key": customer_id},
        )
        await building.build(
            {"database": self._database, "building": asyncio.Lock()}, str(self._business.id)
        )
        copy_id: str = asked.json()["id"]
        return copy_id

    async def told(self) -> dict[str, str]:
        """Have a withdrawal told to an endpoint, which has yet to acknowledge it."""
        async with receiver() as there:
            endpoint, _ = await added(self._database, self._business, there, acknowledges=True)
            async with self._database.write(self._business.id) as db:
                await events.record(db, make.SYSTEM, Kind.consent_withdrawn, customer_id=uuid4())
            await turn(self._database, self._business, endpoint)
        return {"ENDPOINT_ID": str(endpoint.id), "EVENT_ID": there.heard[-1].id}

    async def _ready(self, line: str, campaign_id: UUID) -> None:
        """Bring a campaign into the state that an operation asks for."""
        business_id = self._business.id
        running = any(word in line for word in ("pause", "resumption", "cancellation"))
        if running:
            async with self._database.write(business_id) as db:
                await campaigns.start(db, make.SYSTEM, campaign_id)
            await self._fill(str(campaign_id))
        async with self._database.write(business_id) as db:
            if "resumption" in line:
                await campaigns.pause(db, make.SYSTEM, campaign_id)
            if "/images/" in line and "PUT" not in line:
                await images.attach(db, make.SYSTEM, campaign_id, "bread.png", PNG)
            if line.startswith("curl -X DELETE") and "schedule" in line:
                at = db.now + timedelta(days=1)
                await campaigns.schedule(db, make.SYSTEM, campaign_id, at)

    async def _fill(self, campaign_id: str) -> None:
        ctx: jobs.Ctx = {
            "database": self._database,
            "settings": SETTINGS,
            "sending": asyncio.Lock(),
        }
        await jobs.fill(ctx, str(self._business.id), campaign_id)


@pytest.fixture
async def shop(database: Database, business: Business) -> Shop:
    """A business that has declared what the examples speak of."""
    return await opened(database, business)


async def opened(database: Database, business: Business) -> Shop:
    """Declare what the examples speak of."""
    async with database.write(business.id) as db:
        attribute = NewAttribute(
            basis=LawfulBasis.legitimate_interests,
            origin="From you.",
            label="Usual shop",
            type=AttributeType.text,
            purpose="For opening hours.",
            retention="P24M",
        )
        await customers.declare_attribute(db, make.SYSTEM, "usual_shop", attribute)
        kind = NewKind(label="Purchase", purpose="Because tax law says so.", retention="P6Y")
        await customers.declare_kind(db, make.SYSTEM, "purchase", kind)
    return Shop(database, business)


async def _run(line: str, api: Browser, packed: bytes) -> httpx2.Response:
    """Do what curl does with a line."""
    _, *words = shlex.split(line)
    method, url = "", ""
    headers: dict[str, str] = {}
    content: str | bytes | None = None
    rest = iter(words)
    for word in rest:
        if word == "-X":
            method = next(rest)
        elif word == "-H":
            name, _, value = next(rest).partition(": ")
            headers[name] = value
        elif word == "--data-binary":
            content = next(rest)
        else:
            url = word
    headers["Authorization"] = api.headers["authorization"]
    if content == "@list.csv":
        content = "Email Address\nreader@example.com\n"
    elif content == "@bread.png":
        content = PNG
    elif content == "@your-data.zip":
        content = packed
    method = method or ("POST" if content is not None else "GET")
    where = urlsplit(url)
    return await api.request(
        method, f"{where.path}?{where.query}", headers=headers, content=content
    )


async def _words(line: str, api: Browser, shop: Shop) -> dict[str, str]:
    """Make what a line names."""
    words = await shop.words(line)
    if "COPY_ID" in line:
        words["COPY_ID"] = await shop.copied(api, words["CUSTOMER_ID"])
    if "ENDPOINT_ID" in line:
        words |= await shop.told()
    return words


async def test_every_curl_line_works(api: Browser, shop: Shop, business: Business) -> None:
    """Once the words in capitals are replaced, as the page says."""
    async with shop._database.write(business.id) as db:  # noqa: SLF001
        await make.employ(db, "owner@bakery.example")
        her = await make.customer(db)
    packed = await taken(shop._database, business.id, her.id)  # noqa: SLF001
    lines = [html.unescape(line) for line in _CURL.findall((await api.get("/docs")).text)]
    wrong = []
    for line in lines:
        filled = line
        for word, value in (await _words(line, api, shop)).items():
            filled = filled.replace(word, value)
        answer = await _run(filled, api, packed)
        if not answer.is_success:
            wrong.append((line, answer.text))

    assert len(lines) == len(OPERATIONS) + 1
    assert not wrong


async def test_each_key_that_is_honoured_is_described(
    api: Browser, shop: Shop, business: Business
) -> None:
    """Which operations read an Idempotency-Key is asked of them: one that is none is refused."""
    async with shop._database.write(business.id) as db:  # noqa: SLF001
        await make.employ(db, "owner@bakery.example")
    wrong = []
    for path, method, operation in operations(DOCUMENT):
        if method == "get":
            continue
        line = curl_line(DOCUMENT, business.origin, path, method, operation)
        for word, value in (await _words(line, api, shop)).items():
            line = line.replace(word, value)
        answer = await _run(f"{line} -H 'Idempotency-Key: \"'", api, b"")
        if ('"key_malformed"' in answer.text) != _takes_key(operation):
            wrong.append((method, path, answer.text))

    assert not wrong


async def test_every_line_of_python_works(
    api: Browser, shop: Shop, business: Business, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same calls by the client, with the same words replaced."""
    async with shop._database.write(business.id) as db:  # noqa: SLF001
        await make.employ(db, "owner@bakery.example")
        her = await make.customer(db)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "list.csv").write_text("Email Address\nreader@example.com\n")
    (tmp_path / "bread.png").write_bytes(PNG)
    (tmp_path / "your-data.zip").write_bytes(await taken(shop._database, business.id, her.id))  # noqa: SLF001
    pairs = _LINES.findall((await api.get("/docs")).text)
    key = api.headers["authorization"].removeprefix("Bearer ")
    wrong = []
    async with Client(business.origin, key, transport=api._transport) as client:  # noqa: SLF001
        for curl, python in pairs:
            line = html.unescape(python)
            words = await _words(html.unescape(curl), api, shop)
            if "/images/" in curl:
                words["/NAME"] = "/bread.png"
            for word, value in words.items():
                line = line.replace(*_in_python(word, value))
            known: dict[str, Any] = {"client": client, "Path": Path}
            exec(f"async def call():\n    return {line}", known)  # noqa: S102  (what the page shows)
            try:
                await known["call"]()
            except (Problem, TypeError, msgspec.MsgspecError) as failed:
                wrong.append((line, str(failed)))

    assert len(pairs) == len(OPERATIONS)
    assert not wrong


def _in_python(word: str, value: str) -> tuple[str, str]:
    if word in {"/KEY_ID", "/NAME"}:
        return repr(word[1:]), repr(value[1:])
    if word == "purpose=purpose":
        return "purpose='purpose'", f"purpose={value.partition('=')[2]!r}"
    return word, value


async def test_a_search_finds_calls(web: Browser) -> None:
    """By each of its words, wherever they stand; on the server, so that no script is needed."""
    found = (await web.get("/docs?q=RECEIPT++customer")).text
    one = _CURL.findall((await web.get("/docs?q=post_customer_search")).text)
    none = (await web.get("/docs?q=%3Cscript%3E+nothing")).text
    by_scope = (await web.get("/docs?q=consents:write+merge")).text

    assert 'id="get_receipt"' in found
    assert 'id="get_tags"' not in found
    assert 'id="post_merge"' in by_scope
    assert len(one) == 1
    assert "/v1/customers/search" in one[0]
    assert "No call has each of these words" in none
    assert "<script" not in none
    assert not _CURL.findall(none)


async def test_all_of_it_is_plain_text_too(web: Browser, business: Business) -> None:
    """Every call with its lines; and for programs a list of links that lead somewhere."""
    told = await web.get("/docs/api.md")
    listed = (await web.get("/llms.txt")).text
    pairs = _LINES.findall((await web.get("/docs")).text)

    assert told.headers["content-type"].startswith("text/plain")
    for curl, python in pairs:
        assert html.unescape(curl) in told.text
        assert html.unescape(python) in told.text
    assert listed.startswith("# ")
    links = re.findall(r"\]\(([^)]+)\)", listed)
    assert len(links) == len(OPERATIONS) + 2
    for each in {link.partition("#")[0] for link in links}:
        assert each.startswith(business.origin)
        assert (await web.get(each)).status_code == 200


@pytest.mark.parametrize("code", sorted(problems()))
async def test_every_code_has_a_page(web: Browser, code: str) -> None:
    """The `type` of a problem leads to a sentence that means something."""
    answer = await web.get(f"/problems/{code}")

    assert answer.status_code == 200
    assert code in answer.text
    assert len(problems()[code][1]) > 15, code


async def test_a_refusal_leads_to_its_page(web: Browser) -> None:
    """As the answer says it."""
    refused = (await web.get("/v1/customers")).json()

    assert (await web.get(refused["type"])).status_code == 200
    assert refused["code"] in problems()
