"""What two records become at each edge: campaigns, her pages, copy, erasure, console and API."""

from __future__ import annotations

import asyncio
from typing import Any
from uuid import UUID, uuid4

import pytest

from crm import access, campaigns, consent, customers, events, privacy, staff
from crm.businesses import Business
from crm.campaigns import Campaign, filling
from crm.consent import Method, Notice
from crm.customers import (
    AttributeType,
    Customer,
    LawfulBasis,
    NewAttribute,
    UnknownCustomer,
)
from crm.db import Database, Db, ReadDb
from crm.events import Actor, Kind
from crm.privacy import Fingerprint, merging, requests
from crm.privacy.erasure.staying import would_stay
from crm.staff import Role, Scope
from crm.tokens import Stop
from tests import make, races
from tests.browser import Browser
from tests.campaigns.test_share import until_waiting
from tests.conftest import Cluster
from tests.privacy import site
from tests.privacy.life import Life
from tests.privacy.taken import inside, lines, taken

SYSTEM = Actor.system()
USUAL_SHOP = NewAttribute(
    basis=LawfulBasis.legitimate_interests,
    origin="From you.",
    label="Usual shop",
    type=AttributeType.text,
    purpose="For opening hours.",
    retention="P24M",
)


async def _readers(db: Db) -> tuple[Customer, Customer, Notice]:
    """Two records that are mailed for one purpose."""
    notice = await make.notice(db, (await make.purpose(db)).id)
    kept, gone = await make.customer(db), await make.customer(db)
    for each in (kept, gone):
        await consent.give(db, SYSTEM, each.id, notice.question, make.ELSEWHERE)
    return kept, gone, notice


async def _waiting(database: Database, business: Business, notice: Notice) -> Campaign:
    async with database.write(business.id) as db:
        campaign = await make.campaign(db, notice.purpose_id)
        await campaigns.start(db, SYSTEM, campaign.id)
    async with database.write(business.id) as db:
        while await filling.fill_piece(db, campaign.id, 20):
            pass
    return campaign


async def test_what_waits_for_the_record_that_goes_is_left_out_and_counted(
    database: Database, business: Business
) -> None:
    async with database.write(business.id) as db:
        kept, gone, notice = await _readers(db)
    campaign = await _waiting(database, business, notice)
    async with database.write(business.id) as db:
        await merging.merge(db, SYSTEM, kept.id, gone.id)
    async with database.read(business.id) as db:
        counts = await campaigns.recount(db, campaign.id)
    assert (counts.audience, counts.waiting, counts.excluded) == (2, 1, 1)
    # Its yes ended with it.
    assert counts.reasons == {"expired": 1}


@pytest.mark.parametrize("came_back", [False, True])
async def test_an_issue_that_one_record_got_is_not_sent_to_the_other(
    *, database: Database, business: Business, root: Any, came_back: bool
) -> None:
    """What came back was got by nobody: it goes to the other."""
    async with database.write(business.id) as db:
        kept, gone, notice = await _readers(db)
    campaign = await _waiting(database, business, notice)
    # As where the worker was stopped between the two.
    await root.execute(
        "UPDATE crm.delivery SET state = 'sent', claimed_at = now(), done_at = now(), attempt = 1"
        " WHERE business_id = $1 AND customer_id = $2",
        business.id,
        gone.id,
    )
    await root.execute(
        "UPDATE crm.lease SET waiting = waiting - 1, sent = sent + 1"
        " WHERE business_id = $1 AND campaign_id = $2 AND low < $3 AND high >= $3",
        business.id,
        campaign.id,
        gone.id,
    )
    if came_back:
        await root.execute(
            "UPDATE crm.delivery"
            " SET bounced_at = now(), bounce_class = 'hard', bounce_code = '5.1.1'"
            " WHERE business_id = $1 AND customer_id = $2",
            business.id,
            gone.id,
        )
    async with database.write(business.id) as db:
        await merging.merge(db, SYSTEM, kept.id, gone.id)
    async with database.read(business.id) as db:
        counts = await campaigns.recount(db, campaign.id)
        (mail,) = await campaigns.mails(db, kept, only_sent=True, limit=9)
    left = {} if came_back else {"merged": 1}
    assert (counts.sent, counts.waiting, counts.reasons) == (1, int(came_back), left)
    assert mail.id == campaign.id


async def _answered(db: Db, customer: Customer) -> None:
    """Answer what was asked under the law: until then nothing is merged."""
    for each in await requests.of_customer(db, customer.id):
        if each.open:
            await requests.answer(db, SYSTEM, each.id, "It is done.", told=True)


async def test_she_reads_and_takes_the_history_of_both(
    database: Database, business: Business, nora: Life, ada: Customer
) -> None:
    async with database.write(business.id) as db:
        member = await make.owner(db, Role.care)
        await events.look(db, member.actor, [ada.id], "to help")
        await _answered(db, nora.customer)
        await merging.merge(db, member.actor, ada.id, nora.customer.id)
    async with await site.her_browser(database, business, ada) as browser:
        shown = (await browser.get("/me")).text
        mail = await browser.get(f"/me/mails/{nora.got.id}")
    assert "Records that became one" in shown
    assert "Somebody who looks after customers" in shown
    files = inside(await taken(database, business.id, ada.id))
    assert nora.got.subject in {each["delivery"]["subject"] for each in lines(files, "newsletters")}
    decided = {each["event"]["customer_id"] for each in lines(files, "decisions")}
    assert decided == {str(nora.customer.id), str(ada.id)}
    (merged,) = lines(files, "merged_records")
    assert (merged["customer_id"], merged["role"]) == (str(nora.customer.id), "care")
    assert len(lines(files, "looks")) > 1
    assert lines(files, "brought")
    assert lines(files, "passed_on")
    assert mail.status_code in {200, 404}


async def _deleted(database: Database, business: Business, address: str, notice: Notice) -> UUID:
    """Somebody of this address allowed something, and had everything deleted but its proof."""
    async with database.write(business.id) as db:
        her = await make.customer(db, address=address)
        word = await make.own_word(db, her.id)
        given = await consent.give(db, Actor.customer(her.id), her.id, notice.question, word)
        await privacy.erase(db, Actor.customer(her.id), her.id)
    return given.id


async def test_her_copy_has_proofs_kept_under_the_address_that_went(
    database: Database, business: Business
) -> None:
    """Of who had it before her; not of who has had it since."""
    async with database.write(business.id) as db:
        notice = await make.notice(db, (await make.purpose(db)).id)
        kept = await make.customer(db)
    before = await _deleted(database, business, "old@example.com", notice)
    async with database.write(business.id) as db:
        gone = await make.customer(db, address="old@example.com")
    async with database.write(business.id) as db:
        await merging.merge(db, SYSTEM, kept.id, gone.id)
    await _deleted(database, business, "old@example.com", notice)
    async with database.read(business.id) as db:
        told = (await consent.export(db, kept.id)).kept_proofs
    assert [each.event_id for each in told] == [before]


@pytest.mark.parametrize("by_old_number", [False, True])
async def test_an_erasure_reaches_both(
    *, database: Database, business: Business, nora: Life, ada: Customer, by_old_number: bool
) -> None:
    """Nothing is left under either number, whichever is named."""
    gone = nora.customer
    async with database.write(business.id) as db:
        await _answered(db, gone)
        await merging.merge(db, SYSTEM, ada.id, gone.id)
    async with database.write(business.id) as db:
        done = await privacy.erase(db, SYSTEM, gone.id if by_old_number else ada.id)
    assert done.customer_id == ada.id
    async with database.read(business.id) as db:
        assert not await consent.history(db, gone.id)
        assert not [each async for each in events.export(db, gone.id)]
        assert not await customers.merged_records(db, ada.id)
        assert gone.id not in await privacy.traces(db)
        newest = await events.page(db, limit=9)
        told = {each.ref for each in newest if each.kind is Kind.customer_erased}
        assert told == {ada.id, gone.id}
        signed = await privacy.certificate(db, ada.id)
    counted = {each.table: each.gone for each in signed.certificate.stores}
    assert counted["consent_record"] > 1
    assert counted["former_address"] > 1


async def test_the_certificate_names_what_stays_of_both_records(
    database: Database, business: Business, root: Any
) -> None:
    """As many as there are, as her page said before; what is erased later takes none away."""
    async with database.write(business.id) as db:
        kept, gone, notice = await _readers(db)
        # Of the record that goes alone, and the last to go.
        long = (await make.purpose(db, retention="P10Y")).id
        other = await make.notice(db, long)
        await consent.give(db, SYSTEM, gone.id, other.question, make.ELSEWHERE)
    await _waiting(database, business, notice)
    async with database.write(business.id) as db:
        await merging.merge(db, SYSTEM, kept.id, gone.id)
    async with database.write(business.id) as db:
        told = await would_stay(db, kept, await privacy.inventory(db, kept))
        await privacy.erase(db, SYSTEM, kept.id)
        signed = await privacy.certificate(db, kept.id)
    stays = {each.what: each.count for each in signed.certificate.stays}
    here = "SELECT count(*) FROM crm.{} WHERE business_id = $1"
    for table, what in (
        ("kept_proof", "For each purpose what you allowed, and how it ended"),
        ("delivery", "Newsletters that went to somebody or left somebody out"),
        ("customer", "An empty record"),
        ("suppression", "The fingerprint of each address you had"),
        ("event", "A line that a record was deleted, and this certificate"),
    ):
        where = " AND kind = 'customer.erased'" if table == "event" else ""
        assert stays[what] == await root.fetchval(here.format(table) + where, business.id)
    last = "SELECT max(keep_until) FROM crm.kept_proof WHERE business_id = $1"
    days = {each.what: each.ends for each in signed.certificate.stays}
    assert days["For each purpose what you allowed, and how it ended"] == await root.fetchval(
        last, business.id
    )
    assert [(each.what, each.ends) for each in told] == list(days.items())
    sealed = "Checksums of decisions"  # The erasure adds its own.
    assert {each.what: each.count for each in told} | {sealed: 0} == stays | {sealed: 0}

    await root.execute(
        "UPDATE crm.delivery SET reply = 'late' WHERE business_id = $1 AND customer_id = $2",
        business.id,
        kept.id,
    )
    async with database.write(business.id) as db:
        await privacy.erase_again(db, kept.id)
        again = await privacy.certificate(db, kept.id)
    assert again.certificate.stays == signed.certificate.stays
    assert again.certificate.stores != signed.certificate.stores


async def test_an_address_that_two_of_her_records_had_counts_once(
    database: Database, business: Business, nora: Life, root: Any
) -> None:
    """She left it, was here with it anew, and both records were merged: told before, and after."""
    was = "SELECT address FROM crm.former_address WHERE business_id = $1"
    address = await root.fetchval(was, business.id)
    async with database.write(business.id) as db:
        anew = await make.customer(db, address=address)
        await _answered(db, nora.customer)
        await merging.merge(db, SYSTEM, anew.id, nora.customer.id)
    async with database.read(business.id) as db:
        told = await would_stay(db, anew, await privacy.inventory(db, anew))
    async with database.write(business.id) as db:
        await privacy.erase(db, SYSTEM, anew.id)
        found = (await privacy.certificate(db, anew.id)).certificate
    marks = "SELECT count(*) FROM crm.suppression WHERE business_id = $1"
    kept = await root.fetchval(marks, business.id)
    async with database.write(business.id) as db:
        await privacy.erase_again(db, anew.id)
        again = (await privacy.certificate(db, anew.id)).certificate

    for stays in (told, found.stays, again.stays):
        counts = {each.what: each.count for each in stays}
        assert counts["The fingerprint of each address you had"] == kept == 2


async def test_a_certificate_from_before_says_as_many_addresses_as_ever(
    database: Database, business: Business, nora: Life, root: Any
) -> None:
    """What the first erasure did not count a later one, which finds but traces, cannot."""
    async with database.write(business.id) as db:
        await privacy.erase(db, SYSTEM, nora.customer.id)
    await root.execute(
        "UPDATE crm.erasure SET addresses = NULL WHERE business_id = $1", business.id
    )
    late = "UPDATE crm.delivery SET reply = 'late' WHERE business_id = $1 AND customer_id = $2"
    await root.execute(late, business.id, nora.customer.id)
    async with database.write(business.id) as db:
        await privacy.erase_again(db, nora.customer.id)
        again = (await privacy.certificate(db, nora.customer.id)).certificate

    counts = {each.what: each.count for each in again.stays}
    assert counts["The fingerprint of each address you had"] == 2


async def test_a_frozen_record_keeps_what_the_other_brought(
    database: Database, business: Business, root: Any
) -> None:
    async with database.write(business.id) as db:
        kept, gone, _ = await _readers(db)
        await merging.merge(db, SYSTEM, kept.id, gone.id)
        await customers.restrict(db, SYSTEM, kept.id)
    frozen = "SELECT restricted_at FROM crm.customer WHERE business_id = $1 AND customer_id = $2"
    assert await root.fetchval(frozen, business.id, gone.id) is not None
    async with database.write(business.id) as db:
        await customers.unrestrict(db, SYSTEM, kept.id)
    assert await root.fetchval(frozen, business.id, gone.id) is None


async def test_sessions_of_the_record_that_goes_end(database: Database, business: Business) -> None:
    async with database.write(business.id) as db:
        kept, gone, _ = await _readers(db)
    async with await site.her_browser(database, business, gone) as browser:
        assert (await browser.get("/me")).status_code == 200
        async with database.write(business.id) as db:
            await merging.merge(db, SYSTEM, kept.id, gone.id)
        assert (await browser.get("/me")).headers["location"] == "/sign-in"


# Each at the same moment as a merge; whoever comes first, the other waits.
async def _leave(db: Db, business: Business, customer: Customer, notice: Notice) -> None:
    fingerprint = db.keys.address_hash(business.id, customers.fold(customer.address))
    await access.leave(db, Stop(business.id, fingerprint, None), method=Method.one_click)


async def _withdraw(db: Db, business: Business, customer: Customer, notice: Notice) -> None:
    await consent.withdraw(db, SYSTEM, customer.id, notice.purpose_id, method=Method.api)


async def _erase(db: Db, business: Business, customer: Customer, notice: Notice) -> None:
    await privacy.erase(db, SYSTEM, customer.id, fingerprint=Fingerprint.keep)


@pytest.mark.parametrize("act", [_leave, _withdraw, _erase])
async def test_what_waits_for_a_merge_counts_for_the_record_that_is_kept(
    database: Database, business: Business, shared_cluster: Cluster, act: Any
) -> None:
    async with database.write(business.id) as db:
        kept, gone, notice = await _readers(db)

    async def meanwhile() -> None:
        async with database.write(business.id) as db:
            await act(db, business, gone, notice)

    async with database.write(business.id) as db:
        await merging.merge(db, SYSTEM, kept.id, gone.id)
        waits = asyncio.ensure_future(meanwhile())
        await until_waiting(shared_cluster, 1)
    await waits
    async with database.read(business.id) as read:
        assert not (await consent.check(read, kept.id, notice.purpose_id)).authorises
        if act is _erase:
            with pytest.raises(UnknownCustomer):
                await customers.get(read, kept.id)


@pytest.mark.parametrize("act", [_leave, _withdraw, _erase])
async def test_a_merge_that_waits_sees_what_was_done(
    database: Database, business: Business, shared_cluster: Cluster, act: Any
) -> None:
    async with database.write(business.id) as db:
        kept, gone, notice = await _readers(db)

    async def meanwhile() -> None:
        async with database.write(business.id) as db:
            await merging.merge(db, SYSTEM, kept.id, gone.id)

    async with database.write(business.id) as db:
        await act(db, business, gone, notice)
        waits = asyncio.ensure_future(meanwhile())
        await until_waiting(shared_cluster, 1)
    if act is _erase:
        with pytest.raises(UnknownCustomer):
            await waits
        return
    await waits
    async with database.read(business.id) as read:
        assert not (await consent.check(read, kept.id, notice.purpose_id)).authorises


async def test_an_erasure_that_waits_for_a_merge_lets_go_of_the_record_that_went(
    database: Database,
    business: Business,
    shared_cluster: Cluster,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Whoever freezes the kept one at that moment has it first, and then needs the other."""
    async with database.write(business.id) as db:
        kept, gone, _ = await _readers(db)
    looks, goes_on = asyncio.Event(), asyncio.Event()
    kept_as = customers.kept_as

    async def late(db: ReadDb, customer_id: UUID) -> UUID | None:
        looks.set()
        await goes_on.wait()
        return await kept_as(db, customer_id)

    monkeypatch.setattr(customers, "kept_as", late)

    async def erase() -> None:
        async with database.write(business.id) as db:
            await privacy.erase(db, SYSTEM, gone.id)

    row = "SELECT FROM crm.customer WHERE customer_id = $1 FOR UPDATE NOWAIT"
    async with database.write(business.id) as watch:
        async with database.write(business.id) as early:
            await merging.merge(early, SYSTEM, kept.id, gone.id)
            erasing = asyncio.ensure_future(erase())
            await races.waited_for(watch, await races.pid(early), erasing)
        await looks.wait()
        async with races.stubborn(shared_cluster) as freezes:
            try:
                await freezes.execute(row, kept.id)
                await freezes.execute(row, gone.id)
            finally:
                goes_on.set()
            await races.waited_for(watch, freezes.get_server_pid(), erasing)
    await erasing
    async with database.read(business.id) as read:
        assert not await customers.merged_records(read, kept.id)
        with pytest.raises(UnknownCustomer):
            await customers.get(read, kept.id)


async def test_of_two_merges_the_other_way_round_one_is_done(
    database: Database, business: Business
) -> None:
    async with database.write(business.id) as db:
        kept, gone, _ = await _readers(db)

    async def one(mine: UUID, other: UUID) -> None:
        async with database.write(business.id) as db:
            await merging.merge(db, SYSTEM, mine, other)

    done = await asyncio.gather(
        one(kept.id, gone.id), one(gone.id, kept.id), return_exceptions=True
    )
    assert sorted(type(each).__name__ for each in done) == ["NoneType", "UnknownCustomer"]


async def test_staff_find_compare_and_confirm(database: Database, business: Business) -> None:
    async with database.write(business.id) as db:
        kept, gone, _ = await _readers(db)
        await customers.declare_attribute(db, SYSTEM, "shop", USUAL_SHOP)
        await customers.set_attributes(db, SYSTEM, gone.id, {"shop": "Quay Street"})
    base = f"/staff/customers/{kept.id}"
    async with await site.staff_browser(database, business, Role.care) as browser:
        assert "Why do you open" in (await browser.get(f"{base}/merge")).text
        async with database.write(business.id) as db:
            (member,) = [each for each in await staff.members(db) if each.role is Role.care]
            await staff.give_reason(db, member, kept.id, "to put right a mistake in your record")
        wrong = await browser.fill(f"{base}/merge", f"{base}/merge", address="nobody@example.com")
        assert (wrong.status_code, "No record has this address" in wrong.text) == (422, True)
        itself = await browser.fill(f"{base}/merge", f"{base}/merge", address=kept.address)
        assert itself.status_code == 422
        found = await browser.fill(f"{base}/merge", f"{base}/merge", address=gone.address)
        there = found.headers["location"]
        assert there == f"{base}/merge/{gone.id}"
        shown = (await browser.get(there)).text
        assert "The Corner Letter" in shown
        assert "Quay Street" in shown
        versions = {"version": 1, "other_version": 1}
        for form in ({"same": "yes", "address": kept.address}, {"address": gone.address}):
            refused = await browser.fill(there, there, **form, **versions)
            assert refused.status_code == 422
        sure = {"same": "yes", "address": gone.address.upper()}
        stale = await browser.fill(there, there, **sure, version=1, other_version=9)
        assert stale.status_code == 422
        done = await browser.fill(there, there, **sure, **versions)
        assert (done.status_code, done.headers["location"]) == (303, base)
        assert (await browser.get(f"/staff/customers/{gone.id}")).status_code == 404
    async with database.read(business.id) as db:
        seen = await events.looks_at(db, kept.id, limit=50)
    assert {each.reason for each in seen} == {"to put right a mistake in your record"}


async def test_who_may_not_delete_may_not_merge(database: Database, business: Business) -> None:
    async with database.write(business.id) as db:
        kept, _, _ = await _readers(db)
    async with await site.staff_browser(database, business, Role.editor) as browser:
        assert (await browser.get(f"/staff/customers/{kept.id}/merge")).status_code == 403


async def test_a_program_merges_once(database: Database, business: Business) -> None:
    async with database.write(business.id) as db:
        kept, gone, _ = await _readers(db)
    where, body = f"/v1/customers/{kept.id}/merge", {"gone": str(gone.id)}
    key = {"idempotency-key": uuid4().hex}
    match = {"if-match": f'"v{kept.version}"'}
    async with await site.program(database, business, *Scope) as shop:
        assert (await shop.post(where, json=body, headers=key)).status_code == 428
        assert (await shop.post(where, json=body, headers=match)).status_code == 400
        # What is missing is said before what does not match.
        neither = await shop.post(where, json=body, headers={"if-match": "nothing"})
        assert (neither.status_code, neither.json()["code"]) == (400, "key_missing")
        late = {**key, "if-match": '"v9"'}
        assert (await shop.post(where, json=body, headers=late)).status_code == 412
        planned = (await shop.get(f"{where}/{gone.id}")).json()
        first = await shop.post(where, json=body, headers=key | match)
        again = await shop.post(where, json=body, headers=key | match)
        anew = {"idempotency-key": uuid4().hex, "if-match": "*"}
        assert (await shop.post(where, json=body, headers=anew)).status_code == 404
    assert planned["left_behind"] == []
    assert planned["stays"] == ["The Corner Letter"]
    assert first.status_code == 200
    assert first.headers["etag"] == f'"v{kept.version + 1}"'
    assert again.json() == first.json()
    assert again.headers["idempotency-replayed"] == "true"


async def test_a_program_withdraws_by_the_old_number(
    database: Database, business: Business, api: Browser
) -> None:
    async with database.write(business.id) as db:
        kept, gone, notice = await _readers(db)
        await merging.merge(db, SYSTEM, kept.id, gone.id)
    said = {"status": "withdrawn", "purpose": str(notice.purpose_id)}
    answer = await api.post(f"/v1/customers/{gone.id}/consent-events", json=said)
    assert (answer.status_code, answer.json()["customer_id"]) == (201, str(kept.id))
    assert (await api.get(f"/v1/customers/{gone.id}")).status_code == 404
    async with database.read(business.id) as db:
        assert not (await consent.check(db, kept.id, notice.purpose_id)).authorises
