"""Pages of long lists: a cursor is the key of the last row, sealed, and holds nothing personal."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Sequence
from typing import Generic, TypeVar
from urllib.parse import urlencode
from uuid import UUID

import msgspec
from msgspec import Struct

from crm.errors import Invalid, Problem
from crm.keys import MAC_SIZE, Keys

R = TypeVar("R")
K = TypeVar("K", bound=Struct)

DEFAULT_LIMIT = 50
MAX_LIMIT = 200


class BadCursor(Invalid):
    """This cursor is not one of ours, or belongs to another list. Begin again without it."""


class Slice(Struct, Generic[R], frozen=True):
    """Some rows of a list, and the cursor of the rows after them, if there are any."""

    rows: list[R]
    after: str | None


class Cursors(Struct, frozen=True):
    """Seal and open the cursors of one list (`name`) of one business."""

    keys: Keys
    business_id: UUID
    name: str

    def seal(self, key: Struct) -> str:
        """Turn the key of a row into text for a URL."""
        data = msgspec.msgpack.encode(key)
        signature = self.keys.sign(self.business_id, self._label, data)
        return base64.urlsafe_b64encode(signature + data).decode().rstrip("=")

    def open(self, text: str | None, to: type[K]) -> K | None:
        """Read a cursor back; None stands for the beginning, a foreign or broken one refuses."""
        if not text:
            return None
        try:
            raw = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
            signature, data = raw[: MAC_SIZE + 1], raw[MAC_SIZE + 1 :]
            if self.keys.verified(self.business_id, self._label, data, signature):
                return msgspec.msgpack.decode(data, type=to)
        except (binascii.Error, ValueError, msgspec.MsgspecError):
            pass
        wrong = BadCursor()
        raise BadCursor(problems=[Problem("after", wrong.message)])

    def cut(self, rows: Sequence[R], limit: int, key: Callable[[R], Struct]) -> Slice[R]:
        """Cut the row too many that the statement was asked for (`limit + 1`) into a cursor."""
        shown = list(rows[:limit])
        more = len(rows) > limit
        return Slice(shown, self.seal(key(shown[-1])) if more and shown else None)

    @property
    def _label(self) -> str:
        return f"cursor/{self.name}"


def capped(asked: int | None) -> int:
    """Read a `limit`: absent is 50, more than 200 is 200, less than one is refused."""
    if asked is None:
        return DEFAULT_LIMIT
    if asked < 1:
        raise Invalid(problems=[Problem("limit", f"A number from 1 to {MAX_LIMIT}.")])
    return min(asked, MAX_LIMIT)


def link(path: str, after: str | None, **query: str | int) -> dict[str, str]:
    """Make the `Link` header (RFC 8288) that leads to the next rows; none at the end."""
    if after is None:
        return {}
    return {"link": f'<{path}?{urlencode({**query, "after": after})}>; rel="next"'}
