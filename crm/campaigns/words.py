"""What stands in the merge fields of a mail: for one customer, or for everybody."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from crm.campaigns.expression import Expression
from crm.campaigns.merge import Field, upright
from crm.mail import mime

# What a page for everybody says where a mail has somebody's own.
_NEUTRAL = {"name": "reader", "first_name": "reader", "address": "your address"}
# What stands where nothing can be worked out.
UNKNOWN = "…"


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

    An expression that cannot be worked out refuses with ValueError, or is `…` where `lenient`.
    """
    filling = []
    for field in fields:
        if field.expression is not None:
            known = {**values, "business": own["business"]}
            filling.append(upright(_worked_out(field.expression, known, lenient=lenient)))
            continue
        value = own.get(field.name) or values.get(field.name, "")
        filling.append(upright(value if value.strip() else field.default or ""))
    return filling


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


def _worked_out(expression: Expression, values: Mapping[str, str], *, lenient: bool) -> str:
    try:
        return expression.text(values)
    except ValueError:
        if not lenient:
            raise
        return UNKNOWN
