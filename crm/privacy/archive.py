"""The file a copy travels in: JSON that a person can read and a program can take over."""

from __future__ import annotations

import msgspec

from crm.privacy.model import Copy


def packed(copy: Copy) -> bytes:
    """Write a copy as indented JSON in UTF-8; bytes are base64, instants are RFC 3339."""
    return msgspec.json.format(msgspec.json.encode(copy), indent=2) + b"\n"


def as_file(copy: Copy) -> dict[str, str]:
    """Make the headers of a file that no cache keeps and whose name tells nobody's."""
    name = f"your-data-{copy.generated_at:%Y-%m-%d}.json"
    return {"content-disposition": f'attachment; filename="{name}"', "cache-control": "no-store"}
