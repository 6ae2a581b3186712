"""A write of a signed-in reader comes from our own page, or not at all."""

from __future__ import annotations

import pytest

from crm.web.csrf import csrf_token, verify
from tests.web.sample import SECRET, client

PATH = "/me/said"


def test_a_token_belongs_to_one_session() -> None:
    token = csrf_token(SECRET)
    assert verify(SECRET, token)
    assert not verify(b"t" * 32, token)
    assert csrf_token(SECRET) != token, "it is masked anew each time"


@pytest.mark.parametrize(
    "token",
    ["", "x", "é" * 88, "A" * 88, "A" * 87 + "=", csrf_token(SECRET)[:-4]],
    ids=["empty", "short", "not-ascii", "zeros", "bad-end", "cut-off"],
)
def test_what_is_no_token_is_refused(token: str) -> None:
    assert not verify(SECRET, token)


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 303),
        ({"sec-fetch-site": "same-origin", "origin": "null"}, 303),
        ({"sec-fetch-site": "none"}, 303),
        ({"sec-fetch-site": "same-site"}, 403),
        ({"sec-fetch-site": "cross-site"}, 403),
        ({"origin": "http://bakery.example"}, 303),
        ({"origin": "null"}, 303),
        ({"origin": "https://evil.example"}, 403),
        ({"origin": "http://bakery.example.evil.example"}, 403),
        ({"origin": "http://[bad"}, 403),
    ],
)
async def test_another_site_cannot_write(headers: dict[str, str], status: int) -> None:
    async with client() as web:
        answer = await web.post(PATH, data={"csrf": csrf_token(SECRET)}, headers=headers)
    assert answer.status_code == status


@pytest.mark.parametrize(
    "data", [{}, {"csrf": ""}, {"csrf": csrf_token(b"t" * 32)}], ids=["none", "empty", "foreign"]
)
async def test_a_form_without_the_token_is_refused(data: dict[str, str]) -> None:
    async with client() as web:
        answer = await web.post(PATH, data=data)
    assert answer.status_code == 403
    assert "did not come from our own page" in answer.text


async def test_a_script_may_send_the_token_in_a_header() -> None:
    async with client() as web:
        answer = await web.post(PATH, headers={"x-csrf-token": csrf_token(SECRET)})
    assert answer.status_code == 303


async def test_our_own_page_carries_the_token() -> None:
    async with client() as web:
        page = await web.get("/me/portal")
        forms = page.text.count('<form method="post"')
        tokens = page.text.count('name="csrf"')
        assert forms == tokens > 0
        token = page.text.split('name="csrf" value="')[1].split('"')[0]
        answer = await web.post(PATH, data={"csrf": token})
    assert answer.status_code == 303


async def test_a_form_without_session_needs_only_the_site() -> None:
    async with client() as web:
        own = await web.post("/sign-up", data={}, headers={"sec-fetch-site": "same-origin"})
        foreign = await web.post("/sign-up", data={}, headers={"sec-fetch-site": "cross-site"})
    assert (own.status_code, foreign.status_code) == (422, 403)
