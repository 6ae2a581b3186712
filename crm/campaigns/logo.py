"""The logo of a business on its newsletters: one small picture, the same for everybody."""

from __future__ import annotations

import msgspec

from crm import events
from crm.campaigns.composing import logo_of
from crm.campaigns.image import Image, sniffed
from crm.db import Db, ReadDb, Statements
from crm.errors import NotFound
from crm.events import Actor, Kind

sql = Statements("campaigns")

# It is in every mail, beside all that the text shows.
LARGEST = 50_000
_ENDINGS = {"image/png": "png", "image/jpeg": "jpg", "image/gif": "gif", "image/webp": "webp"}


class NoLogo(NotFound):
    """This business has no logo on its newsletters."""


async def get(db: ReadDb) -> Image:
    """Return it, or refuse with NoLogo."""
    found = await logo_of(db)
    if found is None:
        raise NoLogo
    return found


async def keep(db: Db, by: Actor, file_name: str, content: bytes) -> Image:
    """Put it on every newsletter from the next start on, in place of the one before."""
    image = sniffed(file_name, content, largest=LARGEST)
    image = msgspec.structs.replace(image, name=f"logo.{_ENDINGS[image.media_type]}")
    await db.run(sql.put_mail_logo, **msgspec.structs.asdict(image))
    await events.record(db, by, Kind.business_changed)
    return image


async def take_out(db: Db, by: Actor) -> None:
    """Let the name stand there again."""
    if not await db.run(sql.drop_mail_logo):
        raise NoLogo
    await events.record(db, by, Kind.business_changed)
