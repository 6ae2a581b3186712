"""What is kept of who was deleted: what each purpose was allowed, until its day, and no more."""

from __future__ import annotations

from base64 import urlsafe_b64encode
from datetime import timedelta
from time import process_time
from uuid import UUID

import asyncpg
import pytest

from crm import consent, customers, events, ledger, privacy
from crm.businesses import Business
from crm.consent import AUTHORISES, KeptProof, Status
from crm.consent.kept_proof import NotAReceipt
from crm.db import Database
from crm.doctor import age_problems
from crm.events import Actor, Kind
from crm.ledger import KeyKind
from crm.outside import outside
from crm.privacy import Fingerprint
from crm.privacy.erasure.staying import would_stay
from crm.privacy.retention.sweeps import SWEEPS
from crm.settings import Settings
from tests.browser import Browser
from tests.privacy import site
from tests.privacy.conftest import Clock
from tests.privacy.life import Life


async def _erased(
    database: Database, life: Life, fingerprint: Fingerprint = Fingerprint.keep
) -> privacy.Certificate:
    async with database.write(life.business.id) as db:
        await privacy.erase(db, life.actor, life.customer.id, fingerprint=fingerprint)
        return (await privacy.certificate(db, life.customer.id)).certificate


async def _kept(database: Database, life: Life) -> list[KeptProof]:
    async with database.read(life.business.id) as db:
        folded = customers.fold(life.customer.address)
        return await consent.kept_proofs(db, db.keys.address_hash(db.business_id, folded))


async def _bundle(database: Database, life: Life) -> str:
    """The receipt of what she gave last, as she kept it."""
    async with database.write(life.business.id) as db:
        await ledger.ensure_key(db, KeyKind.receipt, "receipts")
    async with database.read(life.business.id) as db:
        decided = await consent.history(db, life.customer.id)
        given = next(
            each
            for each in decided
            if each.status in AUTHORISES and each.purpose_id == life.notice.purpose_id
        )
        return (await consent.receipt(db, life.customer.id, given.id)).jws


async def test_per_purpose_what_was_given_and_how_it_ended(database: Database, nora: Life) -> None:
    """A yes that stood ends with the erasure; one that she took back ended then."""
    before = await _kept(database, nora)
    certificate = await _erased(database, nora)
    kept = [each for each in await _kept(database, nora) if each not in before]

    ends = {each.end_method for each in kept}
    assert len(kept) == 2
    assert ends == {consent.Method.erasure, consent.Method.portal}
    assert all(each.end_status is Status.withdrawn for each in kept)
    # As long as the purpose declares.
    assert {each.keep_until.year - each.ended_at.year for each in kept} == {3}
    (told,) = [each for each in certificate.stays if each.what.startswith("For each purpose")]
    assert (told.count, told.ends) == (2, max(each.keep_until for each in kept))


async def test_the_page_before_says_what_the_certificate_says(
    database: Database, business: Business, nora: Life
) -> None:
    """The same things stay, each with the same day; she reads them before she decides."""
    async with await site.her_browser(database, business, nora.customer) as browser:
        page = await browser.get("/me/delete")
    async with database.read(business.id) as db:
        before = await would_stay(db, nora.customer, await privacy.inventory(db, nora.customer))
    certificate = await _erased(database, nora)

    assert [(each.what, each.ends) for each in before] == [
        (each.what, each.ends) for each in certificate.stays
    ]
    text = page.text.replace("&#39;", "'")
    for each in before:
        assert each.what in text
        assert each.why in text
    assert f"{before[-4].ends:%Y}" in text


async def test_backups_have_a_stated_end(web: Browser) -> None:
    """Everybody reads it; a journal that keeps less than a backup holds is refused."""
    shown = await web.get("/privacy")
    settings = Settings(link_keys="", storage_keys="", pepper="", backup_days=400)

    assert "Encrypted backups of the whole database" in shown.text
    assert f"{outside.backup_days} days" in shown.text
    assert "CRM_BACKUP_DAYS" in age_problems(settings)[0]
    assert age_problems(Settings(link_keys="", storage_keys="", pepper="")) == []


async def test_it_goes_on_its_day(
    clocked: Database, clock: Clock, nora: Life, business: Business
) -> None:
    """Not a day sooner; by the sweep, and by nothing else."""
    await _erased(clocked, nora)
    clock.move(timedelta(days=3 * 365))
    assert await _swept(clocked, business) == 0
    clock.move(timedelta(days=3))
    assert await _swept(clocked, business) == 3
    assert await _kept(clocked, nora) == []


async def _swept(database: Database, business: Business) -> int:
    async with database.write(business.id) as db:
        return (await SWEEPS["kept_proofs"](db, UUID(int=0), 100)).deleted


async def test_nobody_deletes_or_claims_one(
    database: Database, business: Business, nora: Life
) -> None:
    """The role that serves cannot delete a proof, nor put it under another address."""
    await _erased(database, nora)
    for statement in (
        "DELETE FROM crm.kept_proof WHERE business_id = $1",
        "UPDATE crm.kept_proof SET ended_at = now() WHERE business_id = $1",
        "UPDATE crm.kept_proof SET address_hash = substr(sha256(''), 1, 16) WHERE business_id = $1",
    ):
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            async with database.write(business.id) as db:
                await db._conn.execute(statement, business.id)  # noqa: SLF001


async def test_a_dropped_fingerprint_leaves_it_to_her_receipt(
    database: Database, business: Business, nora: Life
) -> None:
    """Nobody finds it by the address any more, also what was kept of her before; she can."""
    receipt = await _bundle(database, nora)
    await _erased(database, nora, Fingerprint.drop)

    assert await _kept(database, nora) == []
    async with database.read(business.id) as db:
        checked = await consent.check_receipt(db, receipt)
    assert checked.genuine
    assert checked.proof is not None
    assert checked.proof.purpose_id == nora.notice.purpose_id


@pytest.mark.parametrize("row", ["a", "a" * 20 + ".", "a" * 19 + "."])
async def test_a_long_text_is_searched_in_linear_time(
    database: Database, business: Business, row: str
) -> None:
    """Whatever staff paste into the box, nobody else waits for it."""

    async def took(size: int) -> float:
        began = process_time()
        async with database.read(business.id) as db:
            with pytest.raises(NotAReceipt):
                await consent.check_receipt(db, row * (size // len(row)))
        return process_time() - began

    assert await took(200_000) < 40 * max(await took(20_000), 0.005)


async def test_a_text_that_is_nested_without_end_is_no_receipt(
    database: Database, business: Business
) -> None:
    deep = "[" * 20_000
    for said in (f'{{"sealed":{deep}', f'{{"other":{deep}'):
        middle = urlsafe_b64encode(said.encode()).decode().rstrip("=")
        async with database.read(business.id) as db:
            with pytest.raises(NotAReceipt):
                await consent.check_receipt(db, f"{'a' * 20}.{middle}.{'a' * 20}")


async def test_staff_find_it_by_address_or_receipt(
    database: Database, business: Business, nora: Life, console: Browser
) -> None:
    """There is no list; each search is written down; a receipt that was changed is none."""
    receipt = await _bundle(database, nora)
    await _erased(database, nora)
    empty = await console.get("/staff/proofs")
    found = await console.fill("/staff/proofs", "/staff/proofs", address=nora.customer.address)
    unknown = await console.fill("/staff/proofs", "/staff/proofs", address="who@example.com")
    proven = await console.fill("/staff/proofs", "/staff/proofs", receipt=receipt)
    head, said, signature = receipt.split(".")
    other = f"{head}.{said[:-60]}{said[-59:]}A.{signature}"
    forged = await console.fill("/staff/proofs", "/staff/proofs", receipt=other)
    wrong = await console.fill("/staff/proofs", "/staff/proofs", receipt="my receipt")
    neither = await console.fill("/staff/proofs", "/staff/proofs")

    assert "The Corner Letter" not in empty.text
    assert "The Corner Letter" in found.text
    assert nora.notice.text in found.text
    assert "Nothing is kept under this address" in unknown.text
    assert "This receipt is genuine" in proven.text
    assert "The Corner Letter" in proven.text
    assert "genuine" not in forged.text
    assert (wrong.status_code, neither.status_code) == (422, 422)
    async with database.read(business.id) as db:
        trail = [each.kind for each in await events.page(db)]
    assert trail.count(Kind.proof_sought) >= 3


async def test_a_second_round_keeps_nothing_twice(
    database: Database, business: Business, nora: Life
) -> None:
    """What is erased again says of its proofs what it said before."""
    first = await _erased(database, nora)
    kept = await _kept(database, nora)
    async with database.write(business.id) as db:
        await privacy.erase(db, Actor.system(), nora.customer.id)
        second = (await privacy.certificate(db, nora.customer.id)).certificate

    assert await _kept(database, nora) == kept
    assert second.stays == first.stays
