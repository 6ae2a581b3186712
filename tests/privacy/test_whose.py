"""Whose a mail is: one mailbox may be one customer's now and was another's before."""

from __future__ import annotations

from uuid import UUID

from crm import campaigns, customers, mail
from crm.businesses import Business
from crm.campaigns.as_sent import as_sent, held_mail
from crm.campaigns.mails import one_mail
from crm.customers import Customer
from crm.db import Database
from crm.mail import LetterKind
from tests import make
from tests.campaigns.test_send import sent_through
from tests.privacy.letters import letters
from tests.privacy.life import moved
from tests.privacy.taken import inside, lines, taken
from tests.smtpd import smtpd

SHARED = "info@shop.example"
_WAYS = ("list", "copy", "texts")


async def _letter(
    database: Database, business: Business, subject: str, customer: Customer | None = None
) -> None:
    """Write to the shared mailbox: to a customer, or to whoever has it."""
    async with database.write(business.id) as db:
        await mail.post_letter(
            db,
            mail.Letter(
                kind=LetterKind.test,
                address=SHARED,
                address_hash=db.keys.address_hash(db.business_id, SHARED),
                subject=subject,
                text="Words",
                html="<p>Words</p>",
                locale="en",
                customer_id=customer.id if customer else None,
            ),
        )
        await letters(db)


async def _read(database: Database, business: Business, her: Customer) -> dict[str, set[str]]:
    """Return the subjects she reads, by the way in which she does."""
    async with database.read(business.id) as db:
        listed = await campaigns.mails(db, her)
        counted = await campaigns.count_mails(db, her)
        found = {
            "list": {each.subject for each in listed},
            "copy": {each.subject async for each in mail.export(db, her.id)},
            "texts": {each.kept["subject"] async for each in mail.texts(db, her.id) if each.kept},
        }
        for line in listed:
            assert (await mail.letter(db, her.id, line.id)) is not None
    assert counted.went <= len(listed)
    return {way: {each for each in said if len(each) == 2} for way, said in found.items()}


async def test_one_mailbox_in_turn(database: Database, business: Business) -> None:
    """Neither reads the other's letters, and each keeps those of her own time."""
    async with database.write(business.id) as db:
        purpose = await make.purpose(db)
        notice = await make.notice(db, purpose.id)
    await _letter(database, business, "A1")
    async with database.write(business.id) as db:
        first = await make.customer(db, address=SHARED)
    await _letter(database, business, "A2", first)
    first = await moved(database, business, first, notice, "a@home.example")
    await _letter(database, business, "B1")
    async with database.write(business.id) as db:
        second = await make.customer(db, address=SHARED)
    await _letter(database, business, "B2", second)

    hers = await _read(database, business, first)
    theirs = await _read(database, business, second)
    assert hers == {way: {"A1", "A2"} for way in _WAYS}
    assert theirs == {way: {"B1", "B2"} for way in _WAYS}
    for her, said in ((first, b"A1\n"), (second, b"B1\n")):
        files = inside(await taken(database, business.id, her.id))
        texts = {row["file"] for row in lines(files, "letters") if len(row["subject"]) == 2}
        assert any(files[each].startswith(said) for each in texts)
        assert len(texts) == 2


async def test_a_mail_of_before_names_no_address_of_today(
    database: Database, business: Business
) -> None:
    """Neither in `To` nor in its links: it went to another mailbox, of which nothing is kept."""
    async with database.write(business.id) as db:
        purpose = await make.purpose(db)
        notice = await make.notice(db, purpose.id)
        (customer_id,) = await make.audience(db, notice, 1)
        campaign = await make.campaign(db, purpose.id)
        await campaigns.start(db, make.SYSTEM, campaign.id)
        before = await customers.get(db, customer_id)
    async with smtpd() as relay:
        await sent_through(database, business, campaign.id, relay)
    sent = await _headers(database, business, before, campaign.id)
    her = await moved(database, business, before, notice, "new@home.example")
    after = await _headers(database, business, her, campaign.id)

    assert sent["To"] == before.address
    assert after == {name: value for name, value in sent.items() if name != "To"}
    async with database.read(business.id) as db:
        asked = next(each for each in await campaigns.mails(db, her) if each.letter)
        letter = await one_mail(db, her, asked.id)
    assert letter.words is not None
    assert dict(letter.words.headers).get("To") is None or letter.words.here


async def _headers(
    database: Database, business: Business, her: Customer, campaign_id: UUID
) -> dict[str, str]:
    async with database.read(business.id) as db:
        held = await held_mail(db, her.id, campaign_id)
        assert held is not None
        words = await as_sent(db, her, held)
    assert words is not None
    assert words.here is ("To" in dict(words.headers))
    return dict(words.headers)
