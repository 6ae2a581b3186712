"""Any id of a business, wherever an id goes: to another business each is an id of nobody.

`tests/test_strangers.py` gives every route the ids that it means; here they are mixed.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable
from uuid import UUID, uuid4

from msgspec import Struct

from tests.browser import Browser
from tests.routes import Route
from tests.test_strangers import WITH_IDS, Two, request_of

# What is no id in a path, so that it leads to a thing of A.
_NAMES = {"images": "bread.png", "tags": "bakes_at_home"}
_ROUTES = [route for route in WITH_IDS if route.path.startswith("/v1/")]
# Not there; or, for what stands in a body, as with nobody's ids.
_REFUSALS = {403, 404, 409, 422}


class Found(Struct):
    """How often which status was answered, and what told the two kinds of ids apart."""

    statuses: Counter[int]
    told: list[str]


async def mixed(two: Two, program: Browser, chance: random.Random, count: int) -> Found:
    """Ask so often as B's program, once with A's ids and once with nobody's."""
    pool = sorted(
        {
            value
            for rows in two.rows.values()
            for row in rows
            for value in row.values()
            if isinstance(value, UUID) and value != two.a.business.id
        }
    )
    found = Found(Counter(), [])
    for _ in range(count // 2):
        route = chance.choice(_ROUTES)
        hers = await _asked(program, route, lambda _: chance.choice(pool))
        nobodys = await _asked(program, route, lambda _: uuid4())
        found.statuses.update((hers[0], nobodys[0]))
        if hers != nobodys or hers[0] not in _REFUSALS:
            found.told.append(f"{route}: {hers} {nobodys}")
    return found


async def _asked(program: Browser, route: Route, of: Callable[[str], UUID]) -> tuple[int, str]:
    """Call a route with ids of a kind; say what came back, whichever they were."""
    named = next((name for part, name in _NAMES.items() if f"/{part}/" in route.path), "shop")
    given = {name: of(name) if kind is UUID else named for name, kind in route.types.items()}
    used = {str(value) for value in given.values()}

    def noted(name: str) -> UUID:
        value = of(name)
        used.add(str(value))
        return value

    sent = request_of(route, noted)
    answer = await program.request(route.method, route.path.format(**given), **sent)
    text = answer.text
    for value in used:
        text = text.replace(value, "ID")
    return answer.status_code, text
