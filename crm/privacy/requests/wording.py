"""What is written to whoever made a privacy request, and to staff about those that are due."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from datetime import date, datetime
from uuid import UUID

from babel.dates import format_date
from msgspec import Struct

from crm import businesses, customers, mail
from crm.access import wording
from crm.businesses import Business
from crm.db import Db
from crm.languages import ENGLISH, chosen, gettext, language, locale_for, marked, speaking
from crm.mail import Letter, LetterKind
from crm.privacy.requests.model import NoAddressToAnswer, Request, RequestKind, RequestState
from crm.staff import Member

# What each request is called in a letter and on a page; never a part of a sentence.
NAMES: dict[RequestKind, str] = {
    RequestKind.access: marked("Access to your data"),
    RequestKind.portability: marked("Your data, to take along"),
    RequestKind.rectification: marked("A correction"),
    RequestKind.erasure: marked("A deletion"),
    RequestKind.restriction: marked("A freeze of your record"),
    RequestKind.objection: marked("An objection"),
}

# Where an answer begins; staff finish it. Each names the article it rests on besides.
ANSWERS: dict[RequestKind, str] = {
    RequestKind.access: marked(
        "Everything we hold about you is on your own pages: sign in with your address and ask for "
        "your copy under “Take a copy of everything”. It says what each thing is for, where we "
        "have it from, who gets it and until when it is kept."
    ),
    RequestKind.portability: marked(
        "You get your data on your own pages: sign in with your address and ask for your copy "
        "under “Take a copy of everything”. The file is JSON and CSV, which other programs read."
    ),
    RequestKind.rectification: marked(
        "We have corrected what you named. You can see it on your own pages, and correct it there "
        "yourself at any time."
    ),
    RequestKind.erasure: marked(
        "We have deleted everything we held about you, today. A fingerprint of your address "
        "stays, so that an old list does not bring our mails back, and a log that a request was "
        "made and answered, without your name."
    ),
    RequestKind.restriction: marked(
        "Your record is frozen: everything is kept, and used for nothing. We will tell you before "
        "that ends."
    ),
    RequestKind.objection: marked("We no longer do what you objected to."),
}


class Recipient(Struct, frozen=True):
    """Where a letter goes, in which language, and whose it is if she is a customer."""

    address: str
    locale: str = ""
    customer_id: UUID | None = None

    @classmethod
    def of(cls, address: str) -> Recipient:
        """Write to somebody who is no customer."""
        return cls(address)


async def identity(
    db: Db, request: Request, to: Recipient | None, *, token: str, until: datetime
) -> None:
    """Mail the link that proves whose mailbox it is."""
    business = await businesses.get(db)
    words = _words(
        "identity",
        business,
        to,
        request,
        link=f"{business.origin}/identity/{token}",
        until=wording.moment(until, business),
    )
    await _post(db, to, words)


async def extension(db: Db, request: Request, to: Sequence[Recipient]) -> None:
    """Tell her that it takes longer, why, and until when (Art. 12(3))."""
    business = await businesses.get(db)
    for each in _each(to):
        words = _words("extension", business, each, request, why=request.extended_why)
        await _post(db, each, words)


async def answer(db: Db, request: Request, to: Sequence[Recipient], *, kept: bool = True) -> None:
    """Mail an answer; a refusal says where she can complain and go to court (Art. 12(4)).

    Not `kept`, its text goes as soon as it is handed over.
    """
    business = await businesses.get(db)
    refused = request.state is RequestState.refused
    paragraphs = [part.strip() for part in request.answer.split("\n\n") if part.strip()]
    for each in _each(to):
        words = _words("answer", business, each, request, refused=refused, paragraphs=paragraphs)
        await _post(db, each, words, kept=kept)


async def lifting(db: Db, to: Recipient, *, ends_at: datetime) -> None:
    """Tell her that her freeze will end, and how she keeps it (Art. 18(3))."""
    business = await businesses.get(db)
    words = wording.words(
        "lifting",
        to.locale or business.locale,
        business,
        until=wording.day(ends_at, business),
        link=f"{business.origin}/me/delete",
    )
    await _post(db, to, words)


async def dormant(db: Db, to: Recipient, *, months: int, ends_at: datetime) -> None:
    """Tell her that her record ends because it has been quiet for so long, and how she keeps it."""
    business = await businesses.get(db)
    words = wording.words(
        "dormant",
        to.locale or business.locale,
        business,
        months=months,
        until=wording.day(ends_at, business),
        link=f"{business.origin}/sign-in",
    )
    await _post(db, to, words)


async def remind(db: Db, members: Sequence[Member], due: Sequence[date], today: date) -> None:
    """Mail each of these members how many answers are due and when; no word of whose they are."""
    business = await businesses.get(db)
    for each in members:
        words = wording.words(
            "reminder",
            # As everything that staff read.
            ENGLISH,
            business,
            late=sum(day < today for day in due),
            count=len(due),
            first=day(min(due)),
            link=f"{business.origin}/staff/requests",
        )
        # One whose address no mail can go to keeps nobody else from being reminded.
        with suppress(customers.NotAnAddress):
            await _post(db, Recipient.of(each.address), words)


class Said(Struct, frozen=True):
    """A sentence that is said in the language of whatever it stands in."""

    words: str

    def __str__(self) -> str:
        """Say it."""
        return gettext(self.words)


class Day(Struct, frozen=True):
    """A day, which is said in the language of whatever it stands in."""

    value: date

    def __str__(self) -> str:
        """Say it as a person does: `10 May 2026`."""
        return format_date(self.value, "long", locale=locale_for(language()))


def day(value: date) -> Day:
    """Have a letter or a sentence say a day."""
    return Day(value)


def prefilled(kind: RequestKind, locale: str, business: Business) -> str:
    """Return where an answer begins, in the language of whom it is for."""
    with speaking(chosen(locale, business.locale) or ENGLISH):
        return gettext(ANSWERS[kind])


def _each(to: Sequence[Recipient]) -> Sequence[Recipient | None]:
    """Go through whoever is written to; nobody is one too, and is refused."""
    return to or [None]


def _words(
    letter: str,
    business: Business,
    to: Recipient | None,
    request: Request,
    **values: object,
) -> wording.Words:
    return wording.words(
        letter,
        (to.locale if to else "") or business.locale,
        business,
        name=Said(NAMES[request.kind]),
        article=request.kind.article,
        received=day(request.received_on),
        due=day(request.due_on),
        **values,
    )


async def _post(db: Db, to: Recipient | None, words: wording.Words, *, kept: bool = True) -> None:
    if to is None:
        raise NoAddressToAnswer
    await mail.post_letter(
        db,
        Letter(
            kind=LetterKind.notice,
            address=to.address,
            address_hash=db.keys.address_hash(db.business_id, customers.fold(to.address)),
            subject=words.subject,
            text=words.text,
            html=words.html,
            locale=words.language,
            customer_id=to.customer_id,
            kept=kept,
        ),
    )
