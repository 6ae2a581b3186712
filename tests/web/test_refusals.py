"""What refusals, bad requests and bugs look like to machines and to people."""

from __future__ import annotations

from uuid import UUID

import asyncpg
import pytest
from structlog.testing import capture_logs

from crm import errors
from crm.errors import Refused
from crm.web.idempotency import InFlight, KeyMissing, KeyReused
from crm.web.posted import BadForm
from crm.web.ratelimit import Exhausted, Unavailable
from crm.web.refusals import answer_to
from tests.web.sample import client


async def test_a_machine_gets_problem_details() -> None:
    async with client() as web:
        answer = await web.post("/v1/orders", json={"rolls": 101})
    assert answer.status_code == 409
    assert answer.headers["content-type"].startswith("application/problem+json")
    assert answer.json() == {
        "type": "/problems/sold_out",
        "title": "The rolls are sold out.",
        "status": 409,
        "detail": "Only 100 rolls are left.",
        "instance": "/v1/orders",
        "code": "sold_out",
        "errors": [{"detail": "At most 100.", "pointer": "#/rolls"}],
    }


@pytest.mark.parametrize(
    ("body", "kind", "status", "pointer"),
    [
        (b'{"rolls": ', "application/json", 400, None),
        (b'{"rolls": "six"}', "application/json", 422, "#/rolls"),
        (b'{"rolls": 6, "cream": 1}', "application/json", 422, "#"),
        (b"\xff\xfe", "application/json", 400, None),
        (b"", "application/json", 422, None),
        (b"[" * 100_000, "application/json", 400, None),
    ],
)
async def test_a_bad_body_is_told(body: bytes, kind: str, status: int, pointer: str | None) -> None:
    async with client() as web:
        answer = await web.post("/v1/orders", content=body, headers={"content-type": kind})
    found = answer.json()
    assert (answer.status_code, found["status"]) == (status, status), found
    assert answer.headers["content-type"].startswith("application/problem+json")
    if pointer:
        assert found["errors"][0]["pointer"].startswith(pointer)


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/v1/nothing", 404),
        ("GET", "/v1", 404),
        ("DELETE", "/v1/orders", 405),
        ("GET", "/v1/orders/no-uuid", 404),
        ("GET", f"/v1/orders/{UUID(int=7)}?shown=many", 422),
    ],
)
async def test_a_wrong_address_is_told(method: str, path: str, status: int) -> None:
    async with client() as web:
        answer = await web.request(method, path)
    assert answer.status_code == status
    assert answer.headers["content-type"].startswith("application/problem+json")
    assert ("allow" in answer.headers) == (status == 405)


async def test_a_body_too_large_is_told() -> None:
    async with client() as web:
        answer = await web.post("/sign-up", data={"name": "x" * 30_000})
    assert answer.status_code == 413
    assert "Send less at once" in answer.text


async def test_people_get_a_page_with_a_way_out() -> None:
    async with client() as web:
        answer = await web.get("/nothing/here")
    assert answer.status_code == 404
    assert answer.headers["content-type"].startswith("text/html")
    assert "<h1>There is nothing here</h1>" in answer.text
    assert "never expires" in answer.text


async def test_staff_get_no_way_out_of_mails() -> None:
    async with client() as web:
        answer = await web.get("/staff/nothing")
    assert answer.status_code == 404
    assert "open it again from where you found it" in answer.text
    assert "never expires" not in answer.text


async def test_a_bug_says_a_number_and_logs_no_value() -> None:
    with capture_logs() as logs:
        async with client() as web:
            page = await web.get("/staff/bug")
            machine = await web.get("/v1/bug")
    assert (page.status_code, machine.status_code) == (500, 500)
    assert logs[0]["reference"] in page.text
    assert logs[1]["reference"] == machine.json()["reference"]
    assert "builtins.RuntimeError" in logs[0]["error"]
    assert any("get_bug" in frame for frame in logs[0]["frames"])
    assert "nora@example.com" not in page.text + machine.text + repr(logs)


def test_a_connection_that_was_ended_is_told_to_whoever_runs_it() -> None:
    """It passes by itself; were it our fault, it would come again and again."""
    with capture_logs() as logs:
        answer = answer_to(asyncpg.InternalClientError("another operation (2) is in progress"))
    assert (answer.status, answer.code) == (503, "busy")
    assert [each["event"] for each in logs] == ["connection_ended"]


async def test_a_reader_without_session_is_led_to_the_sign_in() -> None:
    async with client() as web:
        led = await web.get("/staff/locked")
        panel = await web.get("/staff/locked", headers={"hx-request": "true"})
        machine = await web.get("/v1/locked")
    assert (led.status_code, led.headers["location"]) == (303, "/staff/sign-in")
    assert panel.status_code == 401
    assert 'href="/staff/sign-in"' in panel.text
    assert machine.status_code == 401
    assert machine.headers["www-authenticate"].startswith("Bearer")


@pytest.mark.parametrize(
    ("exc", "status", "code"),
    [
        (errors.NotFound(), 404, "not_found"),
        (errors.Invalid(), 422, "invalid"),
        (errors.Forbidden(), 403, "forbidden"),
        (errors.TooMany(retry_after=7), 429, "too_many"),
        (Exhausted("sign-in", 9), 429, "exhausted"),
        (Unavailable(), 503, "unavailable"),
        (BadForm(), 400, "bad_form"),
        (KeyMissing(), 400, "key_missing"),
        (KeyReused(), 422, "key_reused"),
        (InFlight(), 409, "in_flight"),
        (Refused("No."), 422, "refused"),
        (asyncpg.DeadlockDetectedError("…"), 503, "busy"),
        (asyncpg.CharacterNotInRepertoireError("0x00"), 422, "invalid"),
        (asyncpg.UniqueViolationError("…"), 500, "bug"),
    ],
)
def test_every_kind_has_its_status(exc: Exception, status: int, code: str) -> None:
    answer = answer_to(exc)
    assert (answer.status, answer.code) == (status, code)
    assert ("retry-after" in answer.headers) == (status in (429, 503))
