"""What is done with purposes and their notices."""

from __future__ import annotations

from uuid import UUID

import msgspec

from crm import businesses, events, ledger
from crm.consent.grounds import WITHOUT_MAILBOX, check_accepts
from crm.consent.model import (
    NewNotice,
    NoNotice,
    Notice,
    Purpose,
    PurposeRetired,
    SlugNeedsNoConsent,
    SlugTaken,
    UnknownNotice,
    UnknownPurpose,
    Version,
    digest,
)
from crm.consent.particulars import particulars
from crm.consent.terms import NewPurpose, Terms, canonical, check_terms
from crm.consent.terms import digest as sha256
from crm.db import Db, ReadDb, Statements
from crm.events import Actor, ActorKind, Kind
from crm.ids import opaque
from crm.ledger import KeyKind

sql = Statements("consent")


async def add_purpose(db: Db, by: Actor, new: NewPurpose) -> Purpose:
    """Add a purpose in its first version; it asks nobody anything until a notice is published.

    Refuses a short name that another purpose has (SlugTaken), or that service messages are for
    (SlugNeedsNoConsent).
    """
    business = await businesses.get(db)
    terms = new.terms(business.locale)
    check_terms(terms, soft_opt_in=business.soft_opt_in)
    await hold_names(db)
    if await db.one(sql.serves, bool, slug=new.slug):
        raise SlugNeedsNoConsent
    purpose = await db.maybe(
        sql.add_purpose,
        Purpose,
        purpose_id=opaque(),
        slug=new.slug,
        name=new.name,
        description=new.description,
        channel=terms.channel,
        double_opt_in=terms.double_opt_in,
        basis=terms.basis,
        special_category=terms.special_category,
    )
    if purpose is None:
        raise SlugTaken
    # Whoever is asked can have a receipt at once; a page that only reads makes no key.
    await ledger.ensure_key(db, KeyKind.receipt, business.host)
    await add_version(db, by, purpose.id, 1, terms)
    await events.record(db, by, Kind.purpose_added, ref=purpose.id)
    return purpose


async def hold_names(db: Db) -> None:
    """Have whoever gives a purpose of this business a name wait until this transaction ends."""
    await db.run(sql.hold_purposes)


async def version(db: ReadDb, purpose_id: UUID, number: int) -> Version:
    """Return one version of a purpose, or refuse with UnknownPurpose."""
    found = await db.maybe(sql.version, Version, purpose_id=purpose_id, version=number)
    if found is None:
        raise UnknownPurpose
    return found


async def purposes(db: ReadDb) -> list[Purpose]:
    """Return the purposes in use, in the order in which they were added."""
    return await db.many(sql.purposes, Purpose)


async def purposes_for(db: ReadDb, customer_id: UUID) -> list[Purpose]:
    """Return the purposes in use, and the retired ones that this customer was asked about."""
    return await db.many(sql.purposes_for, Purpose, customer_id=customer_id)


async def purpose(db: ReadDb, purpose_id: UUID) -> Purpose:
    """Return one purpose, or refuse with UnknownPurpose."""
    return _known(await db.maybe(sql.purpose, Purpose, purpose_id=purpose_id))


async def purpose_by_slug(db: ReadDb, slug: str) -> Purpose:
    """Return the purpose of this short name, or refuse with UnknownPurpose."""
    return _known(await db.maybe(sql.purpose_by_slug, Purpose, slug=slug))


async def purpose_named(db: ReadDb, named: str) -> UUID:
    """Return which purpose its id or its short name means; UnknownPurpose for no such short name.

    Of an id it is not said whether there is such a purpose.
    """
    try:
        return UUID(named)
    except ValueError:
        return (await purpose_by_slug(db, named)).id


async def purpose_by_code(db: ReadDb, code: int) -> Purpose | None:
    """Return the purpose a link names, or None if it is gone."""
    return await db.maybe(sql.purpose_by_code, Purpose, code=code)


async def current_versions(db: ReadDb) -> dict[UUID, Version]:
    """Return for each purpose in use the version that holds now."""
    found = await db.many(sql.current_versions, Version)
    return {each.purpose_id: each for each in found}


async def keep_form(db: Db, locale: str, text: str) -> bytes:
    """Keep a form as it was shown, once, by the SHA-256 of its words; return that."""
    content = sha256(text.encode())
    await db.run(sql.keep_form, sha256=content, locale=locale, text=text)
    return content


def narrowed(notice: Notice, purpose: Purpose) -> Notice:
    """Leave out of what a text accepts the evidence that its purpose accepts no more."""
    if not purpose.double_opt_in:
        return notice
    return msgspec.structs.replace(notice, accepts=notice.accepts - WITHOUT_MAILBOX)


async def publish_notice(db: Db, by: Actor, purpose_id: UUID, new: NewNotice) -> Notice:
    """Publish the next version of a purpose's text in one language; earlier ones stay as shown.

    What Art. 13 GDPR asks to be said is written from the terms where it is not given. Refuses with
    WeakEvidence what would get round the confirmation that the purpose asks for.
    """
    asked = _known(await db.maybe(sql.purpose_locked, Purpose, purpose_id=purpose_id))
    if asked.retired_at is not None:
        raise PurposeRetired
    check_accepts(new.accepts, double_opt_in=asked.double_opt_in)
    said = new.particulars or await _particulars(db, asked, new.locale)
    notice = await db.one(
        sql.publish_notice,
        Notice,
        notice_id=opaque(),
        purpose_id=purpose_id,
        locale=new.locale,
        text=new.text,
        particulars=said,
        control_label=new.control_label,
        sha256=digest(new.text, said, new.control_label),
        accepts=sorted(set(new.accepts)),
    )
    await events.record(db, by, Kind.notice_published, ref=notice.id)
    return notice


async def notice(db: ReadDb, notice_id: UUID) -> Notice:
    """Return one notice exactly as it was shown, or refuse with UnknownNotice."""
    found = await db.maybe(sql.notice, Notice, notice_id=notice_id)
    if found is None:
        raise UnknownNotice
    return found


async def notices(db: ReadDb, purpose_id: UUID) -> list[Notice]:
    """Return every version of a purpose's text, newest first."""
    return await db.many(sql.notices_of_purpose, Notice, purpose_id=purpose_id)


async def current_notices(db: ReadDb, locale: str) -> dict[UUID, Notice]:
    """Return for each purpose the text `current_notice` would; one never published has none."""
    return {each.purpose_id: each for each in await _current(db, locale)}


async def notices_shown_to(db: ReadDb, customer_id: UUID) -> list[Notice]:
    """Return every text that a decision of this customer rests on, oldest first."""
    return await db.many(sql.notices_shown_to, Notice, customer_id=customer_id)


async def current_notice(db: ReadDb, purpose_id: UUID, locale: str) -> Notice:
    """Return the newest text in this language, or the business's, or in any; NoNotice if none is.

    It is the one that a page shows which is drawn from `current_notices`.
    """
    found = await _current(db, locale, purpose_id)
    if not found:
        raise NoNotice
    return found[0]


async def add_version(db: Db, by: Actor, purpose_id: UUID, number: int, terms: Terms) -> Version:
    """Keep a version of a purpose, for ever as it is."""
    written = canonical(terms)
    return await db.one(
        sql.add_version,
        Version,
        purpose_id=purpose_id,
        version=number,
        basis=terms.basis,
        special_category=terms.special_category,
        validity=terms.validity,
        terms=written,
        sha256=sha256(written),
        published_by=by.id if by.kind is ActorKind.member else None,
    )


async def _current(db: ReadDb, locale: str, purpose_id: UUID | None = None) -> list[Notice]:
    language = locale.split("-", maxsplit=1)[0]
    return await db.many(
        sql.current_notices, Notice, locale=locale, language=language, purpose_id=purpose_id
    )


async def _particulars(db: ReadDb, asked: Purpose, locale: str) -> str:
    terms = (await version(db, asked.id, asked.version)).entered
    return particulars(terms, await businesses.get(db), locale)


def _known(found: Purpose | None) -> Purpose:
    if found is None:
        raise UnknownPurpose
    return found
