"""Values of attributes: what was given, read as the declared type or refused with the way out."""

from __future__ import annotations

import re
from datetime import date
from decimal import Decimal, InvalidOperation
from enum import StrEnum

from msgspec import Struct

from crm.customers.text import clean
from crm.errors import Invalid

LONGEST_TEXT = 2000
# More than any price, count or score needs, and little enough for every numeric column and JSON.
_LARGEST = Decimal(10) ** 15
_DECIMALS = 6

_DATE = re.compile(r"\d{4}-\d{2}-\d{2}", re.ASCII)
_NUMBER = re.compile(r"[+-]?\d+(\.\d+)?([eE][+-]?\d{1,2})?", re.ASCII)
_YES = frozenset({"true", "yes", "on", "1"})
_NO = frozenset({"false", "no", "off", "0"})

Given = str | int | float | bool
Read = str | int | float | bool


class AttributeType(StrEnum):
    """What an attribute's values are."""

    text = "text"
    number = "number"
    date = "date"
    boolean = "boolean"


class WrongType(Invalid):
    """The value is not of the type that the attribute was declared with."""


class Written(Struct, frozen=True):
    """A value as it is kept: written out, and in the column of its type to select by."""

    text: str
    number: Decimal | None = None
    date: date | None = None
    boolean: bool | None = None


def written(type: AttributeType, given: Given) -> Written:
    """Read what JSON, a form or a file gave as a value of this type, or refuse with WrongType."""
    match type:
        case AttributeType.text:
            return Written(_text(given))
        case AttributeType.number:
            number = _number(given)
            return Written(format(number, "f"), number=number)
        case AttributeType.date:
            day = _date(given)
            return Written(day.isoformat(), date=day)
        case AttributeType.boolean:
            yes = _boolean(given)
            return Written("true" if yes else "false", boolean=yes)


def read(type: AttributeType, text: str) -> Read:
    """Turn a value as kept into what JSON has for it; a date stays a text."""
    if type is AttributeType.boolean:
        return text == "true"
    if type is AttributeType.number:
        number = Decimal(text)
        return int(number) if number == number.to_integral_value() else float(number)
    return text


def _text(given: Given) -> str:
    if not isinstance(given, str):
        raise WrongType("This is a text; put it in quotation marks.")
    text = clean(given, lines=True)
    if not text:
        raise WrongType("This text is empty. To take the value away, give null.")
    if len(text) > LONGEST_TEXT:
        raise WrongType(f"This has {len(text)} characters; there is room for {LONGEST_TEXT}.")
    return text


def _number(given: Given) -> Decimal:
    if isinstance(given, bool):
        raise WrongType("This is a number such as 12 or 9.40, not yes or no.")
    text = str(given).strip()
    try:
        number = Decimal(text) if _NUMBER.fullmatch(text) else None
    except InvalidOperation:
        number = None
    if number is None:
        raise WrongType("This is a number such as 12 or 9.40, with a point and without groups.")
    if abs(number) >= _LARGEST:
        raise WrongType("This number is too large: it has at most 15 digits before the point.")
    small = round(number, _DECIMALS)
    if small != number:
        raise WrongType(f"This number has more than {_DECIMALS} decimals. Round it.")
    # 1E+3 and 1000.000 are the same number, as are -0 and 0, and are written the same way.
    small += 0
    return small.quantize(Decimal(1)) if small == small.to_integral_value() else small.normalize()


def _date(given: Given) -> date:
    text = given.strip() if isinstance(given, str) else ""
    try:
        if _DATE.fullmatch(text):
            return date.fromisoformat(text)
    except ValueError:
        pass
    raise WrongType("This is a day such as 2026-06-04, and one that exists.")


def _boolean(given: Given) -> bool:
    if isinstance(given, bool):
        return given
    text = str(given).strip().lower()
    if text in _YES:
        return True
    if text in _NO:
        return False
    raise WrongType("This is true or false.")
