"""Every answer carries the security headers, and HEAD answers as GET does."""

from __future__ import annotations

import pytest

from crm.web.headers import MAIL_PREVIEW
from tests.web.sample import application, client


@pytest.mark.parametrize(
    "path", ["/me/portal", "/staff/bug", "/nothing", "/v1/nothing", "/v1/bug", "/staff/locked"]
)
async def test_every_answer_is_hardened(path: str) -> None:
    async with client() as web:
        answer = await web.get(path)
    policy = answer.headers["content-security-policy"]
    assert "default-src 'none'; object-src 'none'" in policy
    assert "base-uri 'none'" in policy
    assert "frame-ancestors 'none'" in policy
    assert "unsafe" not in policy
    assert ("script-src 'self'" in policy) == path.startswith("/staff")
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["referrer-policy"] == "no-referrer"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["cross-origin-opener-policy"] == "same-origin"
    assert answer.headers["cross-origin-resource-policy"] == "same-origin"
    assert answer.headers["x-robots-tag"] == "noindex, nofollow"
    assert "camera=()" in answer.headers["permissions-policy"]
    assert "strict-transport-security" not in answer.headers
    assert answer.headers["content-type"].count("charset") <= 1


async def test_a_path_that_only_begins_like_the_console_gets_no_script() -> None:
    async with client() as web:
        answer = await web.get("/staffing")
    assert "script-src" not in answer.headers["content-security-policy"]


async def test_over_tls_browsers_stay_there() -> None:
    async with client(application(https=True)) as web:
        answer = await web.get("/nothing")
    assert "max-age=63072000" in answer.headers["strict-transport-security"]


def test_a_mail_in_a_frame_can_do_nothing() -> None:
    policy = MAIL_PREVIEW["content-security-policy"]
    assert "sandbox" in policy
    assert "script" not in policy


@pytest.mark.parametrize("path", ["/me/portal", "/nothing", "/v1/nothing", "/staff/locked"])
async def test_head_answers_as_get_without_the_body(path: str) -> None:
    async with client() as web:
        got, head = await web.get(path), await web.head(path)
    assert head.status_code == got.status_code
    assert head.content == b""
    differing = {"content-length", "set-cookie"}
    assert head.headers.keys() - differing == got.headers.keys() - differing


async def test_head_never_writes() -> None:
    async with client() as web:
        answer = await web.head("/me/said")
    assert answer.status_code == 405
