"""The lines of a list of JSON objects, and the fields of one: what is wrong with which."""

import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from datetime import datetime
from decimal import Decimal, InvalidOperation
from typing import Any, BinaryIO, NoReturn

from crm.imports.cells import Instant, instant
from crm.imports.showing import shown

# A record with a value of every length in each of a few dozen attributes has a quarter of that.
LINE_LIMIT = 1_000_000
LAST = re.compile(rb'\s*\{\s*"(?:closing|stopped)"\s*:')

_MARK = b"\xef\xbb\xbf"
_PIECE = 1 << 16
_SURROGATE = re.compile("[\ud800-\udfff]")


class Wrong(Exception):
    """What is wrong with a line, and in which field."""


class NoObject(Wrong):
    """The line is no JSON object at all."""


def lines(source: BinaryIO) -> Iterator[tuple[int, bytes | None]]:
    """Every line with its number, from the first on; None in the place of one beyond LINE_LIMIT."""
    source.seek(0)
    number = 0
    while line := source.readline(LINE_LIMIT + 1):
        number += 1
        if len(line) <= LINE_LIMIT or line.endswith(b"\n"):
            yield number, line.removeprefix(_MARK) if number == 1 else line
            continue
        while line and not line.endswith(b"\n"):
            line = source.readline(_PIECE)
        yield number, None


def read(line: bytes) -> dict[str, Any]:
    """Read a line as an object; Wrong says where it is none."""
    try:
        text = line.decode()
    except UnicodeDecodeError as wrong:
        raise Wrong(f"Byte {wrong.start + 1} of the line is not UTF-8.") from None
    if "\0" in text:
        raise Wrong("The line contains a NUL character. Take it out or export the list again.")
    try:
        said = json.loads(
            text, object_pairs_hook=_once, parse_float=Decimal, parse_constant=_no_number
        )
    except json.JSONDecodeError as wrong:
        raise NoObject(f"This is no JSON: {wrong.msg} at character {wrong.pos + 1}.") from None
    except RecursionError:
        raise Wrong("The line is nested too deeply.") from None
    except ValueError:
        raise Wrong("A number in the line is too long.") from None
    except InvalidOperation:
        raise Wrong("A number in the line is too large or too small.") from None
    if not isinstance(said, dict):
        raise NoObject("The line is no JSON object.")
    return said


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        twice = next(
            name for name, count in Counter(name for name, _ in pairs).items() if count > 1
        )
        raise Wrong(f"The field {shown(twice)} stands twice in one object.")
    return found


def _no_number(said: str) -> NoReturn:
    raise Wrong(f"{said} is no number in JSON.")


def _storable(value: str, name: str, within: str = "") -> str:
    """Let a text pass that PostgreSQL can keep: JSON can write others."""
    if "\0" in value or (not value.isascii() and _SURROGATE.search(value)):
        raise Wrong(f"The field {shown(within, name)} has a character that cannot be stored.")
    return value


def cell(said: Mapping[str, Any], name: str, within: str = "") -> str:
    """A plain value as a table has it; Wrong for a list or an object."""
    value = said[name]
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return _storable(value, name, within)
    if isinstance(value, int | Decimal):
        return str(value)
    raise Wrong(f"The field {shown(within, name)} is no plain value.")


def text(said: Mapping[str, Any], name: str, within: str = "") -> str:
    """A text, empty where there is none; Wrong for anything else."""
    value = said.get(name)
    if value is None:
        return ""
    if not isinstance(value, str):
        raise Wrong(f"The field {shown(within, name)} is no text.")
    return _storable(value, name, within)


def inner(said: Mapping[str, Any], name: str, within: str = "") -> Mapping[str, Any]:
    """An object, empty where there is none; Wrong for anything else."""
    value = said.get(name)
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise Wrong(f"The field {shown(within, name)} is no object.")
    return value


def values(said: Mapping[str, Any], name: str) -> dict[str, str]:
    """The plain values of an object by their names; what is null is not there."""
    found = inner(said, name)
    return {key: cell(found, key, name) for key, value in found.items() if value is not None}


def words(said: Mapping[str, Any], name: str) -> tuple[str, ...]:
    """A list of texts; Wrong for anything else."""
    value = said.get(name)
    if value is None:
        return ()
    if not isinstance(value, list) or not all(isinstance(each, str) for each in value):
        raise Wrong(f"The field {shown(name)} is no list of texts.")
    return tuple(dict.fromkeys(_storable(each, name) for each in value))


def time(
    said: Mapping[str, Any], name: str, now: datetime, notes: list[str], within: str = ""
) -> Instant:
    """A time; one that proves nothing is noted, and is none."""
    found = instant(text(said, name, within), now)
    if found.fault:
        notes.append(f"The field {shown(within, name)} {found.fault}, so it proves nothing.")
    return found
