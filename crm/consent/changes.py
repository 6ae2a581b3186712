"""What changes between two versions of a purpose or a text, and whether consents survive it."""

from __future__ import annotations

import re
from difflib import SequenceMatcher

from msgspec import Struct

from crm.consent.terms import Terms

_WORD = re.compile(r"\s+|\w+|[^\w\s]")


class Piece(Struct, frozen=True):
    """Words that are in both texts, or only in the old (`gone`) or the new one (`come`)."""

    kind: str
    words: str


def by_words(old: str, new: str) -> list[Piece]:
    """Compare two texts word by word; together the pieces are both of them."""
    before, after = _WORD.findall(old), _WORD.findall(new)
    compared = SequenceMatcher(None, before, after, autojunk=False)
    pieces = []
    for tag, low, high, first, last in compared.get_opcodes():
        if tag == "equal":
            pieces.append(Piece("same", "".join(before[low:high])))
            continue
        if high > low:
            pieces.append(Piece("gone", "".join(before[low:high])))
        if last > first:
            pieces.append(Piece("come", "".join(after[first:last])))
    return pieces


def changed(old: Terms, new: Terms) -> list[str]:
    """Name the fields that differ."""
    return [name for name in Terms.__struct_fields__ if getattr(old, name) != getattr(new, name)]


def substance(old: Terms, new: Terms) -> list[str]:
    """Name what somebody who agreed to the old version did not agree to in the new one.

    More data, recipients, places or decisions by program, another basis or channel. Less of it, and
    other words for the same, leave consents as they are.
    """
    more = {
        "data": {each.kind for each in new.data} - {each.kind for each in old.data},
        "recipients": {_party(new, n) for n in range(len(new.recipients))}
        - {_party(old, n) for n in range(len(old.recipients))},
        "storage": set(new.storage) - set(old.storage),
    }
    found = [name for name, added in more.items() if added]
    if new.automated_decisions and not old.automated_decisions:
        found.append("automated_decisions")
    other = ("basis", "channel", "special_category")
    return found + [name for name in other if getattr(old, name) != getattr(new, name)]


def _party(terms: Terms, number: int) -> tuple[str, str, str]:
    party = terms.recipients[number]
    return party.name.casefold(), party.role.casefold(), party.country
