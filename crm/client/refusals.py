"""What a call is refused with: the problem of RFC 9457 as an exception, one class per status."""

from __future__ import annotations

import contextlib
import http

import httpx2
import msgspec
from msgspec import Struct

_PROBLEM = "application/problem+json"


class Wrong(Struct, frozen=True):
    """One value that is wrong; `pointer` says where it stands in the body (RFC 6901)."""

    detail: str = ""
    pointer: str = ""


class _Details(Struct, frozen=True):
    """The members of a problem that a program can use."""

    code: str = ""
    title: str = ""
    detail: str = ""
    type: str = ""
    reference: str = ""
    errors: tuple[Wrong, ...] = ()


class Problem(Exception):
    """The service said no, or failed. Decide by `code`: it is stable, sentences are for people.

    `reference` is what to tell the operator after a fault of the service's own. An answer that is
    no problem document, as from a proxy in between, has the empty code.
    """

    def __init__(self, status: int, details: _Details) -> None:
        """Take over what the document says."""
        self.status = status
        self.code = details.code
        self.title = details.title
        self.detail = details.detail
        self.type = details.type
        self.reference = details.reference
        self.errors = details.errors
        wrong = "".join(f"; {each.pointer}: {each.detail}" for each in details.errors)
        super().__init__(f"{status} {details.code}: {details.detail or details.title}{wrong}")


class Malformed(Problem):
    """400: the request could not be read."""


class Unauthenticated(Problem):
    """401: no key, or one that is unknown, over or revoked."""


class Forbidden(Problem):
    """403: the key lacks the scope, or is bound to other purposes."""


class NotFound(Problem):
    """404: there is no such thing, or not for this key."""


class Conflict(Problem):
    """409: the present state does not allow it; `code` says what stands in the way."""


class Changed(Problem):
    """412: somebody changed it since it was read. Read it again and decide anew."""


class Invalid(Problem):
    """422: values do not make sense; `errors` names each."""


class TooMany(Problem):
    """429: too often, also after waiting as long as was asked for."""


class Unavailable(Problem):
    """5xx: a fault of the service or on the way to it."""


_KINDS: dict[int, type[Problem]] = {
    400: Malformed,
    401: Unauthenticated,
    403: Forbidden,
    404: NotFound,
    409: Conflict,
    412: Changed,
    422: Invalid,
    429: TooMany,
}


def refused(answer: httpx2.Response) -> Problem:
    """Make the exception for an answer that is no success."""
    status = answer.status_code
    details = _Details(title=http.HTTPStatus(status).phrase if status in _KNOWN else "")
    if answer.headers.get("content-type", "").partition(";")[0].strip() == _PROBLEM:
        with contextlib.suppress(msgspec.MsgspecError):
            details = msgspec.json.decode(answer.content, type=_Details)
    kind = _KINDS.get(status, Unavailable if status >= http.HTTPStatus(500) else Problem)
    return kind(status, details)


_KNOWN = {int(each) for each in http.HTTPStatus}
