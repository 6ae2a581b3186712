"""Letters that wait, as a relay would get them."""

from __future__ import annotations

from email import policy
from email.parser import BytesParser

from msgspec import Struct

from crm.db import Db
from crm.mail.actions import claim_letters, record_letter
from crm.mail.outcome import Kind, Outcome


class Caught(Struct, frozen=True):
    """A letter that a relay would have got."""

    to: str
    subject: str
    text: str


async def letters(db: Db) -> list[Caught]:
    """Take all that wait, and have them sent."""
    found = []
    for each in await claim_letters(db, 50):
        await record_letter(db, each, Outcome(Kind.sent, "accepted", code=250))
        parsed = BytesParser(policy=policy.default).parsebytes(each.content)
        body = parsed.get_body(("plain",))
        assert body is not None
        # As it reads, however its lines are broken.
        text = " ".join(body.get_content().split())
        found.append(Caught(each.address, parsed["subject"], text))
    return found
