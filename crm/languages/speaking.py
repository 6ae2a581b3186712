"""What a sentence is in the language that is spoken now, by gettext and the catalogs here.

The catalogs are read as they stand, so nothing compiled can be older than they are. Whatever
serves somebody chooses the language once, at the edge; programs, staff and jobs that choose none
are spoken to in English.
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cache, lru_cache
from gettext import GNUTranslations, NullTranslations
from pathlib import Path

from babel import Locale
from babel.messages.catalog import Catalog
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po
from jinja2 import Environment

ENGLISH = "en"
# In the order in which a reader chooses among them; each is a BCP 47 language without a region.
LANGUAGES = (ENGLISH, "de", "fr", "es", "ar")
CATALOGS = Path(__file__).resolve().parent

# A sentence keeps its direction whatever stands in it (UAX #9, FSI and PDI).
_ISOLATE, _END = "\u2068", "\u2069"
_VALUE = re.compile(r"%\(\w+\)s")
_TAG = re.compile(r"(<[^>]*>)")

_language: ContextVar[str] = ContextVar("language", default=ENGLISH)


def language() -> str:
    """Return the language that is spoken now."""
    return _language.get()


def speak(wanted: str) -> None:
    """Go on in this language until the innermost `speaking` ends."""
    _language.set(wanted)


@contextmanager
def speaking(wanted: str) -> Iterator[None]:
    """Speak a language until the block ends, whatever it goes on in."""
    token = _language.set(wanted)
    try:
        yield
    finally:
        _language.reset(token)


def chosen(*tags: str) -> str:
    """Return the language of the first BCP 47 tag that we speak; empty where we speak none."""
    for tag in tags:
        primary = tag.replace("_", "-").split("-", maxsplit=1)[0].lower()
        if primary in LANGUAGES:
            return primary
    return ""


def spoken_of(locale: str) -> str:
    """Return this locale if it is of the language that is spoken, else that language."""
    return locale if (chosen(locale) or ENGLISH) == language() else language()


@lru_cache(maxsize=1024)
def accepted(header: str) -> str:
    """Return the language an Accept-Language prefers that we speak; empty where it names none."""
    weighed = []
    for place, part in enumerate(header[:500].split(",")):
        tag, _, weight = part.strip().partition(";")
        try:
            weighed.append((-float(weight.strip().removeprefix("q=") or 1), place, tag.strip()))
        except ValueError:
            continue
    return chosen(*(tag for weight, _, tag in sorted(weighed) if weight < 0))


@cache
def direction(of: str) -> str:
    """Return `ltr` or `rtl`, as HTML's `dir` has it."""
    return Locale.parse(of).text_direction


@cache
def own_name(of: str) -> str:
    """Name a language in its own words."""
    return (Locale.parse(of).get_display_name() or of).title()


def gettext(message: str, /, **values: object) -> str:
    """Say a sentence in the language that is spoken; `%(name)s` in it is the value `name`."""
    return _filled(_catalog(language()).gettext(message), values)


def ngettext(one: str, many: str, number: int, /, **values: object) -> str:
    """Say a sentence about a number of things; `%(number)s` in it is that number."""
    said = _catalog(language()).ngettext(one, many, number)
    return _filled(said, {"number": number, **values})


def pgettext(context: str, message: str, /, **values: object) -> str:
    """Say a word that means several things, in the meaning that `context` names."""
    return _filled(_catalog(language()).pgettext(context, message), values)


def npgettext(context: str, one: str, many: str, number: int, /, **values: object) -> str:
    """Say a sentence about a number of things, in the meaning that `context` names."""
    said = _catalog(language()).npgettext(context, one, many, number)
    return _filled(said, {"number": number, **values})


def marked(message: str) -> str:
    """Mark a sentence that is said later, by `gettext`; it is English until then."""
    return message


def teach(environment: Environment) -> None:
    """Let templates (with jinja2.ext.i18n) say what is said in the language that is spoken."""
    environment.policies["ext.i18n.trimmed"] = True
    # The extension fills the values in itself, escaped.
    environment.install_gettext_callables(  # type: ignore[attr-defined]
        lambda message: _catalog(language()).gettext(message),
        lambda one, many, number: _catalog(language()).ngettext(one, many, number),
        newstyle=True,
        pgettext=lambda *said: _catalog(language()).pgettext(*said),
        npgettext=lambda *said: _catalog(language()).npgettext(*said),
    )
    environment.globals.update(
        languages=LANGUAGES,
        language=language,
        direction=lambda: direction(language()),
        own_name=own_name,
    )


def load() -> None:
    """Read every catalog now, so that no first reader waits for it."""
    for each in LANGUAGES:
        _catalog(each)


@cache
def _catalog(of: str) -> NullTranslations:
    if of == ENGLISH:
        return NullTranslations()
    compiled = io.BytesIO()
    with (CATALOGS / f"{of}.po").open("rb") as file:
        read = read_po(file, locale=of)
    if direction(of) == "rtl":
        _isolate(read)
    write_mo(compiled, read)
    compiled.seek(0)
    return GNUTranslations(compiled)


def _filled(said: str, values: dict[str, object]) -> str:
    return said % values if values else said


def _isolate(catalog: Catalog) -> None:
    """Have each value keep its own direction, where it stands in the text and not in a tag."""
    for message in catalog:
        if not message.id:
            continue
        forms = message.string
        message.string = (
            _isolated(forms)
            if isinstance(forms, str)
            else tuple(_isolated(form) for form in forms or ())
        )


def _isolated(said: str) -> str:
    parts = _TAG.split(said)
    parts[::2] = [_VALUE.sub(f"{_ISOLATE}\\g<0>{_END}", part) for part in parts[::2]]
    return "".join(parts)
