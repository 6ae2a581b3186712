"""What each call of the API is, in the words and lines that the pages of programmers show.

Everything is made from the OpenAPI document, so that it cannot say anything else.
"""

from __future__ import annotations

import re
from typing import Any

from markupsafe import Markup, escape
from msgspec import Struct

from crm.web import openapi
from crm.web.lines import curl, python

_TYPED = re.compile("`([^`]+)`")
# The order in which somebody new meets them.
_ORDER = (
    "Keys",
    "Customers",
    "Attributes",
    "Tags",
    "Interactions",
    "Purposes",
    "Consent",
    "Segments",
    "Campaigns",
)
# True of every call; shown before them.
RULES = (
    (
        "Keys",
        (
            "An owner makes keys in the console, under API keys. A key has scopes, and a "
            "declared reason: whenever it reads a customer's record, that customer can see "
            "that it looked, when, and for which reason. Send it with each call; this first "
            "try needs no scope:"
        ),
    ),
    (
        "Bodies",
        (
            "JSON in UTF-8. A field that we do not know is refused with 422, so a spelling "
            "mistake never passes for success. Instants have an offset (RFC 3339). Addresses "
            "of people stand in bodies, never in a URL."
        ),
    ),
    (
        "Doing a thing once",
        (
            "Where a call takes an Idempotency-Key, send a name of your choice, such as a "
            "UUID. If the answer is lost, repeat the call with the same name: within 24 hours "
            "it is answered as before, and nothing is done twice. The same name with another "
            "body is refused with 422."
        ),
    ),
    (
        "Changing what others change",
        (
            "Reading something that can change answers with an ETag. Send it back as If-Match "
            "when you change it. If somebody was faster you get 412: read again, and decide "
            "anew."
        ),
    ),
    (
        "Long lists",
        (
            'A list comes in pages of at most 200 rows. The Link header with rel="next" leads '
            "to the next page; where it is missing, the list is at its end."
        ),
    ),
    (
        "When the answer is no",
        (
            "Every refusal is application/problem+json (RFC 9457) with a stable code, a "
            "sentence for people, and, for each wrong value, a pointer into the body. Its "
            "type leads to a page about the code."
        ),
    ),
    (
        "From Python",
        (
            "`crm.client` has every call under the name that it has here, with types; it "
            "repeats what is safe to repeat, and reads long lists to their end. The lines "
            "below stand in `async with crm.client.Client(ORIGIN, YOUR_KEY) as client:`."
        ),
    ),
)
# What is shown beneath a rule.
EXAMPLES = {
    "Keys": "curl {origin}/v1/key -H 'Authorization: Bearer YOUR_KEY'",
    "When the answer is no": '{{"type": "/problems/not_found", "title": "There is no such thing, '
    'or not for you.", "status": 404, "code": "not_found", …}}',
}


def typeset(words: str) -> Markup:
    """Set what stands in backticks in the face of what can be typed."""
    return Markup(_TYPED.sub(r'<span class="proof">\1</span>', str(escape(words))))  # noqa: S704


class Line(Struct, frozen=True):
    """A parameter, a field or an answer, as a row of a list."""

    name: str
    kind: str
    words: str
    required: bool = False


class Call(Struct, frozen=True):
    """One operation, as it is shown."""

    id: str
    method: str
    path: str
    summary: str
    words: str
    scopes: list[str]
    parameters: list[Line]
    body: list[Line]
    answers: list[Line]
    refusals: list[Line]
    curl: str
    python: str

    @property
    def text(self) -> str:
        """Everything that is said of it, to be searched."""
        rows = (*self.parameters, *self.body, *self.answers)
        said = (f"{row.name} {row.kind} {row.words}" for row in rows)
        own = (self.id, self.method, self.path, self.summary, self.words, *self.scopes)
        return "\n".join((*own, *said))


def groups(document: dict[str, Any], origin: str, asked: str = "") -> dict[str, list[Call]]:
    """List the calls by subject; with `asked` those that have each of its words somewhere."""
    wanted = asked.lower().split()
    found: dict[str, list[Call]] = {}
    for path, method, operation in openapi.operations(document):
        call = _call(document, origin, path, method, operation)
        tag = operation["tags"][0]
        if all(word in f"{tag}\n{call.text}".lower() for word in wanted):
            found.setdefault(tag, []).append(call)
    known = [tag for tag in _ORDER if tag in found]
    return {tag: found[tag] for tag in [*known, *sorted(set(found) - set(known))]}


def _call(
    document: dict[str, Any], origin: str, path: str, method: str, operation: dict[str, Any]
) -> Call:
    media, schema = _body(operation)
    answers = [_answer(document, *each) for each in operation["responses"].items()]
    return Call(
        id=operation["operationId"],
        method=method.upper(),
        path=path,
        summary=operation["summary"],
        words=operation.get("description", ""),
        scopes=operation["security"][0]["key"],
        parameters=[_parameter(document, each) for each in operation.get("parameters", ())],
        body=_fields(document, schema) or ([Line("", media, "the file itself")] if media else []),
        answers=[each for each in answers if each.name[0] == "2"],
        refusals=[each for each in answers if each.name[0] != "2"],
        curl=curl(document, origin, path, method, operation),
        python=python(document, path, operation),
    )


def _body(operation: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    content = operation.get("requestBody", {}).get("content", {})
    return next(((media, each["schema"]) for media, each in content.items()), ("", {}))


def _parameter(document: dict[str, Any], each: dict[str, Any]) -> Line:
    where = {"header": "header, ", "query": "query, ", "path": "in the path, "}[each["in"]]
    kind = where + _kind(document, each["schema"])
    words = each.get("description", "")
    return Line(each["name"], kind, words, each.get("required", False))


def _fields(document: dict[str, Any], schema: dict[str, Any]) -> list[Line]:
    whole = openapi.resolved(document, schema)
    wanted = whole.get("required", ())
    return [
        Line(name, _kind(document, each), each.get("description", ""), name in wanted)
        for name, each in whole.get("properties", {}).items()
    ]


def _answer(document: dict[str, Any], status: str, answer: dict[str, Any]) -> Line:
    if "$ref" in answer:
        answer = document["components"]["responses"][answer["$ref"].rpartition("/")[2]]
    schema = next((each["schema"] for each in answer.get("content", {}).values()), None)
    kind = _kind(document, schema) if schema and status[0] == "2" else ""
    return Line(status, kind, answer["description"])


def _kind(document: dict[str, Any], schema: dict[str, Any]) -> str:
    """Say in a few words what a value is."""
    name = schema.get("$ref", "").rpartition("/")[2]
    whole = openapi.resolved(document, schema)
    if whole.get("enum"):
        return "one of " + ", ".join(str(each) for each in whole["enum"])
    if "oneOf" in whole:
        return " or ".join(_kind(document, each) for each in whole["oneOf"])
    kind = whole.get("type", "anything")
    if isinstance(kind, list):
        return " or ".join(kind)
    if kind == "array":
        return f"list of {_kind(document, whole.get('items', {}))}"
    if kind == "object":
        fields = ", ".join(whole.get("properties", {}))
        return f"{name.rpartition('_')[2] or 'object'} ({fields})" if fields else "object"
    return str(whole.get("format", kind))
