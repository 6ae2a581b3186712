"""What is done with a second factor: set up, proved, used, taken away, insisted on.

What proves it is asked for after the password, tries are counted, and no code opens twice.
"""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from crm import events
from crm.businesses import Business
from crm.db import Db, ReadDb
from crm.events import Actor, Kind
from crm.staff import factor
from crm.staff.actions import hold, member, sql
from crm.staff.factor import BEGUN_LASTS, RECOVERY_CODES, Begun, Factor, HasFactor, WrongFactor
from crm.staff.model import Credentials, Member


async def factor_of(db: ReadDb, member_id: UUID) -> Factor | None:
    """Return what a member has of a second factor."""
    return await db.maybe(sql.second_factor, Factor, member_id=member_id)


async def begin(db: Db, who: Member, business: Business) -> Begun:
    """Make a secret and show it; it counts once a code of it was typed. HasFactor if one does."""
    letters = factor.new_letters()
    kept = db.keys.encrypt(db.business_id, _label(who.id), letters.encode())
    if await db.maybe(sql.begin_second_factor, UUID, member_id=who.id, secret=kept) is None:
        raise HasFactor
    return factor.shown(letters, who.address, business.name)


def shown_again(db: ReadDb, who: Member, business: Business, begun: Factor) -> Begun:
    """Show the secret that was begun once more, after a code that was wrong."""
    return factor.shown(_letters_of(db, who.id, begun.secret), who.address, business.name)


async def confirm(db: Db, who: Member, code: str) -> list[str]:
    """Take the secret that was begun, by a code of it; return the codes for a lost telephone.

    They can be read here and never again. Every other session is the caller's to end.
    """
    # Nobody signs in by the password alone meanwhile: that session would be ended by nobody.
    await hold(db, who.id)
    begun = await factor_of(db, who.id)
    if begun is None or begun.confirmed_at or begun.begun_at < db.now - BEGUN_LASTS:
        raise WrongFactor
    step = factor.step_of(_letters_of(db, who.id, begun.secret), code, db.now)
    if step is None:
        raise WrongFactor
    codes = [factor.recovery_code() for _ in range(RECOVERY_CODES)]
    hashes = [factor.recovery_hash(each) for each in codes]
    confirmed = await db.run(
        sql.confirm_second_factor,
        member_id=who.id,
        step=step,
        recovery=hashes,
        secret=begun.secret,
    )
    if not confirmed:
        raise WrongFactor
    await _say(db, who.actor, who.id, "second factor set up")
    return codes


async def use_code(db: Db, checked: Credentials, code: str) -> bool:
    """Use up a code of the telephone or one for its loss, or refuse with WrongFactor.

    The caller has counted this try. True says that it was one for the loss.
    """
    assert checked.secret is not None  # noqa: S101  (asked for of those only who have one)
    await hold(db, checked.id)
    step = factor.step_of(_letters_of(db, checked.id, checked.secret), code, db.now)
    if step is not None:
        if not await db.run(sql.use_step, member_id=checked.id, step=step):
            raise WrongFactor
        return False
    code_hash = factor.recovery_hash(code)
    if not await db.run(sql.use_recovery, member_id=checked.id, code_hash=code_hash):
        raise WrongFactor
    who = await member(db, checked.id)
    await _say(db, who.actor, checked.id, "a code for a lost telephone was used")
    return True


async def drop(db: Db, by: Actor, member_id: UUID) -> bool:
    """Take a second factor away, because it is lost or its owner wants another; sessions end.

    False says that there was none.
    """
    await hold(db, member_id)
    if not await db.run(sql.drop_second_factor, member_id=member_id):
        return False
    await db.run(sql.close_sessions, member_id=member_id, but=None)
    await _say(db, by, member_id, "second factor removed")
    return True


async def insisting(db: ReadDb) -> bool:
    """Say whether nobody may work here without a second factor."""
    return await db.maybe(sql.factor_rule, datetime) is not None


async def insist(db: Db, by: Actor, *, on: bool) -> None:
    """Insist on a second factor for everybody who works here, from the next press on, or stop."""
    if await db.run(sql.insist_on_factor if on else sql.leave_factor_open):
        reason = "a second factor is " + ("needed" if on else "not needed any more")
        await events.record(db, by, Kind.member_changed, reason=reason)


async def with_factor(db: ReadDb) -> set[UUID]:
    """Return who has a second factor."""
    return set(await db.many(sql.members_with_factor, UUID))


def _letters_of(db: ReadDb, member_id: UUID, kept: bytes) -> str:
    return db.keys.decrypt(db.business_id, _label(member_id), kept).decode()


def _label(member_id: UUID) -> str:
    return f"second-factor/{member_id}"


async def _say(db: Db, by: Actor, member_id: UUID, reason: str) -> None:
    await events.record(db, by, Kind.member_changed, ref=member_id, reason=reason)
