"""The form for all that is entered of a purpose, read into its terms and texts."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

import msgspec
from msgspec import Struct

from crm.consent.grounds import EvidenceKind
from crm.consent.model import NewNotice, Notice
from crm.consent.states import Basis
from crm.consent.terms import DataItem, DataKind, Party, Terms, Wording
from crm.web.forms import Form

CHANNELS = ("email", "none")
DURATION = "A time such as P24M, P2Y or P90D; leave it empty for one without end."

_COUNTRY = re.compile(r"[A-Z]{2}")
_LOCALE = re.compile(r"[a-z]{2,3}(-[A-Za-z0-9]{2,8})*")
_AGE = re.compile(r"([A-Za-z]{2})\s+(\d{1,2})")
_OLDEST = 99


class Text(Struct, frozen=True):
    """The words of one language: what it is called, and what is asked with."""

    locale: str
    name: str
    description: str
    text: str
    control_label: str


def form_of(terms: Terms, notices: Mapping[str, Notice]) -> Form:
    """Fill the form with a version and the texts in use, by their languages."""
    locales = sorted({*terms.wording, *notices})
    accepts = sorted({kind for each in notices.values() for kind in each.accepts})
    values: dict[str, Any] = {
        "basis": terms.basis.value,
        "channel": terms.channel,
        "double_opt_in": "on" if terms.double_opt_in else "",
        "special_category": "on" if terms.special_category else "",
        "automated_decisions": "on" if terms.automated_decisions else "",
        "validity": terms.validity,
        "retention": terms.retention,
        "safeguards": terms.safeguards,
        "ages": "\n".join(f"{country} {age}" for country, age in sorted(terms.ages.items())),
        "jurisdictions": " ".join(terms.jurisdictions),
        "storage": " ".join(terms.storage),
        "data": [each.kind.value for each in terms.data],
        "optional": [each.kind.value for each in terms.data if each.optional],
        "recipients": "\n".join(
            f"{each.name}; {each.role}; {each.country}" for each in terms.recipients
        ),
        "accepts": [kind.value for kind in accepts],
        "locales": " ".join(locales),
        "grace_days": "60",
    }
    for locale in locales:
        wording, notice = terms.wording.get(locale), notices.get(locale)
        values[f"name_{locale}"] = wording.name if wording else ""
        values[f"description_{locale}"] = wording.description if wording else ""
        values[f"text_{locale}"] = notice.text if notice else ""
        values[f"label_{locale}"] = notice.control_label if notice else ""
    return Form.of(**values)


def locales_of(form: Form) -> list[str]:
    """Return the languages of the form, with the one that was just added."""
    named = [*form.typed("locales").split(), form.typed("another").strip()]
    return [each for each in dict.fromkeys(named) if _LOCALE.fullmatch(each)]


def read_texts(form: Form) -> list[Text]:
    """Read the words of each language; one without any name is left out."""
    found = []
    for locale in locales_of(form):
        if not form.typed(f"name_{locale}").strip() and not form.typed(f"text_{locale}").strip():
            continue
        found.append(
            Text(
                locale,
                form.text(f"name_{locale}"),
                form.text(f"description_{locale}", required=False, max=1000, lines=True),
                form.text(f"text_{locale}", required=False, max=5000, lines=True),
                form.text(f"label_{locale}", required=False, max=300),
            )
        )
    if not found:
        form.wrong("another", "It needs a name in one language at least.")
    return found


def read_terms(form: Form, texts: Iterable[Text]) -> Terms | None:
    """Read everything else; None where something of the form is wrong, which it then says."""
    data = form.choices("data", list(DataKind), required=True)
    optional = form.choices("optional", list(DataKind))
    values: dict[str, Any] = {
        "basis": form.choice("basis", list(Basis)),
        "channel": form.choice("channel", CHANNELS),
        "double_opt_in": form.boolean("double_opt_in"),
        "special_category": form.boolean("special_category"),
        "automated_decisions": form.boolean("automated_decisions"),
        "validity": form.text("validity", required=False, max=20).upper(),
        "retention": form.text("retention", required=False, max=20).upper(),
        "safeguards": form.text("safeguards", required=False, max=1000, lines=True),
        "ages": _ages(form),
        "jurisdictions": _countries(form, "jurisdictions"),
        "storage": _countries(form, "storage"),
        "data": tuple(DataItem(kind, kind in optional) for kind in data),
        "recipients": _recipients(form),
        "wording": {each.locale: Wording(each.name, each.description) for each in texts},
    }
    if form.problems:
        return None
    try:
        return msgspec.convert(msgspec.to_builtins(values), Terms)
    except msgspec.ValidationError as wrong:
        field = str(wrong).rpartition("$.")[2].partition("`")[0].partition("[")[0]
        known = field if field in values else ""
        form.wrong(known, DURATION if known in {"validity", "retention"} else "Look at this again.")
        return None


def read_notices(form: Form, texts: Iterable[Text]) -> list[NewNotice]:
    """Read the texts to ask with, of the languages that have one."""
    accepts = form.choices("accepts", list(EvidenceKind))
    found = []
    for each in texts:
        if not each.text:
            continue
        entered = {
            "locale": each.locale,
            "text": each.text,
            "control_label": each.control_label,
            "accepts": accepts,
        }
        try:
            found.append(msgspec.convert(entered, NewNotice))
        except msgspec.ValidationError as wrong:
            short = "control_label" in str(wrong)
            form.wrong(
                f"label_{each.locale}" if short else f"text_{each.locale}",
                "Please fill this in." if short else "At least 10 characters, and not only spaces.",
            )
    return found


def _countries(form: Form, name: str) -> tuple[str, ...]:
    given = form.text(name, required=False, max=1000).upper().replace(",", " ").split()
    if any(not _COUNTRY.fullmatch(each) for each in given):
        form.wrong(name, "Countries by two letters each, such as DE AT CH.")
    return tuple(dict.fromkeys(given))


def _ages(form: Form) -> dict[str, int]:
    found = {}
    for line in form.text("ages", required=False, max=2000, lines=True).splitlines():
        match = _AGE.fullmatch(line.strip())
        if match is None or not 0 < int(match[2]) <= _OLDEST:
            form.wrong("ages", "A country and an age on each line, such as DE 16.")
            return {}
        found[match[1].upper()] = int(match[2])
    return found


def _recipients(form: Form) -> tuple[Party, ...]:
    found = []
    for line in form.text("recipients", required=False, max=5000, lines=True).splitlines():
        parts = [part.strip() for part in line.split(";")]
        if len(parts) != 3 or not all(parts) or not _COUNTRY.fullmatch(parts[2].upper()):  # noqa: PLR2004
            form.wrong("recipients", "On each line: who; what for; country, such as DE.")
            return ()
        found.append(Party(name=parts[0], role=parts[1], country=parts[2].upper()))
    return tuple(found)
