"""A picture that goes with the mail: known by its bytes, small, and the same for everybody."""

from __future__ import annotations

import hashlib
import re
from pathlib import PurePath

from msgspec import Struct

from crm.businesses.extent import Extent, extent_of
from crm.errors import Invalid, Problem

LARGEST = 200_000
ALL_TOGETHER = 1_000_000

_TYPES = (
    (re.compile(rb"\x89PNG\r\n\x1a\n"), "image/png"),
    (re.compile(rb"\xff\xd8\xff"), "image/jpeg"),
    (re.compile(rb"GIF8[79]a"), "image/gif"),
    (re.compile(rb"RIFF....WEBP", re.DOTALL), "image/webp"),
)
_ENDINGS = {
    "image/png": (".png",),
    "image/jpeg": (".jpg", ".jpeg"),
    "image/gif": (".gif",),
    "image/webp": (".webp",),
}
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,79}")


class Image(Struct, frozen=True):
    """A picture as it is kept; `name` is how the text refers to it."""

    name: str
    media_type: str
    content: bytes

    @property
    def extent(self) -> Extent | None:
        """How large it is shown; None for what was kept before that was asked for."""
        return extent_of(self.content)

    def content_id(self, sender_address: str) -> str:
        """Name it in a message (RFC 2392): by its bytes, so no reader has a name of their own."""
        return (
            f"{hashlib.sha256(self.content).hexdigest()[:32]}@{sender_address.rpartition('@')[2]}"
        )


class ImageSize(Struct, frozen=True):
    """A picture without its bytes."""

    name: str
    media_type: str
    bytes: int


def sniffed(name: str, content: bytes, *, largest: int = LARGEST) -> Image:
    """Take a picture for what its bytes say, or refuse with what to do instead."""
    if not content:
        raise _refused("The file is empty.")
    if len(content) > largest:
        raise _refused(
            f"It has {len(content) // 1000} kB, and it may have {largest // 1000} kB at "
            "most: everybody gets it. Save it smaller; a width of 1200 pixels is enough."
        )
    found = next((kind for begins, kind in _TYPES if begins.match(content)), None)
    if found is None:
        raise _refused("Only PNG, JPEG, GIF and WebP can be attached. SVG can hold programs.")
    if extent_of(content) is None:
        raise _refused("Its bytes do not say how large it is: it is damaged. Save it once more.")
    if not _NAME.fullmatch(name) or PurePath(name).suffix.lower() not in _ENDINGS[found]:
        ending = " or ".join(_ENDINGS[found])
        raise _refused(
            "Its name must be of letters without accents, digits, hyphens, dots and underscores, "
            f"80 at most, and end in {ending}, since that is what it is."
        )
    return Image(name, found, content)


def named(file_name: str) -> str:
    """Make a name that a text can refer to from what a file was called."""
    bare = re.split(r"[\\/]", file_name)[-1]
    name = re.sub(r"[^A-Za-z0-9_.-]+", "-", bare).lstrip("-._")
    stem, dot, ending = name.rpartition(".")
    return f"{stem[:70].rstrip('-.')}{dot}{ending[:8]}"


def _refused(sentence: str) -> Invalid:
    return Invalid(sentence, [Problem("image", sentence)])
