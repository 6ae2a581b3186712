"""What we may do: the customer's page, without script."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from datetime import timedelta
from html import unescape
from typing import Any
from uuid import UUID, uuid4

import httpx2
import pytest

from crm import consent, customers
from crm.businesses import Business
from crm.consent import Basis, Circumstances, Method, Notice, Purpose, Status
from crm.consent.portal import STARTS_A_DAY
from crm.customers import AttributeType, LawfulBasis, NewAttribute
from crm.db import Database
from crm.events import Actor
from tests import make
from tests.consent.conftest import SIGNED, say_no, say_yes
from tests.consent.site import client, form
from tests.consent.test_ageing import at

HERE = "/me/consent"


@pytest.fixture
async def portal(
    database: Database, business: Business, customer: UUID
) -> AsyncIterator[httpx2.AsyncClient]:
    async with database.write(business.id) as db:
        me = await customers.get(db, customer)
        word = await make.own_word(db, customer)
    async with client(database, business, me=me, mailbox=word.opt_in) as web:
        yield web


@pytest.fixture
async def at_noon(
    database: Database, business: Business, customer: UUID, notice: Notice
) -> AsyncIterator[httpx2.AsyncClient]:
    """Her pages at one instant of a day, as far from its end as can be; all is there by then."""
    noon = (database.clock() + timedelta(days=1)).replace(hour=12)
    async with database.write(business.id) as db:
        me = await customers.get(db, customer)
        word = await make.own_word(db, customer)
    async with client(at(database, noon), business, me=me, mailbox=word.opt_in) as web:
        yield web


async def status_of(
    database: Database, business: Business, customer: UUID, purpose_id: UUID
) -> Status | None:
    async with database.read(business.id) as db:
        state = await consent.state(db, customer, purpose_id)
    return state.status if state else None


def shown(words: Notice, /, **changes: Any) -> dict[str, Any]:
    return form(**({"notice": str(words.id), "sha256": words.sha256.hex()} | changes))


async def test_it_works(
    portal: httpx2.AsyncClient,
    database: Database,
    business: Business,
    customer: UUID,
    notice: Notice,
) -> None:
    at = f"{HERE}/{notice.purpose_id}"
    before = unescape((await portal.get(HERE)).text)
    assert "<b>Off</b>, never started" in before
    assert notice.text in before
    assert notice.control_label in before
    assert notice.sha256.hex() in before
    given = await portal.post(f"{at}/grant", data=shown(notice))
    # To the head of the page, where what was done is said.
    assert (given.status_code, given.headers["location"]) == (303, HERE)
    assert await status_of(database, business, customer, notice.purpose_id) is Status.given
    during = unescape((await portal.get(HERE)).text)
    assert "<b>On</b> since" in during
    assert "is on." in during
    assert "You started it on this page." in during
    stopped = await portal.post(f"{at}/withdrawal", data=form())
    assert stopped.status_code == 303
    assert await status_of(database, business, customer, notice.purpose_id) is Status.withdrawn
    after = unescape((await portal.get(HERE)).text)
    assert "<b>Off</b>, stopped by you on" in after
    assert "You stopped it on this page." in after


async def test_the_event_says_what_was_pressed(
    portal: httpx2.AsyncClient,
    database: Database,
    business: Business,
    customer: UUID,
    notice: Notice,
) -> None:
    await portal.post(f"{HERE}/{notice.purpose_id}/grant", data=shown(notice))
    async with database.read(business.id) as db:
        (event,) = await consent.history(db, customer)
    assert event.method is Method.portal
    assert (event.actor_kind, event.actor_id) == ("customer", customer)
    assert event.control_label == notice.control_label
    assert event.notice_sha256 == notice.sha256.hex()
    assert (event.form, event.page, event.evidence) == ("portal", HERE, {})
    assert event.opt_in is not None
    assert event.opt_in.way == "sign_in_link"


async def test_pressing_twice_is_one_yes(
    portal: httpx2.AsyncClient,
    database: Database,
    business: Business,
    customer: UUID,
    notice: Notice,
) -> None:
    for _ in range(2):
        await portal.post(f"{HERE}/{notice.purpose_id}/grant", data=shown(notice))
    async with database.read(business.id) as db:
        assert len(await consent.history(db, customer)) == 1


@pytest.mark.parametrize(
    "changes",
    [
        {"sha256": "0" * 64},
        {"sha256": ""},
        {"notice": str(uuid4())},
        {"notice": "é", "sha256": "ü"},
    ],
)
async def test_other_words_than_these_start_nothing(
    *,
    portal: httpx2.AsyncClient,
    database: Database,
    business: Business,
    customer: UUID,
    notice: Notice,
    changes: dict[str, str],
) -> None:
    path = f"{HERE}/{notice.purpose_id}/grant"
    answer = await portal.post(path, data=shown(notice, **changes))
    assert answer.status_code == 409
    assert "The words have changed" in answer.text
    assert notice.text in unescape(answer.text)
    assert await status_of(database, business, customer, notice.purpose_id) is None


async def test_a_version_published_meanwhile_is_shown_anew(
    portal: httpx2.AsyncClient,
    database: Database,
    business: Business,
    customer: UUID,
    notice: Notice,
) -> None:
    async with database.write(business.id) as db:
        newer = await make.notice(db, notice.purpose_id, text="Yes, and look at my purchases too.")
    path = f"{HERE}/{notice.purpose_id}/grant"
    answer = await portal.post(path, data=shown(notice))
    assert answer.status_code == 409
    assert newer.text in unescape(answer.text)
    assert await status_of(database, business, customer, notice.purpose_id) is None
    assert (await portal.post(path, data=shown(newer))).status_code == 303


async def test_whoever_has_no_text_in_her_language_starts_with_that_of_the_business(
    database: Database, business: Business, purpose: Purpose
) -> None:
    async with database.write(business.id) as db:
        me = await make.customer(db, locale="fr")
        word = await make.own_word(db, me.id)
        own = await make.notice(db, purpose.id, locale=business.locale)
        now = db.now
    async with at(database, now + timedelta(hours=1)).write(business.id) as db:
        await make.notice(db, purpose.id, locale="de", text="Ja, schickt mir den Brief.")
    async with client(database, business, me=me, mailbox=word.opt_in) as web:
        page = unescape((await web.get(HERE)).text)
        assert own.text in page
        assert own.sha256.hex() in page
        started = await web.post(f"{HERE}/{purpose.id}/grant", data=shown(own))
    assert started.status_code == 303
    assert await status_of(database, business, me.id, purpose.id) is Status.given


async def test_whoever_agreed_to_earlier_words_reads_those(
    portal: httpx2.AsyncClient,
    database: Database,
    business: Business,
    customer: UUID,
    notice: Notice,
) -> None:
    async with database.write(business.id) as db:
        await say_yes(db, customer, notice)
        newer = await make.notice(db, notice.purpose_id, text="Yes, and look at my purchases too.")
    seen = unescape((await portal.get(HERE)).text)
    assert notice.text in seen
    assert newer.text not in seen
    async with database.write(business.id) as db:
        await say_no(db, customer, notice.purpose_id)
    seen = unescape((await portal.get(HERE)).text)
    assert newer.text in seen
    # In the history the words of then still stand.
    assert notice.text in seen


async def test_a_purpose_without_text_cannot_be_started(
    portal: httpx2.AsyncClient, purpose: Purpose
) -> None:
    assert "/grant" not in (await portal.get(HERE)).text
    answer = await portal.post(f"{HERE}/{purpose.id}/grant", data=form())
    assert answer.status_code == 409


async def test_all_of_it(
    portal: httpx2.AsyncClient,
    database: Database,
    business: Business,
    customer: UUID,
    notice: Notice,
) -> None:
    assert "Stop all of it" not in (await portal.get(HERE)).text
    async with database.write(business.id) as db:
        await say_yes(db, customer, notice)
    assert "Stop all of it" in (await portal.get(HERE)).text
    assert (await portal.post(f"{HERE}/withdrawal", data=form())).status_code == 303
    assert await status_of(database, business, customer, notice.purpose_id) is Status.withdrawn


async def test_of_many_purposes_what_is_on_comes_first_and_all_of_it_is_near(
    portal: httpx2.AsyncClient,
    database: Database,
    business: Business,
    customer: UUID,
    notice: Notice,
) -> None:
    async with database.write(business.id) as db:
        more = [await make.purpose(db, name=f"Letter {number}") for number in range(5)]
        last = await make.notice(db, more[-1].id)
        assert [each.on for each in await consent.standings(db, customer, "en")] == [False] * 6
    assert 'href="#all_of_it"' not in (await portal.get(HERE)).text
    async with database.write(business.id) as db:
        await say_yes(db, customer, last)
    page = (await portal.get(HERE)).text
    head, _, parts = page.partition("</header>\n<section")
    assert '<a href="#all_of_it">Stop all of it</a>' in head
    assert page.count('id="all_of_it"') == 1
    titles = re.findall(r"<h2><bdi>([^<]*)</bdi></h2>", parts)
    assert titles[0] == "Letter 4"


async def test_what_began_with_a_purchase_is_stopped_here_and_not_started(
    database: Database,
) -> None:
    """A button that is always refused would be none."""
    business = await make.business(database, soft_opt_in=True)
    async with database.write(business.id) as db:
        me = await make.customer(db)
        purpose = await make.purpose(db, basis=Basis.soft_opt_in)
        notice = await make.notice(db, purpose.id)
        how = Circumstances(Method.api, evidence={"order": "4711"})
        await consent.tell_at_sale(db, Actor.key(UUID(int=9), "Shop"), me.id, notice.question, how)
    async with client(database, business, me=me) as web:
        on = (await web.get(HERE)).text
        await web.post(f"{HERE}/{purpose.id}/withdrawal", data=form())
        off = (await web.get(HERE)).text

    assert f"{purpose.id}/withdrawal" in on
    assert notice.text in on
    assert f"{purpose.id}/grant" not in on + off
    assert "It begins with a purchase" in off


async def test_a_long_history_stays_short_on_the_page(
    portal: httpx2.AsyncClient,
    database: Database,
    business: Business,
    customer: UUID,
    notice: Notice,
) -> None:
    """The newest stand there, and where the rest is."""
    async with database.write(business.id) as db:
        for _ in range(11):
            await say_yes(db, customer, notice)
            await say_no(db, customer, notice.purpose_id)
    seen = (await portal.get(HERE)).text
    assert seen.count('href="/me/receipts/') == 20 + 1
    assert "These are the newest." in seen


async def test_all_mails_are_not_all_uses(
    *,
    portal: httpx2.AsyncClient,
    database: Database,
    business: Business,
    customer: UUID,
    notice: Notice,
) -> None:
    """What is kept for a purpose is named beside the button that ends it, and goes with it only."""
    async with database.write(business.id) as db:
        use = await make.purpose(db, name="Purchase history", channel="none", double_opt_in=False)
        using = await make.notice(db, use.id, text="Yes, keep a history of what I buy.")
        await say_yes(db, customer, notice)
        await say_yes(db, customer, using)
        for name, purpose_id in (("size", notice.purpose_id), ("order", use.id), ("pet", None)):
            new = NewAttribute(
                basis=LawfulBasis.legitimate_interests,
                origin="From you.",
                label=f"The {name}",
                type=AttributeType.text,
                purpose="For a test.",
                retention="P1Y",
                purpose_id=purpose_id,
            )
            await customers.declare_attribute(db, make.SYSTEM, name, new)
            await customers.set_attributes(db, make.SYSTEM, customer, {name: "42"})
    seen = (await portal.get(HERE)).text
    assert seen.count("kept for it only: The size.") == 1
    assert seen.count("kept for it only: The order.") == 1
    assert "The pet" not in seen
    assert seen.index("The size") < seen.index("Purchase history") < seen.index("The order")

    stopped = await portal.post(f"{HERE}/withdrawal", data=form(which="mails"))

    assert stopped.status_code == 303
    assert "All mails are off" in (await portal.get(HERE)).text
    assert await status_of(database, business, customer, notice.purpose_id) is Status.withdrawn
    assert await status_of(database, business, customer, use.id) is Status.given
    await portal.post(f"{HERE}/withdrawal", data=form())
    assert await status_of(database, business, customer, use.id) is Status.withdrawn


async def test_every_kind_of_decision_has_its_sentence(
    portal: httpx2.AsyncClient,
    database: Database,
    business: Business,
    customer: UUID,
    notice: Notice,
) -> None:
    me, system = Actor.customer(customer), Actor.system()
    async with database.write(business.id) as db:
        asked = notice.question
        await consent.request(db, me, customer, asked, Circumstances(Method.web_form))
        await consent.defer(db, me, customer, asked, Circumstances(Method.portal))
        await consent.refuse(db, me, customer, asked, Circumstances(Method.portal))
        word = await make.own_word(db, customer, Method.double_opt_in)
        await consent.give(db, me, customer, asked, word)
        on_paper = Circumstances(Method.api, evidence=SIGNED)
        await consent.give(db, system, customer, asked, on_paper)
        again = await make.own_word(db, customer, Method.renewal)
        await consent.give(db, me, customer, asked, again)
        for method in (Method.one_click, Method.stop_page, Method.complaint, Method.staff):
            await consent.withdraw(db, system, customer, notice.purpose_id, method=method)
            await say_yes(db, customer, notice)
    seen = unescape((await portal.get(HERE)).text)
    for sentence in (
        "You asked for it on a sign-up form.",
        "You put off deciding.",
        "You said no.",
        "We asked in a mail whether you still want it.",
        "You confirmed from your mailbox.",
        "You signed a form.",
        "with the unsubscribe button of a mail",
        "with the link in a mail",
        "You reported a mail as unwanted.",
        "Our staff recorded that you said no.",
        "You started it on this page.",
    ):
        assert sentence in seen, sentence


@pytest.mark.parametrize("verb", ["grant", "withdrawal"])
async def test_a_foreign_form_is_refused(
    portal: httpx2.AsyncClient, notice: Notice, verb: str
) -> None:
    fields = {"notice": str(notice.id), "sha256": notice.sha256.hex()}
    answer = await portal.post(f"{HERE}/{notice.purpose_id}/{verb}", data=fields)
    assert answer.status_code == 403


@pytest.mark.parametrize("verb", ["grant", "withdrawal"])
async def test_an_unknown_purpose(portal: httpx2.AsyncClient, verb: str) -> None:
    answer = await portal.post(f"{HERE}/{uuid4()}/{verb}", data=form())
    assert answer.status_code == 404


async def test_a_stranger_sees_and_moves_nothing(
    database: Database,
    business: Business,
    other_business: Business,
    customer: UUID,
    notice: Notice,
) -> None:
    async with database.read(business.id) as db:
        me = await customers.get(db, customer)
    async with client(database, other_business, me=me) as stranger:
        assert notice.text not in unescape((await stranger.get(HERE)).text)
        path = f"{HERE}/{notice.purpose_id}/withdrawal"
        assert (await stranger.post(path, data=form())).status_code == 404
        path = f"{HERE}/{notice.purpose_id}/grant"
        assert (await stranger.post(path, data=shown(notice))).status_code == 404


async def test_nothing_moves_by_looking(
    portal: httpx2.AsyncClient,
    database: Database,
    business: Business,
    customer: UUID,
    notice: Notice,
) -> None:
    for path in ("grant", "withdrawal"):
        assert (await portal.get(f"{HERE}/{notice.purpose_id}/{path}")).status_code == 405
    await portal.get(HERE)
    assert await status_of(database, business, customer, notice.purpose_id) is None


async def test_she_starts_a_purpose_so_often_a_day_and_stops_it_always(
    at_noon: httpx2.AsyncClient,
    database: Database,
    business: Business,
    customer: UUID,
    notice: Notice,
) -> None:
    """Each is kept and sealed for years; of another purpose she has as many."""
    at = f"{HERE}/{notice.purpose_id}"
    async with database.write(business.id) as db:
        other = await make.notice(db, (await make.purpose(db)).id)
    for _ in range(STARTS_A_DAY):
        assert (await at_noon.post(f"{at}/grant", data=shown(notice))).status_code == 303
        assert (await at_noon.post(f"{at}/grant", data=shown(notice))).status_code == 303
        assert (await at_noon.post(f"{at}/withdrawal", data=form())).status_code == 303

    refused = await at_noon.post(f"{at}/grant", data=shown(notice))
    stopped = await at_noon.post(f"{at}/withdrawal", data=form())
    beside = await at_noon.post(f"{HERE}/{other.purpose_id}/grant", data=shown(other))

    assert refused.status_code == 429
    assert "You have started this very often today" in refused.text
    assert int(refused.headers["retry-after"]) > 0
    assert (stopped.status_code, beside.status_code) == (303, 303)
    assert await status_of(database, business, customer, notice.purpose_id) is Status.withdrawn
