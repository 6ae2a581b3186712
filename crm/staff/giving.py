"""What a key may give to somebody who works here, or take: no more than whoever made the key."""

from __future__ import annotations

from crm.db import ReadDb
from crm.staff.actions import sql
from crm.staff.model import RIGHTS, Caller, MoreThanMaker, OwnersMakeOwners, Right, Role


async def check_may_give(db: ReadDb, by: Caller, role: Role) -> None:
    """Refuse a role that the maker of the key could not give now: MoreThanMaker.

    Nor is anybody made an owner by a key: that asks an owner for her own password.
    """
    if role is Role.owner:
        raise OwnersMakeOwners
    await check_may_take(db, by, role)


async def check_may_take(db: ReadDb, by: Caller, role: Role) -> None:
    """Refuse to let out whoever has a role that the maker of the key could not: MoreThanMaker.

    An owner is let out only where an owner stands behind the key.
    """
    maker = await db.maybe(sql.role_behind_key, Role, key_id=by.id)
    if maker is None or not RIGHTS[maker] >= RIGHTS[role] | {Right.manage_staff}:
        raise MoreThanMaker
