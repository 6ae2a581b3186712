"""A row without evidence is kept apart until it comes, is let go, or ends; it allows nothing."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any
from uuid import UUID

import msgspec
import pytest
from litestar import Litestar
from structlog.testing import capture_logs

from crm import consent, customers, imports, journal, mail, privacy, staff
from crm.businesses import Business
from crm.consent import EvidenceKind, Method, Notice, Status, customer_tab
from crm.customers.putting import Put, put
from crm.db import Database, Db, Kept, no_wake
from crm.events import Actor
from crm.imports import quarantine
from crm.imports.quarantine import QUARANTINED, UnknownRow
from crm.privacy.brought.taking_over import RecordFrozen
from crm.privacy.copies.contents import contents
from crm.privacy.quarantine import actions, api, console, jobs
from crm.privacy.undoing import jobs as undoing
from crm.staff import NewKey, Role, Scope
from tests import make
from tests.alone import Alone
from tests.commands import SECRETS, crm
from tests.conftest import Cluster
from tests.imports.lists import (
    HEADER,
    LEFT,
    hash_of,
    held,
    letter,
    row,
    rows,
    somebody_waits,
    take,
    tally,
)
from tests.staff import site
from tests.staff.site import kinds

_BY = Actor.system()
_ADA, _BO, _CY = (f"{name}@example.com" for name in ("ada", "bo", "cy"))


def _bare(address: str, **said: Any) -> str:
    return row(address, asked="", confirmed="", **said)


_LIST = HEADER + row(_ADA) + _bare(_BO, name="Bo") + row(_CY, confirmed="")


@pytest.fixture
async def notice(database: Database, business: Business) -> Notice:
    """The text of the letter; it accepts a confirmed sign-up from elsewhere, and a signed form."""
    accepts = [EvidenceKind.former_double_opt_in, EvidenceKind.signed_form]
    return await letter(database, business.id, accepts=accepts)


@pytest.fixture
def app(database: Database) -> Litestar:
    """The quarantine, for staff and for programs."""
    shown = [*console.handlers, *customer_tab.handlers]
    return site.application(database, console=shown, api=api.handlers)


@pytest.fixture
async def owner(
    app: Litestar, database: Database, business: Business
) -> AsyncIterator[site.Browser]:
    """A browser in which an owner is signed in."""
    await site.member(database, business.id)
    async with site.Browser(app, business) as browser:
        await browser.enter("owner@bakery.example")
        yield browser


@pytest.fixture
async def program(
    app: Litestar, database: Database, business: Business
) -> AsyncIterator[site.Browser]:
    """A program with a key that may import and record decisions."""
    scopes = [Scope.imports_write, Scope.consents_write]
    new = NewKey(name="shop", scopes=scopes, reason="Orders of the shop.")
    async with database.write(business.id) as db:
        _, text = await staff.add_key(db, _BY, new)
    async with site.Browser(app, business) as client:
        client.headers["authorization"] = f"Bearer {text}"
        yield client


async def _id(database: Database, business: Business, address: str) -> UUID:
    async with database.read(business.id) as db:
        found = await customers.by_address(db, address)
    assert found
    return found.id


async def _waiting(database: Database, business: Business, import_id: UUID) -> list[str]:
    async with database.read(business.id) as db:
        found = await quarantine.quarantined(db, import_id)
        assert await quarantine.count(db, import_id) == len(found)
    return [each.address for each in found]


async def _swept(database: Database, business: Business, *, after: timedelta = timedelta()) -> None:
    at = database.clock() + after
    later = Database(database.connections, database.keys, no_wake, partial(max, at, at))
    await jobs.sweep({"database": Alone(later, business.id)})


async def test_it_works(database: Database, business: Business, notice: Notice) -> None:
    done = await take(database, business.id, _LIST)

    assert done.unproven == 2
    async with database.read(business.id) as db:
        bo, cy = await quarantine.quarantined(db, done.id)
    assert (bo.address, bo.line, bo.silenced) == (_BO, 3, False)
    assert bo.why == "In quarantine: the file has no time of a sign-up."
    assert "never confirmed" in cy.why
    assert bo.ends_at - bo.since == QUARANTINED
    for address in (_BO, _CY):
        assert not (await held(database, notice, business.id, address)).mailable
    again = await take(database, business.id, _LIST)
    assert tally(again) == (0, 0, 3, 0)
    assert await _waiting(database, business, again.id) == []
    assert await _waiting(database, business, done.id) == [_BO, _CY]

    await _swept(database, business, after=QUARANTINED - timedelta(hours=1))
    assert await _waiting(database, business, done.id) == [_BO, _CY]
    await _swept(database, business, after=QUARANTINED + timedelta(hours=1))

    assert await rows(database, business.id, "quarantine") == 0
    for address in (_BO, _CY):
        gone = await held(database, notice, business.id, address)
        assert (gone.known, gone.suppressed) == (False, False)
    assert (await held(database, notice, business.id, _ADA)).mailable
    assert (await take(database, business.id, HEADER + row(_BO))).given == 1


async def test_her_page_says_so_and_leads_to_the_import(
    database: Database, business: Business, notice: Notice, app: Litestar
) -> None:
    """To whoever may not import it leads nowhere."""
    done = await take(database, business.id, _LIST)
    bo = await _id(database, business, _BO)
    for role, leads in ((Role.owner, True), (Role.care, False)):
        who = await site.member(database, business.id, role, address=f"{role}@bakery.example")
        async with database.write(business.id) as db:
            await staff.give_reason(db, who, bo, "She asked")
        async with site.Browser(app, business) as browser:
            await browser.enter(who.address)
            text = (await browser.get(f"/staff/customers/{bo}/consent")).text
        assert "In quarantine until" in text
        assert "the file has no time of a sign-up" in text
        assert (f"/staff/imports/{done.id}/quarantine" in text) is leads


async def test_a_later_list_with_evidence_releases(
    database: Database, business: Business, notice: Notice
) -> None:
    done = await take(database, business.id, _LIST)

    await take(database, business.id, HEADER + row(_BO) + row(_CY, left=LEFT))

    assert await _waiting(database, business, done.id) == []
    assert (await held(database, notice, business.id, _BO)).mailable
    assert (await held(database, notice, business.id, _CY)).status is Status.withdrawn


async def test_whoever_decided_or_is_suppressed_is_not_kept_apart(
    database: Database, business: Business, notice: Notice
) -> None:
    """An opt-out stands, and such a row asks for nothing that could be released."""
    await take(database, business.id, HEADER + row(_ADA) + row(_BO, left=LEFT))
    async with database.write(business.id) as db:
        await mail.suppress(db, _BY, hash_of(db, _CY), mail.Scope.all, mail.Why.bounced)

    done = await take(database, business.id, HEADER + _bare(_ADA) + _bare(_BO) + _bare(_CY))

    assert await _waiting(database, business, done.id) == []
    assert (await held(database, notice, business.id, _ADA)).mailable
    assert (await held(database, notice, business.id, _BO)).status is Status.withdrawn


async def test_a_program_lists_and_releases(
    program: site.Browser, database: Database, business: Business, notice: Notice
) -> None:
    done = await take(database, business.id, _LIST)
    path = f"/v1/imports/{done.id}/quarantine"

    first = await program.get(f"{path}?limit=1")
    listed = [*first.json(), *(await program.get(first.links["next"]["url"])).json()]

    assert [(each["address"], each["line"]) for each in listed] == [
        ("b•••@example.com", 3),
        ("c•••@example.com", 4),
    ]
    bo = await _id(database, business, _BO)
    assert listed[0]["customer_id"] == str(bo)
    shown = {
        "notice": str(notice.id),
        "at": "2021-05-04T09:10:11Z",
        "evidence": {"kind": "former_single_opt_in"},
    }
    weak = await program.post(f"{path}/{bo}/release", json=shown)
    assert (weak.status_code, weak.json()["code"]) == (409, "evidence_not_accepted")
    when = {name: shown[name] for name in ("notice", "evidence")}
    assert (await program.post(f"{path}/{bo}/release", json=when)).status_code == 422

    right = await program.post(
        f"{path}/{bo}/release", json=shown | {"evidence": {"kind": "signed_form"}}
    )

    assert (right.status_code, right.json()["status"]) == (201, "given")
    assert right.json()["request"] == str(done.id)
    assert (await held(database, notice, business.id, _BO)).mailable
    again = await program.post(f"{path}/{bo}/release", json=shown)
    assert (again.status_code, again.json()["code"]) == (404, "unknown_row")
    assert len((await program.get(path)).json()) == 1


async def test_no_evidence_lifts_a_no_or_a_suppression(
    database: Database, business: Business, notice: Notice
) -> None:
    """Of whoever said no meanwhile no row is left to release; mail that is suppressed stays so."""
    done = await take(database, business.id, _LIST)
    bo, cy = [await _id(database, business, each) for each in (_BO, _CY)]
    async with database.write(business.id) as db:
        await consent.withdraw(db, _BY, bo, notice.purpose_id, method=Method.portal)
        await mail.suppress(db, _BY, hash_of(db, _CY), mail.Scope.all, mail.Why.bounced)
        shown = actions.Shown(notice_id=notice.id, at=db.now, evidence={"kind": "signed_form"})
        with pytest.raises(UnknownRow):
            await actions.release(db, _BY, done.id, bo, shown)
        with pytest.raises(consent.Silenced):
            await actions.release(db, _BY, done.id, cy, shown)
        assert [each.silenced for each in await quarantine.quarantined(db, done.id)] == [True]

    await _swept(database, business, after=QUARANTINED)

    assert (await held(database, notice, business.id, _BO)).status is Status.withdrawn
    kept = await held(database, notice, business.id, _CY)
    assert (kept.known, kept.suppressed) == (False, True)


async def test_rows_are_let_go(
    owner: site.Browser,
    program: site.Browser,
    database: Database,
    business: Business,
    notice: Notice,
) -> None:
    """By staff and programs, one or all; whoever is known by anything else stays."""
    async with database.write(business.id) as db:
        known = await make.customer(db, address="known@example.com")
    done = await take(
        database, business.id, _LIST + _bare(known.address) + _bare("dee@example.com")
    )
    page, path = f"/staff/imports/{done.id}/quarantine", f"/v1/imports/{done.id}/quarantine"
    text = (await owner.get(page)).text
    assert "b***@e***.com" in text
    assert _BO not in text
    bo, cy = [await _id(database, business, each) for each in (_BO, _CY)]

    await owner.fill(page, f"{page}/{bo}/let-go")
    assert (await program.delete(f"{path}/{cy}")).status_code == 204
    assert await _waiting(database, business, done.id) == [known.address, "dee@example.com"]
    assert (await program.delete(f"{path}/{cy}")).json()["code"] == "unknown_row"
    rest = await program.delete(path)
    await _swept(database, business)

    assert (rest.status_code, rest.json()) == (202, {"rows": 2})
    assert "Nothing is in quarantine" in (await owner.get(page)).text
    there = [
        address
        for address in (_ADA, _BO, _CY, known.address, "dee@example.com")
        if (await held(database, notice, business.id, address)).known
    ]
    assert there == [_ADA, known.address]
    assert (await held(database, notice, business.id, known.address)).status is Status.unknown
    said = [kind for kind, _ in await kinds(database, business.id)]
    assert said.count("import.rows_let_go") == 3


async def test_tags_of_lists_keep_nobody(
    database: Database, business: Business, notice: Notice
) -> None:
    """They came with the row; one that staff put on does."""
    async with database.write(business.id) as db:
        for name in ("vip", "bakes"):
            new = customers.NewTag(label=name, purpose="To tell of courses.", retention="P1Y")
            await customers.declare_tag(db, _BY, name, new)
    await take(database, business.id, HEADER + _bare(_BO, tags="vip") + _bare(_CY, tags="vip"))
    cy = await _id(database, business, _CY)
    async with database.write(business.id) as db:
        await customers.put_tag(db, _BY, cy, "bakes")

    await _swept(database, business, after=QUARANTINED)

    assert not (await held(database, notice, business.id, _BO)).known
    assert (await held(database, notice, business.id, _CY)).known
    assert await rows(database, business.id, "customer_tag") == 2


async def test_who_was_touched_or_is_frozen_is_not_deleted(
    database: Database, business: Business, notice: Notice
) -> None:
    done = await take(database, business.id, _LIST)
    bo, cy = [await _id(database, business, each) for each in (_BO, _CY)]
    async with database.write(business.id) as db:
        await customers.change(db, _BY, bo, customers.Changes(name="Bob"))
        await customers.restrict(db, Actor.customer(cy), cy)
        with pytest.raises(RecordFrozen):
            await actions.let_go(db, _BY, done.id, cy)

    await _swept(database, business, after=QUARANTINED)

    assert (await held(database, notice, business.id, _BO)).known
    assert (await held(database, notice, business.id, _CY)).known
    assert await rows(database, business.id, "quarantine") == 1
    async with database.write(business.id) as db:
        await customers.unrestrict(db, Actor.customer(cy), cy)
    await _swept(database, business, after=QUARANTINED)
    assert await rows(database, business.id, "quarantine") == 0


@pytest.mark.parametrize("by_hand", [True, False])
async def test_who_decides_in_that_very_moment_stays(
    database: Database,
    business: Business,
    notice: Notice,
    shared_cluster: Cluster,
    *,
    by_hand: bool,
) -> None:
    """Her no is not there when her row is looked for, and is when her record is held."""
    done = await take(database, business.id, HEADER + _bare(_BO))
    bo = await _id(database, business, _BO)

    async def end() -> None:
        if not by_hand:
            await _swept(database, business, after=QUARANTINED)
            return
        async with database.write(business.id) as db:
            with pytest.raises(UnknownRow):
                await actions.let_go(db, _BY, done.id, bo)

    async with database.write(business.id) as db:
        await consent.withdraw(db, Actor.customer(bo), bo, notice.purpose_id, method=Method.portal)
        running = asyncio.create_task(end())
        await somebody_waits(shared_cluster)
    await running

    left = await held(database, notice, business.id, _BO)
    assert (left.known, left.status) == (True, Status.withdrawn)


async def test_a_better_list_keeps_whom_a_job_has_yet_to_let_go(
    database: Database, business: Business, notice: Notice
) -> None:
    """And whoever stayed when her row went is apart anew, for whoever names her again."""
    async with database.write(business.id) as db:
        known = await make.customer(db, address="known@example.com")
    first = await take(database, business.id, HEADER + _bare(known.address))
    async with database.write(business.id) as db:
        await actions.let_go(db, _BY, first.id, known.id)
    done = await take(database, business.id, _LIST)
    async with database.write(business.id) as db:
        assert await actions.let_all_go(db, _BY, done.id) == 2
        found = await quarantine.over(db, 9)

    better = HEADER + _bare(_BO, name="Bo B.") + _bare(_CY, name="Cy") + _bare(known.address)
    again = await take(database, business.id, better)
    async with database.write(business.id) as db:
        for each in found:
            await actions.end(db, over=each)
    await _swept(database, business)

    assert await _waiting(database, business, again.id) == [_BO, _CY, known.address]
    assert (await held(database, notice, business.id, _CY)).name == "Cy"
    await _swept(database, business, after=QUARANTINED + timedelta(hours=1))
    assert not (await held(database, notice, business.id, _BO)).known


async def test_nobody_waits_behind_one_for_whom_it_fails(
    database: Database, business: Business, notice: Notice, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All that are over go in one turn, by pieces, each after the last of the one before."""
    monkeypatch.setattr("crm.privacy.quarantine.jobs._AT_ONCE", 1)
    addresses = [_BO, _CY, "dee@example.com"]
    done = await take(database, business.id, HEADER + "".join(map(_bare, addresses)))
    async with database.write(business.id) as db:
        await actions.let_all_go(db, _BY, done.id)
        first, *_ = await quarantine.over(db, 1)

    async def keep(db: Db) -> Kept | None:
        gone = {each.customer_id for each in db.noted if isinstance(each, journal.Erased)}
        assert first.customer_id not in gone, "the journal is full"
        return None

    full = Database(database.connections, database.keys, no_wake, database.clock, keep)
    with capture_logs() as said:
        await jobs.sweep({"database": Alone(full, business.id)})

    assert [each["event"] for each in said] == ["job_failed"]
    async with database.read(business.id) as read:
        assert await quarantine.over(read, 9) == [first]
    known = [(await held(database, notice, business.id, each)).known for each in addresses]
    assert known.count(True) == 1


async def test_whom_a_shop_has_named_stays(
    database: Database, business: Business, notice: Notice
) -> None:
    """It keeps her id, also where it said nothing new."""
    await take(database, business.id, _LIST)
    async with database.write(business.id) as db:
        found, added = await put(db, _BY, Put(address=_BO))
    assert (added, found.version) == (False, 1)

    await _swept(database, business, after=QUARANTINED + timedelta(hours=1))

    assert (await held(database, notice, business.id, _BO)).known
    assert not (await held(database, notice, business.id, _CY)).known


async def test_two_purposes_end_apart(
    database: Database, business: Business, notice: Notice
) -> None:
    """Whom two lists brought for two purposes is deleted with the second of them."""
    done = await take(database, business.id, HEADER + _bare(_BO))
    async with database.write(business.id) as db:
        offers = await make.purpose(db, slug="offers")
        await make.notice(db, offers.id)
        asked = await imports.receive(
            db, _BY, offers.id, "offers.csv", (HEADER + _bare(_BO)).encode()
        )
    await imports.work_waiting(database, business.id, asked.id)
    assert await rows(database, business.id, "quarantine") == 2
    bo = await _id(database, business, _BO)

    for import_id, known in ((done.id, True), (asked.id, False)):
        async with database.write(business.id) as db:
            await actions.let_go(db, _BY, import_id, bo)
        assert (await held(database, notice, business.id, _BO)).known is known


async def test_her_copy_has_it_and_her_deletion_and_an_undo_end_it(
    database: Database, business: Business, notice: Notice
) -> None:
    done = await take(database, business.id, _LIST + _bare("dee@example.com"))
    bo, cy = [await _id(database, business, each) for each in (_BO, _CY)]
    async with database.read(business.id) as read:
        copied = await contents(read, bo)
        [listed] = [each for each in copied.lists if each.name == "quarantine"]
        [told] = [msgspec.to_builtins(each) async for each in listed.rows()]
    assert (told["line"], told["import_id"]) == (3, str(done.id))
    async with database.write(business.id) as db:
        await privacy.erase(db, Actor.customer(bo), bo)
        # Who was touched stays when the import is undone; her row does not.
        await customers.change(db, _BY, cy, customers.Changes(name="Cyd"))
    assert await _waiting(database, business, done.id) == [_CY, "dee@example.com"]
    assert (await take(database, business.id, HEADER + row(_BO))).rejected == 1

    async with database.write(business.id) as db:
        await imports.undo(db, _BY, done.id)
    await undoing.sweep({"database": database})

    assert await _waiting(database, business, done.id) == []
    await _swept(database, business)
    assert await rows(database, business.id, "quarantine") == 0
    assert (await held(database, notice, business.id, _CY)).name == "Cyd"
    assert not (await held(database, notice, business.id, "dee@example.com")).known


async def test_whom_an_undo_leaves_here_for_another_row_goes_with_that(
    database: Database, business: Business, notice: Notice
) -> None:
    """Who stays for a list of another purpose alone is deleted at the end of that one."""
    done = await take(database, business.id, HEADER + _bare(_BO))
    async with database.write(business.id) as db:
        offers = await make.purpose(db, slug="offers")
        await make.notice(db, offers.id)
        asked = await imports.receive(
            db, _BY, offers.id, "offers.csv", (HEADER + _bare(_BO)).encode()
        )
    await imports.work_waiting(database, business.id, asked.id)

    async with database.write(business.id) as db:
        await imports.undo(db, _BY, done.id)
    await undoing.sweep({"database": database})
    await _swept(database, business)
    assert (await held(database, notice, business.id, _BO)).known
    assert await _waiting(database, business, asked.id) == [_BO]

    await _swept(database, business, after=QUARANTINED + timedelta(hours=1))
    assert not (await held(database, notice, business.id, _BO)).known


async def test_a_row_of_an_undone_import_ends_whom_nothing_else_is_known_of(
    database: Database, business: Business, notice: Notice
) -> None:
    """Her address is suppressed, so the undo left her; what stays is the suppression."""
    done = await take(database, business.id, HEADER + _bare(_BO))
    async with database.write(business.id) as db:
        await mail.suppress(db, _BY, hash_of(db, _BO), mail.Scope.all, mail.Why.bounced)
        await imports.undo(db, _BY, done.id)
    await undoing.sweep({"database": database})
    assert (await held(database, notice, business.id, _BO)).known

    await _swept(database, business)

    gone = await held(database, notice, business.id, _BO)
    assert (gone.known, gone.suppressed) == (False, True)


async def test_another_business_sees_and_ends_nothing(
    program: site.Browser, database: Database, other_business: Business
) -> None:
    await letter(database, other_business.id)
    theirs = await take(database, other_business.id, _LIST)
    path = f"/v1/imports/{theirs.id}/quarantine"

    for answer in (await program.get(path), await program.delete(path)):
        assert (answer.status_code, answer.json()["code"]) == (404, "unknown_import")
    assert len(await _waiting(database, other_business, theirs.id)) == 2


async def test_the_command_says_how_many_wait(
    database: Database,
    business: Business,
    shared_cluster: Cluster,
    redis_url: str,
    tmp_path: Path,
) -> None:
    await letter(database, business.id)
    file = tmp_path / "list.csv"
    file.write_text(_LIST)
    urls = {"CRM_DATABASE_URL": shared_cluster.app_url, "CRM_REDIS_URL": redis_url}

    status, out, _ = await crm(
        "import", str(file), "--purpose=letter", f"--business={business.id}", **urls | SECRETS
    )

    assert status == 0
    assert "2 in quarantine for 90 days" in out
