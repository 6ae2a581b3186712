"""The time zones a customer can choose among, those of her business's country first."""

from __future__ import annotations

from functools import lru_cache

from babel.core import get_global

from crm import time_zones
from crm.languages import gettext


def zones(country: str, present: str = "") -> list[tuple[str, str]]:
    """List names by IANA with words for them; the empty one leaves it to the business."""
    known = _places()
    near = [zone for zone, territory in known if territory == country]
    rest = [zone for zone, _ in known if zone not in near]
    held = [present] if present and present not in {zone for zone, _ in known} else []
    said = [(zone, zone.replace("_", " ")) for zone in (*held, *near, *rest)]
    return [("", gettext("not said")), *said]


@lru_cache(maxsize=1)
def _places() -> list[tuple[str, str]]:
    """Return every zone that is somewhere, under the one name that CLDR has for it."""
    aliases = get_global("zone_aliases")
    here = time_zones.named()
    return sorted(
        (zone, territory)
        for zone, territory in get_global("zone_territories").items()
        if zone in here and zone not in aliases and not zone.startswith("Etc/")
    )
