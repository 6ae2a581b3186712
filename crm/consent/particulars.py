"""What Art. 13 GDPR asks to be said beside a text, written from what was entered for a purpose.

In the languages of the folder `languages`; in any other, staff write it themselves.
"""

from __future__ import annotations

import re
import tomllib
from functools import cache
from pathlib import Path
from typing import Any

from babel import Locale, UnknownLocaleError
from babel.lists import format_list

from crm.businesses import Business
from crm.consent.terms import DataItem, Party, Terms

_FOLDER = Path(__file__).parent / "languages"
_PART = re.compile(r"(\d+)([YMD])")

LANGUAGES = frozenset(path.stem for path in _FOLDER.glob("*.toml"))


def particulars(terms: Terms, business: Business, locale: str) -> str:
    """Write them in this language, a line for each; empty in a language we cannot write."""
    language = locale.partition("-")[0]
    if language not in LANGUAGES:
        return ""
    said = _said(language)
    values = _values(terms, business, said, language, locale)
    return "\n".join(
        line.format_map(values)
        for line in said["lines"]
        if all(values[name] for name in re.findall(r"\{(\w+)\}", line))
    )


@cache
def _said(language: str) -> dict[str, Any]:
    return tomllib.loads((_FOLDER / f"{language}.toml").read_text("utf-8"))


def _values(
    terms: Terms, business: Business, said: dict[str, Any], language: str, locale: str
) -> dict[str, str]:
    wording = terms.wording.get(locale) or terms.wording.get(language)
    wording = wording or terms.wording.get(business.locale) or next(iter(terms.wording.values()))
    held = said["holds"].format(_time(terms.validity, said)) if terms.validity else said["endless"]
    return {
        "legal_name": business.legal_name,
        "postal_address": _one_line(business.postal_address),
        "privacy_contact": business.privacy_contact,
        "officer": business.officer,
        "representative": _one_line(business.representative),
        "description": wording.description,
        "ground": said["ground"][terms.basis],
        "data": format_list([_data(each, said) for each in terms.data], locale=language),
        "recipients": "; ".join(_party(each, said, language) for each in terms.recipients)
        or said["nobody"],
        "storage": ", ".join(_country(each, language) for each in terms.storage),
        "safeguards": terms.safeguards,
        "validity": held,
        "retention": _time(terms.retention, said) if terms.retention else "",
        "automated": said["automated"] if terms.automated_decisions else "",
        "authority": " ".join(filter(None, (business.authority, business.authority_url)))
        or said["authority"],
        "privacy_url": business.privacy_url,
    }


def _data(item: DataItem, said: dict[str, Any]) -> str:
    name: str = said["data"][item.kind]
    return said["data"]["optional"].format(name) if item.optional else name


def _party(party: Party, said: dict[str, Any], language: str) -> str:
    country = _country(party.country, language)
    written: str = said["recipient"].format(name=party.name, role=party.role, country=country)
    return written


def _country(code: str, language: str) -> str:
    try:
        return str(Locale.parse(language).territories.get(code, code))
    except (UnknownLocaleError, ValueError):
        return code


def _time(duration: str, said: dict[str, Any]) -> str:
    parts = [
        said["time"][unit][number != "1"].format(number) for number, unit in _PART.findall(duration)
    ]
    return ", ".join(parts)


def _one_line(text: str) -> str:
    return ", ".join(line.strip(" ,") for line in text.splitlines() if line.strip(" ,"))
