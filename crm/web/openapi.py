"""The OpenAPI document: what Litestar derives from the handlers, and what it does not see.

Litestar leaves out scopes, refusals, the headers that a handler reads, and that unknown fields
are refused. All of that is added here, from the code itself.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from http import HTTPStatus
from types import CodeType, FunctionType, ModuleType
from typing import Any, get_args

import msgspec
from litestar import Litestar
from litestar.handlers import HTTPRouteHandler
from litestar.openapi.spec import Components, SecurityScheme
from msgspec import Struct

from crm.web import following
from crm.web.etag import expected
from crm.web.idempotency import needs_key, once
from crm.web.paging import DEFAULT_LIMIT, MAX_LIMIT

JSON = "application/json"
PROBLEM = "application/problem+json"
# One object a line, each of the schema.
LINES = "application/x-ndjson"
METHODS = ("get", "post", "put", "patch", "delete")

SECURITY = Components(
    security_schemes={
        "key": SecurityScheme(
            type="http",
            scheme="bearer",
            description="An API key, made in the console. It names its business, its scopes, and "
            "the reason why it looks at customers; they can read that reason.",
        )
    }
)

_DETAILS = {
    "type": "object",
    "title": "ProblemDetails",
    "description": "What is wrong and what to do (RFC 9457).",
    "required": ["type", "title", "status", "detail", "instance", "code"],
    "properties": {
        "type": {"type": "string", "description": "A page that explains the code."},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string", "description": "What is wrong, in a sentence."},
        "instance": {"type": "string"},
        "code": {"type": "string", "description": "The stable name for programs."},
        "reference": {"type": "string", "description": "What to tell us after a fault of ours."},
        "errors": {
            "type": "array",
            "description": "Every value that is wrong, with a pointer into the body (RFC 6901).",
            "items": {
                "type": "object",
                "required": ["detail", "pointer"],
                "properties": {"detail": {"type": "string"}, "pointer": {"type": "string"}},
            },
        },
    },
}
# What may come as an answer to any operation, in words that help more than the status's own.
_REFUSALS: dict[str, str] = {
    "400": "The request could not be read: its syntax, its encoding, or a header that is missing.",
    "401": "No key, or one that is unknown or revoked.",
    "403": "The key lacks a scope.",
    "404": "There is no such thing, or not for you: the two read the same.",
    "409": "The present state does not allow it; `code` says what stands in the way.",
    "412": "Somebody changed it since you read it.",
    "413": "The body is larger than this operation takes.",
    "415": "The body is in a Content-Type that this operation does not read.",
    "422": "The values do not make sense; `errors` points to each.",
    "428": "If-Match is missing.",
    "429": "Too often; Retry-After says when to try again.",
}
_ALWAYS = ("401", "403", "404", "409", "422", "429")
_WITH_BODY = ("400", "413", "415")
_PARAMETERS = {
    "limit": f"At most so many rows; {DEFAULT_LIMIT} if not given, never more than {MAX_LIMIT}.",
    "purpose": "The short name of a purpose, or its id in a check: what it is asked for.",
    "after": "Where to go on: the cursor in the Link header of the page before.",
}
_NULL = {"type": "null"}
# What a schema may ask of a value besides its type.
_LIMITS = (
    "pattern",
    "minLength",
    "maxLength",
    "minimum",
    "maximum",
    "exclusiveMinimum",
    "exclusiveMaximum",
    "minItems",
    "maxItems",
    "propertyNames",
)
_AMOUNT = r"^[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]+)?$"
# As `idempotency.bare` and `etag.expected` read them.
_KEY = r'^("[ !#-~]{1,200}"|[!#-~]([ !#-~]{0,198}[!#-~])?)$'
_TAG = r'^(\*|"v[0-9]{1,9}")$'


def operation_id(handler: HTTPRouteHandler, _method: Any, _path: Any) -> str:
    """Name an operation as its handler is named: the names are those of a Python client."""
    return handler.handler_name


def document(app: Litestar) -> dict[str, Any]:
    """Complete the document of `app`: OpenAPI 3.1 with refusals, scopes and closed schemas."""
    found: dict[str, Any] = copy.deepcopy(app.openapi_schema.to_schema())
    handlers = {(path, method): handler for path, method, handler in _handlers(app)}
    for path, method, operation in operations(found):
        _complete(operation, handlers[path, method])
    parts = found["components"]
    _close(parts["schemas"])
    parts["schemas"]["ProblemDetails"] = _DETAILS
    parts["responses"] = {
        f"Refused{status}": _refusal(words) for status, words in _REFUSALS.items()
    }
    following.link(list(operations(found)), lambda schema: resolved(found, schema))
    return found


def operations(document: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Walk the operations of a document: path, method, operation."""
    for path, item in document["paths"].items():
        for method in METHODS:
            if method in item:
                yield path, method, item[method]


def resource(operation: dict[str, Any]) -> str:
    """Name the part of `crm.client` that has an operation: its tag, as Python writes names."""
    return str(operation["tags"][0]).lower().replace(" ", "_").replace("-", "_")


def resolved(document: dict[str, Any], schema: dict[str, Any]) -> dict[str, Any]:
    """Follow a reference into the components; of `T or null` take T."""
    while "$ref" in schema:
        schema = document["components"]["schemas"][schema["$ref"].rpartition("/")[2]]
    choices = [each for each in schema.get("oneOf", ()) if each != _NULL]
    if len(choices) == 1:
        rest = {key: value for key, value in schema.items() if key != "oneOf"}
        return {**rest, **resolved(document, choices[0])}
    return schema


def line_of(operation: dict[str, Any]) -> dict[str, Any] | None:
    """Return the schema of each line where an operation answers line by line."""
    content = operation["responses"].get("200", {}).get("content", {})
    schema: dict[str, Any] = content.get(LINES, {}).get("schema", {})
    return schema if "$ref" in schema else None


def body_sample(document: dict[str, Any], operation: dict[str, Any]) -> tuple[str, Any]:
    """Give the Content-Type of an operation's body and an example of it; nothing for no body."""
    for media, content in operation.get("requestBody", {}).get("content", {}).items():
        return media, content.get("example") or sample(document, content["schema"])
    return "", None


def sample(document: dict[str, Any], schema: dict[str, Any], name: str = "") -> Any:
    """Make a value that fits a schema: its example, or the plainest; of fields, the required."""
    schema = resolved(document, schema)
    given = [*schema.get("examples", ()), *schema.get("enum", ())]
    if "const" in schema:
        given.append(schema["const"])
    if given:
        return given[0]
    if "oneOf" in schema:
        return sample(document, schema["oneOf"][0], name)
    kind = schema.get("type")
    if isinstance(kind, list):
        kind = next(each for each in kind if each != "null")
    if kind == "object":
        fields = schema.get("properties", {})
        return {each: sample(document, fields[each], each) for each in schema.get("required", ())}
    if kind == "array":
        least = schema.get("minItems", 0)
        return [sample(document, schema.get("items", {}), name) for _ in range(least)]
    plain = {"integer": schema.get("minimum", 1), "number": 1, "boolean": True}
    return plain[kind] if kind in plain else _text(schema, name)


def _text(schema: dict[str, Any], name: str) -> str:
    tomorrow = datetime.now(UTC).date() + timedelta(days=1)
    formats = {
        "uuid": f"{name.upper().removesuffix('_ID') or 'SOME'}_ID",
        # In the future, but not far: that is what a schedule takes.
        "date-time": f"{tomorrow}T09:00:00Z",
        "date": str(tomorrow),
        "duration": "P2Y",
    }
    found = formats.get(schema.get("format", ""), name.replace("_", " ") or "text")
    return str(found.ljust(schema.get("minLength", 0), "x"))


def _handlers(app: Litestar) -> Iterator[tuple[str, str, HTTPRouteHandler]]:
    for route in app.routes:
        for handler in getattr(route, "route_handlers", ()):
            for method in handler.http_methods:
                yield route.path_format, str(method).lower(), handler


def _complete(operation: dict[str, Any], handler: HTTPRouteHandler) -> None:
    operation.pop("deprecated", None)
    _describe_parameters(operation, handler)
    if "body" in handler.opt:
        medias = handler.opt["body"]
        schema = {"type": "string", "format": "binary"}
        content = {
            media: {"schema": schema} for media in ([medias] if isinstance(medias, str) else medias)
        }
        operation["requestBody"] = {"required": True, "content": content}
    if "example" in handler.opt:
        for media in operation["requestBody"]["content"].values():
            media["example"] = handler.opt["example"]
    # Role names beside a key are OpenAPI 3.1's own way to say what the key needs (§4.8.30).
    operation["security"] = [{"key": scopes_of(handler)}]
    _answers(operation, handler)


def scopes_of(handler: HTTPRouteHandler) -> list[str]:
    """Read which scopes the guards of a handler ask for: a key needs them all."""
    asked = [getattr(guard, "scope", "") for guard in handler.guards or ()]
    return [str(each) for each in (*asked, handler.opt.get("scope", "")) if each]


def _reads(handler: HTTPRouteHandler, function: Any) -> bool:
    """Say whether a handler, or what it calls of its own module, names a function."""
    waiting, known = [handler.fn], {handler.fn}
    while waiting:
        for each in _named(waiting.pop()):
            if each is function:
                return True
            near = isinstance(each, FunctionType) and each.__module__ == handler.fn.__module__
            if near and each not in known:
                known.add(each)
                waiting.append(each)
    return False


def _named(function: Any) -> Iterator[Any]:
    """Walk what a function and the functions within it name: of its module, or by a module."""
    codes = [function.__code__]
    for code in codes:
        codes += [each for each in code.co_consts if isinstance(each, CodeType)]
    names = {name for code in codes for name in code.co_names}
    for name in names:
        found = function.__globals__.get(name)
        yield found
        if isinstance(found, ModuleType):
            yield from (vars(found).get(each) for each in names)


def _describe_parameters(operation: dict[str, Any], handler: HTTPRouteHandler) -> None:
    parameters = operation.setdefault("parameters", [])
    for each in parameters:
        for noise in ("deprecated", "allowEmptyValue", "allowReserved"):
            each.pop(noise, None)
        if each["name"] in _PARAMETERS:
            each["description"] = _PARAMETERS[each["name"]]
        if each["name"] == "limit":
            each["schema"] = {"type": ["integer", "null"], "minimum": 1}
    if _reads(handler, once):
        words = "A name of your choice for this request; a repetition within 24 hours is answered."
        needed = _reads(handler, needs_key)
        parameters.append(_header("Idempotency-Key", words, _KEY, required=needed))
    if _reads(handler, expected):
        words = "The ETag that you read, or * for any."
        parameters.append(_header("If-Match", words, _TAG, required=True))
    if not parameters:
        del operation["parameters"]


def _header(name: str, words: str, pattern: str, *, required: bool) -> dict[str, Any]:
    return {
        "name": name,
        "in": "header",
        "required": required,
        "description": words,
        "schema": {"type": "string", "pattern": pattern},
    }


def _answers(operation: dict[str, Any], handler: HTTPRouteHandler) -> None:
    answers = {
        status: answer for status, answer in operation["responses"].items() if status[0] == "2"
    }
    for status, answer in answers.items():
        if answer["description"].startswith(HTTPStatus(int(status)).description or "\0"):
            answer["description"] = HTTPStatus(int(status)).phrase
        if not answer.get("headers", True):
            del answer["headers"]
    statuses = {*_ALWAYS}
    if "requestBody" in operation:
        statuses.update(_WITH_BODY)
    if _reads(handler, once):
        statuses.add("400")
    if _reads(handler, expected):
        statuses.update(("412", "428"))
    for status in sorted(statuses):
        answers[status] = {"$ref": f"#/components/responses/Refused{status}"}
    operation["responses"] = answers


def _refusal(words: str) -> dict[str, Any]:
    schema = {"$ref": "#/components/schemas/ProblemDetails"}
    return {"description": words, "content": {PROBLEM: {"schema": schema}}}


def _close(schemas: dict[str, Any]) -> None:
    """Say of each schema what its Struct says: what it is, and whether unknown fields pass."""
    structs: dict[frozenset[str], list[type[Struct]]] = {}
    for struct in _structs(Struct):
        structs.setdefault(frozenset(struct.__struct_encode_fields__), []).append(struct)
    for name, schema in schemas.items():
        alike = structs.get(frozenset(schema.get("properties", ())), [])
        meant = [each for each in alike if re.search(rf"(^|[._]){each.__name__}_?$", name)]
        if not meant:
            continue
        if all(each.__struct_config__.forbid_unknown_fields for each in meant):
            schema["additionalProperties"] = False
            _say_what_is_read(schema["properties"], meant[0])
        if len(meant) == 1 and meant[0].__doc__:
            schema.setdefault("description", meant[0].__doc__.strip().split("\n")[0])


def _say_what_is_read(fields: dict[str, Any], struct: type[Struct]) -> None:
    """Say of the fields of a body what Litestar leaves out: numbers for amounts, and limits."""
    for field in msgspec.structs.fields(struct):
        if Decimal in get_args(field.type):
            fields[field.encode_name] = {"type": ["string", "number", "null"], "pattern": _AMOUNT}
        else:
            _limit(fields[field.encode_name], msgspec.json.schema(field.type))


def _limit(said: dict[str, Any], read: dict[str, Any]) -> None:
    """Add to what is said of a value what the decoder asks of it, and of what is in it."""
    if said.get("type") == read.get("type"):
        said |= {key: read[key] for key in _LIMITS if key in read}
    for key in ("items", "additionalProperties"):
        if isinstance(said.get(key), dict) and isinstance(read.get(key), dict):
            _limit(said[key], read[key])
    for one in said.get("oneOf", ()):
        for other in read.get("anyOf", ()):
            if "type" in one and one["type"] == other.get("type"):
                _limit(one, other)


def _structs(parent: type[Struct]) -> Iterator[type[Struct]]:
    for child in parent.__subclasses__():
        # What our client reads is made from this document, and says nothing for it.
        if not child.__module__.startswith("crm.client."):
            yield child
            yield from _structs(child)
