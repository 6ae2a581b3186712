"""Quoted-printable (RFC 2045 §6.7), folded at 76, in which no line begins with a dot.

Nor are there two blanks in a row, or one before a line's end: it is what the relaxed form of a body
is (RFC 6376 §3.4.4), so that a signature need not look for them.
"""

from __future__ import annotations

import re

_LINE = 75  # 76 with the "=" of a soft break
# A line break that is none of the text.
SOFT = b"=\r\n"
_OCTETS = {n: f"={n:02X}" for n in range(256) if chr(n) == "=" or not " " <= chr(n) <= "~"}
# Two columns are kept free for a dot at the line's start; an "=XX" is never cut.
_ROOM = 73
_CUT = re.compile(rf".{{1,{_ROOM}}}(?<!=)(?<!=.)")


def quoted(text: str) -> bytes:
    """Encode as quoted-printable (RFC 2045 §6.7): any line end becomes CRLF, lines of 76."""
    lines = []
    for line in re.split(r"\r\n|\r|\n", text):
        octets = _octets(line)
        if octets.endswith(" "):  # a blank at the end of a line may be lost on the way
            octets = f"{octets[:-1]}=20"
        lines.append(_folded(octets))
    return "\r\n".join(lines).encode()


def quoted_value(text: str) -> bytes:
    """Encode a value that stands on soft lines of its own, so that its length is free."""
    if text.isascii() and text.isprintable() and "=" not in text and "  " not in text:
        return text.encode() if len(text) <= _LINE and text[:1] != "." else _folded(text).encode()
    return _folded(_octets(text)).encode()


def _octets(text: str) -> str:
    octets = text.encode("utf-8", "replace").decode("latin-1").translate(_OCTETS)
    return octets.replace("  ", " =20")


def _folded(octets: str) -> str:
    if "=" in octets:
        lines: list[str] = _CUT.findall(octets)
    else:
        # As most values are, a link among them: to look for what must not be cut costs more.
        lines = [octets[start : start + _ROOM] for start in range(0, len(octets), _ROOM)]
    return "=\r\n".join([f"=2E{line[1:]}" if line[0] == "." else line for line in lines])
