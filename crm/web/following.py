"""What can be done with what an operation answered: the links of the OpenAPI document (§4.8.20).

Derived from the paths, so that a new resource has them too. A client, or a test that lives through
the API, goes from what it made to reading it, and on to changing it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any

Operation = tuple[str, str, dict[str, Any]]
Resolve = Callable[[dict[str, Any]], dict[str, Any]]

_NAMES = re.compile(r"{(\w+)}")
_IF_MATCH = "If-Match"
_JSON = "application/json"


def link(operations: list[Operation], resolve: Resolve) -> None:
    """Write into each operation that answers with a thing what else is done with that thing."""
    for path, method, operation in operations:
        for status, answer in operation["responses"].items():
            schema = answer.get("content", {}).get(_JSON, {}).get("schema")
            if status[0] != "2" or schema is None:
                continue
            links = dict(_made(path, method, _id_in(schema, resolve), operations))
            links |= dict(_read(path, method, operations))
            if links:
                answer["links"] = links


def _id_in(schema: dict[str, Any], resolve: Resolve) -> str:
    """Find the id of what is answered, as a pointer: its own, or that of the thing in it."""
    fields = resolve(schema).get("properties", {})
    if "id" in fields:
        return "#/id"
    within = (name for name, each in fields.items() if "id" in resolve(each).get("properties", {}))
    return next((f"#/{name}/id" for name in within), "")


def _made(
    path: str, method: str, pointer: str, operations: list[Operation]
) -> Iterator[tuple[str, dict[str, Any]]]:
    """Lead from what was just made to every operation on it alone."""
    if method != "post" or not pointer:
        return
    collection = path.rpartition("/")[2]
    for target, _, operation in operations:
        names = _NAMES.findall(target)
        at = [f"{start}/{{{names[-1]}}}" for start in (path, f"/v1/{collection}")] if names else []
        if any(f"{target}/".startswith(f"{each}/") for each in at):
            outer = {name: f"$request.path.{name}" for name in names[:-1]}
            if set(outer) <= set(_NAMES.findall(path)):
                given = outer | {names[-1]: f"$response.body{pointer}"}
                yield _link(operation, given)


def _read(
    path: str, method: str, operations: list[Operation]
) -> Iterator[tuple[str, dict[str, Any]]]:
    """Lead from what was read to whatever else is done with the same, in the version read."""
    names = _NAMES.findall(path)
    if method != "get" or not path.endswith("}"):
        return
    for target, other, operation in operations:
        same = f"{target}/".startswith(f"{path}/") and _NAMES.findall(target) == names
        if same and (target, other) != (path, method):
            given = {name: f"$request.path.{name}" for name in names}
            if target == path and any(
                each["name"] == _IF_MATCH for each in operation.get("parameters", ())
            ):
                given[_IF_MATCH] = "$response.header.etag"
            yield _link(operation, given)


def _link(operation: dict[str, Any], given: dict[str, str]) -> tuple[str, dict[str, Any]]:
    name = operation["operationId"]
    return name, {"operationId": name, "parameters": given}
