"""The words of our letters: confirm, already on the list, sign in; each as text and as HTML.

A file `confirm.de.txt` beside `confirm.txt` is that letter in German.
"""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from babel.dates import format_date, format_time
from jinja2 import Environment, FileSystemLoader, StrictUndefined, select_autoescape
from msgspec import Struct

from crm import customers
from crm.businesses import Business
from crm.customers import Address, Customer
from crm.mail import Letter, LetterKind

_SUBJECT = "Subject: "
# English as the world writes it: 3 May 2026.
_ENGLISH = "en_001"

_letters = Environment(
    # Each domain that writes to customers has its letters beside it; the frame is here.
    loader=FileSystemLoader(
        [
            Path(__file__).resolve().parent / "letters",
            *sorted(Path(__file__).resolve().parent.parent.glob("*/letters")),
        ]
    ),
    autoescape=select_autoescape(["html"]),
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
    keep_trailing_newline=True,
)


class Words(Struct, frozen=True):
    """A letter's words; `language` is the one it is written in."""

    subject: str
    text: str
    html: str
    language: str


def words(letter: str, locale: str, business: Business, **values: Any) -> Words:
    """Write a letter in the language of `locale` if there is one, else in English."""
    language = locale.split("-", maxsplit=1)[0].lower()
    names = [f"{letter}.{language}", letter]
    values |= {"business": business, "postal": _one_line(business.postal_address)}
    text = _letters.select_template([f"{name}.txt" for name in names])
    page = _letters.select_template([f"{name}.html" for name in names])
    written = text.name == f"{names[0]}.txt"
    head, _, body = text.render(values).partition("\n")
    subject = " ".join(head.removeprefix(_SUBJECT).split())
    html = page.render(values | {"subject": subject})
    return Words(subject, body.lstrip("\n"), html, language if written else "en")


def answer(
    kind: LetterKind, words: Words, address: Address, fingerprint: bytes, customer: Customer | None
) -> Letter:
    """Make the letter that answers whoever typed an address; nobody gets it without a customer."""
    return Letter(
        kind=kind,
        # As it is held, not as somebody typed it: one letter more or less is another mailbox.
        address=customers.parse(customer.address if customer else address.display).deliverable,
        address_hash=fingerprint,
        subject=words.subject,
        text=words.text,
        html=words.html,
        locale=words.language,
        customer_id=customer.id if customer else None,
    )


def moment(at: datetime, business: Business) -> str:
    """Write an instant as a person of the business says it: `3 May 2026 at 18:42`."""
    local = at.astimezone(ZoneInfo(business.time_zone))
    time = format_time(local, "HH:mm", locale=_ENGLISH)
    return f"{day(at, business)} at {time}"


def day(at: datetime, business: Business) -> str:
    """Write the day of an instant: `10 May 2026`."""
    local = at.astimezone(ZoneInfo(business.time_zone))
    return format_date(local, "long", locale=_ENGLISH)


def _one_line(postal_address: str) -> str:
    lines = (line.strip(" ,") for line in postal_address.splitlines())
    return ", ".join(line for line in lines if line)
