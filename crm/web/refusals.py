"""What a refusal, a bad request or a bug of ours looks like outside; the only status codes.

Machines get problem details (RFC 9457), people a page that says what is wrong and what to do.
"""

from __future__ import annotations

import re
import secrets
import traceback
from typing import Any

import asyncpg
import msgspec
import structlog
from litestar import Request, Response
from litestar.exceptions import HTTPException, SerializationException, ValidationException
from litestar.types import ExceptionHandlersMap
from msgspec import Struct

from crm import errors
from crm.connections import InDoubt
from crm.db import AWAY, RETRIABLE
from crm.errors import Problem, Refused
from crm.journal import JournalAway, PutBack
from crm.languages import gettext, marked
from crm.web.etag import MatchFailed, MatchMissing
from crm.web.head import allowed
from crm.web.idempotency import KeyMissing
from crm.web.pages import in_english, redirect
from crm.web.pages import page as show
from crm.web.posted import BadForm
from crm.web.ratelimit import Exhausted, Unavailable
from crm.web.wanted import remembered

STATUS: dict[type[Refused], int] = {
    BadForm: 400,
    KeyMissing: 400,
    errors.Unauthenticated: 401,
    errors.Forbidden: 403,
    errors.NotFound: 404,
    errors.Conflict: 409,
    MatchFailed: 412,
    errors.Invalid: 422,
    MatchMissing: 428,
    errors.TooMany: 429,
    Unavailable: 503,
    JournalAway: 503,
    PutBack: 503,
    Refused: 422,
}

# What Litestar refuses before a handler runs, in our words: its own may repeat what was sent.
_WORDS: dict[int, tuple[str, str]] = {
    400: (
        "bad_request",
        marked("The request could not be read. Check its syntax and its encoding."),
    ),
    401: ("unauthenticated", marked("Sign in first, or send a key that is known.")),
    403: ("forbidden", marked("You may not do this.")),
    404: ("not_found", marked("There is no such thing, or not for you.")),
    405: ("method_not_allowed", marked("This address does not answer that method.")),
    413: ("too_large", marked("The request is larger than this address accepts.")),
    415: ("unsupported_media_type", marked("This address does not read that Content-Type.")),
    422: ("invalid", marked("The values do not make sense.")),
    429: ("too_many", marked("Too often; try again later.")),
    500: (
        "bug",
        marked("This is our fault, not yours. Look at how things stand before you try again."),
    ),
    503: ("busy", marked("Too much at once. Nothing was changed; try again.")),
}
_LED_BACK = marked("Please sign in. Then you come to the page that you wanted.")
_DOUBT = marked(
    "The connection to our database broke at the last moment, and nobody can say whether this was "
    "done. Look at how things stand before you try again; a program may repeat it with the same "
    "Idempotency-Key."
)
_IN_DOUBT = ("in_doubt", _DOUBT)
_HEADINGS: dict[int, str] = {
    400: marked("We could not read that"),
    401: marked("Please sign in"),
    403: marked("This is not open to you"),
    404: marked("There is nothing here"),
    405: marked("This page does not work that way"),
    409: marked("That does not fit any more"),
    413: marked("That is too large"),
    415: marked("We could not read that"),
    422: marked("That does not make sense yet"),
    429: marked("That was too often"),
    500: marked("Something failed on our side"),
    503: marked("We cannot do that right now"),
}
# The type that the RateLimit draft asks for; every other type is a page of ours.
_QUOTA = "https://iana.org/assignments/http-problem-types#quota-exceeded"
_API = "/v1"
_BODY = "data"
# Of Litestar's sentence only the name: the rest repeats the address that was asked for.
_MISSING = re.compile(r"Missing required \w+ parameter '(\w+)'")
_SERVER_ERROR = 500
# Seconds until what an operator has to mend may be mended.
_SOON = "60"

_log = structlog.get_logger(__name__)


class Answer(Struct, frozen=True, kw_only=True):
    """A refusal with all that both shapes of it say."""

    status: int
    code: str
    title: str
    detail: str
    problems: tuple[Problem, ...] = ()
    headers: dict[str, str] = {}
    reference: str = ""


def problem(request: Request[Any, Any, Any], exc: Exception) -> Response[bytes]:
    """Answer a machine: `application/problem+json` (RFC 9457)."""
    answer = answer_to(exc)
    body: dict[str, Any] = {
        "type": _QUOTA if isinstance(exc, Exhausted) else f"/problems/{answer.code}",
        "title": answer.title,
        "status": answer.status,
        "detail": answer.detail,
        "instance": request.scope["path"],
        "code": answer.code,
    }
    if answer.problems:
        body["errors"] = [
            {"detail": wrong.message, "pointer": _pointer(wrong.field)} for wrong in answer.problems
        ]
    if answer.reference:
        body["reference"] = answer.reference
    if isinstance(exc, Exhausted):
        body["violated-policies"] = [exc.policy]
    return Response(
        msgspec.json.encode(body),
        status_code=answer.status,
        headers=_challenged(answer, 'Bearer realm="firsthand"'),
        media_type="application/problem+json",
    )


def page(request: Request[Any, Any, Any], exc: Exception) -> Response[Any]:
    """Answer a person: a page that says what is wrong and what to do, with the right status.

    What a decoder has to say of an address that was typed by hand is for programs.
    """
    answer = answer_to(exc)
    if isinstance(exc, ValidationException):
        answer = msgspec.structs.replace(answer, problems=())
    return show(
        "web/pages/refused.html",
        status=answer.status,
        headers=_challenged(answer, 'Session realm="firsthand"'),
        answer=answer,
        heading=gettext(_HEADINGS.get(answer.status, answer.title)),
        sign_in=request.scope["state"].get("sign_in", ""),
        typed=_typed(request, exc),
        theirs=in_english(request.scope["path"]),
    )


def either(request: Request[Any, Any, Any], exc: Exception) -> Response[Any]:
    """Answer by the path, where no router matched: `/v1` is for machines."""
    path = request.scope["path"]
    machine = path == _API or path.startswith(f"{_API}/")
    return problem(request, exc) if machine else page(request, exc)


def pages_behind(sign_in: str) -> ExceptionHandlersMap:
    """Make the handlers of a router whose readers sign in at `sign_in`: a GET is led there.

    Whoever signs in is led back to where she was; what she had typed stands on the refusal.
    """

    def answered(request: Request[Any, Any, Any], exc: Exception) -> Response[Any]:
        request.scope["state"]["sign_in"] = sign_in
        signed_out = isinstance(exc, errors.Unauthenticated)
        # htmx would put the sign-in page into a panel; it gets the refusal instead.
        if not signed_out or "hx-request" in request.headers:
            return page(request, exc)
        safe = request.method == "GET"
        answer = redirect(sign_in, say=gettext(_LED_BACK), tone="") if safe else page(request, exc)
        if back := remembered(request, _back_to(request)):
            answer.cookies.append(back)
        return answer

    return {Exception: answered}


def _back_to(request: Request[Any, Any, Any]) -> str:
    """Where she was: the page itself, or the room in which a form stood that was sent."""
    path = request.url.path
    if request.method == "GET":
        query = request.scope["query_string"].decode("latin-1")
        return f"{path}?{query}" if query else path
    rooms = [*request.app.state.get("tabs", ()), *request.app.state.get("rooms", ())]
    known = [each.href for each in rooms if f"{path}/".startswith(f"{each.href}/")]
    return max(known, key=len, default="/".join(path.split("/")[:2]))


def _typed(request: Request[Any, Any, Any], exc: Exception) -> list[str]:
    """What she had written into a form that came without a session: only she can have it back."""
    if not isinstance(exc, errors.Unauthenticated):
        return []
    values, _ = request.scope["state"].get("form", ({}, {}))
    given = (value.strip() for each in values.values() for value in each)
    return [value for value in given if " " in value or "\n" in value]


PROBLEMS: ExceptionHandlersMap = {Exception: problem}
PAGES: ExceptionHandlersMap = {Exception: page}
EITHER: ExceptionHandlersMap = {Exception: either}


def plain_problems() -> dict[str, tuple[int, str]]:
    """List status and sentence, by code, of what is refused before or after a handler runs."""
    plain = {code: (status, words) for status, (code, words) in _WORDS.items()}
    return {**plain, _IN_DOUBT[0]: (503, _IN_DOUBT[1])}


def answer_to(exc: Exception) -> Answer:
    """Translate whatever was raised; an unknown exception is our bug and is logged, once."""
    if isinstance(exc, Refused):
        return _refusal(exc)
    if isinstance(exc, HTTPException | SerializationException):
        return _litestar(exc)
    if isinstance(exc, asyncpg.CharacterNotInRepertoireError):
        # NUL is fine in JSON and in a URL, and in no text of PostgreSQL.
        return _refusal(
            errors.Invalid(gettext("A text contains a character that cannot be kept (NUL)."))
        )
    if isinstance(exc, RecursionError | UnicodeError) and _frames(exc)[-1].endswith(" decode_json"):
        # msgspec's answer to 100,000 opening brackets, and to bytes that are not UTF-8.
        return _plain(400)
    if isinstance(exc, asyncpg.InternalClientError):
        # Mostly of a connection that PostgreSQL ends; said all the same: it may be our own fault.
        _log.warning("connection_ended", error=_kinds(exc), frames=_frames(exc))
    if isinstance(exc, (*RETRIABLE, *AWAY)):
        said = _IN_DOUBT if isinstance(exc, InDoubt) else _WORDS[503]
        return _said(503, said, {"retry-after": "1"})
    return _bug(exc)


def _refusal(exc: Refused) -> Answer:
    status = next(STATUS[kind] for kind in type(exc).__mro__ if kind in STATUS)
    headers = {}
    if isinstance(exc, errors.TooMany | Unavailable):
        headers["retry-after"] = str(exc.retry_after)
    elif isinstance(exc, JournalAway | PutBack):
        headers["retry-after"] = _SOON
    title = (type(exc).__doc__ or exc.message).split("\n", maxsplit=1)[0]
    return Answer(
        status=status,
        code=exc.code,
        title=title,
        detail=exc.message,
        problems=exc.problems,
        headers=headers,
    )


def _litestar(exc: HTTPException | SerializationException) -> Answer:
    if isinstance(exc, SerializationException):
        return _plain(400)
    if isinstance(exc, ValidationException):
        return _validation(exc)
    if exc.status_code < _SERVER_ERROR:
        headers = {name.lower(): value for name, value in (exc.headers or {}).items()}
        if "allow" in headers:
            headers["allow"] = allowed(headers["allow"].split(", "))
        return _plain(exc.status_code, headers)
    return _bug(exc)


def _plain(status: int, headers: dict[str, str] | None = None) -> Answer:
    return _said(status, _WORDS.get(status, _WORDS[400]), headers or {})


def _said(status: int, said: tuple[str, str], headers: dict[str, str]) -> Answer:
    code, words = said[0], gettext(said[1])
    return Answer(status=status, code=code, title=words, detail=words, headers=headers)


def _validation(exc: ValidationException) -> Answer:
    found = exc.extra if isinstance(exc.extra, list) else []
    problems = tuple(_wrong(item) for item in found if isinstance(item, dict))
    if missing := _MISSING.match(exc.detail):
        problems = (*problems, Problem(missing[1], gettext("This parameter is needed.")))
    code, words = _WORDS[422][0], gettext(_WORDS[422][1])
    return Answer(status=422, code=code, title=words, detail=words, problems=problems)


def _wrong(item: dict[str, Any]) -> Problem:
    key, words = str(item.get("key", "")), str(item.get("message", ""))
    if key == _BODY:
        # Litestar's name for the whole body; its message for none at all is a bare KeyError.
        return Problem("", "A body is needed." if words == f"'{_BODY}'" else words)
    return Problem(key.replace(".", "/"), words)


def _bug(exc: Exception) -> Answer:
    reference = "-".join((secrets.token_hex(2), secrets.token_hex(2)))
    # Names of types and lines of code only: a message may hold an address (PostgreSQL's DETAIL).
    _log.error("bug", reference=reference, error=_kinds(exc), frames=_frames(exc))
    code, words = _WORDS[500][0], gettext(_WORDS[500][1])
    return Answer(status=500, code=code, title=words, detail=words, reference=reference)


def _kinds(exc: BaseException) -> list[str]:
    kinds = []
    cause: BaseException | None = exc
    while cause is not None:
        kinds.append(f"{type(cause).__module__}.{type(cause).__qualname__}")
        cause = cause.__cause__ or cause.__context__
    return kinds


def _frames(exc: BaseException) -> list[str]:
    frames = traceback.extract_tb(exc.__traceback__)
    return [f"{frame.filename}:{frame.lineno} {frame.name}" for frame in frames]


def _pointer(field: str) -> str:
    return f"#/{field.lstrip('/')}" if field else "#"


def _challenged(answer: Answer, challenge: str) -> dict[str, str]:
    # RFC 9110 §15.5.2: a 401 names at least one way to authenticate.
    if answer.status == 401:  # noqa: PLR2004
        return {"www-authenticate": challenge, **answer.headers}
    return answer.headers
