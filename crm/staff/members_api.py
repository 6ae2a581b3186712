"""Who works here, for programs: listed, invited, given a role, let in no more.

No password passes through here: whoever is invited has no way in until an owner makes her one.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

from litestar import Request, Response, get, post
from litestar.di import NamedDependency
from litestar.openapi.datastructures import ResponseSpec
from litestar.params import FromPath, JSONBody
from msgspec import Struct

from crm import staff
from crm.db import Db, ReadDb
from crm.staff import Caller, Member, NewMember, Role, Scope
from crm.staff.auth import needs
from crm.staff.giving import check_may_give, check_may_take
from crm.staff.passwords import NOBODYS
from crm.staff.second_factor import with_factor
from crm.web.idempotency import once

READ = [needs(Scope.staff_read)]
WRITE = [needs(Scope.staff_write)]
_BODY = 10_000
_TAGS = ["Staff"]
_EXAMPLE = {"name": "Elif Editor", "address": "elif@bakery.example", "role": "editor"}


class Colleague(Struct, frozen=True, kw_only=True):
    """Somebody who works here or did; never what she signs in with."""

    id: UUID
    name: str
    address: str
    role: Role
    created_at: datetime
    # Since when she is let in no more.
    disabled_at: datetime | None
    second_factor: bool
    # Nobody has made her a password yet.
    invited: bool


class NewRole(Struct, kw_only=True, forbid_unknown_fields=True):
    """What somebody is here for."""

    role: Role


class Access(Struct, kw_only=True, forbid_unknown_fields=True):
    """Whether somebody is let in."""

    on: bool


@get(
    "/staff",
    guards=READ,
    tags=_TAGS,
    summary="List who works here",
    description="Their roles, whether they have a second factor, and who is let in no more. Of "
    "what they sign in with nothing is told.",
)
async def get_staff(db: NamedDependency[ReadDb]) -> list[Colleague]:
    """List who works here."""
    return await _told(db, await staff.members(db))


@post(
    "/staff",
    guards=WRITE,
    request_max_body_size=_BODY,
    opt={"example": _EXAMPLE},
    tags=_TAGS,
    summary="Invite somebody",
    description="She is listed at once and has no way in yet: an owner makes her a password for "
    "one use on the staff page and hands it over, so that no key opens the console. A key gives no "
    "role that whoever made the key may not give (403 `more_than_maker`), and makes nobody an "
    "owner (403 `owners_make_owners`). 409 `works_here_already` where the address does. With an "
    "Idempotency-Key a repeated request is answered as the first was.",
    responses={201: ResponseSpec(Colleague, generate_examples=False, description="Invited")},
)
async def post_colleague(
    request: Request[Any, Any, Any],
    db: NamedDependency[Db],
    caller: NamedDependency[Caller],
    data: JSONBody[NewMember],
) -> Response[bytes]:
    """Invite somebody."""

    async def act() -> Colleague:
        await check_may_give(db, caller, data.role)
        added = await staff.invite(db, caller.actor, data, NOBODYS)
        return (await _told(db, [added]))[0]

    return await once(request, db, str(caller.id), act, status=201)


@get("/staff/{member_id:uuid}", guards=READ, tags=_TAGS, summary="Read who somebody is here")
async def get_colleague(db: NamedDependency[ReadDb], member_id: FromPath[UUID]) -> Colleague:
    """Read who somebody is here."""
    return (await _told(db, [await staff.member(db, member_id)]))[0]


@post(
    "/staff/{member_id:uuid}/role",
    guards=WRITE,
    status_code=200,
    request_max_body_size=_BODY,
    opt={"example": {"role": "viewer"}},
    tags=_TAGS,
    summary="Change what somebody may do",
    description="From her next press on. Only roles that whoever made the key may give (403 "
    "`more_than_maker`), and never that of an owner (403 `owners_make_owners`); one owner always "
    "remains (409 `last_owner`). The same role again changes nothing.",
)
async def post_colleague_role(
    db: NamedDependency[Db],
    caller: NamedDependency[Caller],
    member_id: FromPath[UUID],
    data: JSONBody[NewRole],
) -> Colleague:
    """Change what somebody may do."""
    found = await staff.member(db, member_id)
    if found.role is not data.role:
        await check_may_take(db, caller, found.role)
        await check_may_give(db, caller, data.role)
        found = await staff.set_role(db, caller.actor, member_id, data.role)
    return (await _told(db, [found]))[0]


@post(
    "/staff/{member_id:uuid}/access",
    guards=WRITE,
    status_code=200,
    request_max_body_size=_BODY,
    opt={"example": {"on": False}},
    tags=_TAGS,
    summary="Let somebody in no more, or again",
    description="Off: every session of hers ends at once, and her password opens nothing; only "
    "where whoever made the key may do so now (403 `more_than_maker`), and one owner always "
    "remains (409 `last_owner`). On: with the password she had, and only where the key could give "
    "her role (403 `more_than_maker`, `owners_make_owners`). What is so already stays so. Keys "
    "that she made go on: revoke those that are not needed.",
)
async def post_colleague_access(
    db: NamedDependency[Db],
    caller: NamedDependency[Caller],
    member_id: FromPath[UUID],
    data: JSONBody[Access],
) -> Colleague:
    """Let somebody in no more, or again."""
    found = await staff.member(db, member_id)
    if data.on and found.disabled_at is not None:
        await check_may_give(db, caller, found.role)
        found = await staff.enable(db, caller.actor, member_id)
    elif not data.on and found.disabled_at is None:
        await check_may_take(db, caller, found.role)
        found = await staff.disable(db, caller.actor, member_id)
    return (await _told(db, [found]))[0]


async def _told(db: ReadDb, members: list[Member]) -> list[Colleague]:
    safer, invited = await with_factor(db), await staff.invited(db)
    return [
        Colleague(
            id=each.id,
            name=each.name,
            address=each.address,
            role=each.role,
            created_at=each.created_at,
            disabled_at=each.disabled_at,
            second_factor=each.id in safer,
            invited=each.id in invited,
        )
        for each in members
    ]


handlers = [get_staff, post_colleague, get_colleague, post_colleague_role, post_colleague_access]
