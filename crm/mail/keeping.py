"""A letter as its customer reads it again: as it was sent, but for what would open anything."""

from __future__ import annotations

import re
from datetime import timedelta
from uuid import UUID

from msgspec import Struct

from crm import businesses
from crm.businesses import Business
from crm.db import Db, Statements
from crm.mail.model import Letter, LetterKind
from crm.pieces import Piece

sql = Statements("mail")

# What stands in the place of a secret.
BLOT = "•••"
# A code to type, as letters show it: two groups of four.
_CODE = re.compile(r"(?<![0-9A-Z])[0-9A-Z]{4} [0-9A-Z]{4}(?![0-9A-Z])")
# What opens something in a link of ours; an id is none, for it opens nothing without a sign-in.
_OPENS = re.compile(
    r"(?<=[/=])(?![0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}(?![\w-]))[A-Za-z0-9_-]{16,}"
)
# Links to anywhere, and in them what may open something elsewhere: the reset of a password in the
# shop of a business. Words, and numbers such as that of a parcel, are none of it.
_LINK = re.compile(r"""https?://[^\s"'<>/]+(/[^\s"'<>]*)""")
_OPAQUE = re.compile(r"(?=[A-Za-z_-]*\d)(?=[\d_-]*[A-Za-z])[A-Za-z0-9_-]{16,}")
# A test goes to staff, and its links harm nobody.
_SECRETIVE = frozenset(LetterKind) - {LetterKind.test}


class Kept(Struct, frozen=True):
    """Subject and both texts of a letter."""

    subject: str
    text: str
    html: str


def kept(letter: Letter, business: Business) -> Kept | None:
    """Return what is kept of a letter; None where the business keeps nothing, or nobody is left."""
    if business.mail_days == 0 or not letter.kept:
        return None
    if letter.kind not in _SECRETIVE:
        return Kept(letter.subject, letter.text, letter.html)
    origin = business.origin
    link = re.compile(re.escape(origin) + r"""(/[^\s"'<>]*)""")

    def blotted(text: str) -> str:
        """Whatever confirms, opens or undoes something is a token in a link of ours, or a code."""
        if letter.kind is LetterKind.business:
            text = _LINK.sub(_closed, text)
        return _CODE.sub(BLOT, link.sub(lambda found: origin + _OPENS.sub(BLOT, found[1]), text))

    return Kept(blotted(letter.subject), blotted(letter.text), blotted(letter.html))


def _closed(link: re.Match[str]) -> str:
    whole, path = link[0], link[1]
    return whole.removesuffix(path) + _OPAQUE.sub(BLOT, path)


async def drop(db: Db, after: UUID, limit: int) -> Piece:
    """Take out the texts of letters that were kept long enough, a piece at a time."""
    before = db.now - timedelta(days=(await businesses.get(db)).mail_days)
    return await db.one(sql.drop_kept, Piece, after=after, limit=limit, sent_before=before)
