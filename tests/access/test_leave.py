"""Leaving by a mail's link: one POST as RFC 8058 asks, always, whatever has happened since."""

from __future__ import annotations

import asyncio
import re
from typing import Any
from uuid import uuid4

import httpx2
import msgspec
import pytest

from crm import access, consent, customers, mail
from crm.businesses import Business
from crm.consent import Method, Status
from crm.customers import Customer
from crm.db import Database
from crm.events import Actor
from crm.mail import Scope, Suppression, Why
from crm.tokens import Stop, stop_token, why_token
from crm.tokens import Why as WhyLink
from tests import make
from tests.access.conftest import Asking, Rows, application, browser
from tests.conftest import KEYS

ONE_CLICK = "List-Unsubscribe=One-Click"
MULTIPART = (
    '--x\r\nContent-Disposition: form-data; name="List-Unsubscribe"\r\n\r\nOne-Click\r\n--x--\r\n'
)


@pytest.fixture
async def token(business: Business, asking: Asking, nora: Customer) -> str:
    return _token(business, asking.letter.code)


def _token(business: Business, code: int | None, address: str = "nora@example.com") -> str:
    fingerprint = KEYS.address_hash(business.id, address)
    return stop_token(KEYS, Stop(business.id, fingerprint, code))


async def _one_click(web: httpx2.AsyncClient, token: str) -> httpx2.Response:
    return await web.post(
        f"/u/{token}",
        content=ONE_CLICK,
        headers={"content-type": "application/x-www-form-urlencoded"},
    )


async def _statuses(
    database: Database, business: Business, customer: Customer
) -> dict[Any, tuple[Status, Method]]:
    async with database.read(business.id) as db:
        states = await consent.states(db, customer.id)
    return {state.purpose_id: (state.status, state.method) for state in states}


async def _suppression(database: Database, business: Business) -> Suppression | None:
    async with database.read(business.id) as db:
        fingerprint = KEYS.address_hash(business.id, "nora@example.com")
        return await mail.suppressed(db, fingerprint)


async def test_it_works(
    *,
    web: httpx2.AsyncClient,
    token: str,
    database: Database,
    business: Business,
    nora: Customer,
    asking: Asking,
) -> None:
    answer = await _one_click(web, token)

    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/plain")
    assert answer.headers["cache-control"] == "no-store"
    assert "set-cookie" not in answer.headers
    found = await _statuses(database, business, nora)
    assert found == {asking.letter.id: (Status.withdrawn, Method.one_click)}


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        (
            "multipart/form-data; boundary=x",
            MULTIPART,
        ),
        ("application/x-www-form-urlencoded", ONE_CLICK),
        ("application/x-www-form-urlencoded; charset=utf-8", ONE_CLICK),
        ("text/plain", ONE_CLICK),
        ("", ""),
        ("multipart/form-data", "no boundary"),
        ("multipart/form-data; boundary=x", "--y broken"),
        ("application/x-www-form-urlencoded", "%ff=%fe"),
        ("application/json", "{"),
        ("application/x-www-form-urlencoded", "x" * 50_000),
    ],
)
async def test_every_post_leaves_whatever_its_body(
    *,
    web: httpx2.AsyncClient,
    token: str,
    database: Database,
    business: Business,
    nora: Customer,
    asking: Asking,
    kind: str,
    body: str,
) -> None:
    answer = await web.post(
        f"/u/{token}",
        content=body,
        headers={
            "content-type": kind,
            "origin": "https://mail.example",
            "sec-fetch-site": "cross-site",
        },
    )

    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"].startswith("text/plain")
    found = await _statuses(database, business, nora)
    assert found[asking.letter.id][0] is Status.withdrawn


async def test_again_changes_nothing(web: httpx2.AsyncClient, token: str, rows: Rows) -> None:
    first = await _one_click(web, token)
    before = await rows.all()
    second = await _one_click(web, token)

    assert (first.status_code, first.text) == (second.status_code, second.text)
    assert await rows.all() == before


async def test_several_at_once_are_one_event(
    web: httpx2.AsyncClient, token: str, nora: Customer, database: Database, business: Business
) -> None:
    answers = await asyncio.gather(*(_one_click(web, token) for _ in range(8)))

    assert {a.status_code for a in answers} == {200}
    async with database.read(business.id) as db:
        events = await consent.history(db, nora.id)
    assert [each.status for each in events].count(Status.withdrawn) == 1


async def test_looking_changes_nothing(
    web: httpx2.AsyncClient, token: str, rows: Rows, asking: Asking
) -> None:
    before = await rows.all()

    for path in (f"/u/{token}", f"/p/{token}"):
        page = await web.get(path)
        assert page.status_code == 200
        assert "n•••@example.com" in page.text
        assert "nora@example.com" not in page.text
        assert asking.letter.name in page.text
        assert (await web.head(path)).status_code == 200

    assert await rows.all() == before


async def test_the_button_of_the_page_is_answered_with_a_page(
    *,
    web: httpx2.AsyncClient,
    token: str,
    database: Database,
    business: Business,
    nora: Customer,
    asking: Asking,
) -> None:
    answer = await web.post(f"/u/{token}", data={"stop": "these"})

    assert answer.status_code == 200
    assert "Stopped" in answer.text
    found = await _statuses(database, business, nora)
    assert found[asking.letter.id] == (Status.withdrawn, Method.stop_page)
    looked = await web.get(f"/u/{token}")
    assert "is off already" in looked.text


async def test_stopping_all_says_no_to_every_purpose_there_is(
    *,
    web: httpx2.AsyncClient,
    token: str,
    database: Database,
    business: Business,
    nora: Customer,
    asking: Asking,
) -> None:
    answer = await web.post(f"/u/{token}", data={"stop": "all"})

    assert "our mails" in answer.text
    found = await _statuses(database, business, nora)
    assert found == {
        asking.letter.id: (Status.withdrawn, Method.stop_page),
        asking.offers.id: (Status.withdrawn, Method.stop_page),
    }


async def test_stopping_all_mails_ends_no_use_of_data(
    *,
    web: httpx2.AsyncClient,
    token: str,
    database: Database,
    business: Business,
    nora: Customer,
    asking: Asking,
) -> None:
    """Neither one that she allowed, nor a no that she never said."""
    async with database.write(business.id) as db:
        use = await make.purpose(db, channel="none", double_opt_in=False)
        await make.purpose(db, channel="none", double_opt_in=False)
        notice = await make.notice(db, use.id)
        word = await make.own_word(db, nora.id)
        await consent.give(db, Actor.customer(nora.id), nora.id, notice.question, word)

    await web.post(f"/u/{token}", data={"stop": "all"})

    found = await _statuses(database, business, nora)
    assert {each: status for each, (status, _) in found.items()} == {
        asking.letter.id: Status.withdrawn,
        asking.offers.id: Status.withdrawn,
        use.id: Status.given,
    }


async def test_a_link_for_all_stops_all(
    web: httpx2.AsyncClient,
    database: Database,
    business: Business,
    nora: Customer,
    asking: Asking,
) -> None:
    page = await web.get(f"/u/{_token(business, None)}")
    answer = await _one_click(web, _token(business, None))

    assert "Stop all mails from Corner Bakery" in page.text
    assert answer.status_code == 200
    found = await _statuses(database, business, nora)
    assert {status for status, _ in found.values()} == {Status.withdrawn}


async def test_it_works_after_erasure(
    web: httpx2.AsyncClient, token: str, database: Database, business: Business, nora: Customer
) -> None:
    async with database.write(business.id) as db:
        await customers.forget(db, nora.id)
        await consent.forget(db, nora.id)

    page = await web.get(f"/u/{token}")
    answer = await _one_click(web, token)
    again = await _one_click(web, token)

    assert page.status_code == answer.status_code == again.status_code == 200
    found = await _suppression(database, business)
    assert found is not None
    assert (found.scope, found.reason) == (Scope.marketing, Why.left)
    assert (await web.get(f"/p/{token}")).status_code == 200


async def test_it_works_when_the_purpose_is_gone(
    web: httpx2.AsyncClient, business: Business, database: Database, nora: Customer, asking: Asking
) -> None:
    gone = _token(business, 4711)

    page = await web.get(f"/u/{gone}")
    answer = await _one_click(web, gone)

    assert page.status_code == answer.status_code == 200
    found = await _statuses(database, business, nora)
    assert found[asking.letter.id][0] is Status.withdrawn
    assert await _suppression(database, business) is not None


async def test_it_works_after_a_key_was_rotated(
    *,
    web: httpx2.AsyncClient,
    token: str,
    database: Database,
    business: Business,
    nora: Customer,
    asking: Asking,
) -> None:
    newer = msgspec.structs.replace(KEYS, link_keys=((2, b"2" * 32), *KEYS.link_keys))
    rotated = Database(database.connections, newer, database.wake, database.clock)
    async with browser(application(rotated), business) as client:
        answer = await _one_click(client, token)

    assert answer.status_code == 200
    found = await _statuses(database, business, nora)
    assert found[asking.letter.id][0] is Status.withdrawn


async def test_it_stops_a_consent_given_later(
    *,
    web: httpx2.AsyncClient,
    token: str,
    database: Database,
    business: Business,
    nora: Customer,
    asking: Asking,
) -> None:
    await _one_click(web, token)
    async with database.write(business.id) as db:
        by = Actor.customer(nora.id)
        word = await make.own_word(db, nora.id)
        await consent.give(db, by, nora.id, asking.letter_notice.question, word)

    await _one_click(web, token)

    found = await _statuses(database, business, nora)
    assert found[asking.letter.id][0] is Status.withdrawn


async def test_the_link_says_whose_it_is_not_the_host(
    *,
    app: Any,
    token: str,
    other_business: Business,
    database: Database,
    business: Business,
    nora: Customer,
    asking: Asking,
) -> None:
    async with browser(app, other_business) as client:
        page = await client.get(f"/u/{token}")
        answer = await _one_click(client, token)

    assert "Stranger" not in page.text
    assert answer.status_code == 200
    found = await _statuses(database, business, nora)
    assert found[asking.letter.id][0] is Status.withdrawn


@pytest.fixture
async def bad(business: Business, token: str) -> dict[str, str]:
    fingerprint = KEYS.address_hash(business.id, "nora@example.com")
    foreign = msgspec.structs.replace(KEYS, link_keys=((1, b"9" * 32),))
    return {
        "cut": token[:-3],
        "altered": token[:30] + ("A" if token[30] != "A" else "B") + token[31:],
        "other key": stop_token(foreign, Stop(business.id, fingerprint, 1)),
        "other use": why_token(KEYS, WhyLink(business.id, fingerprint, uuid4())),
        "nonsense": "ключ",
        "nobody": stop_token(KEYS, Stop(uuid4(), fingerprint, 1)),
    }


async def test_a_link_that_we_did_not_sign_is_refused(
    web: httpx2.AsyncClient, bad: dict[str, str], rows: Rows
) -> None:
    before = await rows.all()

    for token in bad.values():
        for answer in (
            await web.get(f"/u/{token}"),
            await web.get(f"/p/{token}"),
            await _one_click(web, token),
            await web.post(f"/p/{token}/stop", data={"stop": "all"}),
        ):
            assert answer.status_code == 404
            assert "copy it whole from the mail" in answer.text

    assert await rows.all() == before


@pytest.mark.parametrize("path", ["/u/{}", "/p/{}"])
async def test_a_link_that_was_cut_off_leads_to_another_way_to_leave(
    web: httpx2.AsyncClient, token: str, business: Business, path: str
) -> None:
    """The page is that of the business whose host it is, so that somebody can be asked, too."""
    nobodys = stop_token(KEYS, Stop(uuid4(), KEYS.address_hash(business.id, "nora@example.com"), 1))
    for cut in (token[:-5], nobodys):
        page = (await web.get(path.format(cut))).text
        assert '<a href="/leave">We send you a link that stops them.</a>' in page
        assert '<a class="button" href="/sign-in">Sign in</a>' in page
        assert business.name in page
        assert business.privacy_contact in page
        assert "every mail has a link" not in page


async def test_a_link_that_was_cut_off_leads_nowhere_where_nobody_is(app: Any, token: str) -> None:
    transport = httpx2.ASGITransport(app=app)
    async with httpx2.AsyncClient(transport=transport, base_url="http://nobody.example") as web:
        answer = await web.get(f"/u/{token[:-5]}")

    assert answer.status_code == 404
    assert "copy it whole from the mail" in answer.text
    assert 'href="/' not in answer.text.partition("<main")[2].partition("</main>")[0]


async def test_it_is_never_limited(web: httpx2.AsyncClient, token: str) -> None:
    answers = [await _one_click(web, token) for _ in range(200)]

    assert {a.status_code for a in answers} == {200}
    assert not any("ratelimit" in a.headers for a in answers)


async def test_preferences_stop_one_or_all(
    *,
    web: httpx2.AsyncClient,
    token: str,
    database: Database,
    business: Business,
    nora: Customer,
    asking: Asking,
) -> None:
    page = await web.get(f"/p/{token}")
    assert page.text.count(f'value="{asking.letter.id}"') == 1
    assert str(asking.offers.id) not in page.text
    assert 'href="/sign-in"' in page.text

    one = await web.post(f"/p/{token}/stop", data={"stop": str(asking.letter.id)})
    found = await _statuses(database, business, nora)
    said = await web.get(one.headers["location"])

    assert one.status_code == 303
    assert found == {asking.letter.id: (Status.withdrawn, Method.stop_page)}
    assert "The Corner Letter is off" in said.text

    await web.post(f"/p/{token}/stop", data={"stop": "all"})
    assert asking.offers.id in await _statuses(database, business, nora)


async def test_all_of_the_preferences_is_all_also_where_a_purpose_is_called_so(
    *,
    web: httpx2.AsyncClient,
    database: Database,
    business: Business,
    nora: Customer,
    asking: Asking,
) -> None:
    """Its own button stops it alone."""
    token = _token(business, None)
    async with database.write(business.id) as db:
        called = await make.purpose(db, slug="all", name="All our news")
        notice = await make.notice(db, called.id)
        word = await make.own_word(db, nora.id)
        await consent.give(db, Actor.customer(nora.id), nora.id, notice.question, word)
    buttons = re.findall(r'name="stop" value="([^"]*)"', (await web.get(f"/p/{token}")).text)

    await web.post(f"/p/{token}/stop", data={"stop": str(called.id)})
    alone = await _statuses(database, business, nora)
    await web.post(f"/p/{token}/stop", data={"stop": buttons[-1]})

    assert str(called.id) in buttons
    assert alone[called.id] == (Status.withdrawn, Method.stop_page)
    assert alone[asking.letter.id][0] is Status.given
    after = await _statuses(database, business, nora)
    assert {status for status, _ in after.values()} == {Status.withdrawn}


async def test_a_page_of_before_names_a_purpose_by_its_short_name(
    *,
    web: httpx2.AsyncClient,
    token: str,
    database: Database,
    business: Business,
    nora: Customer,
    asking: Asking,
) -> None:
    await web.post(f"/p/{token}/stop", data={"stop": "letter"})

    found = await _statuses(database, business, nora)
    assert found == {asking.letter.id: (Status.withdrawn, Method.stop_page)}


async def test_preferences_tell_nothing_of_what_the_mail_was_not_for(
    *,
    web: httpx2.AsyncClient,
    token: str,
    database: Database,
    business: Business,
    nora: Customer,
    asking: Asking,
) -> None:
    """Whoever has a newsletter passed on reads of that one; the owner's own link reads all."""
    before = (await web.get(f"/p/{token}")).text
    async with database.write(business.id) as db:
        word = await make.own_word(db, nora.id)
        by = Actor.customer(nora.id)
        await consent.give(db, by, nora.id, asking.offers_notice.question, word)

    passed_on = (await web.get(f"/p/{token}")).text
    hers = (await web.get(f"/p/{_token(business, None)}")).text

    assert passed_on == before
    assert asking.letter.name in passed_on
    assert 'value="all"' in passed_on
    assert asking.offers.name not in passed_on
    assert asking.offers.slug not in passed_on
    assert asking.letter.name in hers
    assert f'value="{asking.offers.id}"' in hers
    await web.post(f"/p/{token}/stop", data={"stop": "letter"})
    assert 'value="all"' in (await web.get(f"/p/{token}")).text


async def test_preferences_refuse_what_they_did_not_offer(
    web: httpx2.AsyncClient, token: str, rows: Rows
) -> None:
    before = await rows.all()

    for typed in ({"stop": "nonsense"}, {"stop": "offers"}, {"start": "letter"}, {}):
        assert (await web.post(f"/p/{token}/stop", data=typed)).status_code == 422

    assert await rows.all() == before


async def test_a_stranger_stops_nobody(
    database: Database, business: Business, other_business: Business, nora: Customer, asking: Asking
) -> None:
    """The fingerprint of an address is another in every business."""
    stop = Stop(other_business.id, KEYS.address_hash(business.id, "nora@example.com"), 1)
    async with database.write(other_business.id) as db:
        done = await access.leave(db, stop, method=Method.one_click)

    assert done.customer is None
    found = await _statuses(database, business, nora)
    assert found[asking.letter.id][0] is Status.given
