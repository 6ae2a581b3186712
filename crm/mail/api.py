"""Suppressions for programs: an address that must not be mailed, known to us or not."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

from litestar import Request, get, post
from litestar.di import NamedDependency
from litestar.openapi.datastructures import ResponseSpec
from litestar.params import FromQuery, JSONBody
from litestar.response import Response
from msgspec import Meta, Struct

from crm import customers, mail
from crm.db import Db, ReadDb
from crm.errors import Invalid, Problem, Refused
from crm.mail.model import HeldSuppression, Scope, Suppression, Why
from crm.staff import Caller
from crm.staff.auth import needs
from crm.web.idempotency import once
from crm.web.paging import Cursors, Slice, capped, link

_BODY = 10_000
# A thousand addresses of the longest kind.
_MANY = 1_200_000
READ = [needs("suppressions:read")]
WRITE = [needs("suppressions:write")]
_TAGS = ["Suppressions"]
Typed = Annotated[str, Meta(min_length=3, max_length=1000)]


class NewSuppression(Struct, forbid_unknown_fields=True):
    """Whom not to mail, and how far that reaches."""

    address: str
    scope: Scope = Scope.marketing


class OneAddress(Struct, forbid_unknown_fields=True):
    """Whose suppression is meant; in the body, because an address belongs in no URL."""

    address: Typed


class SomeAddresses(Struct, forbid_unknown_fields=True):
    """Which addresses to look up."""

    addresses: Annotated[list[Typed], Meta(min_length=1, max_length=1000)]


class Listed(Struct, frozen=True, kw_only=True):
    """One suppression. The address itself is kept nowhere: its keyed fingerprint stands for it."""

    fingerprint: str
    scope: Scope
    reason: Why
    at: datetime
    # What somebody decided about it before or since, where a bounce stands above that.
    beneath: Why | None
    beneath_at: datetime | None


class Checked(Struct, frozen=True, kw_only=True):
    """How it stands with one address; `suppression` is null where nothing keeps mail from it."""

    fingerprint: str
    suppression: Listed | None


class After(Struct, frozen=True):
    """The last suppression of a page."""

    address_hash: bytes


@get(
    "/suppressions",
    guards=READ,
    tags=_TAGS,
    summary="Page through the suppressions",
    description="Every address that must not be mailed, as a keyed fingerprint with scope, reason "
    "and time; the addresses are kept nowhere. In the order of fingerprints, so that a list read "
    "page by page misses none that was there when it began; the Link header leads on. Whose it is "
    "tells a check.",
)
async def get_suppressions(
    db: NamedDependency[ReadDb],
    *,
    limit: FromQuery[int | None] = None,
    after: FromQuery[str | None] = None,
) -> Response[Slice[Listed]]:
    """Page through the suppressions."""
    shown = capped(limit)
    cursors = Cursors(db.keys, db.business_id, "suppressions")
    begun = cursors.open(after, After)
    last = begun.address_hash if begun else None
    found = await mail.suppressions(db, after=last, limit=shown + 1)
    cut = cursors.cut(found, shown, lambda each: After(each.address_hash))
    told = Slice([_listed(each) for each in cut.rows], cut.after)
    return Response(told, headers=link("/v1/suppressions", cut.after, limit=shown))


@post(
    "/suppressions/check",
    guards=READ,
    status_code=200,
    request_max_body_size=_MANY,
    opt={"example": {"addresses": ["nora@example.com"]}},
    tags=_TAGS,
    summary="Ask whether addresses are suppressed",
    description="Up to 1,000 addresses, known here or not; an answer for each, in the order asked. "
    "What is no address is refused with a pointer to each (422). Nothing is kept of the question.",
)
async def post_suppression_check(
    db: NamedDependency[Db], data: JSONBody[SomeAddresses]
) -> list[Checked]:
    """Ask whether addresses are suppressed."""
    hashes, wrong = [], []
    for place, address in enumerate(data.addresses):
        try:
            hashes.append(_fingerprint(db, address))
        except Refused as refusal:
            wrong.append(Problem(f"addresses/{place}", refusal.message))
    if wrong:
        raise Invalid(wrong[0].message if len(wrong) == 1 else "", wrong)
    return await _checked(db, hashes)


@post(
    "/suppressions/lift",
    guards=WRITE,
    status_code=200,
    request_max_body_size=_BODY,
    opt={"example": {"address": "moss@example.com"}},
    tags=_TAGS,
    summary="Mail an address again that mail came back from",
    description="Where you know that the mailbox works. Only a bounce is lifted. What somebody "
    "decided stands, also beneath a bounce, and the answer says so: a withdrawal, a complaint, an "
    "objection, a deletion, or your own record of her wish is lifted by her own yes alone (409 "
    "`hers_to_lift`). The customer sees who lifted it. Of an address that is not suppressed "
    "nothing changes.",
)
async def post_suppression_lift(
    db: NamedDependency[Db], caller: NamedDependency[Caller], data: JSONBody[OneAddress]
) -> Checked:
    """Mail an address again that mail came back from."""
    address_hash = _fingerprint(db, data.address)
    await mail.lift_bounce(db, caller.actor, address_hash)
    return (await _checked(db, [address_hash]))[0]


@post(
    "/suppressions",
    guards=WRITE,
    summary="Suppress an address",
    description=(
        "Always accepted, for unknown addresses too; kept as a fingerprint only. Deliveries that "
        "wait for this address are taken out before this answers. A wider scope replaces a "
        "narrower one; only the owner of the address lifts it, by saying yes again."
    ),
    tags=_TAGS,
    status_code=201,
    request_max_body_size=_BODY,
    opt={"example": {"address": "nora@example.com", "scope": "marketing"}},
    responses={201: ResponseSpec(Suppression, generate_examples=False, description="Suppressed")},
)
async def post_suppression(
    request: Request[Any, Any, Any],
    db: NamedDependency[Db],
    caller: NamedDependency[Caller],
    data: JSONBody[NewSuppression],
) -> Response[bytes]:
    """Suppress an address by the wish of its owner, told to the business elsewhere."""

    async def act() -> Suppression:
        address_hash = _fingerprint(db, data.address)
        await mail.suppress(db, caller.actor, address_hash, data.scope, Why.staff)
        kept = await mail.suppressed(db, address_hash)
        assert kept is not None  # noqa: S101  (written a moment ago, or before)
        return kept

    return await once(request, db, str(caller.id), act, status=201)


async def _checked(db: ReadDb, hashes: list[bytes]) -> list[Checked]:
    found = await mail.suppressions_among(db, hashes)
    return [
        Checked(fingerprint=each.hex(), suppression=_listed(found[each]) if each in found else None)
        for each in hashes
    ]


def _fingerprint(db: ReadDb, address: str) -> bytes:
    return db.keys.address_hash(db.business_id, customers.parse(address).folded)


def _listed(held: HeldSuppression) -> Listed:
    return Listed(
        fingerprint=held.address_hash.hex(),
        scope=held.scope,
        reason=held.reason,
        at=held.at,
        beneath=held.beneath,
        beneath_at=held.beneath_at,
    )


handlers = [get_suppressions, post_suppression_check, post_suppression_lift, post_suppression]
