"""Files that go with a message (RFC 2045 §6.8, 2183, 2387): base64, in lines of 76."""

from __future__ import annotations

import re
from base64 import encodebytes
from collections.abc import Sequence

from msgspec import Struct

# "=_" never occurs in quoted-printable, and base64 has no "_": absent by construction.
_RELATED = "=_firsthand_related"
_FILE = re.compile(r"[A-Za-z0-9._-]{1,100}")
_MEDIA = re.compile(r"[a-z]+/[a-z0-9.+-]+")
_CONTENT_ID = re.compile(r"[A-Za-z0-9._-]{1,100}@[A-Za-z0-9.-]{1,253}")


class Attachment(Struct, frozen=True):
    """A file that goes with a service message; name and type are plain ASCII."""

    name: str
    media_type: str
    content: bytes


class Inline(Struct, frozen=True):
    """A picture that the HTML shows by `cid:` and its `content_id` (RFC 2392)."""

    name: str
    media_type: str
    content: bytes
    content_id: str


def attached(file: Attachment, boundary: str) -> bytes:
    """Write a part that is opened by itself."""
    return _part(boundary, file, "attachment")


def around(images: Sequence[Inline]) -> tuple[str, bytes, bytes]:
    """Return the boundary of the HTML, and what comes before and after it (RFC 2387).

    `before` follows the delimiter of the alternative. Encoded here once, whoever gets it.
    """
    head = f'Content-Type: multipart/related; type="text/html";\r\n boundary="{_RELATED}"\r\n'
    parts = [
        _part(_RELATED, each, "inline", f"Content-ID: <{_only(_CONTENT_ID, each.content_id)}>\r\n")
        for each in images
    ]
    return _RELATED, head.encode(), b"".join([*parts, f"\r\n--{_RELATED}--\r\n".encode()])


def _part(boundary: str, file: Attachment | Inline, disposition: str, more: str = "") -> bytes:
    head = (
        f"\r\n--{boundary}\r\n"
        f"Content-Type: {_only(_MEDIA, file.media_type)}\r\n{more}"
        f'Content-Disposition: {disposition}; filename="{_only(_FILE, file.name)}"\r\n'
        "Content-Transfer-Encoding: base64\r\n\r\n"
    )
    return head.encode() + encodebytes(file.content).replace(b"\n", b"\r\n")


def _only(pattern: re.Pattern[str], value: str) -> str:
    """Let only this shape into the head of a part."""
    if pattern.fullmatch(value) is None:
        raise ValueError("a file's Content-Type, name or Content-ID cannot stand in a message")
    return value
