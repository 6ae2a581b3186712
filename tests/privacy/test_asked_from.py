"""Requests from an address that is no customer's now: whose they are, and what comes of them."""

from __future__ import annotations

import re

import pytest

from crm import consent, customers, events, mail, privacy
from crm.businesses import Business
from crm.customers import Customer, UnknownCustomer
from crm.db import Database, Db
from crm.mail import Scope, Why
from crm.privacy import Fingerprint, NewRequest, Request, RequestKind, merging, requests
from crm.privacy.requests.model import IdentityMissing, Proof, Way
from crm.staff import Role
from crm.tokens import BadLink
from tests import make
from tests.imports.lists import HEADER, hash_of, held, letter, row, take
from tests.privacy import site
from tests.privacy.letters import letters
from tests.privacy.life import moved

BY = make.SYSTEM
_LINK = re.compile(r"/identity/([\w-]+)")


async def _asked(
    db: Db, kind: RequestKind, address: str, proof: Proof | None = Proof.mailbox
) -> Request:
    new = NewRequest(kind=kind, address=address, name="Zoe", words="Please.")
    return await requests.receive(db, BY, new, way=Way.mail, proof=proof)


async def _merged(database: Database, business: Business) -> tuple[Customer, Customer]:
    """Return the record that is kept and the one that went."""
    async with database.write(business.id) as db:
        kept, gone = await make.customer(db), await make.customer(db)
        await customers.note(db, BY, gone.id, "Allergic to nuts")
        await merging.merge(db, BY, kept.id, gone.id)
        await letters(db)
    return kept, gone


async def test_who_asks_from_the_address_of_a_merged_record_is_deleted(
    database: Database, business: Business
) -> None:
    """The link goes to the mailbox that asked; the answer there, and to the address on record."""
    kept, gone = await _merged(database, business)
    async with database.write(business.id) as db:
        asked = await _asked(db, RequestKind.erasure, gone.address, None)
        await requests.send_link(db, BY, asked.id)
        (link,) = await letters(db)
        token = _LINK.search(link.text)
        assert token is not None
        await requests.prove(db, token[1])
        done = await privacy.fulfil(db, BY, asked.id, "All is deleted.")
        told = await letters(db)
        left = await customers.interactions(db, kept.id)
        with pytest.raises(UnknownCustomer):
            await customers.get(db, kept.id)

    assert (asked.customer_id, link.to) == (kept.id, gone.address)
    assert (done.state, done.customer_id, done.address, done.words) == ("done", None, "", "")
    assert left == []
    assert {each.to for each in told} == {gone.address, kept.address}
    assert all("All is deleted." in each.text for each in told)


async def test_a_merge_after_the_request_counts_too(database: Database, business: Business) -> None:
    """She became a customer and was merged while it waited."""
    async with database.write(business.id) as db:
        asked = await _asked(db, RequestKind.erasure, "zoe@example.com")
        kept, gone = await make.customer(db), await make.customer(db, address="Zoe@example.com")
        await merging.merge(db, BY, kept.id, gone.id)
        await privacy.fulfil(db, BY, asked.id, "All is deleted.")
        with pytest.raises(UnknownCustomer):
            await customers.get(db, kept.id)


async def test_every_kind_is_about_the_record_that_is_kept(
    database: Database, business: Business
) -> None:
    """Frozen, and mailed no advertising; staff see the record and the address that asked.

    That address leads to it no more once somebody has decided about it.
    """
    kept, gone = await _merged(database, business)
    async with database.write(business.id) as db:
        freeze = await _asked(db, RequestKind.restriction, gone.address)
        objects = await _asked(db, RequestKind.objection, gone.address)
        copy = await _asked(db, RequestKind.access, gone.address)
    async with await site.staff_browser(database, business, Role.care) as staff:
        before = await staff.get(f"/staff/requests/{copy.id}")
        async with database.write(business.id) as db:
            await privacy.fulfil(db, BY, objects.id, "None any more.", marketing=True)
            await privacy.fulfil(db, BY, freeze.id, "It is frozen.")
        after = await staff.get(f"/staff/requests/{copy.id}")
    async with database.read(business.id) as db:
        her = await customers.get(db, kept.id)
        asked = await requests.of_customer(db, kept.id)
        silence = await mail.suppressed(db, db.keys.address_hash(business.id, kept.address))

    assert her.restricted_at is not None
    assert {each.id for each in asked} == {freeze.id, objects.id, copy.id}
    assert silence is not None
    assert (silence.scope, silence.reason) == (Scope.marketing, Why.objected)
    assert gone.address in before.text
    assert "which leads to this record" in before.text
    assert "which does not lead to this record" in after.text


async def test_whom_an_id_names_is_written_to_where_she_can_be(
    database: Database, business: Business, ada: Customer
) -> None:
    """An address beside it leads no link and no answer elsewhere."""
    new = NewRequest(kind=RequestKind.access, customer_id=ada.id, address="thief@example.com")
    async with database.write(business.id) as db:
        asked = await requests.receive(db, BY, new, way=Way.api)
        await requests.send_link(db, BY, asked.id)
        assert [each.to for each in await letters(db)] == [ada.address]


@pytest.mark.parametrize("merged", [False, True])
async def test_an_address_that_she_changed_is_for_staff_to_judge(
    database: Database, business: Business, *, merged: bool
) -> None:
    """The mailbox may be somebody else's by now; also where her record was merged later."""
    async with database.write(business.id) as db:
        notice = await make.notice(db, (await make.purpose(db)).id)
        her = await make.customer(db, address="old@example.com", name="Zoe Alt")
    her = await moved(database, business, her, notice, "new@example.com")
    async with database.write(business.id) as db:
        if merged:
            kept = await make.customer(db, name="Zoe Neu")
            await merging.merge(db, BY, kept.id, her.id)
            her = kept
        await letters(db)
        asked = await _asked(db, RequestKind.erasure, "old@example.com")
    async with await site.staff_browser(database, business, Role.care) as staff:
        shown = await staff.get(f"/staff/requests/{asked.id}")
    async with database.write(business.id) as db:
        looks = await events.looks_at(db, her.id)
        await privacy.fulfil(db, BY, asked.id, "All is deleted.")
        told = await letters(db)
        assert (await customers.get(db, her.id)).address == her.address

    assert asked.customer_id is None
    assert "find out who asks" in shown.text
    assert f"/staff/customers/{her.id}" in shown.text
    assert [each.reason for each in looks] == ["a privacy request from an address that was yours"]
    assert [each.to for each in told] == ["old@example.com"]


async def test_whoever_has_the_address_now_asks_for_herself(
    database: Database, business: Business
) -> None:
    kept, gone = await _merged(database, business)
    async with database.write(business.id) as db:
        now = await make.customer(db, address=gone.address)
        asked = await _asked(db, RequestKind.erasure, gone.address)
        await privacy.fulfil(db, BY, asked.id, "All is deleted.")
        assert (await customers.get(db, kept.id)).address == kept.address

    assert (asked.customer_id, asked.address) == (now.id, "")


async def test_who_is_no_customer_objects_to_all_advertising(
    database: Database, business: Business
) -> None:
    """Art. 21(3): staff tick it, and no list brings newsletters to her; not before she is known."""
    notice = await letter(database, business.id)
    async with database.write(business.id) as db:
        asked = await _asked(db, RequestKind.objection, "zoe@example.com", None)
        with pytest.raises(IdentityMissing):
            await privacy.fulfil(db, BY, asked.id, "None any more.", marketing=True)
        await requests.vouch(db, BY, asked.id)
    async with await site.staff_browser(database, business, Role.care) as staff:
        page = f"/staff/requests/{asked.id}"
        shown = await staff.get(page)
        done = await staff.fill(page, f"{page}/answer", answer="None any more.", marketing="yes")
    await take(database, business.id, HEADER + row("zoe@example.com"))

    assert "No advertising goes to this address from now on" in shown.text
    assert done.status_code == 303
    async with database.read(business.id) as read:
        silence = await mail.suppressed(read, hash_of(read, "zoe@example.com"))
    assert silence is not None
    assert (silence.scope, silence.reason) == (Scope.marketing, Why.objected)
    assert not (await held(database, notice, business.id, "zoe@example.com")).mailable


async def test_who_became_a_customer_since_objects_as_one(
    database: Database, business: Business
) -> None:
    """What she allowed meanwhile ends; without the tick it stays."""
    async with database.write(business.id) as db:
        notice = await make.notice(db, (await make.purpose(db)).id)
        asked = [await _asked(db, RequestKind.objection, "zoe@example.com") for _ in range(2)]
        zoe = await make.customer(db, address="zoe@example.com")
        await consent.give(db, BY, zoe.id, notice.question, make.ELSEWHERE)
        allowed = []
        for each, marketing in zip(asked, (False, True), strict=True):
            await privacy.fulfil(db, BY, each.id, "None any more.", marketing=marketing)
            checked = await consent.check(db, zoe.id, notice.purpose_id)
            allowed.append(checked.authorises)
    assert allowed == [True, False]


async def _said_yes(db: Db, her: Customer) -> None:
    """Let her mailbox say yes, which lifts what stood against it."""
    notice = await make.notice(db, (await make.purpose(db)).id)
    said = await make.own_word(db, her.id)
    await consent.give(db, events.Actor.customer(her.id), her.id, notice.question, said)


async def test_who_has_the_address_by_now_is_neither_silenced_nor_written_to(
    database: Database, business: Business
) -> None:
    """The objection was the other one's: the answer goes to her address on record alone."""
    kept, gone = await _merged(database, business)
    async with database.write(business.id) as db:
        asked = await _asked(db, RequestKind.objection, gone.address)
        now = await make.customer(db, address=gone.address)
        await _said_yes(db, now)
    async with await site.staff_browser(database, business, Role.care) as staff:
        shown = await staff.get(f"/staff/requests/{asked.id}")
    async with database.write(business.id) as db:
        await letters(db)
        await privacy.fulfil(db, BY, asked.id, "None any more.", marketing=True)
        told = await letters(db)
        hers = await mail.suppressed(db, hash_of(db, gone.address))
        silence = await mail.suppressed(db, hash_of(db, kept.address))

    assert asked.customer_id == kept.id
    assert "somebody else has it, or may have had it since" in shown.text
    assert "which leads to this record" not in shown.text
    assert [each.to for each in told] == [kept.address]
    assert hers is None
    assert silence is not None
    assert silence.reason is Why.objected


async def test_who_has_the_address_by_now_proves_nothing(
    database: Database, business: Business
) -> None:
    """A link that lies in that mailbox is over, and the next goes to the address on record."""
    kept, gone = await _merged(database, business)
    async with database.write(business.id) as db:
        asked = await _asked(db, RequestKind.erasure, gone.address, None)
        await requests.send_link(db, BY, asked.id)
        (link,) = await letters(db)
        token = _LINK.search(link.text)
        assert token is not None
        assert (await requests.of_link(db, token[1])).id == asked.id
        now = await make.customer(db, address=gone.address)
        with pytest.raises(BadLink):
            await requests.prove(db, token[1])
        await requests.send_link(db, BY, asked.id)
        (link,) = await letters(db)
        token = _LINK.search(link.text)
        assert token is not None
        await requests.prove(db, token[1])
        await privacy.fulfil(db, BY, asked.id, "All is deleted.")
        told = await letters(db)
        assert (await customers.get(db, now.id)).address == gone.address

    assert link.to == kept.address
    assert [each.to for each in told] == [kept.address]


@pytest.mark.parametrize("said_yes", [False, True])
@pytest.mark.parametrize("fingerprint", Fingerprint)
async def test_who_had_the_address_since_and_was_erased_reaches_no_record(
    database: Database, business: Business, fingerprint: Fingerprint, *, said_yes: bool
) -> None:
    """Nothing says any more that anybody had it: staff see whose it was before, and judge."""
    kept, gone = await _merged(database, business)
    async with database.write(business.id) as db:
        now = await make.customer(db, address=gone.address)
        if said_yes:
            await _said_yes(db, now)
    async with database.write(business.id) as db:
        by = events.Actor.customer(now.id)
        await privacy.erase(db, by, now.id, fingerprint=fingerprint)
    async with database.write(business.id) as db:
        asked = await _asked(db, RequestKind.erasure, gone.address)
        before = await requests.had_before(db, asked)
        await privacy.fulfil(db, BY, asked.id, "All is deleted.")
        assert (await customers.get(db, kept.id)).address == kept.address

    assert asked.customer_id is None
    assert [each.id for each in before] == [kept.id]


async def test_who_had_the_address_changed_it_and_was_erased_reaches_no_record(
    database: Database, business: Business
) -> None:
    """What says that it was left was the merge's word, and says now that its owner is erased."""
    kept, gone = await _merged(database, business)
    async with database.write(business.id) as db:
        notice = await make.notice(db, (await make.purpose(db)).id)
        now = await make.customer(db, address=gone.address)
    await moved(database, business, now, notice, "new@example.com")
    async with database.write(business.id) as db:
        await privacy.erase(db, BY, now.id)
        silence = await mail.suppressed(db, hash_of(db, gone.address))
        asked = await _asked(db, RequestKind.access, gone.address)
        before = await requests.had_before(db, asked)

    assert silence is not None
    assert silence.reason is Why.erased
    assert (asked.customer_id, [each.id for each in before]) == (None, [kept.id])


async def test_a_bounce_does_not_hide_who_left_the_address(
    database: Database, business: Business
) -> None:
    """Mail that comes back says nothing of whose it is; beneath it an erasure counts as well."""
    kept, gone = await _merged(database, business)
    async with database.write(business.id) as db:
        await mail.suppress(db, BY, hash_of(db, gone.address), Scope.all, Why.bounced)
        asked = await _asked(db, RequestKind.access, gone.address)
        assert asked.customer_id == kept.id
        now = await make.customer(db, address=gone.address)
        await privacy.erase(db, BY, now.id)
        later = await _asked(db, RequestKind.access, gone.address)
        decided = await mail.decided_against(db, hash_of(db, gone.address))

    assert later.customer_id is None
    assert decided is not None
    assert decided.reason is Why.erased


async def test_the_erasure_of_who_has_the_address_by_now_leaves_the_request_of_another(
    database: Database, business: Business
) -> None:
    """What somebody asked from there before her is not hers to take along."""
    _, gone = await _merged(database, business)
    async with database.write(business.id) as db:
        asked = await _asked(db, RequestKind.access, gone.address)
        newer = await make.customer(db, address=gone.address)
        await privacy.erase(db, BY, newer.id)
        still = await requests.get(db, asked.id)
    assert (still.customer_id, still.words, still.closed_at) == (asked.customer_id, "Please.", None)
