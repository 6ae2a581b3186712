"""Read what a form has sent: what is typed is held in memory and bounded, files go to the disk.

A route allows a whole body by `request_max_body_size`, for a file. What is typed is bounded, with
the names in a form, by the application's own `request_max_body_size`, unless the route says
`opt={"typed": …}`, in bytes.
"""

from __future__ import annotations

from typing import Any, TypeAlias
from urllib.parse import parse_qsl

from litestar import Request
from litestar.datastructures import UploadFile
from litestar.exceptions.http_exceptions import RequestEntityTooLarge
from litestar.utils.scope.state import ScopeState
from multipart import (  # type: ignore[import-untyped]
    MultipartSegment,
    PushMultipartParser,
)

from crm.characters import charset
from crm.errors import Refused

Posted: TypeAlias = tuple[dict[str, list[str]], dict[str, UploadFile]]

# The largest form of ours has a few dozen fields; a thousand is somebody trying.
_MAX_FIELDS = 1000
# Each holds up to a megabyte in memory before it goes to the disk; no form of ours has three.
_MAX_FILES = 3


class BadForm(Refused):
    """The form could not be read. Send it as a browser does, in UTF-8."""


async def posted(request: Request[Any, Any, Any]) -> Posted:
    """Read the body to its end, once: values and files by their names, or BadForm."""
    kind, options = request.content_type
    if kind == "multipart/form-data":
        return await _parts(request, options.get("boundary", ""))
    body = await _typed(request)
    return (_pairs(body) if kind == "application/x-www-form-urlencoded" else {}), {}


def _room(request: Request[Any, Any, Any]) -> int:
    most = request.app.request_max_body_size
    return int(request.route_handler.opt.get("typed", most or 0))


async def _typed(request: Request[Any, Any, Any]) -> bytes:
    room, body = _room(request), bytearray()
    if (request.content_length or 0) > room:
        raise RequestEntityTooLarge
    async for piece in request.stream():
        body += piece
        if len(body) > room:
            raise RequestEntityTooLarge
    return bytes(body)


def _pairs(body: bytes) -> dict[str, list[str]]:
    values: dict[str, list[str]] = {}
    try:
        pairs = parse_qsl(
            body.decode("ascii"),
            keep_blank_values=True,
            errors="strict",
            max_num_fields=_MAX_FIELDS,
        )
    except ValueError as error:
        raise BadForm from error
    for name, value in pairs:
        values.setdefault(name, []).append(value)
    return values


async def _parts(request: Request[Any, Any, Any], boundary: str) -> Posted:
    gathered = _Gathered(_room(request))
    # Where Litestar looks for files to close, once a handler is done with them.
    ScopeState.from_scope(request.scope).form = {"": gathered.opened}  # type: ignore[dict-item]
    try:
        await _gather(request, boundary, gathered)
    # Whatever is wrong with a part is a ValueError, but for a charset that there is not.
    except (ValueError, LookupError) as error:
        await gathered.close()
        raise BadForm from error
    except BaseException:
        await gathered.close()
        raise
    return gathered.values, gathered.files


async def _gather(request: Request[Any, Any, Any], boundary: str, gathered: _Gathered) -> None:
    begun = False
    parser = PushMultipartParser(boundary, max_segment_count=_MAX_FIELDS)
    async for piece in request.stream():
        begun = begun or bool(piece)
        for event in parser.parse(piece) if piece else ():
            await gathered.take(event)
    parser.close(check_complete=begun)


class _Gathered:
    """The parts of one form so far."""

    def __init__(self, room: int) -> None:
        self.values: dict[str, list[str]] = {}
        self.files: dict[str, UploadFile] = {}
        self.opened: list[UploadFile] = []
        self._room = room
        self._segment: MultipartSegment | None = None
        self._file: UploadFile | None = None
        self._text = bytearray()

    async def take(self, event: MultipartSegment | bytes | None) -> None:
        """Take the beginning of a part, a piece of it, or (None) its end."""
        if isinstance(event, MultipartSegment):
            self._begin(event)
        elif event is None:
            await self._end()
        elif self._file is not None:
            await self._file.write(event)
        else:
            self._hold(len(event))
            self._text += event

    async def close(self) -> None:
        """Close the files: nobody will read them."""
        for each in self.opened:
            await each.close()

    def _hold(self, size: int) -> None:
        self._room -= size
        if self._room < 0:
            raise RequestEntityTooLarge

    def _begin(self, segment: MultipartSegment) -> None:
        self._hold(len((segment.name or "").encode()))
        self._segment, self._file, self._text = segment, None, bytearray()
        if not segment.filename:
            return
        if len(self.opened) == _MAX_FILES:
            raise BadForm
        kind = segment.content_type or "text/plain"
        self._file = UploadFile(content_type=kind, filename=segment.filename)
        self.opened.append(self._file)

    async def _end(self) -> None:
        segment = self._segment
        if segment is None:
            raise BadForm
        name = segment.name or ""
        if self._file is not None:
            await self._file.seek(0)
            self.files[name] = self._file
        else:
            text = self._text.decode(charset(segment.charset or "utf-8"))
            # Some charsets write halves of pairs of UTF-16, which nothing behind this takes.
            f"{name}{text}".encode()
            self.values.setdefault(name, []).append(text)
        self._segment = None
