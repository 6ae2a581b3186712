"""All that a customer does, from signing up to being deleted, with the keyboard alone.

Narrow with scripts, and wide without them, in the dark, from right to left where a language is. At
the end every form that a customer's pages have was sent, and each button of those that she saw.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import pytest

from crm import customers
from crm.db import Database
from crm.languages import LANGUAGES
from crm.letterbox.letter import parse
from crm.privacy.copies.building import build_next
from tests.chromium.desk import Desk, Seat
from tests.chromium.hand import Hand, hers
from tests.chromium.journey import HER, Journey, begun, code_in

NEXT = "ines@moreau.example"
SEATS = [
    Seat(width=320),
    Seat(width=1280, scheme="dark", script=False, language="ar" if "ar" in LANGUAGES else "en"),
]


@pytest.fixture(params=SEATS, ids=str)
async def journey(
    request: pytest.FixtureRequest, desk: Desk, database: Database
) -> AsyncIterator[Journey]:
    """Somebody whom the business does not know yet."""
    async with begun(desk, database, request.param) as journey:
        yield journey


@pytest.mark.timeout(300)
async def test_from_signing_up_to_being_deleted(journey: Journey) -> None:
    hand = journey.hand
    await signs_up(journey)
    await signs_in(journey)
    await sees_and_corrects(journey)
    await decides(journey)
    await reads_her_mails(journey)
    await sets_her_rhythm(journey)
    await goes_by_links(journey)
    await asks(journey)
    await moves(journey)
    await is_mailed_again(journey)
    await looks_after_her_browsers(journey)
    await stops_all(journey)
    await plans_and_calls_off(journey)
    await is_deleted(journey)
    assert not hand.wrong, json.dumps(hand.wrong, indent=1, ensure_ascii=False)
    assert hers() - {each.route for each in hand.pressed} == set(), "no flow sends these forms"
    assert hand.missed() == set(), "these buttons were seen and never pressed"


async def signs_up(journey: Journey) -> None:
    """With nothing filled in, then rightly: once by the link of the mail, once by its code."""
    hand, (first, second, _) = journey.hand, journey.purposes
    send = 'form[action="/sign-up"] button'
    await hand.open("/sign-up")
    await hand.press(send, status=422)
    assert await hand.says("[role=alert]")
    # The way from the list of what is wrong to the first field of it.
    await hand.to('[role=alert] a[href="#email"]')
    await hand.opened.page.keyboard.press("Enter")
    await hand.type("#email", HER)
    # In another language, and what was typed stays.
    for other in ("fr", journey.seat.language):
        await hand.press(f'button[form="sign-up"][value="{other}"]')
        assert await hand.opened.page.get_attribute("html", "lang") == other
    await hand.tick(f'input[name="purpose"][value="{first.slug}"]')
    await _sent(hand, send)
    await hand.press('form[action="/sign-up/again"] button')
    await hand.open(await journey.way("/confirm/"))
    await hand.press('form[action^="/confirm/"] button')
    assert journey.notices[0].text in await hand.says("main")
    await hand.open("/sign-up")
    await hand.type("#email", HER)
    await hand.tick(f'input[name="purpose"][value="{second.slug}"]')
    await _sent(hand, send)
    await hand.type("#code", code_in(await journey.mailed()))
    await hand.press('form[action="/confirm"] button')
    assert journey.notices[1].text in await hand.says("main")


async def _sent(hand: Hand, send: str) -> None:
    """Press once more where the form was faster than a person."""
    for _ in range(20):
        if await hand.press(send, status=None) == 200:
            return
    message = "the form is never sent"
    raise AssertionError(message)


async def signs_in(journey: Journey) -> None:
    """By the link in the same browser; out again, and in by the code."""
    hand = journey.hand
    await hand.open("/sign-in")
    await hand.type("#address", "no address")
    await hand.press('form[action="/sign-in"] button', status=422)
    await _by_link(journey)
    await hand.press('form[action="/me/sign-out"] button')
    await hand.type("#address", HER)
    await hand.press('form[action="/sign-in"] button')
    await hand.press('form[action="/sign-in"] button')
    letter = await journey.mailed()
    await hand.type("#code", "WRONG234")
    await hand.press('form[action="/sign-in/code"] button', status=422)
    await hand.type("#address", HER)
    await hand.type("#code", code_in(letter))
    await hand.press('form[action="/sign-in/code"] button')
    assert hand.opened.page.url.endswith("/me")


async def _by_link(journey: Journey, address: str = HER, leads: str = "/me") -> None:
    hand = journey.hand
    await hand.type("#address", address)
    await hand.press('form[action="/sign-in"] button')
    await hand.open(await journey.way("/sign-in/"))
    await hand.press('form[action^="/sign-in/"] button')
    assert hand.opened.page.url.endswith(leads)


async def sees_and_corrects(journey: Journey) -> None:
    """Her record, her name, a copy of it all, and one anew; who looked."""
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
    """Off and on again, and the receipt of it; on for longer; frozen and no longer."""
    hand, (purpose, _, ending) = journey.hand, journey.purposes
    await journey.agreed_before()
    await hand.press('nav a[href="/me/consent"]')
    await hand.press(f'form[action="/me/consent/{purpose.id}/withdrawal"] button')
    await hand.press(f'form[action="/me/consent/{purpose.id}/grant"] button')
    # What would end soon by itself has a button of its own for going on.
    await hand.to(f'form[action="/me/consent/{ending.id}/grant"] button')
    await hand.press(f'#{purpose.slug} a[href^="/me/receipts/"]')
    await hand.press('form[action$="/letter"] button')
    assert journey.business.name in (await journey.mailed()).text
    await hand.open("/me/delete")
    await hand.press('form[action="/me/restriction"] button[value="freeze"]')
    await hand.press('form[action="/me/restriction"] button[value="free"]')


async def sets_her_rhythm(journey: Journey) -> None:
    """At most two a week, one digest, her language; a pause until a day, and its end."""
    hand, spoken = journey.hand, journey.seat.language
    # Of what has an issue.
    digest = f"digest-{journey.purposes[-1].id}"
    await hand.open("/me")
    await hand.press('nav a[href="/me/rhythm"]')
    await hand.pick("budget", "2")
    await hand.pick(digest, "weekly")
    await hand.choose("#locale", "de")
    await hand.press('form[action="/me/rhythm"] button')
    assert await hand.opened.page.get_attribute("html", "lang") == "de"
    for name, value in (("budget", "2"), (digest, "weekly")):
        await hand.to(f'input[name="{name}"][value="{value}"]:checked')
    await hand.pick("pause", "until")
    await hand.to("#until")
    await hand.opened.page.keyboard.type(_soon(journey.database.clock()))
    await hand.choose("#locale", spoken)
    await hand.press('form[action="/me/rhythm"] button')
    await hand.press('form[action="/me/rhythm/resumption"] button')
    assert await hand.opened.page.get_attribute("html", "lang") == spoken


def _soon(now: datetime) -> str:
    """Say a day within a year as it is typed: of the same number as its month, for either order."""
    coming = (datetime(now.year + n, m, m, tzinfo=UTC) for n in (0, 1) for m in range(1, 13))
    return f"{next(day for day in coming if day > now + timedelta(days=1)):%m%d%Y}"


async def reads_her_mails(journey: Journey) -> None:
    """One as it was sent, and as text; whether it is that; what it asks, and to have more of it."""
    hand = journey.hand
    content = await journey.issue()
    issue = parse(content)
    await hand.press('nav a[href="/me/mails"]')
    await hand.press('main a[href^="/me/mails/"]')
    assert "Rye" in await hand.says("h1")
    await hand.press('main a[href$="?part=text"]')
    assert "Dear Inès" in await hand.says("pre")
    await hand.open("/mail-check")
    await hand.paste("#mail", "Subject: from nowhere")
    await hand.press('form[action="/mail-check"] button', status=422)
    await hand.open("/mail-check")
    await hand.paste("#mail", content.decode())
    await hand.press('form[action="/mail-check"] button')
    await hand.open(journey.link_in(issue, "/poll/"))
    await hand.press("main form button")
    await hand.open(journey.link_in(issue, "/why/"))
    await hand.press('form[action$="/renewal"] button')


async def goes_by_links(journey: Journey) -> None:
    """What needs no signing in: the links of every mail, and the way out without one."""
    hand, (first, second, _) = journey.hand, journey.purposes
    choose, stop = journey.stop(first), journey.stop(second)
    await hand.open(f"/p/{choose}")
    await hand.press(f'form[action="/p/{choose}/stop"] button[value="{first.id}"]')
    await hand.open(f"/u/{stop}")
    await hand.press(f'form[action="/u/{stop}"] button[value="these"]')
    await hand.open(f"/p/{choose}")
    await hand.press(f'form[action="/p/{choose}/stop"] button[value="all"]')
    await hand.open(f"/u/{stop}")
    await hand.press(f'form[action="/u/{stop}"] button[value="all"]')
    await hand.open("/leave")
    for other in ("fr", journey.seat.language):
        await hand.press(f'form[action="/language"] button[value="{other}"]')
        assert await hand.opened.page.get_attribute("html", "lang") == other
    await hand.type("#address", HER)
    await hand.press('form[action="/leave"] button')
    await hand.press('form[action="/leave"] button[name="again"]')


async def asks(journey: Journey) -> None:
    """A correction that somebody answers, whom to complain to, and an objection."""
    hand = journey.hand
    await hand.open("/me")
    await hand.press('nav a[href="/me/requests"]')
    await hand.press('form[action="/me/requests"] button', status=422)
    await hand.choose("#kind", "rectification")
    await hand.type("#words", "My street is Mill Lane.")
    await hand.press('form[action="/me/requests"] button')
    await journey.answered("It is Mill Lane now.")
    await hand.open("/me/requests")
    assert "It is Mill Lane now." in await hand.says("#asked")
    await hand.to('#complain a[href^="mailto:"]')
    await journey.doubted()
    await hand.open(await journey.way("/identity/"))
    await hand.press('form[action^="/identity/"] button')


async def moves(journey: Journey) -> None:
    """To another mailbox, saying again what may go there; back by the old one; and anew."""
    hand = journey.hand
    await _starts(journey)
    await hand.open("/me/details")
    await hand.press('main a[href="/me/address"]')
    await _asks_there(journey, "no address", status=422)
    await _asks_there(journey)
    await hand.type("#code", code_in(await journey.mailed()))
    await hand.tick(f'input[name="again"][value="{journey.notices[0].id}"]')
    await hand.press('form[action="/me/address/code"] button')
    assert NEXT in await hand.says("main")
    await hand.open(await journey.way("/undo/"))
    await hand.press('form[action^="/undo/"] button')
    # Whoever was at the other address is signed out; she is led back to where she was.
    await hand.open("/me/address")
    await _by_link(journey, leads="/me/address")
    await _asks_there(journey)
    await hand.open(await journey.way("/me/address/"))
    await hand.press('form[action^="/me/address/"] button')
    assert NEXT in await hand.says("main")
    journey.address = NEXT


async def _starts(journey: Journey) -> None:
    """Allow the first newsletter again."""
    await journey.hand.open("/me/consent")
    await journey.hand.press(f'form[action="/me/consent/{journey.purposes[0].id}/grant"] button')


async def _asks_there(journey: Journey, address: str = NEXT, *, status: int = 200) -> None:
    await journey.hand.type("#address", address)
    await journey.hand.press('form[action="/me/address"] button', status=status)


async def is_mailed_again(journey: Journey) -> None:
    """A mail to her came back; she has come in since, and says that her mailbox works."""
    hand = journey.hand
    await journey.bounced()
    await hand.open("/me/consent")
    await hand.press('main form[action="/me/sign-out"] button')
    await hand.open(await journey.way("/sign-in/"))
    await hand.press('form[action^="/sign-in/"] button')
    assert hand.opened.page.url.endswith("/me/consent")
    await hand.press('form[action="/me/mailbox"] button')


async def looks_after_her_browsers(journey: Journey) -> None:
    """Signed in elsewhere, she signs it out from here."""
    hand = journey.hand
    await journey.elsewhere()
    await hand.open("/me")
    await hand.press('header a[href="/me/sessions"]')
    await hand.press(
        'form[action^="/me/sessions/"][action$="/end"]:not([action="/me/sessions/end"]) button'
    )
    await hand.press('form[action="/me/sessions/end"] button')


async def stops_all(journey: Journey) -> None:
    """In three ways, each by one press: all that we may do, all mails, all advertising."""
    hand = journey.hand
    await _starts(journey)
    await hand.press('form[action="/me/consent/withdrawal"] button')
    await _starts(journey)
    await hand.open("/me/delete")
    await hand.press('form[action="/me/consent/withdrawal"] button[value="mails"]')
    await hand.open("/me/requests")
    await hand.press('form[action="/me/objection"] button')


async def plans_and_calls_off(journey: Journey) -> None:
    """In a week; called off by the button of the mail, and once more on the page.

    She has been signed in for long, so that she has to prove anew whose mailbox it is.
    """
    hand = journey.hand
    await journey.long_ago()
    await hand.open("/me/delete")
    await hand.pick("fingerprint", "keep")
    await hand.press('form[action="/me/deletion"] button', status=403)
    await hand.press('main form[action="/me/sign-out"] button')
    await hand.open(await journey.way("/sign-in/"))
    await hand.press('form[action^="/sign-in/"] button')
    assert hand.opened.page.url.endswith("/me/delete")
    await _plans(journey)
    await hand.open(await journey.way("/call-off/"))
    await hand.press('form[action^="/call-off/"] button')
    await hand.open("/me/delete")
    await _plans(journey)
    await hand.open("/me/delete")
    await hand.press('form[action="/me/deletion/call-off"] button')


async def _plans(journey: Journey) -> None:
    hand = journey.hand
    await hand.press('form[action="/me/deletion"] button')
    await hand.pick("when", "later")
    await hand.press('form[action^="/me/deletion/confirmation"] button')


async def is_deleted(journey: Journey) -> None:
    """The choice, the last page, and what stays."""
    hand = journey.hand
    await hand.open("/me/delete")
    await hand.pick("fingerprint", "drop")
    await hand.press('form[action="/me/deletion"] button')
    assert hand.opened.page.url.endswith("fingerprint=drop")
    await hand.press('form[action^="/me/deletion/confirmation"] button', status=422)
    await hand.pick("when", "now")
    await hand.press('form[action^="/me/deletion/confirmation"] button')
    assert "/erased/" in hand.opened.page.url
    async with journey.database.read(journey.business.id) as db:
        assert await customers.by_address(db, NEXT) is None
