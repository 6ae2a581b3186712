"""Receipts at every edge: her page and its files, her mailbox, the API, and `crm verify`."""

from __future__ import annotations

import asyncio
import json
import re
import sys
from collections.abc import Awaitable, Callable
from email import message_from_bytes, policy
from email.message import EmailMessage
from html import unescape
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest

from crm import consent, ledger
from crm.businesses import Business
from crm.consent import Circumstances, ConsentEvent, Method, Notice
from crm.consent.bundle import Bundle, Endorsed, Jwks, Proved, packed, pieces
from crm.customers import Customer
from crm.db import Database, parse
from crm.events import Actor
from crm.journal import Journal
from crm.mail import actions
from crm.mail.outcome import Kind, Outcome
from crm.web.csrf import FIELD
from tests import make
from tests.browser import Browser
from tests.commands import crm
from tests.consent.conftest import say_yes
from tests.consent.test_verify import ALONE

ALL = 10**6
MANY = 100

_LETTERS = parse(
    """-- name: letters
-- What waits to be sent.
SELECT content FROM crm.service_message WHERE business_id = :business_id AND kind = 'receipt'
"""
)[0]


@pytest.fixture
async def customer(database: Database, business: Business) -> Customer:
    """A customer who can be mailed and can sign in."""
    async with database.write(business.id) as db:
        return await make.customer(db)


@pytest.fixture
async def event(
    database: Database, business: Business, customer: Customer, notice: Notice
) -> ConsentEvent:
    """A yes of hers."""
    async with database.write(business.id) as db:
        return await say_yes(db, customer.id, notice)


async def sealed(database: Database, business: Business, directory: Path) -> None:
    await ledger.seal(database, business.id, Journal(directory / "journal"), most=ALL)


async def press(portal: Browser, event_id: UUID) -> int:
    """Press the button that mails it."""
    page = await portal.get(f"/me/receipts/{event_id}")
    token = page.text.partition(f'name="{FIELD}" value="')[2].partition('"')[0]
    answer = await portal.post(f"/me/receipts/{event_id}/letter", data={FIELD: token})
    return answer.status_code


async def letters(database: Database, business: Business) -> list[bytes]:
    async with database.read(business.id) as db:
        return await db.many(_LETTERS, bytes)


async def test_it_can_be_read(  # noqa: PLR0917  (fixtures)
    portal: Browser,
    database: Database,
    business: Business,
    notice: Notice,
    event: ConsentEvent,
    tmp_path: Path,
) -> None:
    timeline = await portal.get("/me/consent")
    assert f'href="/me/receipts/{event.id}"' in timeline.text
    page = await portal.get(f"/me/receipts/{event.id}")
    said = unescape(page.text)
    for words in (notice.text, notice.control_label, notice.sha256.hex(), business.legal_name):
        assert words in said
    assert "Pending." in said
    assert (await portal.get(f"/me/receipts/{event.id}/proof.tlog-proof")).status_code == 404
    await sealed(database, business, tmp_path)
    said = unescape((await portal.get(f"/me/receipts/{event.id}")).text)
    assert "Pending." not in said
    assert "at place 0," in said
    assert f"{business.host}/ledger/1" in said


async def test_its_files_prove_it(
    portal: Browser,
    database: Database,
    business: Business,
    event: ConsentEvent,
    tmp_path: Path,
) -> None:
    await sealed(database, business, tmp_path)
    names = ("bundle.json", "receipt.jws", "proof.tlog-proof")
    answers = [await portal.get(f"/me/receipts/{event.id}/{name}") for name in names]
    assert {each.status_code for each in answers} == {200}
    for each in answers:
        assert each.headers["content-disposition"].startswith("attachment; ")
        assert each.headers["cache-control"] == "no-store"
    bundle, receipt, proof = [each.content for each in answers]
    told = json.loads(bundle)
    keys = json.dumps(told["jwks"]).encode()
    vkeys = "".join(f"{each['vkey']}\n" for each in told["checkpoint_keys"]).encode()
    assert consent.verify([bundle]).holds
    alone = consent.verify([receipt, proof, keys, vkeys])
    assert (alone.failed, [name for name, _ in alone.open]) == ("", [])


async def test_a_path_from_a_checkpoint_she_kept(  # noqa: PLR0917  (fixtures)
    portal: Browser,
    database: Database,
    business: Business,
    customer: Customer,
    notice: Notice,
    event: ConsentEvent,
    tmp_path: Path,
) -> None:
    at = f"/me/receipts/{event.id}/bundle.json"
    for _ in range(10):
        async with database.write(business.id) as db:
            await say_yes(db, customer.id, notice)
        await sealed(database, business, tmp_path)
    sizes = [each["first"] for each in json.loads((await portal.get(at)).content)["consistency"]]
    assert 2 not in sizes
    since = json.loads((await portal.get(f"{at}?since=2")).content)["consistency"]
    assert [each["first"] for each in since] == sorted([*sizes, 2])
    # From what is no size of this ledger there is no path; what is no number is refused.
    for wrong in (0, -1, 1000, 2**70):
        answer = await portal.get(f"{at}?since={wrong}")
        assert [each["first"] for each in json.loads(answer.content)["consistency"]] == sizes
    assert (await portal.get(f"{at}?since=x")).status_code == 422


def plain(text: str) -> str:
    """The words without how their lines are broken."""
    return " ".join(re.sub(r"<[^>]*>", " ", text).split())


async def test_it_comes_by_mail(  # noqa: PLR0917  (fixtures)
    portal: Browser,
    database: Database,
    business: Business,
    customer: Customer,
    notice: Notice,
    event: ConsentEvent,
    tmp_path: Path,
) -> None:
    await sealed(database, business, tmp_path)
    assert await press(portal, event.id) == 303
    (raw,) = await letters(database, business)
    mail = message_from_bytes(raw, policy=policy.default)
    assert isinstance(mail, EmailMessage)
    assert mail["To"] == customer.address
    assert mail["Auto-Submitted"] == "auto-generated"
    assert max(map(len, raw.split(b"\r\n"))) <= 998
    body = mail.get_body(("plain",))
    page = mail.get_body(("html",))
    assert body is not None
    assert page is not None
    for words in (
        notice.text,
        notice.particulars,
        notice.control_label,
    ):
        assert plain(words) in plain(body.get_content())
        assert plain(words) in plain(unescape(page.get_content()))
    for part in (body, page):
        assert f"/me/receipts/{event.id}" in part.get_content()
    files = {str(each.get_filename()): each.get_content() for each in mail.iter_attachments()}
    assert sorted(files) == [f"receipt-{event.id}.{end}" for end in ("json", "jws")]
    assert consent.verify([files[f"receipt-{event.id}.json"]]).holds


async def test_she_sees_that_it_went(
    portal: Browser, database: Database, business: Business, event: ConsentEvent
) -> None:
    await press(portal, event.id)
    assert "You asked for it on its page." in (await portal.get("/me/mails")).text
    async with database.write(business.id) as db:
        (letter,) = await actions.claim_letters(db, 10)
        await actions.record_letter(db, letter, Outcome(Kind.sent, "delivered"))
    assert "You asked for it on its page." in (await portal.get("/me")).text


async def test_a_mailbox_is_not_flooded(
    portal: Browser, database: Database, business: Business, event: ConsentEvent
) -> None:
    answers = [await press(portal, event.id) for _ in range(5)]
    assert answers == [303, 303, 303, 429, 429]
    assert len(await letters(database, business)) == 3


async def test_no_form_from_elsewhere_mails_it(
    portal: Browser, database: Database, business: Business, event: ConsentEvent
) -> None:
    answer = await portal.post(f"/me/receipts/{event.id}/letter", data={})
    assert answer.status_code == 403
    assert await letters(database, business) == []


async def test_nobody_else_gets_it(
    portal: Browser, stranger_portal: Browser, web: Browser, event: ConsentEvent
) -> None:
    at = f"/me/receipts/{event.id}"
    for name in ("", "/bundle.json", "/receipt.jws", "/proof.tlog-proof"):
        assert (await stranger_portal.get(at + name)).status_code == 404
        assert (await web.get(at + name)).status_code == 303
    assert (await portal.get(f"/me/receipts/{uuid4()}")).status_code == 404


async def test_a_program_reads_it(  # noqa: PLR0917  (fixtures)
    api: Browser,
    stranger_api: Browser,
    portal: Browser,
    database: Database,
    business: Business,
    customer: Customer,
    event: ConsentEvent,
    tmp_path: Path,
) -> None:
    await sealed(database, business, tmp_path)
    at = f"/v1/customers/{customer.id}/consent-events/{event.id}/receipt"
    answer = await api.get(at)
    assert answer.status_code == 200
    assert consent.verify([answer.content]).holds
    # The customer sees that it looked.
    assert "Shop" in (await portal.get("/me/looks")).text
    assert (await stranger_api.get(at)).status_code == 404
    other = f"/v1/customers/{customer.id}/consent-events/{uuid4()}/receipt"
    assert (await api.get(other)).json()["code"] == "unknown_event"


async def ours(*args: str) -> tuple[int, str]:
    """Run `crm verify`, with no setting of the service in its environment."""
    status, out, err = await crm("verify", *args)
    return status, out + err


async def alone(*args: str) -> tuple[int, str]:
    """Run what strangers read beside docs/verify.md, and nothing of ours."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        str(ALONE),
        *args,
        env={"PATH": "/usr/bin", "LANG": "C.UTF-8"},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    out, _ = await process.communicate()
    assert process.returncode is not None
    return process.returncode, out.decode()


@pytest.mark.parametrize("command", [ours, alone])
async def test_it_is_checked_by_command(  # noqa: PLR0917  (fixtures)
    command: Callable[..., Awaitable[tuple[int, str]]],
    database: Database,
    business: Business,
    customer: Customer,
    event: ConsentEvent,
    tmp_path: Path,
) -> None:
    await sealed(database, business, tmp_path)
    async with database.read(business.id) as db:
        bundle = consent.packed(await consent.bundle(db, customer.id, event.id))
        kept = await ledger.signed_head(db, 1)
        jwks = json.dumps(json.loads(bundle)["jwks"])
    good, bad = tmp_path / "good.json", tmp_path / "bad.json"
    good.write_bytes(bundle)
    bad.write_bytes(bundle.replace(b"index 0", b"index 1"))
    head, keys = tmp_path / "checkpoint", tmp_path / "jwks.json"
    head.write_text(kept)
    keys.write_text(jwks)
    extra = ("--checkpoint", str(head), "--trust", str(keys))
    status, told = await command(*extra, str(good))
    assert status == 0, told
    assert "holds   consistency" in told
    status, told = await command(str(bad))
    assert status == 1
    assert "WRONG   proof.inclusion" in told
    # Nothing shown is no proof.
    assert (await command(str(keys)))[0] == 1
    assert (await command(str(tmp_path / "missing")))[0] == 2
    assert (await command())[0] == 2


async def test_all_receipts_in_one_file(
    database: Database, business: Business, portal: Browser, customer: Customer, notice: Notice
) -> None:
    """One press on the page of consent; as many receipts as there are decisions."""
    async with database.write(business.id) as db:
        await say_yes(db, customer.id, notice)
        decided = len(await consent.history(db, customer.id))
    page = await portal.get("/me/consent")
    answer = await portal.get("/me/receipts/bundle.json")
    assert 'href="/me/receipts/bundle.json"' in page.text
    assert "<details open>" in page.text
    assert answer.headers["content-disposition"] == 'attachment; filename="receipts.json"'
    assert len(answer.json()["receipts"]) == decided


async def test_others_are_answered_while_many_are_signed(
    *,
    database: Database,
    business: Business,
    portal: Browser,
    customer: Customer,
    notice: Notice,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As many as a program has asked for; none of them is left out."""
    # The package gives this name to a function of it.
    module = sys.modules["crm.consent.receipts"]
    turns, seen = 0, []
    sign = module.signed_receipt

    async def others() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    def signed(*which: Any) -> Any:
        seen.append(turns)
        return sign(*which)

    async with database.write(business.id) as db:
        by, how = Actor.customer(customer.id), Circumstances(Method.web_form)
        for _ in range(MANY):
            await consent.request(db, by, customer.id, notice.question, how)
    monkeypatch.setattr(module, "signed_receipt", signed)
    task = asyncio.ensure_future(others())
    answer = await portal.get("/me/receipts/bundle.json")
    task.cancel()

    assert len(answer.json()["receipts"]) == len(seen) == MANY
    assert len(set(seen)) > MANY / 30


@pytest.mark.parametrize("many", [0, 1, 20, 21, 45])
def test_a_file_written_in_pieces_is_the_same(many: int) -> None:
    proved = [Proved(f'"{each}"\n', '"receipts": [') for each in range(many)]
    keys = [Endorsed('"receipts": [],', "")]
    whole = Bundle(receipts=proved, head="", jwks=Jwks([]), receipt_keys=keys, checkpoint_keys=keys)
    written = list(pieces(whole))
    assert b"".join(written) == packed(whole)
    assert len(written) >= many / 20
