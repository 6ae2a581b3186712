"""Keys for programs: which one this is, and, for those that may, the others."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Annotated, Any
from uuid import UUID

from litestar import Request, Response, get, post
from litestar.di import NamedDependency
from litestar.openapi.datastructures import ResponseSpec
from litestar.params import FromPath, JSONBody
from msgspec import Meta, Struct

from crm import staff
from crm.db import Db, ReadDb
from crm.staff import Caller, Key, NewKey, Scope
from crm.staff.auth import needs
from crm.staff.keys import api_key, rotate_key
from crm.staff.model import LONGEST_OVERLAP, OVERLAP, MoreThanOwn, TextReplaced
from crm.web.idempotency import needs_key, once

_HOUR = timedelta(hours=1)
Hours = Annotated[int, Meta(ge=0, le=LONGEST_OVERLAP // _HOUR)]


class ThisKey(Struct, frozen=True, kw_only=True):
    """The key a request was made with."""

    id: UUID
    name: str
    scopes: list[Scope]
    reason: str
    # All that it reads is bound to these; empty: to none.
    purposes: list[UUID]
    # When it ends; nothing where it works until it is revoked.
    expires_at: datetime | None
    # Until when the text before the last rotation works too.
    previous_until: datetime | None


class Rotation(Struct, kw_only=True, forbid_unknown_fields=True):
    """How many hours the text until now works on beside the new one; none: it ends at once."""

    overlap_hours: Hours = OVERLAP // _HOUR


class MadeKey(Struct, frozen=True, kw_only=True):
    """A key with its text, which is in this answer and never in another."""

    key: Key
    text: str


@get(
    "/key",
    opt={"bound": True},
    tags=["Keys"],
    summary="Read which key this is",
    description="Its scopes, its declared reason, the purposes it is bound to, and when it ends. "
    "Needs no scope, so it serves as a first try.",
)
async def get_key(db: NamedDependency[ReadDb], caller: NamedDependency[Caller]) -> ThisKey:
    """Say which key this is and what it may do; needs no scope, so it serves as a first try."""
    key = await api_key(db, caller.id)
    return ThisKey(
        id=caller.id,
        name=caller.name,
        scopes=[scope for scope in Scope if caller.allows(scope)],
        reason=caller.reason,
        purposes=sorted(caller.purposes),
        expires_at=key.expires_at,
        previous_until=key.previous_until,
    )


@post(
    "/key/rotation",
    opt={"bound": True},
    status_code=201,
    tags=["Keys"],
    summary="Give this key a new text",
    description="The text is in the answer, this once. The one the request was made with works on "
    "for `overlap_hours`, so that a program can be told in peace; a second rotation ends it at "
    "once. That takes the new text (409 `text_replaced`), so keep an Idempotency-Key: with it, an "
    "answer that got lost is asked for again. Needs no scope: a key may always be made safe.",
    responses={201: ResponseSpec(MadeKey, generate_examples=False, description="Made")},
)
async def post_key_rotation(
    request: Request[Any, Any, Any],
    db: NamedDependency[Db],
    caller: NamedDependency[Caller],
    data: JSONBody[Rotation],
) -> Response[bytes]:
    """Give this key a new text."""

    async def act() -> MadeKey:
        if caller.by_previous:
            raise TextReplaced
        overlap = data.overlap_hours * _HOUR
        key, text = await rotate_key(db, caller.actor, caller.id, overlap=overlap)
        return MadeKey(key=key, text=text)

    return await once(request, db, str(caller.id), act, status=201)


@get(
    "/keys",
    guards=[needs(Scope.keys_read)],
    tags=["Keys"],
    summary="List the keys",
    description="What each may do, when it was used last, and when it ends; those that work first. "
    "The text of none is kept.",
)
async def get_keys(db: NamedDependency[ReadDb]) -> list[Key]:
    """List the keys."""
    return await staff.api_keys(db)


@get(
    "/keys/{key_id:uuid}",
    guards=[needs(Scope.keys_read)],
    tags=["Keys"],
    summary="Read one key",
    description="What it may do, which member or key made it, when it was used last, and when it "
    "ends; also of one that works no more.",
)
async def get_one_key(db: NamedDependency[ReadDb], key_id: FromPath[UUID]) -> Key:
    """Read one key."""
    return await api_key(db, key_id)


@post(
    "/keys",
    guards=[needs(Scope.keys_write)],
    opt={"example": {"name": "Till", "scopes": ["customers:read"], "reason": "to greet you"}},
    tags=["Keys"],
    summary="Make a key",
    description="The text is in the answer, this once. No key gives another more than it has "
    "itself: no scope it lacks, and no longer time (403 `more_than_own`). Customers read the "
    "reason. The Idempotency-Key is required: a text that got lost is asked for again with it.",
    responses={201: ResponseSpec(MadeKey, generate_examples=False, description="Made")},
)
async def post_key(
    request: Request[Any, Any, Any],
    db: NamedDependency[Db],
    caller: NamedDependency[Caller],
    data: JSONBody[NewKey],
) -> Response[bytes]:
    """Make a key."""
    needs_key(request)

    async def act() -> MadeKey:
        ends = db.now + timedelta(days=data.days) if data.days else None
        await _check_own(db, caller, data.scopes, ends)
        key, text = await staff.add_key(db, caller.actor, data)
        return MadeKey(key=key, text=text)

    return await once(request, db, str(caller.id), act, status=201)


@post(
    "/keys/{key_id:uuid}/rotation",
    guards=[needs(Scope.keys_write)],
    status_code=201,
    tags=["Keys"],
    summary="Give a key a new text",
    description="The text is in the answer, this once; the one before works on for "
    "`overlap_hours`. Not of a key that may do what this one may not, or works longer (403 "
    "`more_than_own`), nor of one that has ended (409 `key_ended`). With an "
    "Idempotency-Key an answer that got lost is asked for again.",
    responses={201: ResponseSpec(MadeKey, generate_examples=False, description="Made")},
)
async def post_rotation(
    request: Request[Any, Any, Any],
    db: NamedDependency[Db],
    caller: NamedDependency[Caller],
    key_id: FromPath[UUID],
    data: JSONBody[Rotation],
) -> Response[bytes]:
    """Give a key a new text."""

    async def act() -> MadeKey:
        present = await api_key(db, key_id)
        await _check_own(db, caller, present.scopes, present.expires_at)
        if key_id == caller.id and caller.by_previous:
            raise TextReplaced
        overlap = data.overlap_hours * _HOUR
        key, text = await rotate_key(db, caller.actor, key_id, overlap=overlap)
        return MadeKey(key=key, text=text)

    return await once(request, db, str(caller.id), act, status=201)


@post(
    "/keys/{key_id:uuid}/revocation",
    guards=[needs(Scope.keys_write)],
    status_code=200,
    tags=["Keys"],
    summary="Revoke a key",
    description="It is refused from its next request on, with both its texts. A second time "
    "changes nothing.",
)
async def post_revocation(
    db: NamedDependency[Db], caller: NamedDependency[Caller], key_id: FromPath[UUID]
) -> Key:
    """Revoke a key."""
    return await staff.revoke_key(db, caller.actor, key_id)


async def _check_own(
    db: ReadDb, caller: Caller, scopes: Sequence[Scope], ends: datetime | None
) -> None:
    """Refuse to hand out what the key of the request has not itself: a scope, or longer time."""
    own = await api_key(db, caller.id)
    longer = own.expires_at is not None and (ends is None or ends > own.expires_at)
    if longer or not caller.scopes.issuperset(scopes):
        raise MoreThanOwn


handlers = [
    get_key,
    post_key_rotation,
    get_keys,
    get_one_key,
    post_key,
    post_rotation,
    post_revocation,
]
