"""The logo of a business on its pages and newsletters: one small picture, for everybody alike."""

from __future__ import annotations

import msgspec

from crm import events
from crm.businesses.image import Image, sniffed
from crm.db import Db, ReadDb, Statements
from crm.errors import NotFound
from crm.events import Actor, Kind

sql = Statements("businesses")

# It is in every mail and on every page, which has 30 kB for all that it brings along.
LARGEST = 10_000
_ENDINGS = {"image/png": "png", "image/jpeg": "jpg", "image/gif": "gif", "image/webp": "webp"}


class NoLogo(NotFound):
    """This business has no logo on its pages and newsletters."""


async def logo_of(db: ReadDb) -> Image | None:
    """Return the picture that stands on the band of pages and newsletters, if there is one."""
    return await db.maybe(sql.logo, Image)


async def get(db: ReadDb) -> Image:
    """Return it, or refuse with NoLogo."""
    found = await logo_of(db)
    if found is None:
        raise NoLogo
    return found


async def keep(db: Db, by: Actor, file_name: str, content: bytes) -> Image:
    """Put it on every page at once, and on newsletters from the next start on."""
    image = sniffed(file_name, content, largest=LARGEST)
    image = msgspec.structs.replace(image, name=f"logo.{_ENDINGS[image.media_type]}")
    await db.run(sql.put_logo, **msgspec.structs.asdict(image))
    await events.record(db, by, Kind.business_changed)
    return image


async def take_out(db: Db, by: Actor) -> None:
    """Let the name stand there again."""
    if not await db.run(sql.drop_logo):
        raise NoLogo
    await events.record(db, by, Kind.business_changed)
