"""A consent that ends soon is asked about in an ordinary mail, and said again by her mailbox."""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from email import message_from_bytes, policy
from email.message import EmailMessage
from html import unescape
from uuid import UUID

import httpx2
import pytest
from msgspec import Struct

from crm import access, campaigns, consent, customers, privacy
from crm.access import Confirmed
from crm.access.model import LinkOver
from crm.businesses import Business
from crm.campaigns import Campaign
from crm.campaigns.as_sent import as_sent, held_mail
from crm.consent import ASKED_BEFORE, Method, Notice, Status
from crm.db import Database
from crm.events import Actor
from crm.mail.actions import claim_letters
from crm.privacy import Fingerprint
from crm.tokens import Why, why_token
from tests import make
from tests.campaigns.site import client
from tests.campaigns.test_send import sent_through
from tests.conftest import KEYS
from tests.smtpd import smtpd

DAY = timedelta(days=1)
_OWN = re.compile(r"https?://[\w.]+(/(?:u|p|why)/[\w-]+)")
_CONFIRM = re.compile(r"/confirm/([\w-]+)")
SAME_SITE = {"sec-fetch-site": "same-origin"}


def at(database: Database, now: datetime) -> Database:
    """The same database at another instant."""
    return Database(database.connections, KEYS, database.wake, lambda: now)


class Asked(Struct):
    """A campaign that went, near the end of one consent and far from that of another."""

    database: Database
    business: Business
    notice: Notice
    campaign: Campaign
    soon: UUID
    later: UUID
    ends_at: datetime
    mails: dict[str, EmailMessage]
    links: dict[UUID, str]


@pytest.fixture
async def asked(database: Database, business: Business) -> Asked:
    """Nora's consent ends in 30 days, Tom's in a year."""
    async with database.write(business.id) as db:
        purpose = await make.purpose(db, validity="P1Y")
        notice = await make.notice(db, purpose.id)
        (soon,) = await make.audience(db, notice, 1, prefix="soon")
        ends_at = customers.ends(db.now, "P1Y")
    now = at(database, ends_at - 30 * DAY)
    async with now.write(business.id) as db:
        (later,) = await make.audience(db, notice, 1, prefix="later")
        campaign = await make.campaign(db, purpose.id)
        review = await campaigns.review(db, campaign.id)
        await campaigns.start(db, Actor.system(), campaign.id)
    assert (review.will_get, review.asked) == (2, 1)
    async with smtpd() as relay:
        await sent_through(now, business, campaign.id, relay)
        mails = {}
        for each in relay.messages:
            message = message_from_bytes(each.content, policy=policy.default)
            assert isinstance(message, EmailMessage)
            mails[str(message["to"]).partition("0@")[0]] = message
    async with now.read(business.id) as read:
        known = await customers.of_ids(read, [soon, later])
    links = {
        each.id: "/why/"
        + why_token(
            KEYS, Why(business.id, KEYS.address_hash(business.id, each.address), campaign.id)
        )
        for each in known.values()
    }
    return Asked(now, business, notice, campaign, soon, later, ends_at, mails, links)


def parts(message: EmailMessage) -> tuple[str, str]:
    text, html = message.get_body(("plain",)), message.get_body(("html",))
    assert isinstance(text, EmailMessage)
    assert isinstance(html, EmailMessage)
    return text.get_content(), html.get_content()


def shown(notice: Notice, /, **changes: str) -> dict[str, str]:
    return {"notice": str(notice.id), "sha256": notice.sha256.hex()} | changes


async def press(asked: Asked, link: str, form: dict[str, str] | None = None) -> httpx2.Response:
    async with client(asked.database, asked.business) as browser:
        data = shown(asked.notice) if form is None else form
        return await browser.post(f"{link}/renewal", data=data, headers=SAME_SITE)


async def mailed(asked: Asked) -> list[str]:
    """Take the letters that wait, and from each the token of its link."""
    async with asked.database.write(asked.business.id) as db:
        letters = await claim_letters(db, 10)
    texts = [message_from_bytes(each.content, policy=policy.default) for each in letters]
    bodies = [parts(each)[0] for each in texts if isinstance(each, EmailMessage)]
    return [token[1] for body in bodies if (token := _CONFIRM.search(body))]


async def confirm(asked: Asked, token: str) -> Confirmed:
    """Press in the mail that only she has."""
    async with asked.database.write(asked.business.id) as db:
        return await access.confirm(db, token)


async def state(asked: Asked, customer: UUID) -> consent.Consent:
    async with asked.database.read(asked.business.id) as db:
        found = await consent.state(db, customer, asked.notice.purpose_id)
    assert found is not None
    return found


async def test_only_whose_consent_ends_soon_is_asked(asked: Asked) -> None:
    for part in parts(asked.mails["soon"]):
        assert "will end." in " ".join(part.split())
        assert "If you do nothing, they stop by themselves" in " ".join(part.split())
    for part in parts(asked.mails["later"]):
        assert "will end." not in part


async def test_there_are_three_addresses_of_her_own_and_no_fourth(asked: Asked) -> None:
    """What asks leads to the page that there is in every mail (promise 4)."""
    for message in asked.mails.values():
        text, html = parts(message)
        own = set(_OWN.findall(text)) | set(_OWN.findall(unescape(html)))
        assert len(own) == 3
        assert {each.split("/")[1] for each in own} == {"u", "p", "why"}


async def test_her_mailbox_says_it_again(asked: Asked) -> None:
    """The mail may have been passed on: its button decides nothing, and has her own one sent."""
    before = await state(asked, asked.soon)
    link = asked.links[asked.soon]
    async with client(asked.database, asked.business) as browser:
        page = unescape((await browser.get(link)).text)
    assert "Do you still want them?" in page
    assert asked.notice.control_label in page

    answer = await press(asked, link)

    assert (answer.status_code, answer.headers["location"]) == (303, link)
    # Nor did looking, also by a scanner that follows every link.
    assert await state(asked, asked.soon) == before
    async with asked.database.read(asked.business.id) as db:
        assert len(await consent.history(db, asked.soon)) == 1
    (token,) = await mailed(asked)

    assert not (await confirm(asked, token)).before
    assert (await confirm(asked, token)).before

    now = await state(asked, asked.soon)
    assert (now.status, now.method) == (Status.renewed, Method.renewal)
    assert now.ends_at is not None
    assert now.ends_at > asked.ends_at + 300 * DAY
    async with asked.database.read(asked.business.id) as db:
        event, request, given = await consent.history(db, asked.soon)
    assert event.opt_in is not None
    assert (event.opt_in.way, event.supersedes) == ("confirm_link", given.id)
    assert (request.status, event.form, event.page) == (Status.requested, "renewal", "/why")
    assert (event.actor_kind, event.actor_id) == ("customer", asked.soon)
    async with client(asked.database, asked.business) as browser:
        assert "Do you still want them?" not in unescape((await browser.get(link)).text)


async def test_where_there_is_no_need_nothing_is_sent(asked: Asked) -> None:
    link = asked.links[asked.soon]
    await press(asked, link)
    (token,) = await mailed(asked)
    await confirm(asked, token)
    assert (await press(asked, link)).status_code == 303
    assert await mailed(asked) == []


@pytest.mark.parametrize("ends", ["withdrawn", "expired"])
async def test_what_ended_meanwhile_stays_ended(asked: Asked, ends: str) -> None:
    """It says again what stands, and lifts nothing."""
    await press(asked, asked.links[asked.soon])
    (token,) = await mailed(asked)
    if ends == "expired":
        asked.ends_at = asked.database.clock() + DAY
        async with asked.database.write(asked.business.id) as db:
            await db._conn.execute(  # noqa: SLF001
                "UPDATE crm.consent SET valid_until = $1 WHERE customer_id = $2",
                asked.ends_at,
                asked.soon,
            )
        asked.database = at(asked.database, asked.ends_at)
    else:
        async with asked.database.write(asked.business.id) as db:
            me, purpose_id = Actor.customer(asked.soon), asked.notice.purpose_id
            await consent.withdraw(db, me, asked.soon, purpose_id, method=Method.one_click)
    with pytest.raises(LinkOver):
        await confirm(asked, token)
    async with asked.database.read(asked.business.id) as db:
        assert not (await consent.check(db, asked.soon, asked.notice.purpose_id)).authorises


async def test_who_is_not_asked_cannot_renew(asked: Asked) -> None:
    """Her consent ends in a year; pressing writes nothing."""
    before = await state(asked, asked.later)
    assert (await press(asked, asked.links[asked.later])).status_code == 303
    assert await mailed(asked) == []
    assert await state(asked, asked.later) == before


async def test_other_words_are_read_first(asked: Asked) -> None:
    async with asked.database.write(asked.business.id) as db:
        text = "Yes, go on with The Corner Letter, now every week."
        newer = await make.notice(db, asked.notice.purpose_id, text=text)
    link = asked.links[asked.soon]
    for form in (shown(asked.notice), shown(newer, sha256="00"), shown(newer, notice="x"), {}):
        answer = await press(asked, link, form)
        assert answer.status_code == 409
        assert text in unescape(answer.text)
        assert "nothing was renewed" in unescape(answer.text)
    assert await mailed(asked) == []
    assert (await press(asked, link, shown(newer))).status_code == 303
    (token,) = await mailed(asked)
    await confirm(asked, token)
    assert (await state(asked, asked.soon)).notice_id == newer.id


async def test_after_a_no_the_link_says_nothing_again(asked: Asked) -> None:
    async with asked.database.write(asked.business.id) as db:
        me = Actor.customer(asked.soon)
        purpose_id = asked.notice.purpose_id
        await consent.withdraw(db, me, asked.soon, purpose_id, method=Method.one_click)
    assert (await press(asked, asked.links[asked.soon])).status_code == 409
    assert (await state(asked, asked.soon)).status is Status.withdrawn


async def test_silence_ended_it_and_the_link_does_not_undo_that(asked: Asked) -> None:
    asked.database = at(asked.database, asked.ends_at)
    answer = await press(asked, asked.links[asked.soon])
    assert answer.status_code == 409
    assert "Sign up afresh" in unescape(answer.text)
    async with asked.database.read(asked.business.id) as db:
        assert not (await consent.check(db, asked.soon, asked.notice.purpose_id)).authorises


async def test_a_mail_of_long_ago_asks_nothing(asked: Asked, database: Database) -> None:
    """Who found it in an old mailbox has nobody written to."""
    async with asked.database.write(asked.business.id) as db:
        await db._conn.execute(  # noqa: SLF001
            "UPDATE crm.delivery SET done_at = $1 WHERE customer_id = $2",
            asked.database.clock() - ASKED_BEFORE,
            asked.soon,
        )
    assert (await press(asked, asked.links[asked.soon])).status_code == 303
    assert await mailed(asked) == []


@pytest.mark.parametrize("mangle", ["cut", "flip", "other business"])
async def test_a_forged_link_renews_nothing(
    asked: Asked, other_business: Business, mangle: str
) -> None:
    link = asked.links[asked.soon]
    if mangle == "cut":
        link = link[:-6]
    elif mangle == "flip":
        link = link[:-2] + ("A" if link[-2] != "A" else "B") + link[-1]
    else:
        asked.business = other_business
    assert (await press(asked, link)).status_code == 404


async def test_another_site_cannot_press_for_her(asked: Asked) -> None:
    async with client(asked.database, asked.business) as browser:
        answer = await browser.post(
            f"{asked.links[asked.soon]}/renewal",
            data=shown(asked.notice),
            headers={"sec-fetch-site": "cross-site", "origin": "https://evil.example"},
        )
    assert answer.status_code == 403
    assert (await state(asked, asked.soon)).status is Status.given


async def test_an_erased_customer_is_not_renewed(asked: Asked) -> None:
    async with asked.database.write(asked.business.id) as db:
        await customers.forget(db, asked.soon)
    assert (await press(asked, asked.links[asked.soon])).status_code == 409


async def test_read_again_it_asks_as_it_did(asked: Asked) -> None:
    """Hers is the wording that asked whether it goes on, and his the one that did not."""
    async with asked.database.read(asked.business.id) as db:
        for customer_id, name in ((asked.soon, "soon"), (asked.later, "later")):
            held = await held_mail(db, customer_id, asked.campaign.id)
            assert held is not None
            assert held.asked == (name == "soon")
            shown = await as_sent(db, await customers.get(db, customer_id), held)
            assert shown is not None
            text, html = parts(asked.mails[name])
            assert (shown.text.split(), shown.html.split()) == (text.split(), html.split())


@pytest.mark.parametrize("rests", ["frozen", "leaving"])
async def test_what_rests_is_not_mailed(asked: Asked, rests: str) -> None:
    """Whoever holds the mail: of a frozen record, and of one that waits for its deletion."""
    async with asked.database.write(asked.business.id) as db:
        if rests == "frozen":
            await customers.restrict(db, Actor.customer(asked.soon), asked.soon)
        else:
            await privacy.plan(db, await customers.get(db, asked.soon), Fingerprint.keep)
    await mailed(asked)
    link = asked.links[asked.soon]
    async with client(asked.database, asked.business) as browser:
        page = unescape((await browser.get(link)).text)

    assert "Do you still want them?" not in page
    assert (await press(asked, link)).status_code == 409
    assert await mailed(asked) == []
