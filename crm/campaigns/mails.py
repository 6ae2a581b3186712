"""Every mail to one customer, campaigns and service messages alike, and each as it was sent."""

from __future__ import annotations

from datetime import datetime
from email.message import EmailMessage
from email.policy import SMTP
from uuid import UUID

from msgspec import Struct

from crm import businesses, consent, mail
from crm.campaigns.as_sent import AsSent, as_sent, held_mail, is_hers_now
from crm.campaigns.digest import REACHES
from crm.campaigns.model import DeliveryState
from crm.consent import ConsentEvent, Purpose
from crm.customers import Customer
from crm.customers.basis import LawfulBasis, in_words
from crm.db import ReadDb, Statements
from crm.errors import NotFound
from crm.mail import LetterKind, SentLetter
from crm.mail.mime import stamp

sql = Statements("campaigns")


class NoSuchMail(NotFound):
    """There is no such mail of yours. It may have been deleted, or the link is incomplete."""


class MailLine(Struct, frozen=True, kw_only=True):
    """One mail in the list: a campaign, which has a purpose, or a letter, which has a kind.

    `at` is when it went; of one that did not, when it began to wait.
    """

    id: UUID
    at: datetime
    letter: LetterKind | None
    subject: str
    purpose_id: UUID | None
    event_id: UUID | None
    # Of a letter as of a campaign, where the words are the same.
    state: DeliveryState
    reason: str | None
    bounced_at: datetime | None
    # Of a letter that a program of the business wrote: what it is for, and on which ground.
    label: str | None = None
    purpose: str | None = None
    basis: LawfulBasis | None = None

    @property
    def ground(self) -> str:
        """The ground of such a letter, in the language that is spoken."""
        return in_words(self.basis)


class InDigest(Struct, frozen=True, kw_only=True):
    """The digest that an issue was kept for, with its state for her; none until it is made.

    `due_at` is when it is made, as long as one is offered that will have it.
    """

    issue: UUID
    digest: UUID | None
    state: DeliveryState | None
    at: datetime | None
    due_at: datetime | None
    # Whether the issue was cancelled.
    cancelled: bool


class Grounded(Struct, frozen=True):
    """A mail with its purpose, and the decision it rests on; a letter has neither.

    An issue that was kept for her digest has that too.
    """

    mail: MailLine
    purpose: Purpose | None
    warrant: ConsentEvent | None
    digest: InDigest | None = None


class MailCounts(Struct, frozen=True):
    """How many campaigns there were to a customer, and how many mails went to her in all."""

    deliveries: int
    went: int


class OneMail(Struct, frozen=True):
    """One mail with its words; none where it was not sent, or they are not kept any more."""

    line: MailLine
    words: AsSent | None


async def mails(
    db: ReadDb,
    me: Customer,
    *,
    before: tuple[datetime, UUID] | None = None,
    only_sent: bool = False,
    limit: int = 50,
) -> list[MailLine]:
    """Return what was sent to a customer or, unless `only_sent`, left her out; newest first."""
    at, last = before or (None, None)
    return await db.many(
        sql.mails_of_customer,
        MailLine,
        customer_id=me.id,
        before_at=at,
        before_id=last,
        only_sent=only_sent,
        limit=limit,
    )


async def grounded(db: ReadDb, me: Customer, lines: list[MailLine]) -> list[Grounded]:
    """Put beside each mail what it rests on, and where else she got it."""
    purposes = {each.id: each for each in await consent.purposes_for(db, me.id)}
    decisions = {each.id: each for each in await consent.history(db, me.id)}
    kept = [line.id for line in lines if line.reason == "digest"]
    digests: dict[UUID, InDigest] = {}
    if kept:
        found = await db.many(
            sql.digests_of_issues, InDigest, customer_id=me.id, issues=kept, reaches=REACHES
        )
        digests = {each.issue: each for each in found}
    return [
        Grounded(
            line,
            purposes.get(line.purpose_id) if line.purpose_id else None,
            decisions.get(line.event_id) if line.event_id else None,
            digests.get(line.id),
        )
        for line in lines
    ]


async def count_mails(db: ReadDb, me: Customer) -> MailCounts:
    """Count them all."""
    return await db.one(sql.count_mails_of_customer, MailCounts, customer_id=me.id)


async def one_mail(db: ReadDb, me: Customer, mail_id: UUID) -> OneMail:
    """Return one of them as it was sent, or refuse with NoSuchMail."""
    held = await held_mail(db, me.id, mail_id)
    if held is not None:
        line = MailLine(
            id=held.campaign_id,
            at=held.done_at or held.claimed_at or held.started_at or db.now,
            letter=None,
            subject=held.subject,
            purpose_id=held.purpose_id,
            event_id=held.event_id,
            state=held.state,
            reason=held.reason,
            bounced_at=held.bounced_at,
        )
        return OneMail(line, await as_sent(db, me, held))
    letter = await mail.letter(db, me.id, mail_id)
    if letter is None:
        raise NoSuchMail
    return OneMail(_line(letter), await _letter_as_sent(db, me, letter))


def eml(words: AsSent) -> bytes:
    """Write a mail as a file that mail programs open (RFC 5322).

    What relays and signers added is not kept, so it is no proof of what arrived.
    """
    message = EmailMessage(policy=SMTP)
    for name, value in words.headers:
        message[name] = value
    message.set_content(words.text)
    message.add_alternative(words.html, subtype="html")
    page = message.get_body(("html",))
    assert isinstance(page, EmailMessage)  # noqa: S101  (added a line above)
    for each in words.images:
        kind, _, subtype = each.media_type.partition("/")
        page.add_related(each.content, maintype=kind, subtype=subtype, cid=f"<{each.content_id}>")
    return bytes(message)


def _line(letter: SentLetter) -> MailLine:
    return MailLine(
        id=letter.message_id,
        at=letter.done_at or letter.created_at,
        letter=letter.kind,
        subject=letter.kept["subject"] if letter.kept else "",
        purpose_id=None,
        event_id=None,
        state=DeliveryState.excluded if letter.kept_off else DeliveryState(letter.state),
        reason=letter.kept_off,
        bounced_at=letter.bounced_at,
        label=letter.label,
        purpose=letter.purpose,
        basis=letter.basis,
    )


async def _letter_as_sent(db: ReadDb, me: Customer, letter: SentLetter) -> AsSent | None:
    if letter.kept is None:
        return None
    business = await businesses.get(db)
    host = business.sender_address.rpartition("@")[2]
    here = is_hers_now(db, me, letter.address_hash)
    kept = letter.kept
    return AsSent(
        subject=kept["subject"],
        text=kept["text"],
        html=kept["html"],
        headers=(
            ("Date", stamp(letter.created_at)),
            ("Message-ID", f"<{letter.message_id.hex}@{host}>"),
            ("From", f"{business.sender_name} <{business.sender_address}>"),
            *([("To", me.address)] if here else []),
            ("Subject", kept["subject"]),
        ),
        here=here,
    )
