"""What programmers read: /docs, its OpenAPI document, and /problems, what each refusal means."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterator
from typing import Any

import msgspec
from litestar import MediaType, Request, Response, Router, get
from litestar.connection import ASGIConnection
from litestar.handlers import BaseRouteHandler
from litestar.openapi import OpenAPIConfig
from litestar.openapi.plugins import OpenAPIRenderPlugin
from litestar.openapi.spec import PathItem
from litestar.params import FromPath
from markupsafe import Markup, escape
from msgspec import Struct

from crm.errors import NotFound, Refused
from crm.web import openapi
from crm.web.pages import fragment, page
from crm.web.refusals import PAGES, answer_to, plain_problems

_TYPED = re.compile("`([^`]+)`")
_PATH = "/docs"
_DOCUMENT = "/openapi.json"
# Bodies that come from a file.
_FILES = {
    "text/csv": "@list.csv",
    "application/octet-stream": "@bread.png",
    "application/zip": "@your-data.zip",
}
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
_NOBODY: dict[str, Any] = {
    "business": None,
    "me": None,
    "who": None,
    "csrf": "",
    "tabs": (),
    "rooms": (),
    "flash": None,
}


class Line(Struct, frozen=True):
    """A parameter, a field or an answer, as a row of a list."""

    name: str
    kind: str
    words: str
    required: bool = False


class Call(Struct, frozen=True):
    """One operation as the page shows it."""

    id: str
    method: str
    path: str
    summary: str
    words: Markup
    scope: str
    parameters: list[Line]
    body: list[Line]
    answers: list[Line]
    refusals: list[Line]
    curl: str


class Document(OpenAPIRenderPlugin):
    """Answers with the OpenAPI document, completed once."""

    def __init__(self) -> None:
        """Wait for the first reader."""
        super().__init__(path=_DOCUMENT, media_type=MediaType.JSON)
        self._found: dict[str, Any] = {}

    def of(self, request: Request[Any, Any, Any]) -> dict[str, Any]:
        """Complete the document of the application that was asked, once."""
        if not self._found:
            self._found = openapi.document(request.app)
        return self._found

    def render(self, request: Request[Any, Any, Any], _schema: dict[str, Any]) -> bytes:
        """Write the document, with the host that was asked as its server."""
        here = {**self.of(request), "servers": [{"url": _origin(request)}]}
        return msgspec.json.encode(here)


class Page(OpenAPIRenderPlugin):
    """Answers with a page made from the same document: no script, nothing from elsewhere."""

    def __init__(self, document: Document) -> None:
        """Show this document."""
        super().__init__(path="/", media_type=MediaType.HTML)
        self._document = document

    def render(self, request: Request[Any, Any, Any], _schema: dict[str, Any]) -> bytes:
        """Write the page, with curl lines for the host that was asked."""
        origin = _origin(request)
        values = {
            **_NOBODY,
            "request_path": _PATH,
            "origin": origin,
            "groups": _groups(self._document.of(request), origin),
        }
        return fragment("web/pages/docs.html", values).encode()


async def _only_documents(
    connection: ASGIConnection[Any, Any, Any, Any], _: BaseRouteHandler
) -> None:
    # Litestar answers every other path below with a page of its own; ours is the refusal.
    if connection.scope["path"] not in (_PATH, f"{_PATH}/", f"{_PATH}{_DOCUMENT}"):
        raise NotFound


def documentation(told: dict[str, PathItem]) -> OpenAPIConfig:
    """Serve /docs and /docs/openapi.json; `told` is what we post to others."""
    document = Document()
    return OpenAPIConfig(
        title="Firsthand",
        version="1",
        description="Customers, what they allow, and newsletters to exactly those who agreed.",
        components=openapi.SECURITY,
        webhooks=dict(told),
        operation_id_creator=openapi.operation_id,
        render_plugins=[Page(document), document],
        openapi_router=Router(
            _PATH,
            route_handlers=[],
            guards=[_only_documents],
            exception_handlers=PAGES,
            include_in_schema=False,
        ),
    )


@get("/problems/{code:str}", include_in_schema=False, exception_handlers=PAGES)
async def get_problem(code: FromPath[str]) -> Response[Any]:
    """Say what a refusal's code means: the `type` of a problem leads here."""
    meant = problems().get(code)
    if meant is None:
        raise NotFound("There is no refusal of this name.")
    status, words = meant
    return page("web/pages/problem.html", code=code, status_code=status, words=words)


def problems() -> dict[str, tuple[int, str]]:
    """List every code with its status and its meaning."""
    found = plain_problems()
    for kind in refusals(Refused):
        # Without arguments of its own: what is wanted is the class's sentence and status.
        bare = kind.__new__(kind)
        Refused.__init__(bare)
        bare.__dict__.setdefault("retry_after", 0)
        found[bare.code] = (answer_to(bare).status, _words(kind))
    return dict(sorted(found.items()))


def refusals(parent: type[Refused]) -> Iterator[type[Refused]]:
    """List every refusal there is, once."""
    for child in parent.__subclasses__():
        yield child
        yield from refusals(child)


def _words(kind: type[Refused]) -> str:
    return " ".join((kind.__doc__ or "").split())


def _origin(request: Request[Any, Any, Any]) -> str:
    return f"{request.url.scheme}://{request.url.netloc}"


def _groups(document: dict[str, Any], origin: str) -> dict[str, list[Call]]:
    found: dict[str, list[Call]] = {}
    for path, method, operation in openapi.operations(document):
        call = _call(document, origin, path, method, operation)
        found.setdefault(operation["tags"][0], []).append(call)
    known = [tag for tag in _ORDER if tag in found]
    return {tag: found[tag] for tag in [*known, *sorted(set(found) - set(known))]}


def _call(
    document: dict[str, Any], origin: str, path: str, method: str, operation: dict[str, Any]
) -> Call:
    scopes = operation["security"][0]["key"]
    media, schema = _body(operation)
    answers = [_answer(document, *each) for each in operation["responses"].items()]
    return Call(
        id=operation["operationId"],
        method=method.upper(),
        path=path,
        summary=operation["summary"],
        words=_marked(operation.get("description", "")),
        scope=scopes[0] if scopes else "",
        parameters=[_parameter(document, each) for each in operation.get("parameters", ())],
        body=_fields(document, schema) or ([Line("", media, "the file itself")] if media else []),
        answers=[each for each in answers if each.name[0] == "2"],
        refusals=[each for each in answers if each.name[0] != "2"],
        curl=_curl(document, origin, path, method, operation),
    )


def _marked(words: str) -> Markup:
    """Set what stands in backticks in the face of what can be typed."""
    return Markup(_TYPED.sub(r'<span class="proof">\1</span>', str(escape(words))))  # noqa: S704


def _body(operation: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    content = operation.get("requestBody", {}).get("content", {})
    return next(((media, each["schema"]) for media, each in content.items()), ("", {}))


def _parameter(document: dict[str, Any], each: dict[str, Any]) -> Line:
    where = {"header": "header, ", "query": "query, ", "path": "in the path, "}[each["in"]]
    kind = where + _kind(document, each["schema"])
    words = _marked(each.get("description", ""))
    return Line(each["name"], kind, words, each.get("required", False))


def _fields(document: dict[str, Any], schema: dict[str, Any]) -> list[Line]:
    whole = openapi.resolved(document, schema)
    wanted = whole.get("required", ())
    return [
        Line(name, _kind(document, each), _marked(each.get("description", "")), name in wanted)
        for name, each in whole.get("properties", {}).items()
    ]


def _answer(document: dict[str, Any], status: str, answer: dict[str, Any]) -> Line:
    if "$ref" in answer:
        answer = document["components"]["responses"][answer["$ref"].rpartition("/")[2]]
    schema = next((each["schema"] for each in answer.get("content", {}).values()), None)
    kind = _kind(document, schema) if schema and status[0] == "2" else ""
    return Line(status, kind, _marked(answer["description"]))


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


def _curl(
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


handlers = [get_problem]
