"""The document with what a shop really has: ids that lead somewhere, bodies that are taken."""

from __future__ import annotations

import copy
import re
from collections.abc import Awaitable, Callable
from typing import Any
from uuid import UUID

from crm.web import lines, openapi

# What a line of the page names, made anew: the words in capitals, and what stands for them.
Words = Callable[[str], Awaitable[dict[str, str]]]


async def with_examples(document: dict[str, Any], words: Words) -> dict[str, Any]:
    """Give every parameter and every body of a document an example that works."""
    found = copy.deepcopy(document)
    for path, method, operation in openapi.operations(found):
        line = lines.curl(found, "", path, method, operation)
        known = await words(line)
        values = _values(path, line, known)
        for each in operation.get("parameters", ()):
            if each["name"] in values and _fits(each, values[each["name"]]):
                each["example"] = values[each["name"]]
        for content in operation.get("requestBody", {}).get("content", {}).values():
            _, good = openapi.body_sample(found, operation)
            if not isinstance(good, str):
                content["example"] = _filled(good, known)
    return found


def _values(path: str, line: str, known: dict[str, str]) -> dict[str, str]:
    for word, value in known.items():
        line = line.replace(word, value)
    named = re.sub(r"{(\w+)}", r"(?P<\1>[^/?' ]+)", path)
    given = re.search(rf"\s'?{named}(?:\?(?P<query>[^' ]*))?'?(?:\s|$)", line)
    assert given is not None, line
    found = given.groupdict()
    query = found.pop("query") or ""
    return found | dict(pair.split("=", 1) for pair in query.split("&") if pair)


def _fits(parameter: dict[str, Any], value: str) -> bool:
    if parameter["schema"].get("format") != "uuid":
        return True
    try:
        UUID(value)
    except ValueError:
        return False
    return True


def _filled(good: Any, known: dict[str, str]) -> Any:
    if isinstance(good, dict):
        return {name: _filled(each, known) for name, each in good.items()}
    if isinstance(good, list):
        return [_filled(each, known) for each in good]
    return known.get(good, good) if isinstance(good, str) else good
