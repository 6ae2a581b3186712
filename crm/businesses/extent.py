"""How large a picture is shown, read from its own bytes: PNG, JPEG, GIF and WebP."""

from __future__ import annotations

from msgspec import Struct

# Markers of JPEG (ITU-T T.81, table B.1) that begin a frame, and those that stand alone.
_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_ALONE = frozenset({0x01, *range(0xD0, 0xD8)})
_SCAN, _APPLICATION = 0xDA, 0xE1
_ORIENTATION, _FIRST_TURNED = 0x0112, 5  # Exif 2.3 §4.6.4: from 5 on, rows are columns


class Extent(Struct, frozen=True):
    """Width and height in pixels."""

    width: int
    height: int

    def within(self, width: int, height: int | None = None) -> Extent:
        """Shrink it to fit, in its own proportion; what fits already stays."""
        share = min(1.0, width / self.width)
        if height is not None:
            share = min(share, height / self.height)
        return Extent(max(1, round(self.width * share)), max(1, round(self.height * share)))


def extent_of(content: bytes) -> Extent | None:
    """Read how large a picture is shown; None where its bytes do not say."""
    width, height = _read(content) if len(content) >= 10 else (0, 0)
    return Extent(width, height) if width and height else None


def _read(content: bytes) -> tuple[int, int]:
    if content[12:16] == b"IHDR" and len(content) >= 24:
        return _big(content[16:20]), _big(content[20:24])
    if content[:4] == b"GIF8":
        return _little(content[6:8]), _little(content[8:10])
    if content[8:12] == b"WEBP" and len(content) >= 25:
        return _webp(content)
    if content[:2] == b"\xff\xd8":
        return _jpeg(content)
    return 0, 0


def _webp(content: bytes) -> tuple[int, int]:
    """RFC 9649 §2.5 to §2.7."""
    kind = content[12:16]
    if kind == b"VP8X" and len(content) >= 30:
        return _little(content[24:27]) + 1, _little(content[27:30]) + 1
    if kind == b"VP8L" and content[20:21] == b"\x2f":
        bits = _little(content[21:25])
        return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    if kind == b"VP8 " and len(content) >= 30:
        return _little(content[26:28]) & 0x3FFF, _little(content[28:30]) & 0x3FFF
    return 0, 0


def _jpeg(content: bytes) -> tuple[int, int]:
    """Walk from marker to marker until a frame says the size; Exif may turn it on its side."""
    at, turned = 2, False
    while content[at : at + 1] == b"\xff" and at + 4 <= len(content):
        marker = content[at + 1]
        if marker in _ALONE or marker == 0xFF:  # 0xFF fills
            at += 1 if marker == 0xFF else 2
            continue
        length = _big(content[at + 2 : at + 4])
        body = content[at + 4 : at + 2 + length]
        if marker in _FRAMES and len(body) >= 5:
            height, width = _big(body[1:3]), _big(body[3:5])
            return (height, width) if turned else (width, height)
        if marker == _SCAN:
            break
        if marker == _APPLICATION and body.startswith(b"Exif\0\0"):
            turned = _turned(body[6:])
        at += 2 + max(length, 2)
    return 0, 0


def _turned(tiff: bytes) -> bool:
    """Whether it was taken on its side: programs show it upright, so its sides change places."""
    read = _little if tiff[:2] == b"II" else _big
    first = read(tiff[4:8])
    for number in range(read(tiff[first : first + 2])):
        entry = tiff[first + 2 + 12 * number :][:12]
        if len(entry) < 12:
            break
        if read(entry[:2]) == _ORIENTATION:
            return read(entry[8:10]) >= _FIRST_TURNED
    return False


def _big(raw: bytes) -> int:
    return int.from_bytes(raw, "big")


def _little(raw: bytes) -> int:
    return int.from_bytes(raw, "little")
