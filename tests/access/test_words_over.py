"""A sign-up that is confirmed after other words came: what is over allows nothing, and says so."""

from __future__ import annotations

from datetime import timedelta

import httpx2
import pytest

from crm import consent, customers, mail
from crm.businesses import Business
from crm.consent import Status
from crm.db import Database
from crm.mail import Scope, Why
from tests import make
from tests.access.conftest import Asking, Clock, Inbox, Rows, SignUp

DAY = timedelta(days=1)


async def _publish(moved: Database, business: Business, asking: Asking, grace: timedelta) -> None:
    async with moved.write(business.id) as db:
        await make.other_words(db, asking.letter.id, grace=grace)


@pytest.fixture
async def older(
    *,
    sign_up: SignUp,
    inbox: Inbox,
    web: httpx2.AsyncClient,
    moved: Database,
    business: Business,
    asking: Asking,
    clocked: Clock,
) -> str:
    """The link of a mail about words that others have replaced, which she has said yes to since."""
    await sign_up.post()
    older = (await inbox.newest()).link
    await _publish(moved, business, asking, 4 * DAY)
    clocked.ahead += DAY
    await sign_up.post()
    await web.post((await inbox.newest()).link)
    return older


async def test_words_that_have_ended_are_not_agreed_to(
    *,
    sign_up: SignUp,
    inbox: Inbox,
    web: httpx2.AsyncClient,
    rows: Rows,
    moved: Database,
    business: Business,
    asking: Asking,
    clocked: Clock,
) -> None:
    await sign_up.post()
    mail = await inbox.newest()
    await _publish(moved, business, asking, DAY)
    clocked.ahead += 3 * DAY
    before = await rows.all()

    answers = [
        await web.get(mail.link),
        await web.post(mail.link),
        await web.post("/confirm", data={"address": mail.to, "code": mail.code}),
    ]

    assert [each.status_code for each in answers] == [409] * 3
    assert all("sign up once more" in each.text for each in answers)
    after = await rows.all()
    changed = {name for name in before if before[name] != after[name]}
    # The try at a code is counted.
    assert changed <= {"attempt"}


async def test_what_else_was_ticked_counts(
    *,
    sign_up: SignUp,
    inbox: Inbox,
    web: httpx2.AsyncClient,
    moved: Database,
    business: Business,
    asking: Asking,
    clocked: Clock,
) -> None:
    await sign_up.post("nora@example.com", "letter", "offers")
    link = (await inbox.newest()).link
    await _publish(moved, business, asking, DAY)
    clocked.ahead += 3 * DAY

    shown, done = await web.get(link), await web.post(link)

    for page in (shown, done):
        assert page.status_code == 200
        assert asking.offers_notice.text in page.text
        assert asking.letter_notice.text not in page.text
    async with moved.read(business.id) as db:
        nora = await customers.by_address(db, "nora@example.com")
        assert nora is not None
        assert {each.purpose_id for each in await consent.history(db, nora.id)} == {
            asking.offers.id
        }


async def test_an_older_mail_has_her_mailed_again(
    *,
    older: str,
    web: httpx2.AsyncClient,
    moved: Database,
    business: Business,
    asking: Asking,
    clocked: Clock,
) -> None:
    """Her press lifts what silenced her address, and the words that count are shown."""
    async with moved.write(business.id) as db:
        nora = await customers.by_address(db, "nora@example.com")
        assert nora is not None
        hers = db.keys.address_hash(business.id, "nora@example.com")
        await mail.suppress(db, make.SYSTEM, hers, Scope.marketing, Why.staff)
        assert not (await consent.check(db, nora.id, asking.letter.id)).authorises
        state = await consent.state(db, nora.id, asking.letter.id)
        assert state is not None
        assert state.notice_id is not None
        stands = await consent.notice(db, state.notice_id)
    clocked.ahead += DAY
    done = await web.post(older)
    again = await web.post(older)

    assert "You have said yes to newer words" in done.text
    assert stands.text in done.text
    assert asking.letter_notice.text not in done.text
    # What that press recorded were the older words.
    assert "You had confirmed this already" in again.text
    assert asking.letter_notice.text in again.text
    async with moved.read(business.id) as later:
        assert (await consent.check(later, nora.id, asking.letter.id)).authorises


async def test_an_older_mail_takes_no_newer_yes_back(
    *,
    older: str,
    web: httpx2.AsyncClient,
    moved: Database,
    business: Business,
    asking: Asking,
    clocked: Clock,
) -> None:
    clocked.ahead += DAY
    assert (await web.post(older)).status_code == 200

    async with moved.read(business.id) as db:
        nora = await customers.by_address(db, "nora@example.com")
        assert nora is not None
        state = await consent.state(db, nora.id, asking.letter.id)
        newest = (await consent.history(db, nora.id))[0]
    assert state is not None
    assert (state.purpose_version, state.status) == (2, Status.given)
    # What she pressed is on record all the same.
    assert (newest.purpose_version, newest.status) == (1, Status.renewed)
    clocked.ahead += 7 * DAY
    async with moved.read(business.id) as db:
        assert (await consent.check(db, nora.id, asking.letter.id)).authorises
