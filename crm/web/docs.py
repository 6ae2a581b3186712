"""What programmers read: /docs, the same for programs, and /problems, what each refusal means."""

from __future__ import annotations

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

from crm.errors import NotFound, Refused
from crm.web import openapi, plain_docs
from crm.web.calls import EXAMPLES, RULES, groups, typeset
from crm.web.pages import fragment, page
from crm.web.refusals import PAGES, answer_to, plain_problems

_PATH = "/docs"
_DOCUMENT = "/openapi.json"
_MARKDOWN = plain_docs.MARKDOWN.removeprefix(_PATH)
# What is longer is no search.
_LONGEST_SEARCH = 200
_NOBODY: dict[str, Any] = {
    "business": None,
    "me": None,
    "who": None,
    "csrf": "",
    "tabs": (),
    "rooms": (),
    "flash": None,
}


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
        asked = " ".join(request.query_params.get("q", "")[:_LONGEST_SEARCH].split())
        values = {
            **_NOBODY,
            "request_path": _PATH,
            "rules": [(*each, EXAMPLES.get(each[0], "").format(origin=origin)) for each in RULES],
            "groups": groups(self._document.of(request), origin, asked),
            "asked": asked,
            "typeset": typeset,
        }
        return fragment("web/pages/docs.html", values).encode()


class Markdown(OpenAPIRenderPlugin):
    """Answers with the same as plain text, at an address that stays."""

    def __init__(self, document: Document) -> None:
        """Write this document."""
        super().__init__(path=_MARKDOWN, media_type=MediaType.TEXT)
        self._document = document

    def render(self, request: Request[Any, Any, Any], _schema: dict[str, Any]) -> bytes:
        """Write it, with lines for the host that was asked."""
        origin = _origin(request)
        found = groups(self._document.of(request), origin)
        return plain_docs.markdown(found, origin).encode()


async def _only_documents(
    connection: ASGIConnection[Any, Any, Any, Any], _: BaseRouteHandler
) -> None:
    # Litestar answers every other path below with a page of its own; ours is the refusal.
    if connection.scope["path"] not in (
        _PATH,
        f"{_PATH}/",
        f"{_PATH}{_DOCUMENT}",
        plain_docs.MARKDOWN,
    ):
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
        render_plugins=[Page(document), document, Markdown(document)],
        openapi_router=Router(
            _PATH,
            route_handlers=[],
            guards=[_only_documents],
            exception_handlers=PAGES,
            include_in_schema=False,
        ),
    )


@get("/llms.txt", include_in_schema=False, media_type=MediaType.TEXT, sync_to_thread=False)
def get_llms(request: Request[Any, Any, Any]) -> str:
    """Say to programs that read on their own what there is, and where."""
    told = request.app.openapi_config
    plugins = told.render_plugins if told else ()
    document = next(each for each in plugins if isinstance(each, Document))
    origin = _origin(request)
    return plain_docs.llms(groups(document.of(request), origin), origin)


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


handlers = [get_llms, get_problem]
