"""What a press of the console shows, and no address leads to: secrets, a verdict, what is found."""

from __future__ import annotations

import json
from typing import Any

import pytest
from msgspec import Struct

from tests.chromium.desk import Desk, Opened, Seat, judged, looked

_LIST = (
    "Kunden-Nr;Vorname;E-Mail;Angemeldet am;Leer\n"
    "1;Nora;nora@example.com;2024-03-01 10:00;\n"
    "2;Ida;ida@example.com;2024-03-02 10:00;\n"
)
_KEY = {"name": "Till", "reason": "to look up whoever stands at the till"}


class Press(Struct, frozen=True, kw_only=True):
    """Where a form is, what is filled in, and what the page behind it says."""

    room: str
    form: str
    fill: dict[str, str] = {}
    tick: tuple[str, ...] = ()
    file: str = ""
    says: str


PRESSES = {
    "key": Press(
        room="/staff/keys",
        form='form[action="/staff/keys"]',
        fill=_KEY,
        tick=("customers:read",),
        says="fh_",
    ),
    "key-rotated": Press(
        room="/staff/keys", form='form[action$="/rotation"]', says="fh_"
    ),
    "invited": Press(
        room="/staff/members",
        form='form[action="/staff/members"]',
        fill={"name": "Ida Meyer", "address": "ida.meyer@example.com"},
        tick=("care",),
        says="/staff/sign-in",
    ),
    "webhook": Press(
        room="/staff/webhooks",
        form='form[action="/staff/webhooks"]',
        fill={"name": "Till", "url": "https://till.example/events"},
        says="whsec_",
    ),
    "webhook-rotated": Press(
        room="/staff/webhooks/{endpoint_id}", form='form[action$="/secrets"]', says="whsec_"
    ),
    "returns": Press(
        room="/staff/inbound",
        form='form[action="/staff/inbound/webhooks"]:has([value="postmark"])',
        says="/hooks/postmark/",
    ),
    "proof": Press(
        room="/staff/proofs",
        form='form[action="/staff/proofs"]',
        fill={"address": "nora@example.com"},
        says="Nothing is kept",
    ),
    "found": Press(
        room="/staff/customers",
        form='form[action="/staff/customers/search"]',
        fill={"words": "Nora"},
        says="customers found",
    ),
    "columns": Press(
        room="/staff/imports/mappings",
        form='form[action="/staff/imports/mappings/columns"]',
        file=_LIST,
        says="2024-03-01 10:00",
    ),
}  # fmt: skip


async def _press(opened: Opened, press: Press) -> None:
    form = opened.page.locator(press.form).first
    for name, value in press.fill.items():
        await form.locator(f'[name="{name}"]').fill(value)
    for value in press.tick:
        await form.locator(f'input[value="{value}"]').check()
    if press.file:
        file: Any = {"name": "till.csv", "mimeType": "text/csv", "buffer": press.file.encode()}
        await form.locator("input[type=file]").set_input_files(file)
    async with opened.page.expect_navigation():
        await form.locator("button").first.click()


@pytest.mark.parametrize("name", PRESSES)
async def test_what_a_press_shows(desk: Desk, name: str) -> None:
    """By turns wide by day and narrow in the dark; where wide, it is made narrow too."""
    press = PRESSES[name]
    seat = [Seat(), Seat(width=320, scheme="dark")][list(PRESSES).index(name) % 2]
    opened = await desk.open(desk.world.places[press.room][0], seat)
    assert press.says not in await opened.page.inner_text("main")
    await _press(opened, press)
    page = opened.page

    assert press.says in await page.inner_text("main")
    assert await page.locator("[role=alert]").count() == 0
    wrong = await looked(opened)
    if judgement := await judged(opened):
        wrong["axe"] = judgement
    await page.set_viewport_size({"width": 320, "height": 800})
    wrong |= {"narrow": found} if (found := await page.evaluate("firsthand.wide()")) else {}
    assert not wrong, json.dumps(wrong, indent=1, ensure_ascii=False)
