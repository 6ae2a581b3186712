"""The languages a customer can choose among, each in its own words."""

from __future__ import annotations

from functools import lru_cache

from babel import Locale, UnknownLocaleError

from crm.languages import gettext

# Where mail of ours has been read in tests: scripts of every direction and shape.
_OFFERED = (
    "ar", "bg", "cs", "da", "de", "el", "en", "es", "et", "fa", "fi", "fr", "ga", "he", "hi",
    "hr", "hu", "it", "ja", "ko", "lt", "lv", "mt", "nb", "nl", "pl", "pt", "pt-BR", "ro", "sk",
    "sl", "sv", "tr", "uk", "vi", "zh", "zh-Hant",
)  # fmt: skip


def languages(present: str = "") -> list[tuple[str, str]]:
    """List codes and names, the one in use among them; the empty code leaves it to the business."""
    codes = set(_OFFERED) | ({present} if present else set())
    named = [(code, language(code)) for code in codes]
    return [("", gettext("not said")), *sorted(named, key=lambda pair: pair[1].lower())]


@lru_cache(maxsize=512)
def language(code: str) -> str:
    """Name a language in its own words; a code that nobody knows stands for itself."""
    try:
        return Locale.parse(code, sep="-").get_display_name() or code
    except (UnknownLocaleError, ValueError):
        return code
