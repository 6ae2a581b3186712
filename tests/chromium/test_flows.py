"""All that a customer does, from signing up to being deleted, with the keyboard alone.

Narrow with scripts, and wide without them, in the dark, from right to left where a language is.
"""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator
from uuid import uuid4

import pytest
from msgspec import Struct

from crm import customers
from crm.businesses import Business
from crm.consent import Notice, Purpose
from crm.db import Database
from crm.languages import LANGUAGES
from crm.letterbox.letter import Letter, parse
from crm.mail.actions import claim_letters, record_letter
from crm.mail.outcome import Kind, Outcome
from crm.privacy.copies.building import build_next
from crm.tokens import Stop, stop_token
from tests import make
from tests.chromium.desk import Desk, Seat
from tests.chromium.hand import Hand

HER = "ines.moreau@example.com"
SEATS = [
    Seat(width=320),
    Seat(width=1280, scheme="dark", script=False, language="ar" if "ar" in LANGUAGES else "en"),
]
_CODE = re.compile(r"^([A-Z0-9]{4} [A-Z0-9]{4})\s*$", re.MULTILINE)


class Journey(Struct):
    """Somebody at the keyboard, the business, and her mailbox."""

    hand: Hand
    database: Database
    business: Business
    purpose: Purpose
    notice: Notice

    async def mailed(self) -> Letter:
        """Open the newest letter in her mailbox."""
        async with self.database.write(self.business.id) as db:
            letters = await claim_letters(db, 10)
            for each in letters:
                await record_letter(db, each, Outcome(Kind.sent, "accepted", code=250))
        assert letters, "no letter waits"
        return parse(letters[-1].content)

    def link_in(self, letter: Letter, path: str) -> str:
        """Find where a letter leads."""
        start = f"{self.business.origin}{path}"
        return next(each for each in letter.links if each.startswith(start)).removeprefix(
            self.business.origin
        )

    def stop(self) -> str:
        """Make the token that stands in her newsletters."""
        hashed = self.database.keys.address_hash(self.business.id, customers.fold(HER))
        return stop_token(self.database.keys, Stop(self.business.id, hashed, self.purpose.code))


@pytest.fixture(params=SEATS, ids=str)
async def journey(
    request: pytest.FixtureRequest, desk: Desk, database: Database
) -> AsyncIterator[Journey]:
    """Somebody whom the business does not know yet."""
    seat: Seat = request.param
    business = await make.business(database, origin=f"http://{uuid4().hex}.localhost")
    async with database.write(business.id) as db:
        purpose = await make.purpose(db)
        notice = await make.notice(db, purpose.id)
        await make.notice(db, (await make.purpose(db, name="Offers")).id)
    context = await desk.context(seat, origin=business.origin)
    hand = Hand(await desk.watched(context, origin=business.origin), script=seat.script)
    yield Journey(hand, database, business, purpose, notice)
    await context.close()


def code_in(letter: Letter) -> str:
    found = _CODE.search(letter.text)
    assert found is not None, letter.text
    return found[1]


async def test_from_signing_up_to_being_deleted(journey: Journey) -> None:
    hand = journey.hand
    await signs_up(journey)
    await signs_in(journey)
    await sees_and_corrects(journey)
    await decides(journey)
    await looks_after_her_browsers(journey)
    await goes_by_links(journey)
    await is_deleted(journey)
    assert not hand.wrong, json.dumps(hand.wrong, indent=1, ensure_ascii=False)


async def signs_up(journey: Journey) -> None:
    """With nothing filled in, then rightly; and by the link of the mail, or its code."""
    hand = journey.hand
    send = 'form[action="/sign-up"] button'
    await hand.open("/sign-up")
    await hand.press(send, status=422)
    assert await hand.says("[role=alert]")
    # The way from the list of what is wrong to the first field of it.
    await hand.to('[role=alert] a[href="#email"]')
    await hand.opened.page.keyboard.press("Enter")
    await hand.type("#email", HER)
    await hand.tick(f'input[name="purpose"][value="{journey.purpose.slug}"]')
    await _sent(hand, send)
    letter = await journey.mailed()
    if hand.script:
        await hand.open(journey.link_in(letter, "/confirm/"))
        await hand.press('form[action^="/confirm/"] button')
    else:
        await hand.type("#code", code_in(letter))
        await hand.press('form[action="/confirm"] button')
    assert journey.notice.text in await hand.says("main")


async def _sent(hand: Hand, send: str) -> None:
    """Press once more where the form was faster than a person."""
    for _ in range(20):
        await hand.to(send)
        hand.opened.begin(hand.opened.place)
        async with hand.opened.page.expect_navigation() as led:
            await hand.opened.page.keyboard.press("Enter")
        if (await led.value).status == 200:
            return
    message = "the form is never sent"
    raise AssertionError(message)


async def signs_in(journey: Journey) -> None:
    """By the link in the same browser; out again, and in by the code."""
    hand = journey.hand
    await hand.open("/sign-in")
    await hand.type("#address", "no address")
    await hand.press('form[action="/sign-in"] button', status=422)
    await hand.type("#address", HER)
    await hand.press('form[action="/sign-in"] button')
    await hand.open(journey.link_in(await journey.mailed(), "/sign-in/"))
    await hand.press('form[action^="/sign-in/"] button')
    assert hand.opened.page.url.endswith("/me")
    await hand.press('form[action="/me/sign-out"] button')
    await hand.type("#address", HER)
    await hand.press('form[action="/sign-in"] button')
    letter = await journey.mailed()
    await hand.type("#code", "WRONG234")
    await hand.press('form[action="/sign-in/code"] button', status=422)
    await hand.type("#address", HER)
    await hand.type("#code", code_in(letter))
    await hand.press('form[action="/sign-in/code"] button')
    assert hand.opened.page.url.endswith("/me")


async def sees_and_corrects(journey: Journey) -> None:
    """Her record, her name, a copy of it all, who looked."""
    hand = journey.hand
    await hand.press('main a[href^="/me/details"]')
    await hand.type("#name", "Inès Moreau")
    await hand.press('form[action="/me/details"] button')
    assert "Inès Moreau" in await hand.says("main")
    await hand.open("/me")
    await hand.press('main a[href="/me/copy"]')
    await hand.press('form[action="/me/copy"] button')
    await build_next(journey.database, journey.business.id)
    await hand.press('main a[href="/me/copy"]')
    copy = await hand.take('a[href="/me/copy/file"]')
    assert copy.suggested_filename.endswith(".zip")
    await hand.open("/me/looks")


async def decides(journey: Journey) -> None:
    """Off and on again, and the receipt of it; frozen and no longer."""
    hand, purpose = journey.hand, journey.purpose
    await hand.press('nav a[href="/me/consent"]')
    await hand.press(f'form[action="/me/consent/{purpose.id}/withdrawal"] button')
    await hand.press(f'form[action="/me/consent/{purpose.id}/grant"] button')
    await hand.press(f'#{purpose.slug} a[href^="/me/receipts/"]')
    await hand.press('form[action$="/letter"] button')
    assert journey.business.name in (await journey.mailed()).text
    await hand.open("/me/delete")
    await hand.press('form[action="/me/restriction"] button[value="freeze"]')
    await hand.press('form[action="/me/restriction"] button[value="free"]')


async def looks_after_her_browsers(journey: Journey) -> None:
    """Signed in elsewhere, she signs it out from here."""
    hand = journey.hand
    async with journey.database.write(journey.business.id) as db:
        found = await customers.by_address(db, HER)
        assert found is not None
        await make.signed_in(db, found.id)
    await hand.open("/me")
    await hand.press('header a[href="/me/sessions"]')
    await hand.press(
        'form[action^="/me/sessions/"][action$="/end"]:not([action="/me/sessions/end"]) button'
    )
    await hand.press('form[action="/me/sessions/end"] button')


async def goes_by_links(journey: Journey) -> None:
    """What needs no signing in: the links of every mail, and the way out without one."""
    hand, token = journey.hand, journey.stop()
    await hand.open(f"/p/{token}")
    await hand.press(f'form[action="/p/{token}/stop"] button[value="{journey.purpose.slug}"]')
    await hand.open(f"/u/{token}")
    await hand.press(f'form[action="/u/{token}"] button[value="all"]')
    await hand.open("/leave")
    await hand.type("#address", HER)
    await hand.press('form[action="/leave"] button')
    await hand.open("/mail-check")
    await hand.type("#mail", "Subject: from nowhere")
    await hand.press('form[action="/mail-check"] button', status=422)


async def is_deleted(journey: Journey) -> None:
    """The choice, the last page, and what stays."""
    hand = journey.hand
    await hand.open("/me/delete")
    await hand.to('input[name="fingerprint"]')
    await hand.opened.page.keyboard.press("ArrowDown")
    await hand.press('form[action="/me/deletion"] button')
    assert hand.opened.page.url.endswith("fingerprint=drop")
    await hand.press('form[action^="/me/deletion/confirmation"] button', status=422)
    await hand.to('input[name="when"]')
    await hand.opened.page.keyboard.press("Space")
    await hand.press('form[action^="/me/deletion/confirmation"] button')
    assert "/erased/" in hand.opened.page.url
    async with journey.database.read(journey.business.id) as db:
        assert await customers.by_address(db, HER) is None
