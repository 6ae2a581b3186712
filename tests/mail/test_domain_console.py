"""Owners see what to publish, and say who signs."""

from __future__ import annotations

from tests.browser import Browser

LIST = "/staff/domains"


async def test_a_domain_is_added_and_its_records_are_shown(console: Browser) -> None:
    answer = await console.fill(LIST, name="news.bakery.example")
    assert answer.status_code == 303
    shown = (await console.get(LIST)).text
    assert "_domainkey.news.bakery.example" in shown
    assert "v=DKIM1; k=rsa; p=" in shown
    wrong = await console.fill(LIST, name="no domain")
    assert wrong.status_code == 422
    assert "This is no domain" in wrong.text


async def test_the_confirmation_is_kept_with_a_name_and_taken_back(console: Browser) -> None:
    own, change = "corner-bakery.example", f"{LIST}/change"
    await console.fill(LIST, change, name=own, what="revoke")
    assert "was never checked" in (await console.get(LIST)).text
    await console.fill(LIST, change, name=own, what="confirm")
    shown = (await console.get(LIST)).text
    assert "The relay signs, says Olga Owner" in shown
    assert "was never checked" not in shown
