"""Pictures of a campaign for programs: /v1/campaigns/{id}/images."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from litestar import Request, Response, delete, get, put
from litestar.di import NamedDependency
from litestar.params import FromPath

from crm.businesses.image import LARGEST, ImageSize
from crm.campaigns import actions, images
from crm.db import Db, ReadDb
from crm.staff import Caller
from crm.staff.auth import needs
from crm.web.headers import DOWNLOAD

READ = [needs("campaigns:read")]
WRITE = [needs("campaigns:write")]

# What is a little too large is told so by name.
_BODY = 4 * LARGEST


@get(
    "/campaigns/{id:uuid}/images",
    guards=READ,
    tags=["Campaigns"],
    summary="List the pictures of a campaign",
    description="The text shows one by `![what it shows](name.png)`; it goes with the mail.",
)
async def get_images(db: NamedDependency[ReadDb], id: FromPath[UUID]) -> list[ImageSize]:
    """List the pictures of a campaign."""
    await actions.get(db, id)
    return await images.held(db, id)


@get(
    "/campaigns/{id:uuid}/images/{name:str}",
    guards=READ,
    media_type="image/*",
    tags=["Campaigns"],
    summary="Read a picture of a campaign",
    description="Its bytes, as they were attached.",
)
async def get_image(
    db: NamedDependency[ReadDb], id: FromPath[UUID], name: FromPath[str]
) -> Response[bytes]:
    """Read a picture of a campaign."""
    image = await images.get(db, id, name)
    return Response(image.content, media_type=image.media_type, headers=DOWNLOAD)


@put(
    "/campaigns/{id:uuid}/images/{name:str}",
    guards=WRITE,
    request_max_body_size=_BODY,
    opt={"body": "application/octet-stream"},
    tags=["Campaigns"],
    summary="Attach a picture to a draft",
    description="The body is the picture: PNG, JPEG, GIF or WebP by its bytes, 200 kB at most, and "
    "1 MB with the others. One of the same name is replaced. The campaign has a new version then: "
    "read it again before you name that.",
)
async def put_image(
    request: Request[Any, Any, Any],
    db: NamedDependency[Db],
    caller: NamedDependency[Caller],
    id: FromPath[UUID],
    name: FromPath[str],
) -> ImageSize:
    """Attach a picture to a draft."""
    return await images.attach(db, caller.actor, id, name, await request.body())


@delete(
    "/campaigns/{id:uuid}/images/{name:str}",
    guards=WRITE,
    tags=["Campaigns"],
    summary="Take a picture out of a draft",
    description="A text that still names it cannot be sent. The campaign has a new version then: "
    "read it again before you name that.",
)
async def delete_image(
    db: NamedDependency[Db],
    caller: NamedDependency[Caller],
    id: FromPath[UUID],
    name: FromPath[str],
) -> None:
    """Take a picture out of a draft."""
    await images.take_out(db, caller.actor, id, name)


handlers = [get_images, get_image, put_image, delete_image]
