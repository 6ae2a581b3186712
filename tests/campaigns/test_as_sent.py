"""A mail as it was sent: her values are kept for a while, and what changed since does not show."""

from __future__ import annotations

import re
from email import message_from_bytes, policy
from typing import Any
from uuid import UUID

import msgspec

from crm import businesses, campaigns, consent, customers, mail
from crm.businesses import Business, NewBusiness
from crm.businesses.theme import Theme
from crm.campaigns.as_sent import as_sent, held_mail
from crm.campaigns.mails import eml
from crm.campaigns.reader import read
from crm.consent import Method
from crm.customers import AttributeType, Changes, LawfulBasis, NewAttribute
from crm.db import Database, Db
from crm.events import Actor
from tests import make
from tests.campaigns.site import client
from tests.campaigns.test_send import sent_through
from tests.smtpd import Smtpd, smtpd

SYSTEM = Actor.system()
_FIRST = UUID(int=0)
SOURCE = """# Rye

Dear {{ first_name | default("reader") }}, or {{ first_name | default("friend") }}:
{{ name | upper }}.
Your shop is {{ attribute.shop | default("near you") }}. {{ business }} says "hello".
"""
NAME = '<b>Nora</b> "O\'Neil" & Søn'


async def _change(db: Db, **changes: Any) -> Business:
    business = await businesses.get(db)
    known = {name: getattr(business, name) for name in NewBusiness.__struct_fields__}
    return await businesses.change(db, SYSTEM, NewBusiness(**known | changes))


async def _sent(
    database: Database, business: Business, relay: Smtpd, **changes: Any
) -> tuple[UUID, list[UUID]]:
    """Send to three, of whom one has a name and a shop, one neither, and one only a name."""
    async with database.write(business.id) as db:
        purpose = await make.purpose(db)
        ids = await make.audience(db, await make.notice(db, purpose.id), 3)
        new = NewAttribute(
            basis=LawfulBasis.legitimate_interests,
            origin="From you.",
            label="Shop",
            type=AttributeType.text,
            purpose="To greet.",
            retention="P1Y",
        )
        await customers.declare_attribute(db, SYSTEM, "shop", new)
        await customers.declare_attribute(db, SYSTEM, "secret", new)
        await customers.set_attributes(db, SYSTEM, ids[0], {"shop": "Kaï", "secret": "marked"})
        await customers.change(db, SYSTEM, ids[0], Changes(name=NAME))
        await customers.change(db, SYSTEM, ids[1], Changes(name=""))
        given = {"subject": "Rye for {{ first_name }}", "source": SOURCE, **changes}
        campaign = await make.campaign(db, purpose.id, **given)
        await campaigns.start(db, SYSTEM, campaign.id)
    await sent_through(database, business, campaign.id, relay)
    return campaign.id, ids


async def _kept(database: Database, business: Business, campaign_id: UUID) -> list[Any]:
    async with database.read(business.id) as db:
        found = await campaigns.mails(db, await _first(db, campaign_id))
        assert found[0].id == campaign_id
        return [
            held.merged
            for each in await campaigns.deliveries(db, campaign_id, campaigns.DeliveryState.sent)
            if (held := await held_mail(db, each.customer_id, campaign_id))
        ]


async def _first(db: Any, campaign_id: UUID) -> customers.Customer:
    (each, *_) = await campaigns.deliveries(db, campaign_id, campaigns.DeliveryState.sent)
    return await customers.get(db, each.customer_id)


async def test_it_reads_as_it_arrived(database: Database, business: Business) -> None:
    """Word for word, though name, letterhead, look and her details are others by now."""
    async with smtpd() as relay:
        campaign_id, ids = await _sent(database, business, relay)
    async with database.write(business.id) as db:
        await _change(db, name="Other Bakery", postal_address="Elsewhere 1")
        await businesses.change_theme(db, SYSTEM, Theme(band="#123456"))
        await customers.change(db, SYSTEM, ids[0], Changes(name="Somebody Else"))
        await customers.set_attributes(db, SYSTEM, ids[0], {"shop": "Elsewhere"})
    arrived = {each.recipients[0]: read(each.content) for each in relay.messages}
    async with database.read(business.id) as db:
        for customer_id in ids:
            me = await customers.get(db, customer_id)
            held = await held_mail(db, customer_id, campaign_id)
            assert held is not None
            shown = await as_sent(db, me, held)
            assert shown is not None
            text, html = (part.text for part in arrived[me.address].parts)
            assert shown.text.strip() == text.strip()
            assert shown.html.strip() == html.strip()
            assert shown.subject == arrived[me.address].first("subject")
            assert dict(shown.headers)["Message-ID"] == arrived[me.address].first("message-id")
            assert shown.whole


async def test_the_file_holds_the_same(database: Database, business: Business) -> None:
    """Another reader than ours finds both texts and the headers in it."""
    async with smtpd() as relay:
        campaign_id, ids = await _sent(database, business, relay)
    async with database.read(business.id) as db:
        held = await held_mail(db, ids[0], campaign_id)
        assert held is not None
        shown = await as_sent(db, await customers.get(db, ids[0]), held)
    assert shown is not None
    found = message_from_bytes(eml(shown), policy=policy.default)
    text = found.get_body(("plain",))
    html = found.get_body(("html",))
    assert text is not None
    assert html is not None
    assert text.get_content().split() == shown.text.split()
    assert html.get_content().split() == shown.html.split()
    assert found["subject"] == shown.subject
    assert found["list-unsubscribe"] == dict(shown.headers)["List-Unsubscribe"]


async def test_only_what_the_text_asks_for_is_kept(database: Database, business: Business) -> None:
    """Her other attributes are not, nor her address; nothing where it asks for nothing."""
    async with smtpd() as relay:
        campaign_id, ids = await _sent(database, business, relay)
        plain, _ = await _plain(database, business, relay)
        short, _ = await _plain(database, business, relay, source="Dear {{ first_name }}, hello.")

    kept = sorted(await _kept(database, business, campaign_id), key=lambda each: each["name"])
    assert kept == [
        {"name": "", "first_name": ""},
        {"name": NAME, "first_name": NAME.split(" ", maxsplit=1)[0], "attribute.shop": "Kaï"},
        {"name": "Reader 2", "first_name": "Reader"},
    ]
    assert await _kept(database, business, plain) == [None] * 3
    assert await _kept(database, business, short) == [{"first_name": "Reader"}] * 3
    assert len(ids) == 3


async def test_no_mail_is_written_with_what_she_does_not_allow(
    database: Database, business: Business
) -> None:
    """A value is for advice: whoever took that back gets her newsletter without it, at once."""
    async with database.write(business.id) as db:
        letter, advice = await make.purpose(db), await make.purpose(db, name="Advice")
        question = (await make.notice(db, advice.id)).question
        ids = await make.audience(db, await make.notice(db, letter.id), 2)
        shop = NewAttribute(
            basis=LawfulBasis.consent, origin="From you.", label="Shop", type=AttributeType.text,
            purpose="To advise.", retention="P1Y", purpose_id=advice.id,
        )  # fmt: skip
        await customers.declare_attribute(db, SYSTEM, "shop", shop)
        for each in ids:
            word = await make.own_word(db, each)
            await consent.give(db, Actor.customer(each), each, question, word)
            await customers.set_attributes(db, SYSTEM, each, {"shop": "Kaï"})
        her = Actor.customer(ids[0])
        await consent.withdraw(db, her, ids[0], advice.id, method=Method.portal)
        campaign = await make.campaign(db, letter.id, subject="Rye", source=SOURCE)
        seen = [(await campaigns.preview(db, campaign.id, each)).text for each in ids]
        await campaigns.start(db, SYSTEM, campaign.id)
    async with smtpd() as relay:
        await sent_through(database, business, campaign.id, relay)
    async with database.read(business.id) as db:
        kept = [(await held_mail(db, each, campaign.id)) for each in ids]

    assert ["near you" in each for each in seen] == [True, False]
    assert ["attribute.shop" in (each.merged or {}) for each in kept if each] == [False, True]


async def _plain(
    database: Database, business: Business, relay: Smtpd, source: str = "Hello, all of you."
) -> tuple[UUID, list[UUID]]:
    async with database.write(business.id) as db:
        purpose = await make.purpose(db)
        notice = await make.notice(db, purpose.id)
        ids = await make.audience(db, notice, 3, prefix=f"plain{purpose.code}-")
        campaign = await make.campaign(db, purpose.id, source=source)
        await campaigns.start(db, SYSTEM, campaign.id)
    await sent_through(database, business, campaign.id, relay)
    return campaign.id, ids


async def test_nothing_is_kept_of_a_mail_that_did_not_go(
    database: Database, business: Business
) -> None:
    """Refused for good, or settled as never sent: her values are not needed any more."""
    async with smtpd() as relay:
        relay.fails_for("reader0@example.com", "rcpt", "550 5.1.1 Nobody here")
        campaign_id, ids = await _sent(database, business, relay)
    async with database.read(business.id) as db:
        held = await held_mail(db, ids[0], campaign_id)
        assert held is not None
        assert held.state == "failed"
        assert held.merged is None
        assert await as_sent(db, await customers.get(db, ids[0]), held) is None


async def test_a_business_may_keep_nothing(database: Database, business: Business) -> None:
    """Its mails are the same; read again, neutral words stand where hers were."""
    async with database.write(business.id) as db:
        business = await _change(db, mail_days=0)
    async with smtpd() as relay:
        campaign_id, ids = await _sent(database, business, relay)
    (hers,) = [each for each in relay.messages if each.recipients == ["reader0@example.com"]]
    assert "Kaï" in read(hers.content).parts[0].text
    assert await _kept(database, business, campaign_id) == [None] * 3
    await _reads_neutral(database, business, campaign_id, ids[0])


async def test_after_its_time_it_is_emptied(database: Database, business: Business) -> None:
    """A round takes the values out of what is old enough, in pieces; the issue stays.

    One who is at work on a delivery holds nobody up: it is left for the next round.
    """
    async with smtpd() as relay:
        campaign_id, ids = await _sent(database, business, relay)
        assert await _emptied(database, business, 2) == 0
        async with database.write(business.id) as db:
            await _change(db, mail_days=0)
        async with database.write(business.id) as db:
            await db._conn.execute(  # noqa: SLF001
                "SELECT FROM crm.delivery WHERE customer_id = $1 FOR UPDATE", max(ids)
            )
            assert await _emptied(database, business, 2) == 2
        kept = await _kept(database, business, campaign_id)
        assert [each is None for each in kept].count(True) == 2
        assert await _emptied(database, business, 2) == 1
    assert await _kept(database, business, campaign_id) == [None] * 3
    await _reads_neutral(database, business, campaign_id, ids[0])
    async with database.read(business.id) as db:
        # It is over and empty, so nobody walks through it again.
        left = "SELECT count(*) FROM crm.campaign WHERE business_id = $1 AND emptied_at IS NULL"
        assert await db._conn.fetchval(left, business.id) == 0  # noqa: SLF001


async def _emptied(database: Database, business: Business, size: int) -> int:
    """Do a whole round in pieces of a size; return from how many it took something out."""
    deleted, after = 0, _FIRST
    while True:
        async with database.write(business.id) as db:
            piece = await campaigns.empty(db, after, size)
        deleted += piece.deleted
        if piece.upto is None:
            return deleted
        after = piece.upto


async def _reads_neutral(
    database: Database, business: Business, campaign_id: UUID, customer_id: UUID
) -> None:
    async with database.read(business.id) as db:
        held = await held_mail(db, customer_id, campaign_id)
        assert held is not None
        shown = await as_sent(db, await customers.get(db, customer_id), held)
    assert shown is not None
    assert not shown.whole
    assert "Dear reader, or friend: READER." in " ".join(shown.text.split())
    assert "Kaï" not in shown.text + shown.html
    assert "Nora" not in shown.text + shown.html


async def test_she_reads_it_on_her_pages(database: Database, business: Business) -> None:
    """Subject, ground, receipt and why; the mail itself in a frame that asks nobody."""
    async with smtpd() as relay:
        campaign_id, ids = await _sent(database, business, relay)
    async with database.read(business.id) as db:
        me, other = [await customers.get(db, each) for each in ids[:2]]
        held = await held_mail(db, me.id, campaign_id)
    assert held is not None
    async with client(database, business, me=me) as portal:
        listed = (await portal.get("/me/mails")).text
        page = await portal.get(f"/me/mails/{campaign_id}")
        plain = (await portal.get(f"/me/mails/{campaign_id}?part=text")).text
        alone = await portal.get(f"/me/mails/{campaign_id}/page")
        file = await portal.get(f"/me/mails/{campaign_id}/file")
        unknown = await portal.get(f"/me/mails/{other.id}")
        odd = await portal.get(f"/me/mails/{campaign_id}?part=pdf")
    assert f'href="/me/mails/{campaign_id}"' in listed
    assert "You agreed to <bdi>The Corner Letter</bdi> on" in listed
    assert f'src="/me/mails/{campaign_id}/page"' in page.text
    assert f"/me/receipts/{held.event_id}" in page.text
    assert "/why/" in page.text
    assert "frame-src 'self'" in page.headers["content-security-policy"]
    assert "Kaï" in plain
    policy_of_it = alone.headers["content-security-policy"]
    assert "sandbox" in policy_of_it
    assert "https:" not in policy_of_it
    assert "&lt;b&gt;Nora&lt;/b&gt;" in alone.text
    assert file.headers["content-type"] == "message/rfc822"
    assert unknown.status_code == 404
    # What a decoder says of an address typed by hand is nothing that people read.
    assert odd.status_code == 422
    assert "That does not make sense yet" in odd.text
    assert "pdf" not in odd.text
    assert "enum" not in odd.text


async def test_letters_stand_among_them(database: Database, business: Business) -> None:
    """Newest first over both kinds, by pages; a letter's page says why it was sent."""
    async with smtpd() as relay:
        campaign_id, ids = await _sent(database, business, relay)
    async with database.write(business.id) as db:
        me = await customers.get(db, ids[0])
        for number in range(26):
            await mail.post_letter(db, _letter(db, me, f"Trial {number}"))
    async with client(database, business, me=me) as portal:
        first = (await portal.get("/me/mails")).text
        older = re.search(r'href="(/me/mails\?after=[^"]+)"', first)
        assert older is not None
        second = (await portal.get(older[1])).text
        letter = re.search(r'href="(/me/mails/[0-9a-f-]+)"><bdi>Trial 0<', second)
        assert letter is not None
        page = (await portal.get(letter[1])).text
        alone = (await portal.get(f"{letter[1]}/page")).text
        async with client(database, business, me=await _other(database, business, ids)) as hers:
            foreign = await hers.get(letter[1])
    assert first.index("Trial 25") < first.index("Trial 24")
    assert "Trial 0" not in first
    assert f"/me/mails/{campaign_id}" in second
    assert "Somebody who works here tried out a mail with your address." in page
    assert alone == "<p>Hello</p>"
    assert foreign.status_code == 404


async def test_every_kind_of_letter_has_its_words(database: Database, business: Business) -> None:
    """Also the canary, whose mailbox may be a reader's."""
    async with database.write(business.id) as db:
        me = await make.customer(db)
        declared = mail.NewServicePurpose(
            label="Your order", purpose="You ordered something.", basis=LawfulBasis.contract
        )
        await mail.declare_service_purpose(db, make.SYSTEM, "order", declared)
        for kind in mail.LetterKind:
            purpose = "order" if kind is mail.LetterKind.business else None
            letter = _letter(db, me, f"As {kind}")
            await mail.post_letter(db, msgspec.structs.replace(letter, kind=kind, purpose=purpose))
    async with client(database, business, me=me) as portal:
        listed = await portal.get("/me/mails")

    assert listed.status_code == 200
    assert listed.text.count('class="letter"') == len(mail.LetterKind)
    assert "arrives unchanged" in listed.text
    assert "or as the new one of a record" in listed.text


async def _other(database: Database, business: Business, ids: list[UUID]) -> customers.Customer:
    async with database.read(business.id) as db:
        return await customers.get(db, ids[1])


def _letter(db: Db, me: customers.Customer, subject: str) -> mail.Letter:
    return mail.Letter(
        kind=mail.LetterKind.test,
        address=me.address,
        address_hash=db.keys.address_hash(db.business_id, customers.fold(me.address)),
        subject=subject,
        text="Hello",
        html="<p>Hello</p>",
        locale="en",
        customer_id=me.id,
    )
