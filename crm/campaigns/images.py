"""Pictures of a draft: attached, looked at and taken out; what was sent keeps its own.

With other pictures it is another version: who approves names the one that was reviewed.
"""

from __future__ import annotations

from uuid import UUID

from crm import events
from crm.businesses.image import ALL_TOGETHER, Image, ImageSize, sniffed
from crm.campaigns import checking
from crm.campaigns.actions import locked
from crm.campaigns.model import State, WrongState
from crm.db import Db, ReadDb, Statements
from crm.errors import Invalid, NotFound, Problem
from crm.events import Actor, Kind

sql = Statements("campaigns")


class NoImage(NotFound):
    """No picture of this name is attached to the campaign."""


class NotDraft(WrongState):
    """Only a draft's pictures can be changed. Take a scheduled campaign back first."""


async def held(db: ReadDb, campaign_id: UUID) -> list[ImageSize]:
    """List the pictures of a campaign, without their bytes."""
    return await db.many(sql.image_sizes, ImageSize, campaign_id=campaign_id)


async def get(db: ReadDb, campaign_id: UUID, name: str) -> Image:
    """Return one picture."""
    found = await db.maybe(sql.image, Image, campaign_id=campaign_id, name=name)
    if found is None:
        raise NoImage
    return found


async def attach(db: Db, by: Actor, campaign_id: UUID, name: str, content: bytes) -> ImageSize:
    """Attach a picture to a draft, in place of one of the same name; refuses what is too large."""
    image = sniffed(name, content)
    await _insist_on_draft(db, campaign_id)
    others = [each.bytes for each in await held(db, campaign_id) if each.name != name]
    if sum(others) + len(content) > ALL_TOGETHER:
        sentence = (
            f"With this one the pictures have {(sum(others) + len(content)) // 1000} kB. A mail "
            f"takes {ALL_TOGETHER // 1000} kB of them at most: take one out, or save them smaller."
        )
        raise Invalid(sentence, [Problem("image", sentence)])
    await db.run(
        sql.put_image,
        campaign_id=campaign_id,
        name=name,
        media_type=image.media_type,
        content=content,
    )
    await _changed(db, by, campaign_id)
    return ImageSize(name, image.media_type, len(content))


async def take_out(db: Db, by: Actor, campaign_id: UUID, name: str) -> None:
    """Take a picture out of a draft; a text that still names it cannot be sent."""
    await _insist_on_draft(db, campaign_id)
    if not await db.run(sql.drop_image, campaign_id=campaign_id, name=name):
        raise NoImage
    await _changed(db, by, campaign_id)


async def _changed(db: Db, by: Actor, campaign_id: UUID) -> None:
    await db.run(sql.next_version, campaign_id=campaign_id)
    await events.record(db, by, Kind.campaign_changed, ref=campaign_id)
    # Of another version nothing is known yet; and a text may only now have all that it names.
    await checking.begin(db, campaign_id)


async def _insist_on_draft(db: Db, campaign_id: UUID) -> None:
    if (await locked(db, campaign_id)).state is not State.draft:
        raise NotDraft
