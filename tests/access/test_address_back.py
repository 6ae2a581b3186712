"""An old mailbox takes its record back: what was begun from the other one ends with that."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import asyncpg
import httpx2
import pytest
from litestar import Router

from crm import access, consent, customers, mail, privacy
from crm.access import LinkOver, SignedOut, auth, credentials, new_address, sessions
from crm.businesses import Business
from crm.businesses.host import of_host
from crm.consent import portal as consent_portal
from crm.customers import Customer
from crm.db import Database, Db
from crm.events import Actor
from crm.mail import Scope, Why
from crm.privacy import (
    Fingerprint,
    NewRequest,
    Request,
    RequestKind,
    RequestState,
    address_back_portal,
    requests,
)
from crm.privacy import portal as privacy_portal
from crm.privacy.requests.model import Proof, Way, What
from crm.tokens import BadLink
from crm.web import csrf
from crm.web.csrf import same_session
from crm.web.head import answers_head
from crm.web.refusals import PAGES, pages_behind
from tests import make
from tests.access.conftest import Clock, Inbox, application
from tests.conftest import Cluster
from tests.races import Act, held_up, second

OLD, NEW = "nora@example.com", "nora@new.example"
MARK = "b" * 64
_ROUTER = Router(
    "/",
    route_handlers=address_back_portal.by_link,
    guards=[of_host],
    exception_handlers=PAGES,
)
_HERS = Router(
    "/me",
    route_handlers=[
        consent_portal.post_grant,
        consent_portal.post_withdrawal,
        privacy_portal.post_restriction,
    ],
    guards=[of_host, auth.signed_in_customer, same_session],
    exception_handlers=pages_behind("/sign-in"),
)


@pytest.fixture
async def app(moved: Database) -> Any:
    """The domain's routes, the way back, and some of hers that change something."""
    return answers_head(application(moved, _ROUTER, _HERS))


class Takeover:
    """Nora's address becomes another's, and is put back."""

    def __init__(self, database: Database, business: Business, her: Customer, inbox: Inbox) -> None:
        self.database = database
        self.business = business
        self.her = her
        self.inbox = inbox

    async def move(self) -> str:
        """Let the new mailbox answer; return the token that undoes it."""
        confirm = await self.ask()
        async with self.database.write(self.business.id) as db:
            await confirm(db)
        return await self.token()

    async def ask(self, address: str = NEW) -> Act:
        """Ask a new mailbox; return what its answer does."""
        her = await self.now()
        async with self.database.write(self.business.id) as db:
            session = await make.signed_in(db, her.id)
            await new_address.ask(db, her, customers.parse(address))
        code = (await self.inbox.newest()).code

        async def confirm(db: Db) -> None:
            change = await new_address.held(db, her.id)
            await new_address.confirm(db, her, change, {}, session=session, code=code)

        return confirm

    async def now(self) -> Customer:
        async with self.database.read(self.business.id) as db:
            return await customers.get(db, self.her.id)

    async def plan(self) -> None:
        """Plan the deletion of the record as whoever has its mailbox now."""
        async with self.database.write(self.business.id) as db:
            await privacy.plan(db, await customers.get(db, self.her.id), Fingerprint.keep)

    async def freeze(self) -> None:
        """Freeze the record as whoever has its mailbox now."""
        async with self.database.write(self.business.id) as db:
            await privacy.freeze_herself(db, await customers.get(db, self.her.id))

    async def back(self, undo: str) -> privacy.TakenBack:
        async with self.database.write(self.business.id) as db:
            return await privacy.take_back(db, undo)

    async def asked(self, *, proof: Proof | None = None, mails: bool = False) -> Request:
        """Ask for a deletion in words, with a proof or a link that is to bring one."""
        new = NewRequest(kind=RequestKind.erasure, customer_id=self.her.id)
        async with self.database.write(self.business.id) as db:
            asked = await requests.receive(db, make.SYSTEM, new, way=Way.letter, proof=proof)
            if mails:
                await requests.send_link(db, make.SYSTEM, asked.id)
        return asked

    async def enter(self, web: httpx2.AsyncClient) -> None:
        """Sign a browser in as whoever has the mailbox now."""
        async with self.database.write(self.business.id) as db:
            session = await make.signed_in(db, self.her.id)
        web.cookies.set(auth.cookie_name(self.business, auth.SESSION), session)
        web.headers[csrf.HEADER] = csrf.csrf_token(credentials.session_secret(session))

    async def prove(self, token: str) -> None:
        async with self.database.write(self.business.id) as db:
            await requests.prove(db, token)

    async def request(self, asked: Request) -> tuple[RequestState, Proof | None]:
        async with self.database.read(self.business.id) as db:
            found = await requests.get(db, asked.id)
        return found.state, found.proof

    async def token(self) -> str:
        """Read the secret of the link that was mailed last."""
        return (await self.inbox.newest()).link.rpartition("/")[2]


@pytest.fixture
async def taken(moved: Database, business: Business, nora: Customer, inbox: Inbox) -> Takeover:
    return Takeover(moved, business, nora, inbox)


async def test_a_deletion_planned_from_the_other_mailbox_is_called_off(
    taken: Takeover, elsewhere: httpx2.AsyncClient, clocked: Clock
) -> None:
    """The page says so; nothing is deleted, and her record is used as before."""
    undo = await taken.move()
    await taken.plan()
    done = await elsewhere.post(f"/undo/{undo}")
    clocked.ahead += timedelta(days=8)
    async with taken.database.write(taken.business.id) as db:
        carried_out = await privacy.carry_out(db, taken.her.id)

    assert done.status_code == 200
    assert "A deletion of your record had been planned" in done.text
    assert not carried_out
    back = await taken.now()
    assert (back.address, back.restricted_at) == (OLD, None)


async def test_what_she_planned_before_stands(
    taken: Takeover, elsewhere: httpx2.AsyncClient
) -> None:
    """Her own mailbox has the link that calls it off."""
    await taken.plan()
    undo = await taken.move()
    done = await elsewhere.post(f"/undo/{undo}")
    async with taken.database.read(taken.business.id) as db:
        waits = await privacy.wish(db, taken.her.id)

    assert "A deletion of your record" not in done.text
    assert waits is not None


@pytest.mark.parametrize("planned", [False, True])
async def test_a_freeze_from_the_other_mailbox_is_told(
    taken: Takeover, elsewhere: httpx2.AsyncClient, *, planned: bool
) -> None:
    """It stays until she ends it, also where a deletion after it is called off."""
    undo = await taken.move()
    await taken.freeze()
    if planned:
        await taken.plan()
    done = await elsewhere.post(f"/undo/{undo}")

    assert "Your record was frozen while it had the other address" in done.text
    assert (await taken.now()).restricted_at is not None


async def test_what_she_froze_before_is_no_news(
    taken: Takeover, elsewhere: httpx2.AsyncClient
) -> None:
    await taken.freeze()
    done = await elsewhere.post(f"/undo/{await taken.move()}")

    assert "Your record was frozen" not in done.text


async def test_whoever_waits_for_her_row_plans_nothing_more(
    taken: Takeover, business: Business
) -> None:
    """A press that came before the address was put back counts for nothing after it."""
    undo = await taken.move()
    thief = await taken.now()
    refused = []

    async def plans(db: Db) -> None:
        with pytest.raises(SignedOut):
            await privacy.plan(db, thief, Fingerprint.keep)
        refused.append(True)

    await second(taken.database, business, lambda db: privacy.take_back(db, undo), plans)

    async with taken.database.read(business.id) as db:
        assert await privacy.wish(db, taken.her.id) is None
    assert refused == [True]


async def test_whoever_waits_for_her_row_deletes_nothing(
    taken: Takeover, business: Business
) -> None:
    undo = await taken.move()
    thief = await taken.now()

    async def erases(db: Db) -> None:
        with pytest.raises(SignedOut):
            await privacy.erase_herself(db, thief, Fingerprint.keep)

    await second(taken.database, business, lambda db: privacy.take_back(db, undo), erases)

    assert (await taken.now()).address == OLD


async def test_whoever_waits_for_her_row_starts_nothing(
    taken: Takeover, elsewhere: httpx2.AsyncClient, business: Business
) -> None:
    async with taken.database.write(business.id) as db:
        notice = await make.notice(db, (await make.purpose(db)).id)
    undo = await taken.move()
    await taken.enter(elsewhere)
    answer = await held_up(
        taken.database,
        business,
        lambda db: privacy.take_back(db, undo),
        elsewhere.post(
            f"/me/consent/{notice.purpose_id}/grant",
            data={"notice": str(notice.id), "sha256": notice.sha256.hex()},
        ),
    )

    async with taken.database.read(business.id) as reads:
        assert await consent.state(reads, taken.her.id, notice.purpose_id) is None
    assert (answer.status_code, "/sign-in" in answer.text) == (401, True)


async def test_she_stops_at_once_while_a_list_is_taken_in(
    taken: Takeover, elsewhere: httpx2.AsyncClient, business: Business
) -> None:
    """An import holds each of its customers until its end, which may be minutes away."""
    async with taken.database.write(business.id) as db:
        notice = await make.notice(db, (await make.purpose(db)).id)
        word = await make.own_word(db, taken.her.id)
        await consent.give(db, Actor.customer(taken.her.id), taken.her.id, notice.question, word)
    await taken.enter(elsewhere)
    async with taken.database.write(business.id) as importing:
        await consent.hold_many(importing, [taken.her.id])
        answer = await elsewhere.post(f"/me/consent/{notice.purpose_id}/withdrawal")
    async with taken.database.read(business.id) as reads:
        state = await consent.state(reads, taken.her.id, notice.purpose_id)

    assert answer.status_code == 303
    assert state is not None
    assert state.status is consent.Status.withdrawn


async def test_whoever_waits_for_her_row_freezes_nothing(
    taken: Takeover, elsewhere: httpx2.AsyncClient, business: Business
) -> None:
    undo = await taken.move()
    await taken.enter(elsewhere)
    await held_up(
        taken.database,
        business,
        lambda db: privacy.take_back(db, undo),
        elsewhere.post("/me/restriction", data={"decision": "freeze"}),
    )

    assert (await taken.now()).restricted_at is None


async def test_a_link_to_the_other_mailbox_proves_nothing_any_more(taken: Takeover) -> None:
    """Nor does one to the old mailbox while the record has another address."""
    before = await taken.asked(mails=True)
    hers = await taken.token()
    undo = await taken.move()
    with pytest.raises(BadLink):
        await taken.prove(hers)
    since = await taken.asked(mails=True)
    letter = await taken.inbox.newest()
    await taken.back(undo)
    with pytest.raises(BadLink):
        await taken.prove(letter.link.rpartition("/")[2])
    await taken.prove(hers)

    assert letter.to == NEW
    assert await taken.request(since) == (RequestState.identity, None)
    assert await taken.request(before) == (RequestState.in_progress, Proof.mailbox)


async def test_a_link_of_which_nobody_knows_where_it_went_proves_nothing(
    taken: Takeover, root: asyncpg.Connection
) -> None:
    """It was mailed before that was written down, and her address changed since."""
    asked = await taken.asked(mails=True)
    await root.execute(
        "UPDATE crm.privacy_request SET mailed_hash = NULL WHERE request_id = $1", asked.id
    )
    with pytest.raises(BadLink):
        await taken.prove(await taken.token())


async def test_a_link_that_is_pressed_at_that_moment(taken: Takeover, business: Business) -> None:
    undo = await taken.move()
    asked = await taken.asked(mails=True)
    token = await taken.token()

    async def proves(db: Db) -> None:
        with pytest.raises(BadLink):
            await requests.prove(db, token)

    await second(taken.database, business, lambda db: privacy.take_back(db, undo), proves)

    assert await taken.request(asked) == (RequestState.identity, None)


async def test_what_the_other_mailbox_proved_is_open_again(
    taken: Takeover, elsewhere: httpx2.AsyncClient
) -> None:
    """It waits for a new proof; a member's word, and what she had proved before, stand."""
    hers = await taken.asked(proof=Proof.session)
    undo = await taken.move()
    by_session = await taken.asked(proof=Proof.session)
    by_link = await taken.asked(mails=True)
    await taken.prove(await taken.token())
    longer = await taken.asked(mails=True)
    await taken.prove(await taken.token())
    by_member = await taken.asked()
    async with taken.database.write(taken.business.id) as db:
        await requests.extend(db, make.SYSTEM, longer.id, "It is much.")
        await requests.vouch(db, make.SYSTEM, by_member.id)
    done = await elsewhere.post(f"/undo/{undo}")

    assert "waits until it is known that it was you" in done.text
    assert await taken.request(hers) == (RequestState.received, Proof.session)
    assert await taken.request(by_session) == (RequestState.received, None)
    assert await taken.request(by_link) == (RequestState.received, None)
    assert await taken.request(longer) == (RequestState.extended, None)
    assert await taken.request(by_member) == (RequestState.in_progress, Proof.person)
    async with taken.database.read(taken.business.id) as db:
        last = (await requests.steps(db, by_link.id))[-1]
    assert (last.what, last.actor_kind) == (What.unproved, Actor.customer(taken.her.id).kind)


async def test_nothing_was_begun(taken: Takeover, elsewhere: httpx2.AsyncClient) -> None:
    done = await elsewhere.post(f"/undo/{await taken.move()}")

    assert done.status_code == 200
    assert "A deletion of your record" not in done.text
    assert "Your record was frozen" not in done.text
    assert "waits until it is known" not in done.text


async def _lets_in(taken: Takeover, to: str, web: httpx2.AsyncClient) -> bool:
    """Try every way in that was mailed to an address: by its link, and by its code."""
    web.cookies.set("way", MARK)
    ways = [each for each in await taken.inbox.mails() if (each.kind, each.to) == ("sign_in", to)]
    assert ways
    for each in ways:
        assert (await web.post(each.link)).status_code == 404
        typed = await web.post("/sign-in/code", data={"address": to, "code": each.code})
        assert typed.status_code == 422
    return (await web.get("/me")).status_code == 200


async def test_a_way_in_that_is_asked_for_while_the_address_is_put_back(
    taken: Takeover, elsewhere: httpx2.AsyncClient, business: Business
) -> None:
    """It waits, and is written after all others ended: it lets nobody in."""
    undo = await taken.move()
    await second(
        taken.database,
        business,
        lambda db: privacy.take_back(db, undo),
        lambda db: access.send_link(db, customers.parse(NEW), MARK),
    )

    assert not await _lets_in(taken, NEW, elsewhere)


async def test_a_way_in_that_is_asked_for_while_the_address_changes(
    taken: Takeover, elsewhere: httpx2.AsyncClient, business: Business
) -> None:
    confirm = await taken.ask()
    await second(
        taken.database,
        business,
        confirm,
        lambda db: access.send_link(db, customers.parse(OLD), MARK),
    )

    assert not await _lets_in(taken, OLD, elsewhere)


async def test_a_way_in_that_is_opened_while_the_address_is_put_back(
    taken: Takeover, business: Business
) -> None:
    """Looked at before, and used up after: it is over."""
    undo = await taken.move()
    async with taken.database.write(business.id) as db:
        await access.send_link(db, customers.parse(NEW), MARK)
    token = await taken.token()

    async def opens(db: Db) -> None:
        with pytest.raises(LinkOver):
            await access.open_link(db, token, MARK)

    await second(taken.database, business, lambda db: privacy.take_back(db, undo), opens)


async def test_whoever_came_in_at_that_moment_is_out(taken: Takeover, business: Business) -> None:
    """The address is put back after whoever came in before it, and ends that session too."""
    undo = await taken.move()
    async with taken.database.write(business.id) as db:
        await access.send_link(db, customers.parse(NEW), MARK)
    token = await taken.token()
    opened = []

    async def opens(db: Db) -> None:
        opened.append(await access.open_session(db, await access.open_link(db, token, MARK)))

    await second(taken.database, business, opens, lambda db: privacy.take_back(db, undo))

    async with taken.database.read(business.id) as read:
        assert await sessions.session(read, opened[0]) is None


async def test_a_way_in_to_another_address_proves_nothing(
    taken: Takeover, shared_cluster: Cluster, business: Business
) -> None:
    """PostgreSQL itself uses up no way in that was mailed to an address which is hers no more."""
    async with taken.database.write(business.id) as db:
        await access.send_link(db, customers.parse(OLD), MARK)
    token = await taken.token()
    conn = await asyncpg.connect(shared_cluster.app_url)
    try:
        await conn.execute(f"BEGIN; SELECT crm.begin_business('{business.id}')")
        proves = "SELECT crm.prove_sign_in($1, gen_random_uuid(), $2, $3, NULL, now())"
        asked = (proves, business.id, taken.her.id, token)
        await conn.execute("SAVEPOINT hers")
        assert await conn.fetchval(*asked) is not None
        await conn.execute("ROLLBACK TO hers")
        await conn.execute("UPDATE crm.portal_link SET address_hash = substr(sha256('x'), 1, 16)")
        assert await conn.fetchval(*asked) is None
    finally:
        await conn.close()


async def _silenced(taken: Takeover, address: str) -> Why | None:
    async with taken.database.read(taken.business.id) as db:
        fingerprint = db.keys.address_hash(db.business_id, address)
        found = await mail.decided_against(db, fingerprint)
    return found.reason if found else None


async def test_her_objection_stays_hers(taken: Takeover) -> None:
    """It was said with the other address, and is about her."""
    undo = await taken.move()
    async with taken.database.write(taken.business.id) as db:
        await privacy.object_herself(db, await customers.get(db, taken.her.id))
    await taken.back(undo)

    async with taken.database.read(taken.business.id) as read:
        assert await privacy.objected_at(read, await customers.get(read, taken.her.id)) is not None
    assert await _silenced(taken, OLD) is Why.objected


@pytest.mark.parametrize(
    ("reason", "there"),
    [(Why.complained, Why.complained), (Why.staff, Why.staff), (Why.bounced, None)],
)
async def test_what_silenced_the_other_address(
    taken: Takeover, reason: Why, there: Why | None
) -> None:
    """A complaint and a decision of staff go with her; a bounce is of the mailbox alone."""
    undo = await taken.move()
    async with taken.database.write(taken.business.id) as db:
        fingerprint = db.keys.address_hash(db.business_id, NEW)
        await mail.suppress(db, make.SYSTEM, fingerprint, Scope.marketing, reason)
    await taken.back(undo)

    assert await _silenced(taken, OLD) is there


@pytest.mark.parametrize("bounces", [False, True])
async def test_a_wish_for_no_mail_to_the_address_that_was_left_stands(
    taken: Takeover, *, bounces: bool
) -> None:
    """It was told while nobody had that address, and only her own yes ends it (promise 7)."""
    undo = await taken.move()
    async with taken.database.write(taken.business.id) as db:
        fingerprint = db.keys.address_hash(db.business_id, customers.fold(OLD))
        if bounces:
            await mail.suppress(db, make.SYSTEM, fingerprint, Scope.all, Why.bounced)
        await mail.suppress(db, make.SYSTEM, fingerprint, Scope.marketing, Why.staff)
    await taken.back(undo)

    assert await _silenced(taken, OLD) is Why.staff


async def test_the_address_that_is_left_is_the_one_the_record_had(
    taken: Takeover, business: Business
) -> None:
    """Also where it changed once more while the first mailbox took it back."""
    undo = await taken.move()
    confirm = await taken.ask("thief@third.example")
    await second(taken.database, business, confirm, lambda db: privacy.take_back(db, undo))

    assert (await taken.now()).address == OLD
    assert await _silenced(taken, "thief@third.example") is Why.moved
    told = [each.to for each in await taken.inbox.mails() if each.kind == "notice"]
    assert "thief@third.example" in told
