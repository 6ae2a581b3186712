"""A customer as a vCard 4.0 (RFC 6350): what any address book takes."""

from __future__ import annotations

from crm.customers import Customer

# §3.2: a line has at most 75 octets; what is folded begins with a blank.
_OCTETS = 75
# §3.4: what stands for itself only behind a backslash.
_ESCAPED = str.maketrans({"\\": "\\\\", ",": "\\,", ";": "\\;", "\n": "\\n", "\r": ""})


def vcard(customer: Customer) -> bytes:
    """Write name, address, language and zone, with CRLF and in UTF-8."""
    lines = [
        "BEGIN:VCARD",
        "VERSION:4.0",
        "KIND:individual",
        f"UID:urn:uuid:{customer.id}",
        f"FN:{_text(customer.called)}",
        f"EMAIL:{_text(customer.address)}",
    ]
    if customer.locale:
        lines.append(f"LANG:{_text(customer.locale)}")
    if customer.time_zone:
        lines.append(f"TZ:{_text(customer.time_zone)}")
    lines += [f"REV:{customer.changed_at:%Y%m%dT%H%M%SZ}", "END:VCARD"]
    return b"".join(_folded(line) for line in lines)


def _text(value: str) -> str:
    return value.translate(_ESCAPED)


def _folded(line: str) -> bytes:
    """Break a line between characters, never inside one (§3.2)."""
    pieces, piece, room = [], b"", _OCTETS
    for char in line:
        octets = char.encode()
        if len(piece) + len(octets) > room:
            pieces.append(piece)
            # The blank in front of what is folded counts.
            piece, room = b"", _OCTETS - 1
        piece += octets
    return b"\r\n ".join([*pieces, piece]) + b"\r\n"
