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
    NothingNew,
    Notice,
    Purpose,
    PurposeRetired,
    TextMissing,
    Version,
    VersionMoved,
)
from crm.consent.particulars import particulars
from crm.consent.purposes import add_version, notices, publish_notice, purpose, version
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


async def anything_new(db: ReadDb, purpose_id: UUID, new: NewVersion) -> bool:
    """Say whether publishing would change anything; to ask everybody anew does.

    So does a text that differs in what the law has it say besides, which the business's own
    details are in, and one that is in use from an earlier version.
    """
    present = await purpose(db, purpose_id)
    before = (await version(db, purpose_id, present.version)).entered
    if new.is_substance or before != new.terms:
        return True
    business = await businesses.get(db)
    in_use = {
        (each.locale, each.text, each.control_label, each.particulars, each.accepts)
        for each in await _in_use(db, present)
    }
    asked = {
        (
            each.locale,
            each.text,
            each.control_label,
            each.particulars or particulars(new.terms, business, each.locale),
            frozenset(each.accepts),
        )
        for each in new.notices
    }
    return bool(asked) and asked != in_use


async def publish_version(db: Db, by: Actor, purpose_id: UUID, new: NewVersion) -> Purpose:
    """Publish the next version with its texts; earlier ones stay as they are, for ever.

    Where the substance changes, consents to earlier versions are stale from now and end after the
    grace time, unless renewed. Refused: VersionMoved where another was published meanwhile,
    PurposeRetired, BadTerms, WeakEvidence, NothingNew, TextMissing where nobody could be asked in
    the business's language.
    """
    business = await businesses.get(db)
    _check(new, business)
    present = await _replaced(db, purpose_id, new)
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


async def _replaced(db: Db, purpose_id: UUID, new: NewVersion) -> Purpose:
    """Hold the purpose as it was looked at, if something is to be published for it."""
    present = await db.maybe(sql.purpose_locked, Purpose, purpose_id=purpose_id)
    if present is None or present.version != new.replaces:
        raise VersionMoved
    if present.retired_at is not None:
        raise PurposeRetired
    if not await anything_new(db, purpose_id, new):
        raise NothingNew
    return present


async def _in_use(db: ReadDb, present: Purpose) -> list[Notice]:
    """Return the newest text of each language, of those that belong to the present version."""
    newest: dict[str, Notice] = {}
    for each in await notices(db, present.id):
        newest.setdefault(each.locale, each)
    return [each for each in newest.values() if each.purpose_version == present.version]


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
