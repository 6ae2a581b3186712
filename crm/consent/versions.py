"""What is done with a purpose once it is in use: it gets another version, or is retired."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from uuid import UUID

from msgspec import Struct

from crm import businesses, events
from crm.businesses import Business
from crm.consent import changes
from crm.consent.grounds import check_accepts
from crm.consent.model import (
    NewNotice,
    Purpose,
    PurposeRetired,
    TextMissing,
    Version,
    VersionMoved,
)
from crm.consent.purposes import add_version, publish_notice, purpose, version
from crm.consent.terms import Terms, check_terms
from crm.db import Db, ReadDb, Statements
from crm.events import Actor, Kind

sql = Statements("consent")

# For how long consents to the version before go on, unless staff say otherwise.
GRACE = timedelta(days=60)


class Consequences(Struct, frozen=True, kw_only=True):
    """What publishing would mean, said before it happens."""

    # The version that it would replace: publishing names it, so that what was looked at is done.
    replaces: int
    changed: list[str]
    # What whoever agreed before did not agree to; where there is any, consents become stale.
    substance: list[str]
    standing: int


class NewVersion(Struct, frozen=True, kw_only=True):
    """The next version of a purpose, and the texts to ask with from then on."""

    terms: Terms
    notices: Sequence[NewNotice]
    replaces: int
    # Staff say that the words alone change what customers agreed to.
    is_substance: bool = False
    grace: timedelta = GRACE


async def versions(db: ReadDb, purpose_id: UUID) -> list[Version]:
    """Return every version of a purpose, the newest first."""
    return await db.many(sql.versions, Version, purpose_id=purpose_id)


async def consequences(db: ReadDb, purpose_id: UUID, terms: Terms) -> Consequences:
    """Say what publishing these terms would change, and how many consents it would touch."""
    present = await purpose(db, purpose_id)
    before = (await version(db, purpose_id, present.version)).entered
    return Consequences(
        replaces=present.version,
        changed=changes.changed(before, terms),
        substance=changes.substance(before, terms),
        standing=await db.total(sql.standing_on, purpose_id=purpose_id),
    )


async def publish_version(db: Db, by: Actor, purpose_id: UUID, new: NewVersion) -> Purpose:
    """Publish the next version with its texts; earlier ones stay as they are, for ever.

    Where the substance changes, consents to earlier versions are stale from now and end after the
    grace time, unless renewed. Refused: VersionMoved where another was published meanwhile,
    PurposeRetired, BadTerms, WeakEvidence, TextMissing where nobody could be asked in the
    business's language.
    """
    business = await businesses.get(db)
    _check(new, business)
    present = await db.maybe(sql.purpose_locked, Purpose, purpose_id=purpose_id)
    if present is None or present.version != new.replaces:
        raise VersionMoved
    if present.retired_at is not None:
        raise PurposeRetired
    before = (await version(db, purpose_id, present.version)).entered
    stale = new.is_substance or bool(changes.substance(before, new.terms))
    if stale and business.locale not in {each.locale for each in new.notices}:
        raise TextMissing
    number = present.version + 1
    await add_version(db, by, purpose_id, number, new.terms)
    own = new.terms.wording.get(business.locale) or next(iter(new.terms.wording.values()))
    if stale:
        await _make_stale(db, purpose_id, number, db.now + new.grace)
    moved = await db.one(
        sql.move_purpose,
        Purpose,
        purpose_id=purpose_id,
        version=number,
        name=own.name,
        description=own.description,
        channel=new.terms.channel,
        double_opt_in=new.terms.double_opt_in,
        basis=new.terms.basis,
        special_category=new.terms.special_category,
    )
    for notice in new.notices:
        await publish_notice(db, by, purpose_id, notice)
    await events.record(db, by, Kind.purpose_changed, ref=purpose_id, reason=f"version {number}")
    return moved


def _check(new: NewVersion, business: Business) -> None:
    """Refuse before anything is written: a page that shows the refusal keeps what was."""
    check_terms(new.terms, soft_opt_in=business.soft_opt_in)
    for notice in new.notices:
        check_accepts(notice.accepts, double_opt_in=new.terms.double_opt_in)


async def retire(db: Db, by: Actor, purpose_id: UUID) -> Purpose:
    """Take a purpose out of use: from now on nobody is asked or mailed for it, and consents end.

    Each customer's consent is recorded as revoked soon after, by a job. Again is refused with
    PurposeRetired.
    """
    retired = await db.maybe(sql.retire_purpose, Purpose, purpose_id=purpose_id)
    if retired is None:
        await purpose(db, purpose_id)
        raise PurposeRetired
    await db.run(sql.end_versions, purpose_id=purpose_id)
    await events.record(db, by, Kind.purpose_changed, ref=purpose_id, reason="retired")
    return retired


async def _make_stale(db: Db, purpose_id: UUID, number: int, ends_at: datetime) -> None:
    await db.run(sql.make_stale, purpose_id=purpose_id, version=number, ends_at=ends_at)
