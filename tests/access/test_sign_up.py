"""Signing up: the form, what it refuses, and that its answer tells nobody whose address it is."""

from __future__ import annotations

import hashlib
import html
import re
from datetime import timedelta
from typing import Any

import httpx2
import msgspec
import pytest

from crm import access, businesses, consent, customers, mail
from crm.access import wording
from crm.access.form import Shown, seal
from crm.access.model import SIGNUP_LASTS, Choice, NewSignup
from crm.businesses import Business, NewBusiness
from crm.customers import Customer
from crm.db import Database, Db, Statement
from crm.mail import Scope, Why
from tests import make
from tests.access.conftest import Asking, Clock, Inbox, Rows, SignUp
from tests.conftest import KEYS

SAME_SITE = {"sec-fetch-site": "same-origin"}


async def test_it_works(sign_up: SignUp, inbox: Inbox, rows: Rows) -> None:
    answer = await sign_up.post()

    assert (answer.status_code, answer.headers["location"]) == (303, "/sign-up/mailed")
    assert "Look into your mailbox" in (await sign_up.web.get("/sign-up/mailed")).text
    sent = await inbox.newest()
    assert (sent.kind, sent.to) == ("confirmation", "nora@example.com")
    assert sent.link.startswith("/confirm/")
    assert await rows.count("signup") == 1
    assert await rows.count("customer") == 0


async def test_a_page_that_nobody_can_read_is_none(sign_up: SignUp) -> None:
    answer = await sign_up.post(headers={"referer": "http://[bad"})

    assert answer.status_code == 303


async def test_the_form_shows_the_exact_words_and_no_ticked_box(
    web: httpx2.AsyncClient, asking: Asking
) -> None:
    page = await web.get("/sign-up")

    assert html.escape(asking.letter_notice.text) in page.text
    assert asking.offers_notice.control_label in page.text
    assert "checked" not in page.text
    assert "<script" not in page.text
    assert page.headers["x-robots-tag"] == "all"


async def test_it_can_show_some_purposes_only(web: httpx2.AsyncClient, asking: Asking) -> None:
    page = await web.get("/sign-up?purposes=offers,nonsense")

    assert 'value="offers"' in page.text
    assert 'value="letter"' not in page.text


async def test_a_form_for_nothing_says_so(web: httpx2.AsyncClient, asking: Asking) -> None:
    page = await web.get("/sign-up?purposes=gone")

    assert page.status_code == 404
    assert "Nothing to sign up for" in page.text


async def test_looking_at_the_form_changes_nothing(
    web: httpx2.AsyncClient, asking: Asking, rows: Rows
) -> None:
    before = await rows.all()

    await web.get("/sign-up")
    await web.head("/sign-up")

    assert await rows.all() == before


async def test_the_mail_says_until_when_its_link_works(
    sign_up: SignUp, inbox: Inbox, web: httpx2.AsyncClient, clocked: Clock, business: Business
) -> None:
    """To the minute: on that day it works no more."""
    before = clocked()
    await sign_up.post()
    after = clocked()
    letter = await inbox.newest()
    said = {str(wording.moment(asked + SIGNUP_LASTS, business)) for asked in (before, after)}

    for body in (letter.text, letter.html):
        assert any(f"the entry is deleted on {until}." in " ".join(body.split()) for until in said)
    clocked.ahead += SIGNUP_LASTS - timedelta(minutes=1)
    assert (await web.get(letter.link)).status_code == 200
    clocked.ahead += timedelta(minutes=1)
    assert (await web.get(letter.link)).status_code == 404


async def test_the_mail_has_one_link_one_code_and_no_advertising(
    sign_up: SignUp, inbox: Inbox, business: Business
) -> None:
    await sign_up.post("nora@example.com", "letter", "offers", name="Buy at https://spam.example")

    sent = await inbox.newest()
    links = set(re.findall(r"https?://[^\s\"<]+", sent.text + sent.html))
    assert links == {f"{business.origin}{sent.link}"}
    assert sent.message["Auto-Submitted"] == "auto-generated"
    assert "List-Unsubscribe" not in sent.message
    assert "<img" not in sent.html
    assert sent.code in sent.html
    # The name comes from whoever typed it (listmonk #1133).
    assert "spam" not in sent.text + sent.html
    for said in ("If it was not you, do nothing", "Corner Bakery Ltd, 4 Mill Lane"):
        assert said in sent.text
    assert sent.message["Subject"] == "Please confirm: The Corner Letter and Offers for regulars"


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"email": "nora.example.com"}, "There is an @ missing"),
        ({"email": ""}, "Please fill this in"),
        ({"email": "nora@localhost"}, "has no ending"),
        ({"email": "a@example.com, b@example.com"}, "address"),
        ({"purpose": []}, "Please choose at least one"),
        ({"purpose": ["letter", "nonsense"]}, "choose only among these"),
        ({"name": "x" * 101}, "there is room for 100"),
        ({"name": "a\x00b"}, "cannot be kept"),
    ],
)
async def test_a_mistake_shows_the_form_again_with_what_was_typed(
    sign_up: SignUp, rows: Rows, changes: dict[str, Any], said: str
) -> None:
    answer = await sign_up.post("kept@example.com", **changes)

    assert answer.status_code == 422
    assert said in answer.text
    assert "<title>Error: " in answer.text
    if "email" not in changes:
        assert 'value="kept@example.com"' in answer.text
    if "purpose" not in changes:
        assert 'value="letter" checked' in answer.text
    assert await rows.count("signup") == 0


@pytest.mark.parametrize("how", ["missing", "altered", "truncated", "nonsense", "unicode"])
async def test_a_form_without_its_signed_field_is_refused_with_a_way_out(
    sign_up: SignUp, rows: Rows, how: str
) -> None:
    sealed = (await sign_up.form())["form"]
    spoilt = {
        "missing": "",
        "altered": sealed[:-4] + ("AAAA" if not sealed.endswith("AAAA") else "BBBB"),
        "truncated": sealed[:20],
        "nonsense": "***",
        "unicode": "ключ",
    }[how]

    answer = await sign_up.post(form=spoilt)

    assert answer.status_code == 422
    assert 'href="/sign-up"' in answer.text
    assert await rows.count("signup") == 0


async def test_a_form_that_names_an_unknown_notice_is_refused(
    sign_up: SignUp, business: Business, other_business: Business, database: Database
) -> None:
    async with database.write(other_business.id) as db:
        purpose = await make.purpose(db)
        foreign = await make.notice(db, purpose.id)

    answer = await sign_up.post(form=seal(KEYS, business.id, Shown((foreign.id,), "en", 0)))

    assert answer.status_code == 422
    assert "This form does not work" in answer.text


async def test_a_form_of_another_business_is_refused(
    sign_up: SignUp, asking: Asking, other_business: Business
) -> None:
    shown = Shown((asking.letter_notice.id,), "en", 0)

    answer = await sign_up.post(form=seal(KEYS, other_business.id, shown))

    assert answer.status_code == 422
    assert "This form does not work" in answer.text


async def test_new_words_are_shown_before_anything_counts(
    sign_up: SignUp, database: Database, business: Business, asking: Asking, rows: Rows
) -> None:
    old = await sign_up.form()
    async with database.write(business.id) as db:
        await make.notice(db, asking.letter.id, text="Yes, send me the new words of the letter.")

    answer = await sign_up.web.post(
        "/sign-up", data=old | {"email": "nora@example.com", "purpose": ["letter", "offers"]}
    )

    assert answer.status_code == 422
    assert "the new words of the letter" in answer.text
    assert 'value="letter" checked' not in answer.text
    assert 'value="offers" checked' in answer.text
    assert 'value="nora@example.com"' in answer.text
    assert await rows.count("signup") == 0
    # The form shown instead is good.
    sealed = re.search(r'name="form" value="([^"]+)"', answer.text)
    assert sealed is not None
    assert (await sign_up.post(form=sealed[1])).status_code == 303


async def test_who_fills_in_everything_is_no_person(sign_up: SignUp, rows: Rows) -> None:
    person = await sign_up.told("one@example.com")
    program = await sign_up.told("two@example.com", extra="https://spam.example")

    assert program.text.replace("two@", "one@") == person.text
    assert await rows.count("signup") == 1


async def test_who_posts_at_once_is_shown_the_form_again_and_can_press_again(
    sign_up: SignUp, clocked: Clock, rows: Rows
) -> None:
    form = await sign_up.form() | {"email": "nora@example.com", "purpose": "letter"}
    clocked.ahead -= timedelta(seconds=5)

    answer = await sign_up.web.post("/sign-up", data=form)
    assert answer.status_code == 422
    assert "Press the button once more" in answer.text
    assert form["form"] in answer.text
    assert await rows.count("signup") == 0

    clocked.ahead += timedelta(seconds=2)
    assert (await sign_up.web.post("/sign-up", data=form)).status_code == 303


async def test_its_mail_is_sent_once_more_and_nothing_is_typed_again(
    sign_up: SignUp, elsewhere: httpx2.AsyncClient, inbox: Inbox, rows: Rows
) -> None:
    """Reloading sends nothing; one press sends the form of this browser again, and only there."""
    page = await sign_up.told(headers={"referer": "https://bakery.example/about"})
    assert (await sign_up.web.get("/sign-up/mailed")).text == page.text
    assert 'action="/sign-up/again"' in page.text
    again = await sign_up.web.post("/sign-up/again", headers=SAME_SITE)
    nothing = await elsewhere.post("/sign-up/again", headers=SAME_SITE)

    assert (again.status_code, again.headers["location"]) == (303, "/sign-up/mailed")
    assert "Asked for once more" in (await sign_up.web.get("/sign-up/mailed")).text
    assert [each.to for each in await inbox.mails()] == ["nora@example.com"] * 2
    assert all("https://bakery.example/about" in each for each in (await rows.all())["signup"])
    assert nothing.headers["location"] == "/sign-up"
    assert 'id="address" name="address"' in (await elsewhere.get("/sign-up/mailed")).text


async def test_a_form_with_errors_is_shown_in_another_language(
    sign_up: SignUp, rows: Rows, web: httpx2.AsyncClient
) -> None:
    """What was typed stays, and nothing is taken; the browser goes on in that language."""
    wrong = await sign_up.post("no address")
    assert wrong.status_code == 422
    assert "Everything else is still here." in wrong.text
    assert 'form="sign-up" name="language" value="de"' in wrong.text
    german = await sign_up.post("nora@example.com", language="de")

    assert 'lang="de"' in german.text
    assert 'value="nora@example.com"' in german.text
    assert 'value="letter" checked' in german.text
    assert await rows.count("signup") == 0
    assert 'lang="de"' in (await web.get("/sign-up")).text


async def test_it_can_be_posted_from_another_site(
    sign_up: SignUp, database: Database, business: Business
) -> None:
    form = await sign_up.form() | {"email": "nora@example.com", "purpose": "letter"}

    answer = await sign_up.web.post(
        "/sign-up",
        data=form,
        headers={
            "origin": "https://bakery.example",
            "referer": "https://bakery.example/about?visitor=17",
            "sec-fetch-site": "cross-site",
        },
    )

    assert answer.status_code == 303
    async with database.read(business.id) as db:
        page = await db.many(_PAGES, str)
    assert page == ["https://bakery.example/about"]


_PAGES = Statement("pages", "Where forms stood.", "SELECT page FROM crm.signup", ())


async def test_two_wait_beside_one_another(
    sign_up: SignUp, inbox: Inbox, rows: Rows, web: httpx2.AsyncClient
) -> None:
    """A second tab, or a stranger with her address, voids nothing that she has in her mailbox."""
    await sign_up.post("Nora@Example.com")
    await sign_up.post("nora@example.com", "offers")

    first, second = await inbox.mails()
    assert await rows.count("signup") == 2
    assert "The Corner Letter" in (await web.post(first.link)).text
    typed = {"address": "nora@example.com", "code": second.code}
    assert "Offers for regulars" in (await web.post("/confirm", data=typed)).text
    assert await rows.count("signup") == 0


async def _one_of_each(database: Database, business: Business, asking: Asking) -> None:
    """Make addresses in every state that a sign-up must not tell apart."""
    async with database.write(business.id) as db:
        for name, scope in (("gone", Scope.marketing), ("bounced", Scope.all)):
            fingerprint = KEYS.address_hash(business.id, f"{name}@example.com")
            await mail.suppress(db, make.SYSTEM, fingerprint, scope, Why.bounced)
        await make.customer(db, address="known@example.com")


async def test_the_answer_is_the_same_whoever_it_is(
    sign_up: SignUp, database: Database, business: Business, asking: Asking, nora: Customer
) -> None:
    await _one_of_each(database, business, asking)
    await sign_up.post("waiting@example.com")
    names = ("new", "nora", "known", "gone", "bounced", "waiting")

    answers = {name: await sign_up.told(f"{name}@example.com") for name in names}
    again = [await sign_up.told("nora@example.com") for _ in range(8)]

    said = {a.text.replace(f"{name}@", "x@") for name, a in answers.items()}
    said |= {a.text.replace("nora@", "x@") for a in again}
    assert len(said) == 1
    assert {a.status_code for a in [*answers.values(), *again]} == {200}
    headers = {tuple(sorted(k for k in a.headers if k != "date")) for a in answers.values()}
    assert len(headers) == 1


# How many statements, and which wakes after them.
Asked = tuple[int, tuple[object, ...]]


class Counting(Db):
    """Counts the statements asked of it."""

    count = 0

    def asked(self) -> Asked:
        """Say what was asked of PostgreSQL, and then of Redis."""
        return self.count, tuple(self.wakes)

    def _args(self, statement: Statement, params: dict[str, Any]) -> list[Any]:
        self.count += 1
        return super()._args(statement, params)


async def test_it_costs_the_same_statements_whoever_it_is(
    database: Database, business: Business, asking: Asking, nora: Customer
) -> None:
    """Wall time varies; what is asked of the database must not."""
    await _one_of_each(database, business, asking)
    names = ("new", "new", "nora", "known", "gone", "bounced")
    counts = [await _start(database, business, asking, name) for name in names]
    # Beyond the bounds on mails, too.
    counts += [await _start(database, business, asking, "nora") for _ in range(5)]
    counts += [await _start(database, business, asking, "new") for _ in range(5)]

    assert len(set(counts)) == 1


async def _start(database: Database, business: Business, asking: Asking, name: str) -> Asked:
    async with database.write(business.id) as db:
        counting = Counting(db._conn, db.business_id, db.now, db.keys)  # noqa: SLF001
        await access.start(counting, _new(asking, f"{name}@example.com"))
    return counting.asked()


def _new(asking: Asking, address: str) -> NewSignup:
    return NewSignup(
        address=customers.parse(address),
        name="",
        locale="en",
        choices=(Choice(asking.letter.id, asking.letter_notice.id),),
        page="",
    )


async def test_whoever_has_it_already_is_told_so_by_mail_only(
    sign_up: SignUp, nora: Customer, inbox: Inbox, rows: Rows
) -> None:
    await sign_up.post("nora@example.com")

    sent = await inbox.newest()
    assert sent.kind == "asked"
    assert sent.message["Subject"] == "You already get The Corner Letter"
    assert sent.link == "/sign-in"
    assert await rows.count("signup") == 0


async def test_a_flood_stops_and_leaves_the_mail_that_came_good(
    sign_up: SignUp, inbox: Inbox, web: httpx2.AsyncClient
) -> None:
    for _ in range(12):
        assert (await sign_up.post()).status_code == 303

    mails = await inbox.mails()
    assert len(mails) == 3
    assert (await web.get(mails[-1].link)).status_code == 200


async def test_a_body_too_large_is_refused(web: httpx2.AsyncClient, asking: Asking) -> None:
    answer = await web.post("/sign-up", data={"name": "x" * 50_000})

    assert answer.status_code == 413


async def test_a_stranger_sees_only_the_own_purposes(
    app: Any, other_business: Business, asking: Asking
) -> None:
    transport = httpx2.ASGITransport(app=app)
    async with httpx2.AsyncClient(transport=transport, base_url=other_business.origin) as client:
        page = await client.get("/sign-up")

    assert page.status_code == 404
    assert asking.letter_notice.text not in page.text


async def test_what_a_customer_has_waiting_is_exported_and_forgotten(
    sign_up: SignUp, nora: Customer, database: Database, business: Business, rows: Rows
) -> None:
    await sign_up.post("nora@example.com", "offers")

    async with database.write(business.id) as db:
        found = await access.export(db, nora.id)
        assert [each.address for each in found.signups] == ["nora@example.com"]
        erased = await customers.forget(db, nora.id)
        assert erased.address_hash is not None
        gone = await access.forget_address(db, erased.address_hash, None)
        assert gone["signup"] == 1


async def test_the_form_is_kept_as_it_was_shown(
    *,
    sign_up: SignUp,
    web: httpx2.AsyncClient,
    inbox: Inbox,
    asking: Asking,
    database: Database,
    business: Business,
) -> None:
    """Every word of it stands on the page, in that order, and no box is ticked beforehand."""
    page = (await web.get("/sign-up")).text
    await sign_up.post()
    token = (await inbox.newest()).link.rpartition("/")[2]
    await web.post(f"/confirm/{token}")
    async with database.read(business.id) as db:
        customer = await customers.by_address(db, "nora@example.com")
        assert customer is not None
        given, _ = await consent.history(db, customer.id)
        kept = (await consent.exhibit(db, customer.id, given.id)).form
    assert kept is not None
    assert given.form_sha256 == hashlib.sha256(kept.encode()).hexdigest()
    assert "checked" not in page
    words, at = html.unescape(page), 0
    for line in kept.splitlines():
        at = words.index(line.removeprefix("[ ] "), at)
    for notice in (asking.letter_notice, asking.offers_notice):
        assert notice.text in kept
        assert notice.particulars in kept
        assert f"[ ] {notice.control_label}" in kept


AGES = {"DE": 16, "AT": 14}


@pytest.fixture
async def of_age(database: Database, business: Business, asking: Asking) -> None:
    """The letter is now for those who can decide it themselves."""
    async with database.write(business.id) as db:
        version = await consent.version(db, asking.letter.id, 1)
        terms = msgspec.structs.replace(version.entered, ages=AGES)
        new = consent.NewVersion(terms=terms, notices=[], replaces=1)
        await consent.publish_version(db, make.SYSTEM, asking.letter.id, new)


@pytest.mark.parametrize(
    ("country", "age", "jurisdiction"), [("AT", 14, "AT"), ("DE", 16, "DE"), ("other", 16, "GB")]
)
async def test_who_is_old_enough_says_so(
    *,
    of_age: None,
    sign_up: SignUp,
    web: httpx2.AsyncClient,
    inbox: Inbox,
    database: Database,
    business: Business,
    country: str,
    age: int,
    jurisdiction: str,
) -> None:
    async with database.write(business.id) as db:
        kept = {field: getattr(business, field) for field in NewBusiness.__struct_fields__}
        await businesses.change(db, make.SYSTEM, NewBusiness(**kept | {"country": "GB"}))
    assert "Where do you live?" in (await web.get("/sign-up")).text
    answer = await sign_up.post(country=country, old_enough="on")
    assert answer.status_code == 303
    await web.post((await inbox.newest()).link)
    async with database.read(business.id) as db:
        customer = await customers.by_address(db, "nora@example.com")
        assert customer is not None
        given, _ = await consent.history(db, customer.id)
    assert (given.evidence, given.jurisdiction) == ({"of_age": age}, jurisdiction)


@pytest.mark.parametrize(
    ("entered", "field"),
    [
        ({}, "country"),
        ({"country": "FR", "old_enough": "on"}, "country"),
        ({"country": "AT"}, "old_enough"),
    ],
)
async def test_who_is_too_young_is_refused_and_nothing_is_kept(
    *, of_age: None, sign_up: SignUp, rows: Rows, entered: dict[str, str], field: str
) -> None:
    answer = await sign_up.post(**entered)
    assert answer.status_code == 422
    assert f'href="#{field}"' in answer.text
    assert await rows.count("signup") == 0


async def test_who_is_asked_for_no_age_gives_none(
    of_age: None, sign_up: SignUp, rows: Rows
) -> None:
    """Only the letter asks."""
    assert (await sign_up.post("nora@example.com", "offers")).status_code == 303
    assert await rows.count("signup") == 1
