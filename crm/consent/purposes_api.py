"""Versions of purposes for programs: what a next one would mean, publishing it, and retirement."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Annotated, Any
from uuid import UUID

from litestar import Request, Response, get, post
from litestar.di import NamedDependency
from litestar.openapi.datastructures import ResponseSpec
from litestar.params import FromPath, JSONBody
from msgspec import Meta, Struct

from crm import consent
from crm.consent import Consequences, NewNotice, NewVersion, Purpose, Terms, Version
from crm.consent.states import Basis
from crm.db import Db, ReadDb
from crm.staff import Caller
from crm.staff.auth import needs
from crm.web.idempotency import once

_BODY = 512 * 1024
_EXAMPLE = {
    "terms": {"validity": "P24M", "wording": {"en": {"name": "The Corner Letter"}}},
    "notices": [],
    "replaces": 1,
}


class PublishedVersion(Struct, frozen=True, kw_only=True):
    """One version of a purpose; `sha256` is over its terms as RFC 8785 JSON."""

    purpose_id: UUID
    version: int
    basis: Basis
    terms: Terms
    sha256: str
    published_at: datetime
    # Another substance took its place: consents to it hold until `ends_at`.
    stale_at: datetime | None
    ends_at: datetime | None


class Publication(Struct, kw_only=True, forbid_unknown_fields=True):
    """The next version, the texts to ask with, and the version that it replaces."""

    terms: Terms
    notices: Annotated[list[NewNotice], Meta(max_length=50)] = []
    replaces: int
    # The words alone change what customers agreed to.
    is_substance: bool = False
    # For how long consents to earlier versions go on, where the substance changes.
    grace_days: Annotated[int, Meta(ge=1, le=3650)] = 60


@get(
    "/purposes/{purpose_id:uuid}/versions",
    guards=[needs("purposes:read")],
    tags=["Purposes"],
    summary="List every version of a purpose",
    description="The newest first, with all that was entered. A version never changes.",
)
async def get_versions(
    db: NamedDependency[ReadDb], purpose_id: FromPath[UUID]
) -> list[PublishedVersion]:
    """List every version of a purpose."""
    await consent.purpose(db, purpose_id)
    return [_published(each) for each in await consent.versions(db, purpose_id)]


@post(
    "/purposes/{purpose_id:uuid}/version-previews",
    guards=[needs("purposes:write")],
    status_code=200,
    request_max_body_size=_BODY,
    opt={"example": _EXAMPLE["terms"]},
    tags=["Purposes"],
    summary="Ask what the next version would mean",
    description="Which fields change, which of them ask for a new consent (`substance`), and how "
    "many consents stand. Nothing is written.",
)
async def post_preview(
    db: NamedDependency[Db], purpose_id: FromPath[UUID], data: JSONBody[Terms]
) -> Consequences:
    """Ask what the next version would mean."""
    return await consent.consequences(db, purpose_id, data)


@post(
    "/purposes/{purpose_id:uuid}/versions",
    guards=[needs("purposes:write")],
    request_max_body_size=_BODY,
    opt={"example": _EXAMPLE},
    tags=["Purposes"],
    summary="Publish the next version of a purpose",
    description="With the texts to ask with from then on. Where the substance changes, consents to "
    "earlier versions are stale at once and end after `grace_days`, unless renewed; it then needs "
    "a text in the business's own language (409 `text_missing`). `replaces` is the version you "
    "looked at (409 `version_moved`). One in which nothing is different is refused (409 "
    "`nothing_new`), unless `is_substance` asks everybody anew. With an Idempotency-Key a repeat "
    "does nothing twice.",
    responses={201: ResponseSpec(Purpose, generate_examples=False, description="Published")},
)
async def post_version(
    request: Request[Any, Any, Any],
    db: NamedDependency[Db],
    caller: NamedDependency[Caller],
    purpose_id: FromPath[UUID],
    data: JSONBody[Publication],
) -> Response[bytes]:
    """Publish the next version of a purpose."""

    async def act() -> Purpose:
        new = NewVersion(
            terms=data.terms,
            notices=data.notices,
            replaces=data.replaces,
            is_substance=data.is_substance,
            grace=timedelta(days=data.grace_days),
        )
        return await consent.publish_version(db, caller.actor, purpose_id, new)

    return await once(request, db, str(caller.id), act, status=201)


@post(
    "/purposes/{purpose_id:uuid}/retirement",
    guards=[needs("purposes:write")],
    request_max_body_size=10_000,
    tags=["Purposes"],
    summary="Take a purpose out of use",
    description="Nobody is asked or mailed for it from then on, and every consent to it is "
    "revoked. It cannot be undone; all that was decided stays on record.",
    responses={201: ResponseSpec(Purpose, generate_examples=False, description="Retired")},
)
async def post_retirement(
    request: Request[Any, Any, Any],
    db: NamedDependency[Db],
    caller: NamedDependency[Caller],
    purpose_id: FromPath[UUID],
) -> Response[bytes]:
    """Take a purpose out of use."""

    async def act() -> Purpose:
        return await consent.retire(db, caller.actor, purpose_id)

    return await once(request, db, str(caller.id), act, status=201)


def _published(version: Version) -> PublishedVersion:
    return PublishedVersion(
        purpose_id=version.purpose_id,
        version=version.version,
        basis=version.basis,
        terms=version.entered,
        sha256=version.sha256.hex(),
        published_at=version.published_at,
        stale_at=version.stale_at,
        ends_at=version.ends_at,
    )


handlers = [get_versions, post_preview, post_version, post_retirement]
