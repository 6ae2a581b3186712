"""A letter is kept as it was sent, so that she can read it again; what opens something is not."""

from __future__ import annotations

from datetime import timedelta
from uuid import UUID

import httpx2

from crm import access, businesses, customers, mail
from crm.businesses import Business, NewBusiness
from crm.customers import Customer
from crm.db import Database
from crm.mail import keeping
from crm.mail.keeping import BLOT
from tests import make
from tests.access.conftest import Clock, Inbox, SignUp

_FIRST = UUID(int=0)


async def test_secrets_are_blotted_out(  # noqa: PLR0917
    database: Database,
    business: Business,
    web: httpx2.AsyncClient,
    inbox: Inbox,
    sign_up: SignUp,
    nora: Customer,
) -> None:
    """Neither the link nor the code of any letter is kept, in neither of its texts."""
    await web.post("/sign-in", data={"address": "nora@example.com"})
    await sign_up.post("nora@example.com", "offers")
    await web.post("/leave", data={"email": "nora@example.com"})
    sent = {each.kind: each for each in await inbox.mails()}
    async with database.read(business.id) as db:
        kept = {str(each.kind): each.kept async for each in mail.texts(db, nora.id)}

    assert {"sign_in", "confirmation"} <= set(kept)
    for kind, letter in kept.items():
        assert letter is not None
        words = "".join(letter.values())
        assert letter["subject"] == sent[kind].message["subject"]
        assert BLOT in letter["text"]
        assert BLOT in letter["html"]
        for secret in (sent[kind].link.rpartition("/")[2], *_codes(sent[kind])):
            assert len(secret) > 8
            assert secret not in words
        # All else stands as it was: a line without a secret is the same line.
        same = [line for line in sent[kind].text.splitlines() if line in letter["text"]]
        assert len(same) > 10


def _codes(sent: object) -> list[str]:
    try:
        return [sent.code]  # type: ignore[attr-defined]
    except AssertionError:
        return []


async def test_an_id_in_a_link_is_no_secret(business: Business) -> None:
    """A page behind the sign-in may be named; a token may not, wherever it stands in a link."""
    at = business.origin
    letter = mail.Letter(
        kind=mail.LetterKind.notice,
        address="a@example.com",
        address_hash=b"",
        subject="Code K7M4 QX2P",
        text=f"{at}/me/receipts/6b1e7f0e-7b3f-4d8c-9a55-0123456789ab {at}/x?t=abcdefghijklmnop-_1 "
        f"https://other.example/abcdefghijklmnopqrst {at}/undo/AAAAbbbbCCCCdddd/BBBBccccDDDDeeee",
        html=f'<a href="{at}/undo/AAAAbbbbCCCCddddEEEE">Undo</a>',
        locale="en",
    )
    kept = keeping.kept(letter, business)
    assert kept is not None
    assert kept.subject == f"Code {BLOT}"
    assert kept.html == f'<a href="{at}/undo/{BLOT}">Undo</a>'
    assert kept.text == (
        f"{at}/me/receipts/6b1e7f0e-7b3f-4d8c-9a55-0123456789ab {at}/x?t={BLOT} "
        f"https://other.example/abcdefghijklmnopqrst {at}/undo/{BLOT}/{BLOT}"
    )


async def test_after_its_time_the_text_goes(  # noqa: PLR0917
    database: Database,
    moved: Database,
    clocked: Clock,
    business: Business,
    web: httpx2.AsyncClient,
    nora: Customer,
) -> None:
    """That there was a letter stays; sooner where the business says less, and with 0 at once."""
    await web.post("/sign-in", data={"address": "nora@example.com"})
    async with moved.write(business.id) as db:
        assert (await keeping.drop(db, _FIRST, 10)).deleted == 0
    clocked.ahead += timedelta(days=91)
    async with moved.write(business.id) as db:
        assert (await keeping.drop(db, _FIRST, 10)).deleted == 1
        known = {name: getattr(business, name) for name in NewBusiness.__struct_fields__}
        await businesses.change(db, make.SYSTEM, NewBusiness(**known | {"mail_days": 0}))
        await access.send_link(db, customers.parse("nora@example.com"), "a browser")
    async with database.read(business.id) as read:
        letters = [each async for each in mail.export(read, nora.id)]
    assert [(each.kind, each.texted) for each in letters] == [("sign_in", False)] * 2
