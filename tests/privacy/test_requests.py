"""Privacy requests: their clock, who asks, their answers, and the log that stays."""

from __future__ import annotations

import re
from datetime import date, timedelta
from uuid import UUID

import asyncpg
import pytest

from crm import consent, customers, mail, privacy
from crm.businesses import Business
from crm.consent import Method
from crm.customers import Customer
from crm.db import Database, Db
from crm.events import Actor
from crm.privacy import NewRequest, Request, RequestKind, RequestState, requests
from crm.privacy.copies.building import build_next
from crm.privacy.requests.model import (
    ExtendedAlready,
    Ground,
    IdentityMissing,
    Proof,
    TooLateToExtend,
    Way,
    What,
    months_after,
    urgency,
)
from crm.staff import Role, Scope
from tests import make
from tests.conftest import Cluster
from tests.privacy import site
from tests.privacy.conftest import Clock
from tests.privacy.letters import Caught, letters
from tests.privacy.life import Life, erase_traces

_LINK = re.compile(r"/identity/([\w-]+)")


async def _asked(
    database: Database,
    business: Business,
    customer: Customer | None = None,
    kind: RequestKind = RequestKind.access,
    proof: Proof | None = Proof.session,
) -> Request:
    new = NewRequest(kind=kind, words="What do you know of me?")
    if customer:
        new.customer_id = customer.id
    else:
        new.address = "unknown@example.com"
    async with database.write(business.id) as db:
        return await requests.receive(db, make.SYSTEM, new, way=Way.letter, proof=proof)


@pytest.mark.parametrize(
    ("came", "months", "due"),
    [
        ("2026-03-05", 1, "2026-04-05"),
        ("2026-08-31", 1, "2026-09-30"),
        ("2026-01-31", 1, "2026-02-28"),
        ("2028-01-30", 1, "2028-02-29"),
        ("2026-12-15", 1, "2027-01-15"),
        ("2026-11-30", 3, "2027-02-28"),
        ("2026-10-31", 3, "2027-01-31"),
        ("2026-03-31", 36, "2029-03-31"),
    ],
)
async def test_months_are_those_of_the_calendar(db: Db, came: str, months: int, due: str) -> None:
    """The same number, or the last day there is; PostgreSQL, which guards it, counts the same."""
    day = months_after(date.fromisoformat(came), months)
    counted = await db._conn.fetchval(  # noqa: SLF001
        "SELECT ($1::date + make_interval(months => $2))::date", date.fromisoformat(came), months
    )

    assert day == date.fromisoformat(due) == counted


def test_urgency_has_four_steps() -> None:
    """One for each reminder, and none before."""
    assert [urgency(days) for days in (30, 11, 10, 4, 3, 1, 0, -1, -9)] == [
        0, 0, 1, 1, 2, 2, 3, 4, 4,
    ]  # fmt: skip


async def test_she_asks_in_the_portal(
    database: Database, business: Business, ada: Customer
) -> None:
    """She reads by when; staff see it first in the queue, and she sees that they did."""
    async with await site.her_browser(database, business, ada) as her:
        hasty = await her.fill("/me/requests", "/me/requests", kind="access", words=" ")
        sent = await her.fill(
            "/me/requests", "/me/requests", kind="access", words="What of <b>2024</b>?"
        )
        shown = await her.get("/me/requests")
    async with await site.staff_browser(database, business, Role.care) as staff:
        queue = await staff.get("/staff/requests")
        none = await staff.get("/staff/requests?kind=objection")

    assert hasty.status_code == 422
    assert sent.status_code == 303
    assert "What of &lt;b&gt;2024&lt;/b&gt;?" in shown.text
    assert "We have your request. You get our answer by" in shown.text
    assert "We have it" in shown.text
    assert "What of &lt;b&gt;2024&lt;/b&gt;?" in queue.text
    assert "days left" in queue.text
    assert "What of" not in none.text
    async with database.read(business.id) as db:
        (asked,) = await requests.of_customer(db, ada.id)
        assert (asked.proof, asked.state) == (Proof.session, RequestState.received)
        assert asked.due_on == months_after(asked.received_on, 1)


async def test_a_letter_is_recorded_proved_and_answered(
    database: Database, business: Business, ada: Customer
) -> None:
    """By a link to the address on record; a look at it proves nothing; each step is in the log."""
    async with await site.staff_browser(database, business, Role.care) as staff:
        nobody = await staff.fill(
            "/staff/requests/new", "/staff/requests", kind="access", way="letter", words="Hello?"
        )
        recorded = await staff.fill(
            "/staff/requests/new", "/staff/requests", kind="rectification", way="letter",
            words="My name is Ada Byron", address=ada.address.upper(),
        )  # fmt: skip
        page = recorded.headers["location"]
        early = await staff.fill(page, f"{page}/answer", answer="Done.")
        await staff.fill(page, f"{page}/link")
        async with database.write(business.id) as db:
            (letter,) = await letters(db)
        token = _LINK.search(letter.text)
        assert token is not None
        async with site.stranger(database, business) as anybody:
            looked = await anybody.get(f"/identity/{token[1]}")
            unproved = await staff.get(page)
            pressed = await anybody.post(f"/identity/{token[1]}")
            again = await anybody.post(f"/identity/{token[1]}")
        await staff.fill(page, f"{page}/taking")
        answered = await staff.fill(page, f"{page}/answer", answer="Corrected.\n\nThank you.")

    assert nobody.status_code == 422
    assert early.status_code == 422
    assert (looked.status_code, pressed.status_code, again.status_code) == (200, 200, 404)
    assert "First: who asks?" in unproved.text
    assert (letter.to, letter.subject) == (ada.address, "Is it you who asked?")
    # To the minute: on that day it is good no more.
    said = " ".join(letter.text.split())
    assert re.search(r"The link is good until \d+ \w+ \d{4}, \d\d:\d\d\.", said)
    assert answered.status_code == 303
    async with database.write(business.id) as db:
        (sent,) = await letters(db)
        (told,) = await requests.of_customer(db, ada.id)
        asked = await requests.get(db, told.id)
        log = [step.what for step in await requests.steps(db, asked.id)]
    assert "Corrected. Thank you." in sent.text
    assert "Art. 16 GDPR" in sent.text
    assert (asked.state, asked.proof, asked.member) == ("done", "mailbox", "Ben Care")
    assert told.member == ""
    assert log == ["received", "link_sent", "proved", "taken", "answered"]


async def test_postgres_keeps_the_states(
    database: Database, business: Business, ada: Customer, shared_cluster: Cluster
) -> None:
    """Whoever writes around the code: no answer to nobody, no second clock, no step undone."""
    asked = await _asked(database, business, ada, proof=None)
    conn = await asyncpg.connect(shared_cluster.superuser_url)
    try:
        for change in (
            "state = 'done', closed_at = now(), keep_until = '2031-01-01'",
            "state = 'in_progress'",
            "due_on = due_on + 1",
            "received_on = received_on - 1, due_on = due_on - 1",
            "kind = 'objection'",
            "state = 'refused', closed_at = now(), keep_until = '2031-01-01'",
            "state = 'extended'",
            "extended_on = received_on + 40, due_on = (received_on + interval '3 months')::date",
        ):
            with pytest.raises(asyncpg.CheckViolationError):
                await conn.execute(
                    f"UPDATE crm.privacy_request SET {change} WHERE request_id = $1",  # noqa: S608
                    asked.id,
                )
        for change in ("UPDATE crm.privacy_request_step SET what = 'taken'",
                       "DELETE FROM crm.privacy_request_step"):  # fmt: skip
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await conn.execute(f"{change} WHERE request_id = $1", asked.id)
    finally:
        await conn.close()


async def test_a_refusal_says_why_and_where_to_complain(
    database: Database, business: Business, ada: Customer
) -> None:
    """Only on a ground of the right's own; the authority and the court are in the letter."""
    asked = await _asked(database, business, ada, RequestKind.erasure)
    async with await site.staff_browser(database, business, Role.care) as staff:
        page = f"/staff/requests/{asked.id}"
        other = await staff.fill(page, f"{page}/refusal", ground="accurate", reason="It is right.")
        done = await staff.fill(
            page, f"{page}/refusal", ground="legal_duty", reason="Invoices stay for ten years."
        )
        ended = await staff.get("/staff/requests?show=ended")

    assert (other.status_code, done.status_code) == (422, 303)
    assert "Refused" in ended.text
    async with database.write(business.id) as db:
        (letter,) = await letters(db)
        kept = await requests.get(db, asked.id)
    assert "Invoices stay for ten years." in letter.text
    assert "complain to your data protection authority" in letter.text
    assert "go to court" in letter.text
    assert kept.ground is Ground.legal_duty
    assert kept.keep_until is not None


async def test_the_time_is_made_longer_once_and_in_time(
    clocked: Database, business: Business, ada: Customer, clock: Clock
) -> None:
    """She is told until when and why; a second time, or after the month, it is refused."""
    first, second = [await _asked(clocked, business, ada) for _ in range(2)]
    async with clocked.write(business.id) as db:
        longer = await requests.extend(db, make.SYSTEM, first.id, "The archive is far away.")
        (letter,) = await letters(db)
        with pytest.raises(ExtendedAlready):
            await requests.extend(db, make.SYSTEM, first.id, "And once more.")
    clock.move(timedelta(days=32))
    async with clocked.write(business.id) as db:
        with pytest.raises(TooLateToExtend):
            await requests.extend(db, make.SYSTEM, second.id, "Too late.")

    assert longer.due_on == months_after(first.received_on, 3)
    assert "The archive is far away." in letter.text
    assert str(longer.due_on.day) in letter.subject


async def test_staff_are_reminded_once_for_each_step(
    clocked: Database, business: Business, ada: Customer, clock: Clock
) -> None:
    """Whoever answers requests, and nobody else; the mail does not say whose they are.

    A member whose address no mail can go to keeps nobody from being reminded.
    """
    asked = await _asked(clocked, business, ada)
    async with clocked.write(business.id) as db:
        await make.employ(db, "ben@localhost", Role.owner)
        owner = await make.owner(db)
        await make.employ(db, "editor@bakery.example", Role.editor)

    async def reminded(days_left: int) -> list[Caught]:
        clock.move(timedelta(days=(asked.due_on - clock.now.date()).days - days_left))
        async with clocked.write(business.id) as db:
            await privacy.remind(db)
            return await letters(db)

    assert await reminded(11) == []
    (soon,) = await reminded(10)
    assert await reminded(9) == []
    (late,) = await reminded(-1)
    assert await reminded(-5) == []
    assert soon.to == owner.address
    assert "are due by" in soon.subject
    assert "Overdue" in late.subject
    assert ada.address not in soon.text + late.text


async def test_an_erasure_that_was_asked_for_is_answered(
    database: Database, business: Business, ada: Customer
) -> None:
    """The answer deletes, reaches the address once more, and the log knows nobody.

    The letter waits for its relay, and is swept away once it has gone.
    """
    asked = await _asked(database, business, ada, RequestKind.erasure)
    open_too = await _asked(database, business, ada, proof=None)
    async with database.write(business.id) as db:
        done = await privacy.fulfil(db, make.SYSTEM, asked.id, "All of it is deleted.")
        early = await erase_traces(db)
        (letter,) = await letters(db)
        swept = [await erase_traces(db), await erase_traces(db)]
        other = await requests.get(db, open_too.id)
        with pytest.raises(customers.UnknownCustomer):
            await customers.get(db, ada.id)
        log = [step.what for step in await requests.steps(db, asked.id)]

    assert (letter.to, "All of it is deleted." in letter.text) == (ada.address, True)
    assert (done.state, done.customer_id, done.words, done.answer) == ("done", None, "", "")
    assert (other.state, other.customer_id, other.words) == ("moot", None, "")
    assert log == ["received", "answered", "erased"]
    assert (early, swept) == (0, [1, 0])


async def test_nobody_is_answered_before_it_is_known_who_asks(
    database: Database, business: Business, ada: Customer
) -> None:
    """Neither deleted nor frozen either."""
    for kind in (RequestKind.erasure, RequestKind.restriction):
        asked = await _asked(database, business, ada, kind, proof=None)
        with pytest.raises(IdentityMissing):
            async with database.write(business.id) as db:
                await privacy.fulfil(db, make.SYSTEM, asked.id, "Done.")
    async with database.read(business.id) as db:
        assert (await customers.get(db, ada.id)).restricted_at is None


async def test_an_objection_is_one_press(
    database: Database, business: Business, nora: Life
) -> None:
    """All mails end and stay so whatever staff do, until she herself says yes again."""
    async with database.write(business.id) as db:
        use = await make.purpose(db, channel="none", double_opt_in=False)
        notice = await make.notice(db, use.id)
        word = await make.own_word(db, nora.customer.id, Method.portal)
        await consent.give(db, nora.actor, nora.customer.id, notice.question, word)
    async with await site.her_browser(database, business, nora.customer) as her:
        await her.fill("/me/requests", "/me/objection")
        shown = await her.get("/me/requests")
    async with database.write(business.id) as db:
        fingerprint = db.keys.address_hash(db.business_id, nora.customer.address)
        silent = await mail.suppressed(db, fingerprint)
        states = {
            each.status
            for each in await consent.states(db, nora.customer.id)
            if each.purpose_id != use.id
        }
        used = await consent.state(db, nora.customer.id, use.id)
        (noted, *_) = await requests.of_customer(db, nora.customer.id)
        word = await make.own_word(db, nora.customer.id, Method.portal)
        await consent.give(db, nora.actor, nora.customer.id, nora.notice.question, word)
        lifted = await mail.suppressed(db, fingerprint)

    assert "You objected to all advertising" in shown.text
    assert silent is not None
    assert (silent.scope, silent.reason) == ("marketing", "objected")
    assert states == {"withdrawn"}
    assert used is not None
    assert used.status == "given"
    assert (noted.kind, noted.by_itself, noted.state) == ("objection", True, "done")
    assert lifted is None


async def test_what_the_portal_did_is_in_the_log(
    database: Database, business: Business, ada: Customer
) -> None:
    """A copy, a freeze and a deletion; after the deletion without her."""
    async with await site.her_browser(database, business, ada) as her:
        await her.fill("/me/copy", "/me/copy")
        await build_next(database, business.id)
        await her.fill("/me/delete", "/me/restriction", decision="freeze")
        await her.fill("/me/deletion", "/me/deletion/confirmation", fingerprint="keep", when="now")

    async with database.read(business.id) as db:
        found = await requests.ended(db)
        kinds = [each.kind for each in found]
        steps = {step.what for each in found for step in await requests.steps(db, each.id)}
    assert kinds == ["erasure", "restriction", "access"]
    assert {each.customer_id for each in found} == {None}
    assert all(each.by_itself for each in found)
    assert steps == {What.settled, What.erased}


async def test_a_program_records_and_pages(database: Database, business: Business) -> None:
    """Once, however often it is repeated; the most urgent first; with the scope only."""
    body = {"kind": "access", "address": "unknown@example.com", "words": "And I?"}
    scopes = (Scope.requests_read, Scope.requests_write)
    async with await site.program(database, business, *scopes) as caller:
        headers = {"idempotency-key": "once"}
        first = await caller.post("/v1/privacy-requests", json=body, headers=headers)
        again = await caller.post("/v1/privacy-requests", json=body, headers=headers)
        older = await caller.post(
            "/v1/privacy-requests", json=body | {"received_on": _day_before(first.json())}
        )
        future = await caller.post(
            "/v1/privacy-requests", json=body | {"received_on": "2999-01-01"}
        )
        page = await caller.get("/v1/privacy-requests?limit=1")
        read = await caller.get(first.headers["location"])
        early = await caller.post(f"{first.headers['location']}/answer", json={"words": "Done."})
    async with await site.program(database, business, Scope.customers_read) as other:
        forbidden = await other.get("/v1/privacy-requests")

    assert (first.status_code, again.headers["idempotency-replayed"]) == (201, "true")
    # It names nobody, so it is no look.
    assert first.json() == again.json()
    assert first.json().items() <= read.json()["request"].items()
    assert {"customer_id", "address", "words"}.isdisjoint(first.json())
    assert [each["id"] for each in page.json()] == [older.json()["id"]]
    assert "after=" in page.headers["link"]
    assert (future.status_code, early.status_code) == (422, 403)
    assert early.json()["code"] == "identity_missing"
    assert [step["what"] for step in read.json()["steps"]] == ["received"]
    assert forbidden.status_code == 403


def _day_before(request: dict[str, str]) -> str:
    return (date.fromisoformat(request["received_on"]) - timedelta(days=1)).isoformat()


async def test_only_who_answers_sees_the_queue(
    database: Database, business: Business, ada: Customer
) -> None:
    """An editor does not, nor does anybody at another business's id."""
    asked = await _asked(database, business, ada)
    async with await site.staff_browser(database, business, Role.editor) as editor:
        paths = ("/staff/requests", f"/staff/requests/{asked.id}")
        statuses = [(await editor.get(path)).status_code for path in paths]
    async with await site.staff_browser(database, business, Role.care) as care:
        unknown = await care.get(f"/staff/requests/{UUID(int=1)}")

    assert statuses == [403, 403]
    assert unknown.status_code == 404


async def test_a_member_vouches_with_their_name(
    database: Database, business: Business, ada: Customer
) -> None:
    """Somebody who came in person has proved it to whoever knows them."""
    asked = await _asked(database, business, ada, proof=None)
    async with await site.staff_browser(database, business, Role.care) as care:
        page = f"/staff/requests/{asked.id}"
        await care.fill(page, f"{page}/voucher")
        shown = await care.get(page)

    assert "Ben Care: knows who asks" in shown.text
    async with database.read(business.id) as db:
        assert (await requests.get(db, asked.id)).proof is Proof.person


async def test_another_address_of_hers_is_forgotten_with_her(
    database: Database, business: Business
) -> None:
    """She asked before she was a customer; when she deletes everything, that goes too."""
    asked = await _asked(database, business)
    async with database.write(business.id) as db:
        customer = await make.customer(db, address="Unknown@example.com")
        await privacy.erase(db, Actor.customer(customer.id), customer.id)
        left = await requests.get(db, asked.id)

    assert (left.address, left.words, left.state) == ("", "", "moot")


async def test_of_what_is_refused_nothing_is_kept(database: Database, business: Business) -> None:
    """No letter can go: so nothing is answered, refused, extended, and no link is made."""
    new = NewRequest(kind=RequestKind.access, name="Somebody on paper", words="What of me?")
    async with database.write(business.id) as db:
        asked = await requests.receive(db, make.SYSTEM, new, way=Way.letter, proof=Proof.person)
    async with await site.staff_browser(database, business, Role.care) as staff:
        page = f"/staff/requests/{asked.id}"
        answers = [
            await staff.fill(page, f"{page}/answer", answer="All of it is here."),
            await staff.fill(page, f"{page}/extension", why="The archive is far away."),
            await staff.fill(page, f"{page}/refusal", ground="excessive", reason="Again?"),
        ]
        linked = await staff.fill(page, f"{page}/link")

    assert [each.status_code for each in answers] == [422] * 3
    assert all("There is no address for this request" in each.text for each in answers)
    assert linked.status_code == 303
    async with database.read(business.id) as db:
        assert await requests.get(db, asked.id) == asked
        assert [each.what for each in await requests.steps(db, asked.id)] == ["received"]


async def test_a_form_pressed_twice_is_one_request(
    database: Database, business: Business, ada: Customer, nora: Life
) -> None:
    """Each form is one; one with the id of somebody else's request shows and changes nothing."""
    once = re.compile(r'name="once" value="([^"]+)"')
    async with await site.her_browser(database, business, ada) as her:
        shown = once.search((await her.get("/me/requests")).text)
        assert shown is not None
        asking = {"kind": "access", "words": "What of 2024?", "once": shown[1]}
        pressed = [await her.fill("/me/requests", "/me/requests", **asking) for _ in range(2)]
        await her.fill("/me/requests", "/me/requests", **asking | {"once": "no id"})
    async with await site.her_browser(database, business, nora.customer) as foreign:
        tried = await foreign.fill("/me/requests", "/me/requests", **asking)

    assert [each.status_code for each in pressed] == [303, 303]
    assert tried.status_code == 404
    async with database.read(business.id) as db:
        found = await requests.of_customer(db, ada.id)
        assert len(found) == 2
        for each in found:
            assert [step.what for step in await requests.steps(db, each.id)] == ["received"]


async def test_a_program_answers_in_words_and_deletes_with_the_right_to(
    database: Database, business: Business, ada: Customer
) -> None:
    """Nothing is said with nothing; what it is answered names nobody, so it is no look."""
    asked = await _asked(database, business, ada, RequestKind.erasure)
    path = f"/v1/privacy-requests/{asked.id}"
    async with await site.program(database, business, Scope.requests_write) as caller:
        empty = [
            await caller.post(f"{path}/{what}", json={"words": words, **more})
            for words in ("", " ")
            for what, more in (
                ("answer", {}), ("extension", {}), ("refusal", {"ground": "excessive"}),
            )
        ]  # fmt: skip
        long = await caller.post(f"{path}/extension", json={"words": "a" * 4001})
        missing = await caller.post(f"{path}/answer", json={"words": "Deleted."})
        longer = await caller.post(f"{path}/extension", json={"words": "The archive is far."})
    both = (Scope.requests_write, Scope.customers_write)
    async with await site.program(database, business, *both) as caller:
        done = await caller.post(f"{path}/answer", json={"words": "Deleted."})

    assert {each.status_code for each in empty} <= {400, 422}
    assert long.status_code in {400, 422}
    assert (missing.status_code, missing.json()["code"]) == (403, "may_not_erase")
    assert (longer.json()["state"], done.json()["state"]) == ("extended", "done")
    names = {"id", "kind", "state", "received_on", "due_on", "closed_at"}
    assert set(longer.json()) == set(done.json()) == names


async def test_no_program_reads_who_waits_for_her_deletion(
    database: Database, business: Business, ada: Customer
) -> None:
    """Neither alone nor among others; by when an answer is due is still seen."""
    await _asked(database, business, ada)
    await _asked(database, business)
    async with database.write(business.id) as db:
        await privacy.plan(db, await customers.get(db, ada.id), privacy.Fingerprint.keep)
    async with await site.program(database, business, Scope.requests_read) as caller:
        listed = (await caller.get("/v1/privacy-requests")).json()

    assert {each["customer_id"]: each["words"] for each in listed} == {
        str(ada.id): "",
        None: "What do you know of me?",
    }


async def test_every_request_of_hers_is_there_word_for_word(
    database: Database, business: Business, ada: Customer
) -> None:
    """However many and long they are: page by page, the newest first, and back to the newest."""
    asked = [f"Question {number}: " + "why? " * 790 for number in range(5)]
    async with database.write(business.id) as db:
        for words in asked:
            new = NewRequest(kind=RequestKind.access, customer_id=ada.id, words=words.strip())
            by = Actor.customer(ada.id)
            await requests.receive(db, by, new, way=Way.portal, proof=Proof.session)
    older = re.compile(r'href="(/me/requests\?after=[^"#]+)#asked" rel="next"')
    pages = []
    async with await site.her_browser(database, business, ada) as her:
        path = "/me/requests"
        while path:
            pages.append((await her.get(path)).text)
            found = older.search(pages[-1])
            path = found[1] if found else ""
        foreign = await her.get("/me/requests?after=x")

    assert len(pages) == 2
    shown = [words.strip() for page in pages for words in reversed(asked) if words.strip() in page]
    assert shown == [words.strip() for words in reversed(asked)]
    assert 'href="/me/requests#asked" rel="first"' in pages[1]
    assert foreign.status_code == 422
