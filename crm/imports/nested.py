"""JSON in a cell, as listmonk and Keila write attributes: titles with their values."""

from collections.abc import Iterator
from typing import Any

import msgspec

from crm.imports.showing import LONGEST

# Each title repeats the names around it, so a short cell may come to very long ones: what one cell
# comes to is limited by all of these. Tools that write such cells have a few dozen short keys.
MOST_KEYS = 500
MOST_LETTERS = 20_000
DEEPEST = 20
_TOO_MUCH = (
    "Some of the attributes were left out: they are too many, nested too deeply, or have too long "
    "names."
)


def flattened(cell: str, notes: list[str]) -> dict[str, str] | None:
    """Flatten an object: {"home": {"city": "Oslo"}} is home.city; None where it is no object.

    What is beyond the limits is left out, which the notes say once. msgspec.DecodeError,
    RecursionError or UnicodeError where it is no JSON.
    """
    found = msgspec.json.decode(cell)
    if not isinstance(found, dict):
        return None
    flat: dict[str, str] = {}
    room = MOST_LETTERS
    cut = False
    for title, value in _leaves(found, "", 1):
        if value is None:
            continue
        if title is None:
            cut = True
            continue
        room -= len(title)
        if room < 0 or len(flat) == MOST_KEYS:
            cut = True
            break
        flat[title] = value if isinstance(value, str) else msgspec.json.encode(value).decode()
    if cut:
        notes.append(_TOO_MUCH)
    return flat


def _leaves(found: dict[str, Any], around: str, depth: int) -> Iterator[tuple[str | None, Any]]:
    """Each value with its title; without one where that is too long, or lies too deep."""
    for key, value in found.items():
        if len(around) + len(key) > LONGEST:
            yield None, value
        elif not isinstance(value, dict):
            yield around + key, value
        elif depth == DEEPEST:
            yield None, value
        else:
            yield from _leaves(value, f"{around}{key}.", depth + 1)
