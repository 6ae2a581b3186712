"""The API: purposes, decisions and checks, for programs."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

import httpx2
import pytest

from crm import consent, customers, events, privacy
from crm.businesses import Business
from crm.consent import Notice, Purpose, Status
from crm.consent.model import digest
from crm.db import Database
from crm.staff import Scope
from tests.consent.conftest import SIGNED, say_no, say_yes
from tests.consent.site import caller, client


@pytest.fixture
async def api(database: Database, business: Business) -> AsyncIterator[httpx2.AsyncClient]:
    async with client(database, business, key=caller()) as web:
        yield web


def decision(shown: Notice, /, **changes: Any) -> dict[str, Any]:
    given = {
        "purpose": str(shown.purpose_id),
        "status": "given",
        "notice": str(shown.id),
        "evidence": SIGNED,
        "at": "2026-05-03T18:42:00+02:00",
    }
    return {name: value for name, value in (given | changes).items() if value is not None}


async def test_it_works(api: httpx2.AsyncClient, customer: UUID, notice: Notice) -> None:
    path = f"/v1/customers/{customer}/consent-events"
    answer = await api.post(path, json=decision(notice))
    assert answer.status_code == 201
    event = answer.json()
    assert (event["status"], event["method"], event["actor_kind"]) == ("given", "api", "key")
    assert event["at"] == "2026-05-03T16:42:00Z"
    assert event["evidence"] == SIGNED
    assert (await api.get(path)).json() == [event]
    (state,) = (await api.get(f"/v1/customers/{customer}/consents")).json()
    assert (state["status"], state["event_id"]) == ("given", event["id"])


async def test_a_purpose_from_nothing_to_a_text(api: httpx2.AsyncClient) -> None:
    new = {"slug": "offers", "name": "Offers for regulars"}
    added = await api.post("/v1/purposes", json=new)
    assert added.status_code == 201
    purpose = added.json()
    assert (await api.get("/v1/purposes")).json() == [purpose]
    assert (await api.post("/v1/purposes", json=new)).json()["code"] == "slug_taken"
    path = f"/v1/purposes/{purpose['id']}/notices"
    text = {"locale": "en", "text": "Yes, send me offers.", "control_label": "Send me offers"}
    published = await api.post(path, json={**text, "accepts": ["signed_form"]})
    assert published.status_code == 201
    assert published.json()["version"] == 1
    assert published.json()["accepts"] == ["signed_form"]
    expected = digest(text["text"], published.json()["particulars"], text["control_label"])
    assert published.json()["sha256"] == expected.hex()
    assert (await api.get(path)).json() == [published.json()]
    assert (await api.get(f"/v1/purposes/{purpose['id']}")).json() == purpose
    assert (await api.get(f"/v1/notices/{published.json()['id']}")).json() == published.json()


@pytest.mark.parametrize(
    ("changes", "pointer"),
    [
        ({"slug": "Offers"}, "#/slug"),
        ({"slug": "offers\n"}, "#/slug"),
        ({"slug": "o" * 64}, "#/slug"),
        ({"name": "  "}, "#/name"),
        ({"channel": "fax"}, "#/channel"),
        ({"consented": True}, None),
    ],
)
async def test_a_purpose_that_makes_no_sense(
    api: httpx2.AsyncClient, changes: dict[str, Any], pointer: str | None
) -> None:
    answer = await api.post("/v1/purposes", json={"slug": "a", "name": "A", **changes})
    assert answer.status_code == 422
    if pointer:
        assert answer.json()["errors"][0]["pointer"] == pointer


@pytest.mark.parametrize(
    "changes",
    [
        {"locale": "en\n"},
        {"locale": "en" + "-abcdefgh" * 5},
        {"text": " " * 20},
        {"text": "too short"},
        {"text": "No NUL please.\0"},
        {"control_label": "two\nlines"},
        {"accepts": ["word of mouth"]},
    ],
)
async def test_a_text_that_makes_no_sense(
    api: httpx2.AsyncClient, purpose: Purpose, changes: dict[str, Any]
) -> None:
    new = {"locale": "en", "text": "Yes, send me offers.", "control_label": "Yes", **changes}
    answer = await api.post(f"/v1/purposes/{purpose.id}/notices", json=new)
    assert answer.status_code == 422
    assert (await api.get(f"/v1/purposes/{purpose.id}/notices")).json() == []


@pytest.mark.parametrize(
    ("changes", "status", "code"),
    [
        ({"at": "2026-05-03T18:42:00"}, 422, "invalid"),
        ({"at": "9999-12-31T23:59:59-14:00"}, 422, "invalid"),
        ({"at": "0001-01-01T00:00:00+14:00"}, 422, "invalid"),
        ({"at": "1989-12-31T23:59:59Z"}, 422, "invalid"),
        ({"at": "yesterday"}, 422, "invalid"),
        ({"status": "renewed"}, 422, "invalid"),
        ({"status": "requested"}, 422, "invalid"),
        ({"method": "portal"}, 422, "invalid"),
        ({"notice": None}, 422, "invalid"),
        ({"notice": None, "status": "refused"}, 422, "invalid"),
        ({"notice": str(uuid4())}, 404, "unknown_notice"),
        ({"purpose": str(uuid4())}, 404, "unknown_purpose"),
        ({"purpose": str(uuid4()), "status": "withdrawn"}, 404, "unknown_purpose"),
        ({"evidence": {}}, 409, "evidence_not_accepted"),
        ({"evidence": {"kind": "former_double_opt_in"}}, 409, "evidence_not_accepted"),
        ({"evidence": {"kind": "signed_form", "score": 0.5}}, 422, "invalid"),
        ({"evidence": {"kind": "signed_form", "list": []}}, 422, "invalid"),
        ({"evidence": {"kind": "signed_form", "big": 2**53}}, 422, "bad_evidence"),
        ({"evidence": {"kind": "signed_form", "huge": 2**70}}, 422, "bad_evidence"),
        ({"evidence": {"kind": "signed_form", "nul": "\0"}}, 422, "bad_evidence"),
        ({"evidence": {"kind": "signed_form", "clé": "x"}}, 422, "bad_evidence"),
        ({"evidence": {"kind": "signed_form", "long": "x" * 1001}}, 422, "bad_evidence"),
        ({"evidence": {f"k{n}": n for n in range(31)}}, 422, "bad_evidence"),
        ({"evidence": {"kind": 3}}, 422, "bad_evidence"),
        ({"evidence": {"kind": True}, "status": "refused"}, 422, "bad_evidence"),
        ({"evidence": {"kind": 3}, "status": "deferred"}, 422, "bad_evidence"),
    ],
)
async def test_bad_input(
    api: httpx2.AsyncClient,
    customer: UUID,
    notice: Notice,
    *,
    changes: dict[str, Any],
    status: int,
    code: str,
) -> None:
    path = f"/v1/customers/{customer}/consent-events"
    answer = await api.post(path, json=decision(notice, **changes))
    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert answer.headers["content-type"] == "application/problem+json"
    assert (await api.get(path)).json() == []


async def test_a_no_stands_and_says_whose_word_lifts_it(
    api: httpx2.AsyncClient, customer: UUID, notice: Notice
) -> None:
    path = f"/v1/customers/{customer}/consent-events"
    await api.post(path, json=decision(notice))
    stop = {"purpose": str(notice.purpose_id), "status": "withdrawn"}
    first = await api.post(path, json=stop)
    again = await api.post(path, json=stop)
    assert (first.status_code, again.status_code) == (201, 201)
    assert first.json() == again.json()
    lifted = await api.post(path, json=decision(notice, at=None))
    assert (lifted.status_code, lifted.json()["code"]) == (409, "opt_out_stands")
    refused = await api.post(path, json=decision(notice, status="refused"))
    assert refused.status_code == 409


@pytest.mark.parametrize(
    ("evidence", "kept"),
    [
        ({"kind": 3, "form": 7, "asked": True}, {"kind": 3, "form": 7, "asked": True}),
        ({"kind": False}, {"kind": False}),
        ({"kind": "letter", "big": 2**53, "nul": "\0"}, {"kind": "letter"}),
        ({"clé": "x", "long": "x" * 1001, "said": "No."}, {"said": "No."}),
        ({f"k{n}": n for n in range(31)}, {f"k{n}": n for n in range(30)}),
    ],
)
async def test_no_withdrawal_is_lost_over_its_evidence(
    *,
    api: httpx2.AsyncClient,
    customer: UUID,
    notice: Notice,
    evidence: dict[str, Any],
    kept: dict[str, Any],
) -> None:
    path = f"/v1/customers/{customer}/consent-events"
    await api.post(path, json=decision(notice))
    stop = {"purpose": str(notice.purpose_id), "status": "withdrawn", "evidence": evidence}
    answer = await api.post(path, json=stop)
    assert (answer.status_code, answer.json()["status"]) == (201, "withdrawn")
    assert answer.json()["evidence"] == kept


async def test_a_kind_that_is_no_text_is_named(
    api: httpx2.AsyncClient, customer: UUID, notice: Notice
) -> None:
    path = f"/v1/customers/{customer}/consent-events"
    answer = await api.post(path, json=decision(notice, status="refused", evidence={"kind": 3}))
    assert answer.json()["errors"][0]["pointer"] == "#/evidence/kind"


async def test_a_refusal_is_recorded(
    api: httpx2.AsyncClient, customer: UUID, notice: Notice
) -> None:
    path = f"/v1/customers/{customer}/consent-events"
    answer = await api.post(path, json=decision(notice, status="refused", evidence={}))
    assert (answer.status_code, answer.json()["status"]) == (201, "refused")


async def test_the_same_request_twice_is_one_decision(
    api: httpx2.AsyncClient, customer: UUID, notice: Notice
) -> None:
    path = f"/v1/customers/{customer}/consent-events"
    keyed = {"idempotency-key": '"one"'}
    first = await api.post(path, json=decision(notice), headers=keyed)
    again = await api.post(path, json=decision(notice), headers=keyed)
    assert first.json() == again.json()
    assert again.headers["idempotency-replayed"] == "true"
    assert len((await api.get(path)).json()) == 1
    other = await api.post(path, json=decision(notice, at=None), headers=keyed)
    assert other.json()["code"] == "key_reused"


@pytest.mark.parametrize("path", ["consent-events", "consents"])
async def test_an_unknown_customer(api: httpx2.AsyncClient, notice: Notice, path: str) -> None:
    assert (await api.get(f"/v1/customers/{uuid4()}/{path}")).status_code == 404
    stop = {"purpose": str(notice.purpose_id), "status": "withdrawn"}
    answer = await api.post(f"/v1/customers/{uuid4()}/consent-events", json=stop)
    assert (answer.status_code, answer.json()["code"]) == (404, "unknown_customer")


@pytest.mark.parametrize("method", ["PUT", "PATCH", "DELETE"])
@pytest.mark.parametrize("path", ["consents", "consent-events"])
async def test_no_state_is_ever_put(
    api: httpx2.AsyncClient, customer: UUID, method: str, path: str
) -> None:
    answer = await api.request(method, f"/v1/customers/{customer}/{path}", json={})
    assert answer.status_code == 405


async def test_history_is_a_look_and_a_check_is_not(
    api: httpx2.AsyncClient, database: Database, business: Business, customer: UUID, notice: Notice
) -> None:
    async def looks() -> int:
        async with database.read(business.id) as db:
            return len(await events.looks_at(db, customer))

    purpose = str(notice.purpose_id)
    await api.get(f"/v1/customers/{customer}/consents")
    await api.get("/v1/consents/check", params={"customer": str(customer), "purpose": purpose})
    await api.post("/v1/consent-checks", json={"purpose": purpose, "customers": [str(customer)]})
    assert await looks() == 0
    await api.get(f"/v1/customers/{customer}/consent-events")
    assert await looks() == 1


async def test_checks_agree(
    api: httpx2.AsyncClient, database: Database, business: Business, customer: UUID, notice: Notice
) -> None:
    purpose, nobody = str(notice.purpose_id), str(uuid4())
    asked = [nobody, str(customer)]
    async with database.read(business.id) as db:
        address = (await customers.get(db, customer)).address

    async def answers() -> tuple[bool, str | None]:
        by_id = await api.get(
            "/v1/consents/check", params={"customer": str(customer), "purpose": purpose}
        )
        many = await api.post("/v1/consent-checks", json={"purpose": purpose, "customers": asked})
        one = await api.post("/v1/consent-checks", json={"purpose": purpose, "address": address})
        assert {each.status_code for each in (by_id, many, one)} == {200}
        unknown, known = many.json()["checks"]
        assert (unknown["customer_id"], unknown["authorises"]) == (nobody, False)
        assert [known] == one.json()["checks"]
        assert by_id.json() == known
        return bool(known["authorises"]), known["status"]

    assert await answers() == (False, None)
    async with database.write(business.id) as db:
        await say_yes(db, customer, notice)
    assert await answers() == (True, Status.given)
    async with database.write(business.id) as db:
        await say_no(db, customer, notice.purpose_id)
    assert await answers() == (False, Status.withdrawn)


async def test_a_purpose_goes_by_its_id_or_its_short_name(
    api: httpx2.AsyncClient, customer: UUID, purpose: Purpose, notice: Notice
) -> None:
    async def answers(named: str) -> list[httpx2.Response]:
        asked = {"customer": str(customer), "purpose": named}
        whom = {"purpose": named, "customers": [str(customer)]}
        return [
            await api.get("/v1/consents/check", params=asked),
            await api.post("/v1/consent-checks", json=whom),
            await api.post(
                f"/v1/customers/{customer}/consent-events", json=decision(notice, purpose=named)
            ),
        ]

    for named in (purpose.slug, str(purpose.id)):
        one, many, decided = await answers(named)
        assert many.json()["checks"] == [one.json()]
        told = (one.json()["purpose_id"], decided.json()["purpose_id"])
        assert told == (str(purpose.id), str(purpose.id))
    for named in ("no-such-purpose", str(uuid4())):
        unknown = await answers(named)
        assert [each.json()["code"] for each in unknown] == ["unknown_purpose"] * 3
    assert [each.status_code for each in await answers("The letter\0")] == [422] * 3


async def test_an_address_of_nobody_has_allowed_nothing(
    api: httpx2.AsyncClient, purpose: Purpose
) -> None:
    question = {"purpose": str(purpose.id), "address": "nobody@example.com"}
    (check,) = (await api.post("/v1/consent-checks", json=question)).json()["checks"]
    assert (check["customer_id"], check["authorises"]) == (None, False)


@pytest.mark.parametrize(
    ("changes", "status"),
    [
        ({}, 422),
        ({"customers": [], "address": None}, 422),
        ({"customers": [str(uuid4())] * 1001}, 422),
        ({"customers": [str(uuid4())], "address": "a@example.com"}, 422),
        ({"address": "not an address"}, 422),
        ({"customers": [str(uuid4())] * 1000}, 200),
        ({"customers": [str(uuid4())], "purpose": str(uuid4())}, 404),
    ],
)
async def test_questions(
    api: httpx2.AsyncClient, purpose: Purpose, changes: dict[str, Any], status: int
) -> None:
    answer = await api.post("/v1/consent-checks", json={"purpose": str(purpose.id), **changes})
    assert answer.status_code == status


@pytest.mark.parametrize(
    ("method", "path", "scope"),
    [
        ("GET", "/v1/purposes", Scope.purposes_read),
        ("GET", "/v1/purposes/{id}", Scope.purposes_read),
        ("GET", "/v1/notices/{id}", Scope.purposes_read),
        ("POST", "/v1/purposes", Scope.purposes_write),
        ("GET", "/v1/purposes/{id}/notices", Scope.purposes_read),
        ("POST", "/v1/purposes/{id}/notices", Scope.purposes_write),
        ("GET", "/v1/customers/{id}/consents", Scope.consents_read),
        ("GET", "/v1/customers/{id}/consent-events", Scope.consents_read),
        ("POST", "/v1/customers/{id}/consent-events", Scope.consents_write),
        ("GET", "/v1/consents/check", Scope.consents_read),
        ("POST", "/v1/consent-checks", Scope.consents_read),
    ],
)
async def test_every_route_asks_for_its_scope(
    database: Database, business: Business, method: str, path: str, scope: Scope
) -> None:
    without = caller([each for each in Scope if each is not scope])
    async with client(database, business, key=without) as web:
        answer = await web.request(method, path.format(id=uuid4()), json={})
    assert (answer.status_code, answer.json()["code"]) == (403, "scope_missing")


async def test_a_stranger_gets_nothing(
    database: Database, other_business: Business, customer: UUID, notice: Notice
) -> None:
    async with client(database, other_business, key=caller()) as web:
        at = f"/v1/customers/{customer}"
        purpose = str(notice.purpose_id)
        check = {"customer": str(customer), "purpose": purpose}
        statuses = [
            (await web.get(f"{at}/consents")).status_code,
            (await web.get(f"{at}/consent-events")).status_code,
            (await web.post(f"{at}/consent-events", json=decision(notice))).status_code,
            (await web.get(f"/v1/purposes/{purpose}")).status_code,
            (await web.get(f"/v1/purposes/{purpose}/notices")).status_code,
            (await web.get(f"/v1/notices/{notice.id}")).status_code,
            (await web.get("/v1/consents/check", params=check)).status_code,
        ]
        assert statuses == [404] * 7
        assert (await web.get("/v1/purposes")).json() == []


async def test_the_documentation_knows_every_route(api: httpx2.AsyncClient) -> None:
    paths = (await api.get("/schema/openapi.json")).json()["paths"]
    event = paths["/v1/customers/{id}/consent-events"]["post"]
    assert event["summary"] == "Record a decision of a customer"
    assert "/v1/consent-checks" in paths


def test_an_instant_of_a_clock_that_is_ahead_is_now() -> None:
    now = datetime(2026, 6, 1, tzinfo=UTC)
    assert consent.check_instant(datetime(2026, 6, 1, 0, 0, 3, tzinfo=UTC), now) == now


@pytest.mark.parametrize(("leaves", "why"), [(False, "frozen"), (True, "leaving")])
async def test_a_yes_of_a_frozen_record_allows_nothing(
    api: httpx2.AsyncClient,
    database: Database,
    business: Business,
    customer: UUID,
    notice: Notice,
    *,
    leaves: bool,
    why: str,
) -> None:
    """However it is asked the answer is no, as in sending; of one who leaves there is no more."""
    async with database.write(business.id) as db:
        await say_yes(db, customer, notice)
        her = await customers.get(db, customer)
        if leaves:
            await privacy.plan(db, her, privacy.Fingerprint.keep)
        else:
            await privacy.freeze_herself(db, her)
    purpose = str(notice.purpose_id)
    query = {"customer": str(customer), "purpose": purpose}
    check = (await api.get("/v1/consents/check", params=query)).json()
    whom = {"customers": [str(customer)]}, {"address": her.address}
    many = [
        (await api.post("/v1/consent-checks", json={"purpose": purpose, **each})).json()
        for each in whom
    ]
    states = await api.get(f"/v1/customers/{customer}/consents")

    assert (check["authorises"], check["reason"]) == (False, why)
    assert check["status"] == (None if leaves else Status.given)
    assert many == [{"checks": [check]}] * 2
    if leaves:
        assert (states.status_code, states.json()["code"]) == (409, "being_erased")
    else:
        (state,) = states.json()
        assert (state["status"], state["authorises"], state["reason"]) == ("given", False, why)
