"""Her address changes: the new mailbox answers, she says yes anew, and the old one can undo it."""

from __future__ import annotations

import asyncio
import re
from contextlib import suppress
from datetime import timedelta
from typing import Any

import asyncpg
import httpx2
import pytest
from litestar import Router

from crm import access, campaigns, consent, customers, imports, mail
from crm.access import (
    Choice,
    NewSignup,
    auth,
    leaving,
    new_address,
    new_address_portal,
    sessions,
    wording,
)
from crm.access.actions import tidy
from crm.businesses import Business
from crm.businesses.host import of_host
from crm.campaigns import jobs as campaign_jobs
from crm.consent import Method, Status
from crm.customers import Customer
from crm.db import Database
from crm.events import Actor
from crm.imports.working import work_waiting
from crm.mail import Scope, TooManyLetters, Why
from crm.privacy import address_back_portal
from crm.tokens import Stop, stop_token
from crm.web.csrf import same_session
from crm.web.head import answers_head
from crm.web.refusals import PAGES, pages_behind
from tests import make
from tests.access.conftest import Asking, Clock, Inbox, Mail, Rows, application, browser
from tests.access.test_sign_up import Counting
from tests.campaigns.test_send import settings
from tests.conftest import KEYS, Cluster
from tests.smtpd import smtpd

NEW = "nora@new.example"
HERE = "/me/address"
_CSRF = re.compile(r'name="csrf" value="([^"]+)"')
_SHOWN = re.compile(r'name="shown" value="([^"]+)"')
_ROUTERS = (
    Router(
        "/me",
        route_handlers=new_address_portal.handlers,
        guards=[of_host, auth.signed_in_customer, same_session],
        exception_handlers=pages_behind("/sign-in"),
    ),
    Router(
        "/",
        route_handlers=address_back_portal.by_link,
        guards=[of_host],
        exception_handlers=PAGES,
    ),
)


@pytest.fixture
async def app(moved: Database) -> Any:
    """The domain's routes, and those of this page."""
    return answers_head(application(moved, *_ROUTERS))


class Her:
    """Nora's browser, signed in, and what she does with it."""

    def __init__(self, web: httpx2.AsyncClient, inbox: Inbox) -> None:
        self.web = web
        self.inbox = inbox

    async def page(self, path: str = HERE) -> str:
        answer = await self.web.get(path)
        assert answer.status_code == 200, answer.text
        return answer.text

    async def post(self, path: str, *, seen: str = "", **fields: Any) -> httpx2.Response:
        """Send a form with what stands hidden in it, as it was `seen` or is now."""
        shown = seen or await self.page()
        token = _CSRF.search(shown)
        assert token is not None
        hidden = {"csrf": token[1], "shown": _SHOWN.findall(shown)}
        return await self.web.post(path, data={**hidden, **fields})

    async def ask(self, address: str = NEW) -> Mail:
        answer = await self.post(HERE, address=address)
        assert answer.status_code == 303, answer.text
        return await self.inbox.newest()


@pytest.fixture
async def her(
    web: httpx2.AsyncClient, inbox: Inbox, moved: Database, business: Business, nora: Customer
) -> Her:
    await _sign_in(moved, business, nora, web)
    return Her(web, inbox)


async def _sign_in(
    database: Database, business: Business, customer: Customer, web: httpx2.AsyncClient
) -> None:
    async with database.write(business.id) as db:
        token = await access.open_session(db, await make.entered(db, customer.id))
    web.cookies.set("me", token)


async def _now(database: Database, business: Business, customer: Customer) -> Customer:
    async with database.read(business.id) as db:
        return await customers.get(db, customer.id)


async def _state(
    database: Database, business: Business, customer: Customer, asking: Asking
) -> tuple[Status, Method] | None:
    async with database.read(business.id) as db:
        found = await consent.state(db, customer.id, asking.letter.id)
    return (found.status, found.method) if found else None


async def _suppressed(database: Database, business: Business, address: str) -> Any:
    async with database.read(business.id) as db:
        return await mail.suppressed(db, KEYS.address_hash(business.id, address))


async def test_by_the_code_with_the_words_said_again(
    *,
    her: Her,
    moved: Database,
    business: Business,
    nora: Customer,
    asking: Asking,
    inbox: Inbox,
) -> None:
    """New address, a renewed yes that rests on the new mailbox, and the old one is told."""
    sent = await her.ask()
    waits = await _now(moved, business, nora)
    done = await her.post(f"{HERE}/code", code=sent.code, again=str(asking.letter_notice.id))

    assert (sent.kind, sent.to) == ("confirmation", NEW)
    assert waits.address == "nora@example.com"
    assert (done.status_code, done.headers["location"]) == (303, "/me/details")
    assert (await _now(moved, business, nora)).address == NEW
    state = await _state(moved, business, nora, asking)
    assert state == (Status.renewed, Method.double_opt_in)
    async with moved.read(business.id) as db:
        newest = (await consent.history(db, nora.id))[0]
    assert newest.opt_in is not None
    assert newest.opt_in.way == "address_code"
    told = await inbox.newest()
    assert (told.kind, told.to) == ("notice", "nora@example.com")
    assert NEW not in told.text + told.html
    assert (await _suppressed(moved, business, "nora@example.com")).reason is Why.moved
    assert (await her.web.get("/me")).status_code == 200


async def test_by_the_link_and_nothing_ticked(
    *, her: Her, moved: Database, business: Business, nora: Customer, asking: Asking
) -> None:
    """A yes that she does not say again ends, and the page says why."""
    sent = await her.ask()
    shown = await her.page(sent.link)
    done = await her.post(sent.link, seen=shown)

    assert asking.letter_notice.text in shown
    assert "checked" not in shown
    assert done.status_code == 303
    assert await _state(moved, business, nora, asking) == (Status.expired, Method.new_address)
    async with moved.read(business.id) as db:
        assert not await consent.authorised(db, asking.letter.id, [nora.id])


async def test_a_yes_rests_on_the_new_mailbox_from_then_on(
    *, her: Her, moved: Database, business: Business, nora: Customer
) -> None:
    """The session goes on by the new proof; every other browser is signed out."""
    async with moved.write(business.id) as db:
        other = await access.open_session(db, await make.entered(db, nora.id))
    sent = await her.ask()
    await her.post(sent.link)

    async with moved.read(business.id) as db:
        held = await access.export(db, nora.id)
        assert await sessions.session(db, other) is None
    assert [each.way for each in held.sessions] == ["address_link"]
    assert held.links == []


@pytest.mark.parametrize("known", [True, False])
async def test_an_address_of_somebody_else_is_answered_alike(
    *, her: Her, moved: Database, business: Business, nora: Customer, known: bool
) -> None:
    """The same pages and statements; its owner is told, and no code of any mail makes it hers."""
    if known:
        async with moved.write(business.id) as db:
            await make.customer(db, address=NEW)
    sent = await her.ask()
    page = await her.page()
    tried = await her.post(f"{HERE}/code", code="ABCD EFGH")

    assert sent.to == NEW
    assert "Confirm your new address" in page
    assert tried.status_code == 422
    assert sent.kind == ("asked" if known else "confirmation")
    if known:
        assert "It belongs to your own record" in sent.text
        assert f"{HERE}/" not in sent.text
        assert nora.address not in sent.text


async def test_as_many_statements_whoever_has_it(
    *, moved: Database, business: Business, nora: Customer
) -> None:
    """Nobody learns from the time that it takes whether an address is known."""
    async with moved.write(business.id) as db:
        await make.customer(db, address="zoe@example.com")
    counted = []
    for address in ("zoe@example.com", "nobody@example.com"):
        async with moved.write(business.id) as db:
            counting = Counting(db._conn, db.business_id, db.now, db.keys)  # noqa: SLF001
            await new_address.ask(counting, nora, customers.parse(address))
            counted.append(counting.count)
    assert counted[0] == counted[1]


async def test_what_others_mailed_there_tells_nothing(
    *, moved: Database, business: Business, nora: Customer
) -> None:
    """Whoever fills a mailbox first learns as little: the change waits, known or not."""
    seen = []
    async with moved.write(business.id) as db:
        await make.customer(db, address="zoe@example.com")
        for address in ("zoe@example.com", "nobody@example.com"):
            to = customers.parse(address)
            letter = wording.answer(
                mail.LetterKind.asked,
                wording.words("address_taken", "en", business, asked="", link="", code=""),
                to,
                KEYS.address_hash(business.id, to.folded),
                None,
            )
            with suppress(TooManyLetters):
                while await mail.post_letter(db, letter):
                    pass
            await new_address.ask(db, nora, to)
            waits = await new_address.waiting(db, nora.id)
            seen.append(waits is not None and waits.address == address)
    assert seen == [True, True]


async def test_undone_from_the_old_mailbox(
    *,
    her: Her,
    elsewhere: httpx2.AsyncClient,
    moved: Database,
    business: Business,
    nora: Customer,
    asking: Asking,
    inbox: Inbox,
) -> None:
    """Without a sign-in, once: the old address is back, everybody is out, the new one is told."""
    sent = await her.ask()
    await her.post(f"{HERE}/code", code=sent.code, again=str(asking.letter_notice.id))
    undo = (await inbox.newest()).link
    looked = await elsewhere.get(undo)
    unchanged = await _now(moved, business, nora)
    done = await elsewhere.post(undo)
    again = await elsewhere.post(undo)

    assert looked.text.count('<button class="button') == 1
    assert unchanged.address == NEW
    assert (done.status_code, again.status_code) == (200, 404)
    assert (await _now(moved, business, nora)).address == "nora@example.com"
    assert (await her.web.get("/me")).status_code == 303
    assert await _state(moved, business, nora, asking) == (Status.expired, Method.new_address)
    told = await inbox.newest()
    assert (told.kind, told.to) == ("notice", NEW)
    assert await _suppressed(moved, business, "nora@example.com") is None
    assert (await _suppressed(moved, business, NEW)).reason is Why.moved


async def test_the_first_mailbox_undoes_every_later_change(
    *,
    her: Her,
    elsewhere: httpx2.AsyncClient,
    moved: Database,
    business: Business,
    nora: Customer,
    inbox: Inbox,
) -> None:
    """Whoever took a record over cannot shake its owner off by changing it once more."""
    await her.post((await her.ask()).link)
    first = (await inbox.newest()).link
    await her.post((await her.ask("thief@third.example")).link)
    second = (await inbox.newest()).link

    assert (await elsewhere.post(first)).status_code == 200
    assert (await elsewhere.post(second)).status_code == 404
    assert (await _now(moved, business, nora)).address == "nora@example.com"


async def test_the_way_to_undo_ends_when_its_letter_says(
    *,
    her: Her,
    elsewhere: httpx2.AsyncClient,
    moved: Database,
    clocked: Clock,
    business: Business,
    nora: Customer,
    inbox: Inbox,
) -> None:
    """To the minute: on that day it works no more."""
    await her.post((await her.ask()).link)
    letter = await inbox.newest()
    async with moved.read(business.id) as db:
        (former,) = (await access.export(db, nora.id)).former_addresses
    assert former.undo_until is not None
    until = str(wording.moment(former.undo_until, business))

    assert f"works until {until}" in " ".join(letter.text.split())
    assert f"works until {until}" in " ".join(letter.html.split())
    clocked.ahead += former.undo_until - moved.clock() - timedelta(minutes=1)
    looked = await elsewhere.get(letter.link)
    assert looked.status_code == 200
    assert f"{former.undo_until:%H:%M} UTC" in looked.text
    clocked.ahead += timedelta(minutes=1)
    assert (await elsewhere.get(letter.link)).status_code == 404


async def test_the_time_to_undo_ends(
    *,
    her: Her,
    elsewhere: httpx2.AsyncClient,
    moved: Database,
    clocked: Clock,
    business: Business,
    nora: Customer,
    inbox: Inbox,
) -> None:
    """After two weeks the old address itself is gone, and only its fingerprint is kept."""
    await her.post((await her.ask()).link)
    undo = (await inbox.newest()).link
    clocked.ahead += timedelta(days=14, seconds=1)
    over = await elsewhere.post(undo)
    async with moved.write(business.id) as db:
        await tidy(db)
        held = await access.export(db, nora.id)

    assert over.status_code == 404
    (former,) = held.former_addresses
    assert (former.address, former.folded, former.undo_until) == (None, None, None)
    assert former.address_hash == KEYS.address_hash(business.id, "nora@example.com")


@pytest.mark.parametrize("taken", [True, False])
async def test_links_in_old_mails_still_stop(
    *,
    her: Her,
    elsewhere: httpx2.AsyncClient,
    moved: Database,
    business: Business,
    nora: Customer,
    asking: Asking,
    taken: bool,
) -> None:
    """They stop what comes to the new address, and show nothing of it; as for its owner now."""
    sent = await her.ask()
    await her.post(f"{HERE}/code", code=sent.code, again=str(asking.letter_notice.id))
    others = []
    if taken:
        async with moved.write(business.id) as db:
            others = [await make.customer(db, address="nora@example.com")]
            word = await make.own_word(db, others[0].id)
            by = Actor.customer(others[0].id)
            await consent.give(db, by, others[0].id, asking.letter_notice.question, word)
    fingerprint = KEYS.address_hash(business.id, "nora@example.com")
    token = stop_token(KEYS, Stop(business.id, fingerprint, asking.letter.code))
    shown = (await elsewhere.get(f"/u/{token}")).text
    chosen = (await elsewhere.get(f"/p/{token}")).text
    left = await elsewhere.post(f"/u/{token}", data={"List-Unsubscribe": "One-Click"})

    assert left.status_code == 200
    assert "new.example" not in shown + chosen
    assert taken or "changed since" in shown
    assert "Stop these mails" in chosen
    for each in [nora, *others]:
        assert await _state(moved, business, each, asking) == (
            Status.withdrawn,
            Method.one_click,
        )


async def test_expired_used_foreign_forged_and_cut(
    *,
    her: Her,
    app: Any,
    moved: Database,
    clocked: Clock,
    business: Business,
    nora: Customer,
    asking: Asking,
) -> None:
    """Each is answered with what to do, and changes nothing."""
    older = await her.ask()
    sent = await her.ask("nora@newer.example")
    replaced = await her.post(older.link)
    forged = await her.web.get(f"{sent.link[:-4]}AAAA")
    cut = await her.web.get(sent.link[:-9])
    async with moved.write(business.id) as db:
        zoe = await make.customer(db, address="zoe@example.com")
    async with browser(app, business) as web:
        await _sign_in(moved, business, zoe, web)
        foreign = await web.get(sent.link)
    async with browser(app, business) as web:
        nobody = await web.get(sent.link)
    clocked.ahead += timedelta(minutes=59)
    async with browser(app, business) as web:
        await _sign_in(moved, business, nora, web)
        late = Her(web, her.inbox)
        in_time = await web.get(sent.link)
        clocked.ahead += timedelta(minutes=1)
        expired = await web.get(sent.link)
        code = await late.post(f"{HERE}/code", code=sent.code)

    assert [each.status_code for each in (replaced, forged, cut, foreign, expired)] == [404] * 5
    assert (nobody.status_code, nobody.headers["location"]) == (303, "/sign-in")
    assert (in_time.status_code, code.status_code) == (200, 404)
    assert (await _now(moved, business, nora)).address == "nora@example.com"


async def test_two_presses_and_two_tabs(
    *, her: Her, moved: Database, business: Business, nora: Customer, inbox: Inbox
) -> None:
    """One change, one mail to the old address; the second press is told that the link is over."""
    sent = await her.ask()
    seen = await her.page(sent.link)
    both = await asyncio.gather(her.post(sent.link, seen=seen), her.post(sent.link, seen=seen))

    assert sorted(each.status_code for each in both) == [303, 404]
    assert "nora@new.example" in next(each for each in both if each.status_code == 404).text
    assert (await _now(moved, business, nora)).version == nora.version + 1
    told = [each for each in await inbox.mails() if each.to == "nora@example.com"]
    assert len(told) == 1


async def test_other_words_than_were_shown(
    *, her: Her, moved: Database, business: Business, nora: Customer, asking: Asking
) -> None:
    """A text published since the page was opened is shown first; nothing has changed."""
    sent = await her.ask()
    seen = await her.page(sent.link)
    async with moved.write(business.id) as db:
        await make.notice(db, asking.letter.id, text="Yes, send me other things by e-mail.")
    asked = await her.post(sent.link, seen=seen, again=str(asking.letter_notice.id))

    assert asked.status_code == 409
    assert "Yes, send me other things" in asked.text
    assert (await _now(moved, business, nora)).address == "nora@example.com"


async def test_scanners_open_everything(
    *, her: Her, app: Any, business: Business, inbox: Inbox, rows: Rows
) -> None:
    """Every link of every mail, with and without her cookies, by GET and HEAD: nothing changes."""
    await her.post((await her.ask()).link)
    await her.ask("nora@newer.example")
    links = [each.link for each in await inbox.mails()]
    before = await rows.all()
    async with browser(app, business) as scanner:
        for web in (scanner, her.web):
            for link in links:
                assert (await web.head(link)).status_code in {200, 303, 404}
                assert (await web.get(link)).status_code in {200, 303, 404}
    after = await rows.all()

    assert len(links) == 3
    # That she was seen is the session's own business.
    assert after | {"portal_session": []} == before | {"portal_session": []}


async def test_a_stale_sign_in_asks_for_nothing(*, her: Her, clocked: Clock, inbox: Inbox) -> None:
    """A page left open proves nobody's mailbox."""
    seen = await her.page()
    clocked.ahead += timedelta(minutes=10)

    assert (await her.web.get(HERE)).status_code == 403
    assert (await her.post(HERE, seen=seen, address=NEW)).status_code == 403
    assert await inbox.mails() == []


@pytest.mark.parametrize("address", ["NORA@Example.com", "", "no address", "a@b@c.example"])
async def test_no_other_address(*, her: Her, inbox: Inbox, address: str) -> None:
    """Her own in other letters, and what is none: said at the field, with no mail."""
    answer = await her.post(HERE, address=address)

    assert answer.status_code == 422
    assert 'id="address-problem"' in answer.text
    assert await inbox.mails() == []


async def test_few_mails_to_one_mailbox(*, her: Her, inbox: Inbox) -> None:
    """A customer cannot flood a stranger; the answer stays the same."""
    for _ in range(5):
        await her.ask()
    assert len(await inbox.mails()) == 3
    # That is her own count, so she is told.
    assert "so no mail was sent" in await her.page()


async def test_a_suppressed_address_stays_suppressed(
    *, her: Her, moved: Database, business: Business, asking: Asking
) -> None:
    """Unless she says yes there in her own words; the mail that asks her passes."""
    fingerprint = KEYS.address_hash(business.id, NEW)
    async with moved.write(business.id) as db:
        await mail.suppress(db, make.SYSTEM, fingerprint, Scope.all, Why.complained)
    await her.post((await her.ask()).link)
    assert (await _suppressed(moved, business, NEW)).reason is Why.complained

    async with moved.write(business.id) as db:
        (nora,) = await leaving.owners(db, fingerprint)
        word = await make.own_word(db, nora.id)
        by = Actor.customer(nora.id)
        await consent.give(db, by, nora.id, asking.letter_notice.question, word)
    assert await _suppressed(moved, business, NEW) is None


async def test_somebody_else_signs_up_there_first(
    *, her: Her, moved: Database, business: Business, nora: Customer
) -> None:
    """The change is refused, and waits for nothing."""
    sent = await her.ask()
    async with moved.write(business.id) as db:
        await make.customer(db, address=NEW)
    answer = await her.post(sent.link)

    assert answer.status_code == 409
    assert (await _now(moved, business, nora)).address == "nora@example.com"


async def test_an_old_list_does_not_bring_the_old_address_back(
    *, her: Her, moved: Database, business: Business, asking: Asking
) -> None:
    """Whatever a list says of consent at the address she has left, nothing is sent there."""
    await her.post((await her.ask()).link)
    line = "nora@example.com,Nora,2021-05-04 09:10:11,2021-05-04 09:12:11"
    text = f"Email Address,First Name,OPTIN_TIME,CONFIRM_TIME\n{line}"
    async with moved.write(business.id) as db:
        received = await imports.receive(
            db, make.SYSTEM, asking.letter.id, "list.csv", text.encode()
        )
    await work_waiting(moved, business.id, received.id)

    async with moved.read(business.id) as db:
        back = await customers.by_address(db, "nora@example.com")
    assert back is None


async def test_a_campaign_that_waits_goes_to_the_new_mailbox(
    *, her: Her, moved: Database, business: Business, nora: Customer, asking: Asking
) -> None:
    """What she said again is sent to the address she has; nothing goes to the old one."""
    async with moved.write(business.id) as db:
        campaign = await make.campaign(db, asking.letter.id)
        await campaigns.start(db, make.SYSTEM, campaign.id)
    async with smtpd() as relay:
        ctx: campaign_jobs.Ctx = {
            "database": moved,
            "settings": settings(relay.port),
            "sending": asyncio.Lock(),
        }
        await campaign_jobs.fill(ctx, str(business.id), str(campaign.id))
        sent = await her.ask()
        await her.post(f"{HERE}/code", code=sent.code, again=str(asking.letter_notice.id))
        await campaign_jobs.send(ctx, str(business.id), str(campaign.id))

    assert [message.recipients for message in relay.messages] == [[NEW]]


async def test_postgresql_refuses_any_other_way(
    shared_cluster: Cluster, business: Business, nora: Customer
) -> None:
    """Staff, a program or an import cannot point a record at another mailbox (promise 7)."""
    conn = await asyncpg.connect(shared_cluster.app_url)
    try:
        await conn.execute(f"BEGIN; SELECT crm.begin_business('{business.id}')")
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await conn.execute(
                "UPDATE crm.customer SET address = 'x@y.example', folded = 'x@y.example',"
                " address_hash = substr(sha256('x'), 1, 16) WHERE customer_id = $1",
                nora.id,
            )
        await conn.execute(f"ROLLBACK; BEGIN; SELECT crm.begin_business('{business.id}')")
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await conn.execute(
                "UPDATE crm.former_address SET address = 'x@y.example', folded = 'x@y.example',"
                " undo_hash = sha256('x'), undo_until = now() WHERE customer_id = $1",
                nora.id,
            )
    finally:
        await conn.close()


async def _asked_again(
    database: Database, business: Business, asking: Asking, address: str
) -> None:
    choices = (Choice(asking.letter.id, asking.letter_notice.id),)
    wish = NewSignup(
        address=customers.parse(address),
        name="",
        locale="en",
        choices=choices,
        page="/why",
        again=True,
    )
    async with database.write(business.id) as db:
        await access.start(db, wish)


async def test_what_waits_to_be_said_again_ends_with_the_move(
    *,
    her: Her,
    moved: Database,
    business: Business,
    asking: Asking,
    inbox: Inbox,
    rows: Rows,
) -> None:
    await _asked_again(moved, business, asking, "nora@example.com")
    link = (await inbox.newest()).link
    before = await rows.count("signup")
    await her.post(f"{HERE}/code", code=(await her.ask()).code, again=str(asking.letter_notice.id))
    left = await rows.count("signup")
    answer = await her.web.post(link)

    assert (before, left, answer.status_code) == (1, 0, 404)


async def test_saying_it_again_makes_nobody_a_customer(
    *,
    elsewhere: httpx2.AsyncClient,
    moved: Database,
    business: Business,
    asking: Asking,
    inbox: Inbox,
) -> None:
    """Though the press is answered with a page, so that what it wrote would be kept."""
    await _asked_again(moved, business, asking, NEW)
    link = (await inbox.newest()).link
    looked = await elsewhere.get(link)
    answer = await elsewhere.post(link)
    async with moved.read(business.id) as db:
        known = await customers.by_hash(db, KEYS.address_hash(business.id, NEW))

    for each in (looked, answer):
        assert each.status_code == 404
        assert "nothing to go on with" in each.text
        assert "<form" not in each.text.partition("<main")[2].partition("</main")[0]
    assert known is None
