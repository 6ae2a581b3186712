"""What is done with customers: they are added, changed, found, exported and forgotten."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from uuid import UUID

import asyncpg
from msgspec import UNSET

from crm import events
from crm.customers.address import NotAnAddress, fold, parse
from crm.customers.attributes import values
from crm.customers.interactions import happenings, interactions, kinds
from crm.customers.language import language
from crm.customers.model import (
    AddressTaken,
    Arrival,
    Changes,
    Customer,
    Derived,
    Erasable,
    Export,
    ExternalId,
    ExternalIdTaken,
    Fill,
    Forgotten,
    Held,
    Known,
    Locale,
    Name,
    NewCustomer,
    Place,
    Sought,
    Source,
    Stale,
    UnknownCustomer,
    Wanted,
    changed,
    zone,
)
from crm.customers.tags import tags_of
from crm.customers.text import cleaned, named
from crm.db import Db, ReadDb, Statements
from crm.errors import Invalid
from crm.events import Actor, Kind
from crm.ids import opaque
from crm.journal import Restricted
from crm.pieces import Piece
from crm.staff import BeingErased

sql = Statements("customers")

_LATEST = datetime(9999, 1, 1, tzinfo=UTC)
_LAST = UUID(int=2**128 - 1)
# The highest code point: above every address that begins with the prefix before it.
_HIGHEST = "\U0010ffff"


async def add(
    db: Db, by: Actor, new: NewCustomer, *, source: Source, customer_id: UUID | None = None
) -> Customer:
    """Add a customer, to whom nothing may be sent yet; AddressTaken if there is one already."""
    try:
        address = parse(new.address)
    except NotAnAddress as wrong:
        raise named(wrong, "address") from None
    external_id = cleaned(new.external_id or "", "external_id", ExternalId) or None
    customer = await db.maybe(
        sql.add_customer,
        Customer,
        customer_id=customer_id or opaque(),
        address=address.display,
        folded=address.folded,
        address_hash=db.keys.address_hash(db.business_id, address.folded),
        name=cleaned(new.name, "name", Name),
        locale=cleaned(new.locale, "locale", Locale),
        time_zone=zone(new.time_zone),
        external_id=external_id,
        source=source,
        **events.told(by, Kind.customer_added),
    )
    if customer is None:
        if await db.maybe(sql.customer_by_folded, Customer, folded=address.folded) is None:
            raise named(ExternalIdTaken(), "external_id")
        raise named(AddressTaken(), "address")
    return customer


async def change(
    db: Db, by: Actor, customer_id: UUID, changes: Changes, *, expected: int | None = None
) -> Customer:
    """Change name, locale, time zone or external id, of exactly the version `expected` if given.

    Refuses a new address (NotChangeable) and a version no longer current (Stale); what changes
    nothing makes no new version. It waits for an import that is at her only where that fills in
    what she lacked, or where the external id changes.
    """
    held = sql.customer_kept if changes.external_id is UNSET else sql.customer_locked
    customer = _known(await db.maybe(held, Customer, customer_id=customer_id))
    if expected is not None and customer.version != expected:
        raise Stale
    return await change_held(db, by, customer, changes)


async def change_held(db: Db, by: Actor, customer: Customer, changes: Changes) -> Customer:
    """Change a customer whose row this transaction holds, as `change` does."""
    name, locale, time_zone, external_id = changed(customer, changes)
    held = (customer.name, customer.locale, customer.time_zone, customer.external_id)
    if (name, locale, time_zone, external_id) == held:
        return customer
    if external_id is not None and external_id != customer.external_id:
        await _check_external_id(db, external_id)
    try:
        return await db.one(
            sql.change_customer,
            Customer,
            customer_id=customer.id,
            name=name,
            locale=locale,
            time_zone=time_zone,
            external_id=external_id,
            **events.told(by, Kind.customer_changed),
        )
    except asyncpg.UniqueViolationError:
        # UPDATE has no ON CONFLICT: somebody took the id between the look and here.
        raise named(ExternalIdTaken(), "external_id") from None


async def get(db: ReadDb, customer_id: UUID) -> Customer:
    """Return one living customer, or refuse with UnknownCustomer, also where she is erased."""
    return _known(await db.maybe(sql.customer, Customer, customer_id=customer_id))


async def hold(db: Db, customer_id: UUID) -> Customer | None:
    """Let nobody else change or erase a customer before this transaction ends; None once erased.

    Hold her row before a row that hangs on it, as an erasure does: then two who work on her wait in
    one order.
    """
    return await db.maybe(sql.customer_locked, Customer, customer_id=customer_id)


async def check_stays(db: ReadDb, customer_id: UUID) -> None:
    """Refuse with BeingErased while a customer waits for her erasure: no program reads her."""
    if await db.one(sql.waits_for_erasure, bool, customer_id=customer_id):
        raise BeingErased


async def of_ids(db: ReadDb, customer_ids: Sequence[UUID]) -> dict[UUID, Customer]:
    """Return those of these customers that exist, erased ones as tombstones without address."""
    found = await db.many(sql.customers_by_ids, Customer, customer_ids=list(customer_ids))
    return {customer.id: customer for customer in found}


async def by_address(db: ReadDb, text: str) -> Customer | None:
    """Return whose address this is, compared by rule; refuses what is no address."""
    return await db.maybe(sql.customer_by_folded, Customer, folded=fold(text))


async def by_hash(db: ReadDb, address_hash: bytes) -> Customer | None:
    """Return whose address has this fingerprint, or None: unknown, erased, or never a customer."""
    return await db.maybe(sql.customer_by_address_hash, Customer, address_hash=address_hash)


async def by_external_id(db: ReadDb, external_id: str) -> Customer | None:
    """Return who is called this in the business's own systems."""
    return await db.maybe(sql.customer_by_external_id, Customer, external_id=external_id)


async def search(db: ReadDb, wanted: Wanted) -> list[Customer]:
    """Return the one customer of exactly this address or external id, or nobody."""
    if (wanted.address is None) == (wanted.external_id is None):
        raise Invalid("Give either an address or an external id.")
    if wanted.external_id is not None:
        found = await by_external_id(db, wanted.external_id)
    else:
        try:
            found = await by_address(db, wanted.address or "")
        except NotAnAddress as wrong:
            raise named(wrong, "address") from None
    return [] if found is None else [found]


async def find(db: ReadDb, text: str, *, limit: int = 50) -> list[Customer]:
    """Return customers by the beginning of an address or of a name, or by their external id.

    The exact external id comes first, then addresses, then names; at most `limit` of all.
    """
    words = cleaned(text, "text", Sought)
    if not words:
        return []
    exact = await by_external_id(db, words)
    try:
        low = fold(words)
    except NotAnAddress:
        low = words.lower()
    found = [] if exact is None else [exact]
    found += await db.many(
        sql.customers_by_prefix, Customer, low=low, high=low + _HIGHEST, limit=limit
    )
    if len(found) < limit and "@" not in words:
        found += await db.many(sql.customers_by_name, Customer, word=words, limit=limit)
    return list({customer.id: customer for customer in found}.values())[:limit]


async def page(db: ReadDb, *, after: Place | None = None, limit: int = 50) -> list[Customer]:
    """Return living customers, the newest first, beginning after this place."""
    return await db.many(
        sql.customers_before,
        Customer,
        created_at=after.created_at if after else _LATEST,
        customer_id=after.id if after else _LAST,
        limit=limit,
    )


async def restrict(db: Db, by: Actor, customer_id: UUID) -> Customer:
    """Freeze a customer: kept, and used for nothing (Art. 18 GDPR); again changes nothing."""
    customer = await _locked(db, customer_id)
    if customer.restricted_at is not None:
        return customer
    return await _restricted(db, by, customer_id, db.now)


async def unrestrict(db: Db, by: Actor, customer_id: UUID) -> Customer:
    """Free a customer's data again; again changes nothing.

    Refuses with BeingErased while she waits for her erasure, which she alone calls off.
    """
    customer = await _locked(db, customer_id)
    if customer.restricted_at is None:
        return customer
    await check_stays(db, customer_id)
    return await _restricted(db, by, customer_id, None)


async def add_many(
    db: Db, arrivals: Sequence[Arrival], *, source: Source, import_id: UUID | None = None
) -> list[UUID]:
    """Add those whose address and external id are new, in one statement; return their ids in order.

    The caller records one event for all of them. An address twice among them is added once.
    """
    keys, business_id = db.keys, db.business_id
    ids = [each.external_id for each in arrivals]
    numbered = {"external_ids": ids} if any(ids) else {}
    return await db.many(
        sql.add_customers_with_ids if numbered else sql.add_customers,
        UUID,
        customer_ids=[each.id or opaque() for each in arrivals],
        addresses=[each.address.display for each in arrivals],
        folded=[each.address.folded for each in arrivals],
        address_hashes=[
            each.address_hash or keys.address_hash(business_id, each.address.folded)
            for each in arrivals
        ],
        names=[each.name for each in arrivals],
        locales=[each.locale for each in arrivals],
        time_zones=[each.time_zone for each in arrivals],
        source=source,
        import_id=import_id,
        **numbered,
    )


async def known_by_folded(db: ReadDb, folded: Sequence[str]) -> dict[str, Known]:
    """Return those of these folded addresses that belong to somebody, in one look."""
    found = await db.many(sql.known_customers, Known, folded=list(folded))
    return {known.folded: known for known in found}


async def external_ids_among(db: ReadDb, external_ids: Sequence[str]) -> set[str]:
    """Return which of these external ids somebody has."""
    return set(await db.many(sql.external_ids_held, str, external_ids=list(external_ids)))


async def fill_many(db: Db, fills: Sequence[Fill]) -> int:
    """Fill what is empty; what somebody entered stays. Returns how many changed.

    Refuses all of it with ExternalIdTaken where somebody else has one of the external ids.
    """
    if not any(fill.external_id for fill in fills):
        return await _fill(db, fills)
    async with db.together():
        try:
            return await _fill(db, fills)
        except asyncpg.UniqueViolationError:
            raise ExternalIdTaken from None


async def held(db: ReadDb, customer: Customer, *, newest: int = 10) -> Held:
    """Return what the customer's own page shows of her, with the newest interactions."""
    happened = await interactions(db, customer.id, limit=newest + 1, for_her=True)
    counts = await happenings(db, customer.id)
    return Held(
        customer=customer,
        language=language(customer.locale) if customer.locale else "",
        attributes=await values(db, customer.id),
        tags=await tags_of(db, customer.id),
        interactions=happened[:newest],
        more=len(happened) > newest,
        counts=counts,
        kinds=[each for each in await kinds(db) if each.name in counts],
    )


async def export(db: ReadDb, customer_id: UUID) -> Export:
    """Return everything that this domain holds of one customer but what happened (promise 9)."""
    return Export(
        customer=await get(db, customer_id),
        derived=await db.one(sql.derived_of_customer, Derived, customer_id=customer_id),
        attributes=await values(db, customer_id),
        tags=await tags_of(db, customer_id),
    )


async def forget(db: Db, customer_id: UUID, *, at: datetime | None = None) -> Forgotten:
    """Empty a customer's row and delete what hangs on it; again finds nothing left to delete.

    `at` where she was erased before, in a database that was lost.
    """
    found = await db.maybe(sql.customer_to_erase, Erasable, customer_id=customer_id)
    if found is None:
        raise UnknownCustomer
    return Forgotten(
        found.address_hash,
        {
            "customer": await db.run(sql.erase_customer, customer_id=customer_id, at=at or db.now),
            "attribute_value": await db.run(sql.erase_values, customer_id=customer_id),
            "customer_tag": await db.run(sql.erase_tags, customer_id=customer_id),
            "interaction": await db.run(sql.erase_interactions, customer_id=customer_id),
        },
    )


async def bury(db: Db, customer_id: UUID, *, at: datetime) -> None:
    """Put an empty record where a restored database lacks that of somebody who was erased."""
    await db.run(sql.bury_customer, customer_id=customer_id, source=Source.sign_up, at=at)


async def lapse_values(db: Db, after: UUID, limit: int) -> Piece:
    """Delete values whose declared retention is over (promise 13), a piece at a time."""
    return await db.one(sql.lapse_values, Piece, after=after, limit=limit)


async def lapse_values_of_purposes(db: Db, after: UUID, limit: int) -> Piece:
    """Delete values that were for a purpose which has ended (promise 13), a piece at a time."""
    return await db.one(sql.lapse_values_of_purposes, Piece, after=after, limit=limit)


async def lapse_interactions(db: Db, after: UUID, limit: int) -> Piece:
    """Delete interactions whose declared retention is over (promise 13), a piece at a time."""
    return await db.one(sql.lapse_interactions, Piece, after=after, limit=limit)


async def _locked(db: Db, customer_id: UUID) -> Customer:
    return _known(await db.maybe(sql.customer_locked, Customer, customer_id=customer_id))


async def _restricted(db: Db, by: Actor, customer_id: UUID, at: datetime | None) -> Customer:
    customer = await db.one(
        sql.restrict_customer, Customer, customer_id=customer_id, restricted_at=at
    )
    await db.run(sql.restrict_merged, customer_id=customer_id, restricted_at=at)
    db.note(Restricted(customer_id, at is not None))
    what = "restricted" if at else "restriction lifted"
    await events.record(db, by, Kind.customer_changed, customer_id=customer_id, reason=what)
    return customer


async def _fill(db: Db, fills: Sequence[Fill]) -> int:
    return await db.run(
        sql.fill_customers,
        customer_ids=[fill.id for fill in fills],
        names=[fill.name for fill in fills],
        locales=[fill.locale for fill in fills],
        time_zones=[fill.time_zone for fill in fills],
        external_ids=[fill.external_id for fill in fills],
    )


async def _check_external_id(db: Db, external_id: str) -> None:
    if await by_external_id(db, external_id) is not None:
        raise named(ExternalIdTaken(), "external_id")


def _known(found: Customer | None) -> Customer:
    if found is None:
        raise UnknownCustomer
    return found
