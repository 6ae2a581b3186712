"""What is done with staff: they are invited, given a role, disabled, and say why they look."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

import msgspec
from msgspec import Struct

from crm import businesses, events, journal
from crm.db import Db, ReadDb, Statements
from crm.errors import Invalid, NotFound
from crm.events import Actor, Kind
from crm.ids import opaque
from crm.staff import passwords
from crm.staff.model import (
    REASON_COUNTS,
    LastOwner,
    Member,
    NewMember,
    OwnerExists,
    Role,
    WorksHereAlready,
    WrongPassword,
    checked_reason,
    folded,
)
from crm.staff.passwords import STRONG, Cost

sql = Statements("staff")


class Said(Struct, frozen=True):
    """A reason a member gave for opening a customer's record, and until when it counts."""

    reason: str
    expires_at: datetime


async def members(db: ReadDb) -> list[Member]:
    """List everybody who works here or did."""
    return await db.many(sql.members, Member)


async def member(db: ReadDb, member_id: UUID) -> Member:
    """Return one member."""
    return await db.one(sql.member, Member, member_id=member_id)


async def invited(db: ReadDb) -> set[UUID]:
    """Return who was invited and has no password yet, so no way in."""
    return set(await db.many(sql.invited_members, UUID))


async def add_first_owner(
    db: Db, name: str, address: str, password: str, *, cost: Cost = STRONG
) -> Member:
    """Add the owner who invites all others; the operator's command, refused once there is one."""
    if await db.many(sql.active_owners_locked, UUID):
        raise OwnerExists
    prepared = passwords.checked(password, address, await businesses.get(db))
    kept = await passwords.hashed(prepared, cost=cost)
    try:
        new = msgspec.convert(
            {"name": name, "address": address.strip(), "role": "owner"}, NewMember
        )
    except msgspec.ValidationError:
        message = "The owner needs a name, and an address such as olga@bakery.example."
        raise Invalid(message) from None
    return await invite(db, Actor.system(), new, kept)


async def invite(db: Db, by: Actor, new: NewMember, password_hash: str) -> Member:
    """Add a member with a hash made by `passwords.hashed`, or that of nobody's password.

    One address works here once.
    """
    added = await db.maybe(
        sql.add_member,
        Member,
        member_id=opaque(),
        address=new.address.strip(),
        folded=folded(new.address),
        name=new.name,
        role=new.role,
        password_hash=password_hash,
    )
    if added is None:
        raise WorksHereAlready
    await events.record(db, by, Kind.member_invited, ref=added.id, reason=f"as {added.role}")
    return added


async def set_role(db: Db, by: Actor, member_id: UUID, role: Role) -> Member:
    """Change what a member may do, from her next request on; one owner always remains."""
    if role is not Role.owner:
        await _spare_last_owner(db, member_id)
    changed = await db.one(sql.set_role, Member, member_id=member_id, role=role)
    await events.record(db, by, Kind.member_changed, ref=member_id, reason=f"now {role}")
    return changed


async def hold(db: Db, member_id: UUID) -> None:
    """Let nobody open a session of a member, or end all of hers, before this transaction ends.

    Her row before her second factor and her sessions: then two who work on her wait in one order.
    """
    await db.maybe(sql.hold_member, UUID, member_id=member_id)


async def disable(db: Db, by: Actor, member_id: UUID) -> Member:
    """End a member's access and every session at once; one owner always remains."""
    await _spare_last_owner(db, member_id)
    disabled = await db.one(sql.disable_member, Member, member_id=member_id)
    await db.run(sql.close_sessions, member_id=member_id, but=None)
    db.note(journal.Revoked("member", member_id))
    await events.record(db, by, Kind.member_changed, ref=member_id, reason="disabled")
    return disabled


async def enable(db: Db, by: Actor, member_id: UUID) -> Member:
    """Let a disabled member sign in again, with the password she had."""
    enabled = await db.one(sql.enable_member, Member, member_id=member_id)
    db.note(journal.Readmitted(member_id))
    await events.record(db, by, Kind.member_changed, ref=member_id, reason="enabled")
    return enabled


async def reset_password(db: Db, by: Actor, member_id: UUID, password_hash: str) -> None:
    """Put a password for one use in place of a forgotten one, and end every session."""
    if not await db.run(sql.set_password, member_id=member_id, password_hash=password_hash):
        raise NotFound
    await db.run(sql.close_sessions, member_id=member_id, but=None)
    await events.record(db, by, Kind.member_changed, ref=member_id, reason="password reset")


async def change_password(db: Db, member_id: UUID, password_hash: str, *, checked: str) -> None:
    """Replace the password whose hash was `checked`, and end every session.

    Refused where it is not that one any more: somebody was faster.
    """
    done = await db.run(
        sql.replace_password, member_id=member_id, password_hash=password_hash, checked=checked
    )
    if not done:
        raise WrongPassword
    await db.run(sql.close_sessions, member_id=member_id, but=None)
    who = await member(db, member_id)
    await events.record(
        db, who.actor, Kind.member_changed, ref=member_id, reason="password changed"
    )


async def reason_for(db: ReadDb, who: Member, customer_id: UUID) -> str | None:
    """Return why this member opens the customer's record, if she said so a short while ago."""
    return await db.maybe(sql.reason_for, str, member_id=who.id, customer_id=customer_id)


async def give_reason(db: Db, who: Member, customer_id: UUID, reason: str) -> None:
    """Keep why this member opens the customer's record; it counts for a quarter of an hour."""
    await db.run(
        sql.give_reason,
        member_id=who.id,
        customer_id=customer_id,
        reason=checked_reason(reason),
        expires_at=db.now + REASON_COUNTS,
    )


async def export(db: ReadDb, customer_id: UUID) -> list[Said]:
    """Return the reasons that count at this moment; all earlier ones are in the events."""
    return await db.many(sql.reasons_about, Said, customer_id=customer_id)


async def forget(db: Db, customer_id: UUID) -> dict[str, int]:
    """Delete what staff have said about an erased customer; return how many rows of which table."""
    return {"look_reason": await db.run(sql.forget_reasons, customer_id=customer_id)}


async def forget_address(db: Db, address_hash: bytes, until: datetime | None) -> dict[str, int]:
    """Delete the counts of tries for an erased address, and of mails to it, that began by then."""
    gone = await db.run(sql.forget_attempts, address_hash=address_hash, until=until)
    return {"attempt": gone}


async def _spare_last_owner(db: Db, member_id: UUID) -> None:
    owners = await db.many(sql.active_owners_locked, UUID)
    if owners == [member_id]:
        raise LastOwner
