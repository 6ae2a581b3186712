"""The languages we speak to customers in: which one now, and what a sentence is in it.

English is written in the code and the templates; the others stand in the catalogs beside this
file. docs/languages.md says how a text is written and translated.
"""

from crm.languages.locales import joined, listed, locale_for
from crm.languages.speaking import (
    CATALOGS,
    ENGLISH,
    LANGUAGES,
    accepted,
    chosen,
    direction,
    gettext,
    language,
    load,
    marked,
    ngettext,
    npgettext,
    own_name,
    pgettext,
    speak,
    speaking,
    spoken_of,
    teach,
)

__all__ = [
    "CATALOGS",
    "ENGLISH",
    "LANGUAGES",
    "accepted",
    "chosen",
    "direction",
    "gettext",
    "joined",
    "language",
    "listed",
    "load",
    "locale_for",
    "marked",
    "ngettext",
    "npgettext",
    "own_name",
    "pgettext",
    "speak",
    "speaking",
    "spoken_of",
    "teach",
]
