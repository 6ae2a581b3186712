"""What stands in the merge fields of a mail: for one customer, or for everybody."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence

from crm.campaigns.expression import Expression
from crm.campaigns.merge import Field, upright
from crm.campaigns.web_address import is_web_address
from crm.mail import mime

# What a page for everybody says where a mail has somebody's own.
_NEUTRAL = {"name": "reader", "first_name": "reader", "address": "your address"}
# What stands where nothing can be worked out.
UNKNOWN = "…"
# Stands for her own address where that is one which itself holds what looks like a page.
_PLAIN_ADDRESS = "reader@example.org"
# Around a word that stands alone: of a longer one it may be the host.
_BEFORE = r"(?<![^\s(\[{\"'\u2018\u201c\u201e\u00ab])"
_AFTER = r"(?=(?:['\u2019]s)?[.,:;!?)\]}\"'\u2019\u201d\u00bb]*+(?:\s|\Z))"
# What anybody may type at a sign-up: a web address there is no name, and stands nowhere.
NAMES = frozenset({"name", "first_name"})


class HoldsAddress(ValueError):
    """A web address would stand where only one reader has it, which is tracking."""


def own(slots: mime.Slots, business: str) -> dict[str, str]:
    """Return what a mail has of its own: the links of its foot, and whose it is."""
    return {
        "link.unsubscribe": slots.unsubscribe,
        "link.preferences": slots.preferences,
        "link.why": slots.why,
        "business": business,
    }


def filled(
    fields: Sequence[Field], values: Mapping[str, str], own: Mapping[str, str], *, lenient: bool
) -> list[str]:
    """Return what stands in each field for a customer with these values, in their order.

    An expression that cannot be worked out refuses with ValueError, and so does a web address
    (HoldsAddress) without a default to stand for it; where `lenient`, it is `…`.
    """
    filling = []
    for field in fields:
        if field.expression is None:
            if ours := own.get(field.name):
                filling.append(ours if ours.isascii() else upright(ours))
                continue
            value = values.get(field.name, "")
            value = value if value.strip() else field.default or ""
            if not value.isascii():
                value = upright(value)
            if not is_web_address(value):
                filling.append(value)
                continue
        try:
            filling.append(_settled(field, values, own["business"]))
        except ValueError:
            if not lenient:
                raise
            filling.append(UNKNOWN)
    return filling


def nameless(values: Mapping[str, str], also: Collection[str] = ()) -> dict[str, str]:
    """Return values without her names, and without those of `also`."""
    return {**values, **dict.fromkeys((*NAMES, *also), "")}


def leads_astray(expression: Expression, values: Mapping[str, str]) -> bool:
    """Say whether what an expression comes to is a web address that only some readers would have.

    What the business is called is the same for all, and where to write to her stands in the header
    anyway: each is let pass where it stands as it is, and nothing makes an address of it. What is
    judged came of her values; of others, a condition may have made something else.
    """
    text = upright(expression.text(values))
    # Of a page and her address joined, the whole may look like somebody to write to.
    return ("@" in text or is_web_address(text)) and is_web_address(_without(text, values))


def _without(text: str, values: Mapping[str, str]) -> str:
    """Put a word for what is no address of one reader; what is joined to it is still seen."""
    if address := upright(values.get("address", "")):
        text = re.sub(re.escape(address), "address", text, flags=re.IGNORECASE)
    if business := upright(values.get("business", "")):
        alone = _BEFORE + re.escape(business) + _AFTER
        text = re.sub(alone, "business", text, flags=re.IGNORECASE)
    return text


def usual(values: Mapping[str, str]) -> Mapping[str, str]:
    """Return values with another address where a part of hers looks like a page.

    Whoever signs up as `nora@www.shop.example` is no reason to keep a campaign from starting.
    """
    strange = is_web_address(values.get("address", "").replace("@", " "))
    return {**values, "address": _PLAIN_ADDRESS} if strange else values


def neutral(fields: Sequence[Field], business: str) -> list[str]:
    """Return what stands in each field for everybody: defaults, or neutral words."""
    return [_neutral(field, {"business": business}) for field in fields]


def _neutral(field: Field, nobody: Mapping[str, str]) -> str:
    if field.expression is None:
        return nobody.get(field.name) or field.default or _NEUTRAL.get(field.name, UNKNOWN)
    try:
        if not field.expression.lacks(nobody):
            return field.expression.text(nobody)
        return field.expression.text({**_NEUTRAL, **nobody})
    except ValueError:
        return UNKNOWN


def _settled(field: Field, values: Mapping[str, str], business: str) -> str:
    """Work out an expression, or say what stands where her value is a web address."""
    if field.expression is not None:
        return _worked_out(field.expression, {**values, "business": business})
    # Where to write to her stands in the header anyway.
    if field.name == "address":
        return upright(values["address"])
    if field.default is None and field.name not in NAMES:
        raise HoldsAddress(field.name)
    return upright(field.default or "")


def _worked_out(expression: Expression, values: Mapping[str, str]) -> str:
    if leads_astray(expression, values):
        values = nameless(values)
        if leads_astray(expression, values):
            raise HoldsAddress(expression.source)
    return upright(expression.text(values))
