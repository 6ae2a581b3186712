"""Which locale dates and numbers are written in, beside which language: CLDR's, by Babel."""

from __future__ import annotations

from collections.abc import Iterable

from babel import Locale, UnknownLocaleError
from babel.dates import get_datetime_format
from babel.lists import format_list

from crm.languages.speaking import ENGLISH, language

_WORLD_ENGLISH = "en_001"


def locale_for(spoken: str, *wanted: str) -> str:
    """Choose the locale to format in: the first wanted that is of this language and a country.

    Without one it is the language at large, and English as the world writes it: a date in another
    language inside a sentence would help nobody.
    """
    for tag in wanted:
        try:
            locale = Locale.parse(tag.replace("-", "_"))
        except (UnknownLocaleError, ValueError):
            continue
        if locale.language == spoken and locale.territory is not None:
            return str(locale)
    return _WORLD_ENGLISH if spoken == ENGLISH else spoken


def joined(date: str, time: str, locale: str) -> str:
    """Put a date and a time beside each other as the locale does."""
    # As texts they would be quoted for dates; both are written already.
    pattern = str(get_datetime_format("medium", locale=locale)).replace("'", "")
    return pattern.replace("{0}", time).replace("{1}", date)


def listed(names: Iterable[str]) -> str:
    """Say names one after the other, in the language that is spoken: `Letters and Offers`."""
    return str(format_list(list(names), locale=locale_for(language())))
