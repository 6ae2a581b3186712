"""The letterbox's page and its JSON, for the person at this machine only."""

from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import jinja2
from litestar import Litestar, MediaType, Request, Response, delete, get, post, put
from litestar.datastructures import State
from litestar.exceptions import HTTPException, NotFoundException, PermissionDeniedException
from litestar.params import FromPath, FromQuery, JSONBody, QueryParameter
from litestar.response import Redirect
from litestar.static_files import create_static_files_router
from litestar.types import ControllerRouterHandler
from msgspec import Meta, Struct

from crm.letterbox.letter import Letter, framed, parse
from crm.letterbox.log import Entry, Log
from crm.letterbox.smtp import Counter

PAGE = 50
HERE = Path(__file__).parent
SHEETS = HERE.parent / "web" / "static"
LOCAL = ("127.0.0.1", "localhost", "[::1]")

PAGE_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; style-src 'self'; img-src 'self' data:; frame-src 'self'; "
        "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}
# The mail itself: its own styles and embedded pictures, no script, nothing from elsewhere.
MAIL_HEADERS = PAGE_HEADERS | {
    "Content-Security-Policy": (
        "default-src 'none'; style-src 'unsafe-inline'; img-src data:; form-action 'none'; "
        "base-uri 'none'; frame-ancestors 'self'; "
        "sandbox allow-popups allow-popups-to-escape-sandbox"
    ),
}

_pages = jinja2.Environment(
    loader=jinja2.FileSystemLoader(HERE / "pages"),
    autoescape=True,
    undefined=jinja2.StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)


class Line(Struct, frozen=True):
    """One line of the list."""

    entry: Entry
    subject: str


class Messages(Struct, frozen=True):
    """One page of entries, oldest first; go on with `since` = `next` while it is not null."""

    messages: list[Entry]
    next: int | None
    last: int
    count: int


class Whole(Struct, frozen=True):
    """One message with everything in it."""

    entry: Entry
    letter: Letter


class Pace(Struct, frozen=True, forbid_unknown_fields=True):
    """Messages per second over all connections; null: as fast as they come."""

    pace: Annotated[float, Meta(gt=0)] | None


@get("/api/messages")
async def get_messages(
    state: State,
    to: FromQuery[str] = "",
    since: FromQuery[Annotated[int, QueryParameter(ge=0)]] = 0,
    limit: FromQuery[Annotated[int, QueryParameter(ge=1, le=1000)]] = 100,
) -> Messages:
    """Entries after `since`, for one recipient if named."""
    log: Log = state.log
    found = log.after(since, limit + 1, to)
    more = found[limit - 1].sequence if len(found) > limit else None
    return Messages(found[:limit], more, log.last, log.count)


@get("/api/messages/{sequence:int}")
async def get_message(state: State, sequence: FromPath[int]) -> Whole:
    """One message, taken apart."""
    entry = _entry(state, sequence)
    return Whole(entry, parse(state.log.message(sequence)))


@delete("/api/messages")
async def delete_messages(state: State) -> None:
    """Forget all; sequences go on counting."""
    state.log.clear()


@get("/api/pace")
async def get_pace(state: State) -> Pace:
    """The pace now."""
    return Pace(state.counter.pace)


@put("/api/pace")
async def put_pace(state: State, data: JSONBody[Pace]) -> Pace:
    """Change the pace of everything from now on."""
    state.counter.pace = data.pace
    return data


@get("/")
async def get_list(
    state: State,
    to: FromQuery[str] = "",
    before: FromQuery[Annotated[int, QueryParameter(ge=1)] | None] = None,
) -> Response[str]:
    """The newest mails."""
    log: Log = state.log
    asked = to.strip()
    end = before or log.last + 1
    found = log.before(end, PAGE + 1, asked) if not asked else log.containing(asked, end, PAGE + 1)
    lines = [Line(entry, _subject(log, entry)) for entry in found[:PAGE]]
    older = lines[-1].entry.sequence if len(found) > PAGE else None
    return _page(
        "list.html", lines=lines, to=asked, older=older, newest=before is None, count=log.count,
        smtp_port=state.smtp_port(), pace=state.counter.pace,
    )  # fmt: skip


@get("/messages/{sequence:int}")
async def get_mail(
    state: State, sequence: FromPath[int], view: FromQuery[str] = "html"
) -> Response[str]:
    """One mail: as HTML, as text, as it came, and its links."""
    entry = _entry(state, sequence)
    message = state.log.message(sequence)
    if view not in ("html", "text", "links", "source"):
        raise NotFoundException
    return _page(
        "mail.html", entry=entry, letter=parse(message), view=view,
        source=message.decode(errors="replace") if view == "source" else "",
    )  # fmt: skip


@get("/messages/{sequence:int}/html")
async def get_frame(state: State, sequence: FromPath[int]) -> Response[str]:
    """The HTML part alone, for the frame: sandboxed by its own policy too."""
    _entry(state, sequence)
    html = framed(parse(state.log.message(sequence)).html)
    return Response(html, media_type=MediaType.HTML, headers=MAIL_HEADERS)


@post("/emptying", status_code=303)
async def post_emptying(state: State, request: Request[None, None, State]) -> Redirect:
    """The button that forgets all; only our own page may press it."""
    if request.headers.get("Sec-Fetch-Site", "same-origin") != "same-origin":
        raise PermissionDeniedException
    state.log.clear()
    return Redirect("/", status_code=303)


def make_app(log: Log, counter: Counter, smtp_port: Callable[[], int]) -> Litestar:
    """The page over one log."""
    routes: list[ControllerRouterHandler] = [
        get_messages, get_message, delete_messages, get_pace, put_pace, get_list, get_mail,
        get_frame, post_emptying,
        create_static_files_router(
            path="/static", directories=[SHEETS, HERE / "pages"], name="static"
        ),
    ]  # fmt: skip
    return Litestar(
        routes,
        state=State({"log": log, "counter": counter, "smtp_port": smtp_port}),
        before_request=_local_only,
        exception_handlers={HTTPException: _refuse},
        openapi_config=None,
        logging_config=None,
    )


async def _local_only(request: Request[None, None, State]) -> None:
    """A name that an attacker points at 127.0.0.1 must not open this page (DNS rebinding)."""
    host, _, port = request.headers.get("host", "").rpartition(":")
    if (host if port.isdecimal() else request.headers.get("host", "")) not in LOCAL:
        raise PermissionDeniedException


def _refuse(request: Request[None, None, State], refused: HTTPException) -> Response[str]:
    if request.url.path.startswith("/api/"):
        return Response(
            f'{{"status":{refused.status_code},"title":"{type(refused).__name__}"}}',
            status_code=refused.status_code,
            media_type="application/problem+json",
        )
    return _page("refused.html", status_code=refused.status_code)


def _entry(state: State, sequence: int) -> Entry:
    entry: Entry | None = state.log.entry(sequence)
    if entry is None:
        raise NotFoundException
    return entry


def _subject(log: Log, entry: Entry) -> str:
    head, _, _ = log.opening(entry.sequence).partition(b"\r\n\r\n")
    return parse(head + b"\r\n\r\n").subject or "(no subject)"


def _page(template: str, status_code: int = 200, **values: object) -> Response[str]:
    html = _pages.get_template(template).render(status=status_code, **values)
    return Response(html, status_code=status_code, media_type=MediaType.HTML, headers=PAGE_HEADERS)
