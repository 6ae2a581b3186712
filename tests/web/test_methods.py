"""What a path answers to is named, in full, by OPTIONS and by a refusal."""

from __future__ import annotations

from collections import defaultdict
from uuid import UUID

from tests.browser import Browser
from tests.routes import ROUTES


async def test_every_path_names_its_methods(api: Browser) -> None:
    """HEAD too, wherever there is a GET; and nothing that is refused (RFC 9110 §10.2.1)."""
    paths: dict[str, set[str]] = defaultdict(lambda: {"OPTIONS"})
    for route in ROUTES:
        if route.path.startswith("/v1/"):
            paths[route.path].add(route.method)
            if route.method == "GET":
                paths[route.path].add("HEAD")
    wrong = []
    for path, methods in paths.items():
        kinds = next(route.types for route in ROUTES if route.path == path)
        asked = path.format(**dict.fromkeys(kinds, UUID(int=1)))
        named = (await api.options(asked)).headers["allow"]
        refused = await api.request("TRACE", asked)
        said = (set(named.split(", ")), refused.status_code, refused.headers.get("allow"))
        if said != (methods, 405, named):
            wrong.append((path, *said))

    assert paths
    assert not wrong
