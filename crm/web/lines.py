"""One line for each call, to copy: by curl, and by the client for Python.

A line works once the words in capitals are replaced.
"""

from __future__ import annotations

import json
import shlex
from typing import Any

from crm.web import openapi

# Bodies that come from a file.
_FILES = {
    "text/csv": "@list.csv",
    "application/octet-stream": "@bread.png",
    "application/zip": "@your-data.zip",
}


def curl(
    document: dict[str, Any], origin: str, path: str, method: str, operation: dict[str, Any]
) -> str:
    """Write a line that works once the words in capitals are replaced."""
    for each in operation.get("parameters", ()):
        if each["in"] == "path":
            path = path.replace(f"{{{each['name']}}}", _placeholder(path, each["name"]))
    queries = [
        f"{each['name']}={openapi.sample(document, each['schema'], each['name'])}"
        for each in operation.get("parameters", ())
        if each["in"] == "query" and each["required"]
    ]
    url = f"{origin}{path}" + (f"?{'&'.join(queries)}" if queries else "")
    parts = ["curl"]
    media, said = openapi.body_sample(document, operation)
    if method.upper() != ("POST" if media else "GET"):
        parts += ["-X", method.upper()]
    parts += [shlex.quote(url), "-H", "'Authorization: Bearer YOUR_KEY'"]
    for each in operation.get("parameters", ()):
        if each["in"] == "header" and each["required"]:
            value = "*" if each["name"] == "If-Match" else '"A_NAME_OF_YOUR_CHOICE"'
            parts += ["-H", f"'{each['name']}: {value}'"]
    if media:
        parts += ["-H", f"'Content-Type: {media}'"]
        text = shlex.quote(json.dumps(said, ensure_ascii=False))
        parts += ["--data-binary", _FILES.get(media, text)]
    return " ".join(parts)


def _placeholder(path: str, name: str) -> str:
    if name != "id":
        return name.upper()
    thing = path[: path.index("{id}")].rstrip("/").rpartition("/")[2]
    return f"{thing.removesuffix('s').replace('-', '_').upper()}_ID"


def python(document: dict[str, Any], path: str, operation: dict[str, Any]) -> str:
    """Write a line that works in a block of `crm.client.Client`, for the same example."""
    parameters = operation.get("parameters", ())
    given = [repr(_placeholder(path, each["name"])) for each in parameters if each["in"] == "path"]
    given += _body(document, operation)
    given += [
        f"{each['name']}={openapi.sample(document, each['schema'], each['name'])!r}"
        for each in parameters
        if each["in"] == "query" and each["required"]
    ]
    headers = {each["name"] for each in parameters if each["in"] == "header" and each["required"]}
    if "If-Match" in headers:
        given.append('if_match="*"')
    if "Idempotency-Key" in headers:
        given.append('idempotency_key="A_NAME_OF_YOUR_CHOICE"')
    name = f"client.{openapi.resource(operation)}.{operation['operationId']}"
    call = f"{name}({', '.join(given)})"
    walked = any(each["name"] == "after" for each in parameters) or openapi.line_of(operation)
    return f"[each async for each in {call}]" if walked else f"await {call}"


def _body(document: dict[str, Any], operation: dict[str, Any]) -> list[str]:
    media, said = openapi.body_sample(document, operation)
    if not media:
        return []
    if media in _FILES:
        return [f'Path("{_FILES[media].removeprefix("@")}").read_bytes()']
    content = operation["requestBody"]["content"][media]
    if "properties" in openapi.resolved(document, content["schema"]):
        return [f"{name}={value!r}" for name, value in said.items()]
    return [repr(said)]
