"""The words of our letters, each as text and as HTML."""

from __future__ import annotations

import textwrap
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID
from zoneinfo import ZoneInfo

from babel.dates import format_date, format_time
from babel.numbers import format_decimal
from jinja2 import Environment, FileSystemLoader, StrictUndefined, select_autoescape
from msgspec import Struct

from crm import customers, languages
from crm.businesses import Business
from crm.customers import Address, Customer
from crm.mail import Letter, LetterKind

_SUBJECT = "Subject: "
# Where a line of a text breaks that was written as one.
_WIDTH = 76
_HERE = Path(__file__).resolve().parent


def _environment() -> Environment:
    environment = Environment(
        # Each domain that writes to customers has its letters beside it; the frame is here.
        loader=FileSystemLoader([_HERE / "letters", *sorted(_HERE.parent.glob("*/letters"))]),
        autoescape=select_autoescape(["html"]),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        extensions=["jinja2.ext.i18n"],
    )
    languages.teach(environment)
    environment.filters["count"] = _count
    return environment


class Words(Struct, frozen=True):
    """A letter's words; `language` is the one it is written in."""

    subject: str
    text: str
    html: str
    language: str


def words(letter: str, locale: str, business: Business, **values: Any) -> Words:
    """Write a letter in the language of `locale` if we speak it, else in the business's."""
    language = languages.chosen(locale, business.locale) or languages.ENGLISH
    values |= {"business": business, "postal": _one_line(business.postal_address)}
    with languages.speaking(language):
        text = _letters.get_template(f"{letter}.txt").render(values)
        head, _, body = text.partition("\n")
        subject = " ".join(head.removeprefix(_SUBJECT).split())
        html = _letters.get_template(f"{letter}.html").render(values | {"subject": subject})
    lines = (_broken(line) for line in body.strip("\n").split("\n"))
    return Words(subject, "\n".join(lines) + "\n", html, language)


def answer(  # noqa: PLR0917  (what a letter consists of)
    kind: LetterKind,
    words: Words,
    address: Address,
    fingerprint: bytes,
    customer: Customer | None,
    about: UUID | None = None,
) -> Letter:
    """Make the letter that answers whoever typed an address.

    It goes with the record of the customer who has the address, or else of whom it is `about`.
    """
    return Letter(
        kind=kind,
        # As it is held, not as somebody typed it: one letter more or less is another mailbox.
        address=customers.parse(customer.address if customer else address.display).deliverable,
        address_hash=fingerprint,
        subject=words.subject,
        text=words.text,
        html=words.html,
        locale=words.language,
        customer_id=customer.id if customer else about,
    )


def to_type(business: Business, path: str) -> str:
    """Name a page as a person types it, so that a letter has one link to press."""
    return f"{urlsplit(business.origin).netloc}{path}"


class Moment(Struct, frozen=True):
    """An instant or its day, which a letter says in its own language and the business's zone."""

    at: datetime
    business: Business
    whole: bool = True

    def __str__(self) -> str:
        """Say it as a person does: `3 May 2026, 18:42`."""
        local = self.at.astimezone(ZoneInfo(self.business.time_zone))
        locale = languages.locale_for(languages.language(), self.business.locale)
        day = format_date(local, "long", locale=locale)
        if not self.whole:
            return day
        return languages.joined(day, format_time(local, "HH:mm", locale=locale), locale)


class Names(Struct, frozen=True):
    """Names one after the other, as the language of the letter does."""

    names: tuple[str, ...]

    def __str__(self) -> str:
        """Say them: `Letters and Offers`."""
        return languages.listed(self.names)


def moment(at: datetime, business: Business) -> Moment:
    """Have a letter say an instant."""
    return Moment(at, business)


def day(at: datetime, business: Business) -> Moment:
    """Have a letter say the day of an instant."""
    return Moment(at, business, whole=False)


def _count(number: int) -> str:
    return format_decimal(number, locale=languages.locale_for(languages.language()))


def _broken(line: str) -> str:
    return textwrap.fill(line, _WIDTH, break_long_words=False, break_on_hyphens=False)


def _one_line(postal_address: str) -> str:
    lines = (line.strip(" ,") for line in postal_address.splitlines())
    return ", ".join(line for line in lines if line)


_letters = _environment()
