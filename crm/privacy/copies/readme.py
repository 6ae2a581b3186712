"""README.txt of a copy: what each of its files is, in the language of the copy."""

from __future__ import annotations

import textwrap

from babel.dates import format_date, format_time

from crm.languages import gettext, joined, language, locale_for
from crm.privacy.copies.contents import Contents

_WIDTH = 96
_NAME = 15


def readme(held: Contents) -> bytes:
    """Write it, in UTF-8."""
    locale = locale_for(language())
    day = format_date(held.generated_at, "long", locale=locale)
    time = f"{format_time(held.generated_at, 'HH:mm', locale=locale)} UTC"
    business = held.business
    begin = gettext(
        "This is everything that %(business)s holds about you, as of %(at)s.",
        business=business.name,
        at=joined(day, time, locale),
    )
    end = gettext(
        "Another business that uses Firsthand can take it over, with the command %(command)s.",
        command="crm import your-data.zip",
    )
    lines = [
        begin,
        "",
        *(line for name, words in _files() for line in _told(name, words)),
        "",
        *textwrap.wrap(_receipts(held), _WIDTH),
        "",
        end,
        "",
        business.legal_name,
        business.postal_address,
        business.privacy_contact,
        "",
    ]
    return "\n".join(lines).encode()


def _files() -> list[tuple[str, str]]:
    return [
        ("index.html", gettext("Read it: open it in any browser. It works without a network.")),
        ("pages/", gettext("Whatever the first page shows the beginning of, to read.")),
        (
            "messages/",
            gettext(
                "The text of each letter, and each newsletter as it was sent to you. Once your "
                "details in it are no longer kept, it is here as it was before they were put in."
            ),
        ),
        ("contact.vcf", gettext("You, for an address book (vCard 4.0).")),
        ("copy.json", gettext("All of it, for programs.")),
        ("lines/", gettext("The same list by list, one JSON object a line (NDJSON).")),
        (
            "tables/",
            gettext(
                "The same as tables (CSV, UTF-8). What a spreadsheet would take for a formula has "
                "an apostrophe in front, so copy.json and lines/ are what programs should read."
            ),
        ),
        ("files/", gettext("Files that show a decision of yours, as far as we keep any.")),
        ("manifest.json", gettext("The size and SHA-256 of each file here.")),
        (
            "schema.json",
            gettext("What is in manifest.json, copy.json and lines/, as JSON Schema."),
        ),
    ]


def _receipts(held: Contents) -> str:
    """Say what of her decisions is signed, and what is not yet."""
    if held.receipts is None:
        return gettext(
            "There are no signed receipts in this copy: the key that signs them was not at hand. "
            "Your decisions are in it all the same. Ask for a copy anew, and they will be in it."
        )
    signed = gettext(
        "receipts.json has your decisions, signed. The command %(command)s checks them without "
        "asking us.",
        command="crm verify",
    )
    if all(each.proof for each in held.receipts.receipts):
        return signed
    later = gettext(
        "Those of the last minutes are not sealed yet: a copy of tomorrow has their proof too."
    )
    return f"{signed} {later}"


def _told(name: str, words: str) -> list[str]:
    room = " " * _NAME
    first = f"{name:<{_NAME}}"
    return textwrap.wrap(words, _WIDTH, initial_indent=first, subsequent_indent=room)
