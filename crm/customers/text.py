"""Texts as they are kept: trimmed, composed, without control characters; and declared names."""

from __future__ import annotations

import re
import unicodedata
from typing import Annotated, get_args

from msgspec import Meta

from crm.characters import piled
from crm.errors import Invalid, Problem, Refused
from crm.languages import gettext

Label = Annotated[str, Meta(min_length=1, max_length=200)]
Sentence = Annotated[str, Meta(min_length=3, max_length=500)]
Duration = Annotated[str, Meta(max_length=20, examples=["P24M"])]
Word = Annotated[str, Meta(pattern=r"^[a-z][a-z0-9_]{0,62}(?!\n)$")]

_NAME = re.compile(r"[a-z][a-z0-9_]{0,62}")


class UnusableText(Invalid):
    """A text contains a character that cannot be kept. Type it anew."""


class UnusableName(Invalid):
    """A name has lower-case letters, digits and _, begins with a letter, and at most 63 of them."""


def clean(text: str, *, lines: bool = False) -> str:
    """Trim and compose (NFC) what was typed, or refuse with UnusableText.

    Control characters are refused, and more marks on a letter than any language needs.
    """
    if piled(text):
        raise UnusableText(
            gettext("A letter in this has more marks than can be kept. Type it anew.")
        )
    text = unicodedata.normalize("NFC", text.replace("\r\n", "\n")).strip()
    # Cc: control, Cs: half of a pair. Cf stays: it joins letters in Arabic, Persian and emoji.
    for char in text:
        if unicodedata.category(char) in ("Cc", "Cs") and not (lines and char in "\n\t"):
            raise UnusableText
    return text


def cleaned(text: str, field: str, kind: object, *, lines: bool = False) -> str:
    """Trim and compose a text of this field, or refuse, naming the field.

    `kind` is the annotated type that bounds it. A reader of JSON holds it against the text as it
    was sent, and a few letters are two or three once they are composed.
    """
    try:
        text = clean(text, lines=lines)
    except UnusableText as wrong:
        raise UnusableText(problems=[Problem(field, wrong.message)]) from None
    most = _bounds(kind).max_length
    if most is not None and len(text) > most:
        said = gettext(
            "This has %(found)s characters; there is room for %(room)s.",
            found=len(text),
            room=most,
        )
        raise named(Invalid(said), field)
    return text


def filled(text: str, field: str, kind: object) -> str:
    """Trim and compose a text that must say something, or refuse, naming the field."""
    text = cleaned(text, field, kind)
    if len(text) < (_bounds(kind).min_length or 1):
        raise named(Invalid(gettext("Please fill this in.")), field)
    return text


def _bounds(kind: object) -> Meta:
    """Return what msgspec holds against a text of this annotated type."""
    bounds: Meta = get_args(kind)[1]
    return bounds


def checked_name(name: str) -> str:
    """Return the name of an attribute or kind, or refuse with UnusableName."""
    if not _NAME.fullmatch(name):
        raise named(UnusableName(), "name")
    return name


def named(refusal: Refused, field: str) -> Refused:
    """Point a refusal at the field it is about, unless it points somewhere already."""
    if not refusal.problems:
        refusal.problems = (Problem(field, refusal.message),)
    return refusal
