"""The business for programs: whose name, address and settings every mail and page shows."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

import msgspec
from litestar import Request, Response, get, patch
from litestar.di import NamedDependency
from litestar.params import BodyKwarg
from msgspec import UNSET, Meta, Struct, UnsetType

from crm import businesses
from crm.businesses import Business, BusinessStale, NewBusiness
from crm.businesses.model import (
    TOO_SOON,
    Contact,
    Country,
    Days,
    LegalName,
    Locale,
    MailAddress,
    MailDays,
    Months,
    Name,
    OptionalAddress,
    PageAddress,
    PostalAddress,
    ReturnDomain,
    checked,
    too_soon,
)
from crm.businesses.origin import checked_origin
from crm.db import Db, ReadDb
from crm.errors import Invalid, Problem
from crm.events import Actor
from crm.web.bodies import MERGE_PATCH
from crm.web.etag import MatchFailed, etag, expected

_BODY = 32 * 1024
_TAGS = ["Business"]
Hour = Annotated[int, Meta(ge=0, le=23)]
Until = Annotated[int, Meta(ge=1, le=24)]
HostName = Annotated[str, Meta(max_length=253, pattern=r"^[a-z0-9-]+(\.[a-z0-9-]+)+(?!\n)$")]


class BusinessNow(Struct, frozen=True, kw_only=True):
    """What is known of the business; `hosts` are all that it answers on, former ones as well."""

    id: UUID
    name: str
    legal_name: str
    postal_address: str
    sender_name: str
    sender_address: str
    privacy_contact: str
    return_domain: str
    locale: str
    time_zone: str
    origin: str
    hosts: list[str]
    country: str
    officer: str
    representative: str
    authority: str
    authority_url: str
    authority_address: str
    privacy_url: str
    soft_opt_in: bool
    keeps_network: bool
    network_days: int
    image_hosts: list[str]
    canary: str
    mails_from: int
    mails_until: int
    mail_days: int
    dormant_months: int
    names_staff: bool
    version: int
    created_at: datetime


class BusinessChanges(Struct, kw_only=True, forbid_unknown_fields=True):
    """What to change, as a merge patch (RFC 7396): what is absent stays, null is as never said."""

    name: Name | UnsetType = UNSET
    legal_name: LegalName | UnsetType = UNSET
    postal_address: PostalAddress | UnsetType | None = UNSET
    sender_name: Name | UnsetType = UNSET
    sender_address: MailAddress | UnsetType = UNSET
    privacy_contact: MailAddress | UnsetType = UNSET
    # Where mail comes back that cannot be delivered; without, to the sender's address.
    return_domain: ReturnDomain | UnsetType | None = UNSET
    locale: Locale | UnsetType | None = UNSET
    time_zone: Annotated[str, Meta(max_length=64)] | UnsetType | None = UNSET
    # Scheme and host of its pages; the former host goes on answering.
    origin: Annotated[str, Meta(max_length=300)] | UnsetType = UNSET
    country: Country | UnsetType | None = UNSET
    officer: Contact | UnsetType | None = UNSET
    representative: PostalAddress | UnsetType | None = UNSET
    authority: Contact | UnsetType | None = UNSET
    authority_url: PageAddress | UnsetType | None = UNSET
    authority_address: PostalAddress | UnsetType | None = UNSET
    privacy_url: PageAddress | UnsetType | None = UNSET
    soft_opt_in: bool | UnsetType | None = UNSET
    keeps_network: bool | UnsetType | None = UNSET
    network_days: Days | UnsetType | None = UNSET
    image_hosts: Annotated[list[HostName], Meta(max_length=50)] | UnsetType | None = UNSET
    canary: OptionalAddress | UnsetType | None = UNSET
    mails_from: Hour | UnsetType | None = UNSET
    mails_until: Until | UnsetType | None = UNSET
    mail_days: MailDays | UnsetType | None = UNSET
    # 0 for never, else six at the least.
    dormant_months: Months | UnsetType | None = UNSET
    names_staff: bool | UnsetType | None = UNSET


MergePatch = Annotated[BusinessChanges, BodyKwarg(media_type=MERGE_PATCH)]


# A scope by name: the guard of the router asks for it, this domain lies below the one of keys.
@get(
    "/business",
    opt={"scope": "business:read"},
    tags=_TAGS,
    summary="Read what is known of the business",
    description="Its names, addresses and settings, as its mails and pages show and heed them, and "
    "the hosts it answers on. The ETag names the version, for If-Match.",
)
async def get_business(db: NamedDependency[ReadDb]) -> Response[BusinessNow]:
    """Read what is known of the business."""
    return await _told(db, await businesses.get(db))


@patch(
    "/business",
    opt={"scope": "business:write", "example": {"privacy_contact": "privacy@bakery.example"}},
    request_max_body_size=_BODY,
    tags=_TAGS,
    summary="Change what is known of the business",
    description="A merge patch (RFC 7396) of what the settings page changes; null puts back what a "
    "new business begins with. The next mail and the next page say so, and what was published, "
    "sent or sealed before stays as it was. With another `origin` its pages answer there at once "
    "(409 `unusable_host` where another business does), and at the former host too. If-Match with "
    "the ETag you read is required (428, 412).",
)
async def patch_business(
    request: Request[Any, Any, Any],
    db: NamedDependency[Db],
    by: NamedDependency[Actor],
    data: MergePatch,
) -> Response[BusinessNow]:
    """Change what is known of the business."""
    version, present = expected(request), await businesses.get(db)
    new = _merged(present, data)
    # Also for `*`: what is not in the patch was read a moment ago.
    read = present.version if version is None else version
    try:
        changed = await businesses.change(db, by, new, expected=read)
    except BusinessStale:
        raise MatchFailed from None
    return await _told(db, changed)


def _merged(present: Business, changes: BusinessChanges) -> NewBusiness:
    """Put the changes over what there is, and look at what no type says."""
    known = {name: getattr(present, name) for name in NewBusiness.__struct_fields__}
    begun = {each.name: each.default for each in msgspec.structs.fields(NewBusiness)}
    for name, value in msgspec.structs.asdict(changes).items():
        if value is None:
            known[name] = begun[name]
        elif name == "image_hosts" and value is not UNSET:
            known[name] = " ".join(dict.fromkeys(value))
        elif value is not UNSET:
            known[name] = value
    new = NewBusiness(**known)
    wrong = []
    if changes.dormant_months is not UNSET and too_soon(new.dormant_months):
        wrong.append(Problem("dormant_months", TOO_SOON))
    for look in (lambda: checked_origin(new.origin), lambda: checked(new)):
        try:
            look()
        except Invalid as refusal:
            wrong += refusal.problems
    if wrong:
        raise Invalid(wrong[0].message if len(wrong) == 1 else "", wrong)
    return new


async def _told(db: ReadDb, business: Business) -> Response[BusinessNow]:
    known = {name: getattr(business, name) for name in NewBusiness.__struct_fields__}
    known["image_hosts"] = business.image_hosts.split()
    now = BusinessNow(
        id=business.id,
        hosts=await businesses.hosts(db),
        version=business.version,
        created_at=business.created_at,
        **known,
    )
    return Response(now, headers=etag(business.version))


handlers = [get_business, patch_business]
