"""The rules of segments once more, in plain Python: what the SQL is held against."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, datetime, timedelta
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

from msgspec import Struct, field

ENDED = {"refused", "withdrawn", "revoked", "expired", "invalidated"}
STANDS = {"given", "renewed", "unobjected"}


class Facts(Struct, kw_only=True):
    """What is known of one customer."""

    id: UUID
    locale: str
    created_at: datetime
    free: bool = True
    attributes: dict[str, Any] = field(default_factory=dict)
    tags: set[str] = field(default_factory=set)
    happened: list[tuple[str, datetime]] = field(default_factory=list)
    # By purpose: status, and when it ends.
    consents: dict[UUID, tuple[str, datetime | None]] = field(default_factory=dict)
    # By campaign: state, and when it was sent.
    deliveries: dict[UUID, tuple[str, datetime | None]] = field(default_factory=dict)


class World(Struct, kw_only=True):
    """What holds for everybody: the moment, and which names are for a purpose."""

    now: datetime
    zone: str
    bound: dict[str, UUID]
    retired: set[UUID]

    @property
    def today(self) -> date:
        return self.now.astimezone(ZoneInfo(self.zone)).date()

    def usable(self, name: str, her: Facts) -> bool:
        purpose = self.bound.get(name)
        if purpose is None:
            return True
        return purpose not in self.retired and stands(self, her, purpose) == "allowed"


def stands(world: World, her: Facts, purpose: UUID) -> str:
    if purpose not in her.consents:
        return "never_asked"
    status, ends_at = her.consents[purpose]
    if status in ENDED:
        return "ended"
    if status not in STANDS:
        return "asked"
    over = purpose in world.retired or (ends_at is not None and ends_at <= world.now)
    return "ended" if over else "allowed"


def selects(rule: dict[str, Any], her: Facts, world: World) -> bool:
    """Whether a rule selects a customer."""
    return her.free and _TESTS[rule["test"]](rule, her, world)


def _begins(world: World, rule: dict[str, Any]) -> datetime | None:
    day = None
    if rule.get("since"):
        day = date.fromisoformat(rule["since"])
    elif rule.get("within_days") is not None:
        day = world.today - timedelta(days=rule["within_days"])
    return None if day is None else _midnight(world, day)


def _midnight(world: World, day: date) -> datetime:
    return datetime(day.year, day.month, day.day, tzinfo=ZoneInfo(world.zone))


def _value(rule: dict[str, Any], her: Facts, world: World) -> Any:
    return her.attributes.get(rule["name"]) if world.usable(rule["name"], her) else None


def _attribute(rule: dict[str, Any], her: Facts, world: World) -> bool:
    held = _value(rule, her, world)
    if held is None or rule["is"] == "known":
        return held is not None
    given = rule["value"]
    if isinstance(held, date):
        given = date.fromisoformat(given)
    compared: dict[str, Callable[[], bool]] = {
        "equals": lambda: held == given,
        "begins_with": lambda: held.startswith(given),
        "contains": lambda: given in held,
        "less_than": lambda: held < given,
        "at_most": lambda: held <= given,
        "at_least": lambda: held >= given,
        "more_than": lambda: held > given,
        "before": lambda: held < given,
        "after": lambda: held > given,
    }
    return compared[rule["is"]]()


def _near(rule: dict[str, Any], her: Facts, world: World) -> bool:
    held = _value(rule, her, world)
    return held is not None and rule["from_days"] <= (held - world.today).days <= rule["to_days"]


def _anniversary(rule: dict[str, Any], her: Facts, world: World) -> bool:
    held = _value(rule, her, world)
    if held is None:
        return False
    for distance in range(rule.get("within_days", 0) + 1):
        day = world.today + timedelta(days=distance)
        try:
            on = held.replace(year=day.year)
        except ValueError:
            on = date(day.year, 2, 28)
        if on == day:
            return True
    return False


def _interaction(rule: dict[str, Any], her: Facts, world: World) -> bool:
    begins = _begins(world, rule)
    if not world.usable(rule["kind"], her):
        return False
    often = [at for kind, at in her.happened if kind == rule["kind"]]
    least: int = rule.get("at_least", 1)
    return sum(begins is None or at >= begins for at in often) >= least


def _delivery(rule: dict[str, Any], her: Facts, _world: World) -> bool:
    state, _ = her.deliveries.get(UUID(rule["campaign_id"]), ("", None))
    wanted: str = rule.get("state", "sent")
    return state == wanted


def _mailed(rule: dict[str, Any], her: Facts, world: World) -> bool:
    begins = _begins(world, rule)
    return any(
        state == "sent" and (begins is None or (at is not None and at >= begins))
        for state, at in her.deliveries.values()
    )


def _created(rule: dict[str, Any], her: Facts, world: World) -> bool:
    begins = _begins(world, rule)
    before = rule.get("before")
    ends = _midnight(world, date.fromisoformat(before)) if before else None
    return (begins is None or her.created_at >= begins) and (ends is None or her.created_at < ends)


def _language(rule: dict[str, Any], her: Facts, _world: World) -> bool:
    code, locale = rule["code"].lower(), her.locale.lower()
    return bool(locale == code or locale.startswith(f"{code}-"))


_TESTS: dict[str, Callable[[dict[str, Any], Facts, World], bool]] = {
    "all": lambda rule, her, world: all(selects(each, her, world) for each in rule["of"]),
    "any": lambda rule, her, world: any(selects(each, her, world) for each in rule["of"]),
    "not": lambda rule, her, world: not selects(rule["of"], her, world),
    "attribute": _attribute,
    "date_near": _near,
    "anniversary": _anniversary,
    "tag": lambda rule, her, world: rule["name"] in her.tags and world.usable(rule["name"], her),
    "interaction": _interaction,
    "consent": lambda rule, her, world: (
        stands(world, her, UUID(rule["purpose_id"])) == rule.get("state", "allowed")
    ),
    "delivery": _delivery,
    "mailed": _mailed,
    "created": _created,
    "language": _language,
}
