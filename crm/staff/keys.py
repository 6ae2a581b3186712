"""What is done with API keys: they are made, shown once, used and revoked."""

from __future__ import annotations

from datetime import datetime, timedelta
from uuid import UUID

import msgspec
from msgspec import Struct

from crm import events, journal
from crm.db import Db, ReadDb
from crm.errors import Invalid, Problem
from crm.events import Actor, Kind
from crm.ids import opaque, secret
from crm.staff import credentials as texts
from crm.staff.actions import sql
from crm.staff.model import (
    MOST_KEYS,
    OVERLAP,
    SEEN_EVERY,
    Caller,
    Key,
    KeyEnded,
    NewKey,
    Scope,
    TooManyKeys,
    checked_reason,
)


class KeyInUse(Struct, frozen=True, kw_only=True):
    """A key with the hash that its text must have; never part of an answer."""

    id: UUID
    name: str
    scopes: frozenset[Scope]
    reason: str
    purposes: frozenset[UUID]
    secret_hash: bytes
    # That of the text before the last rotation, while it works on.
    previous_hash: bytes | None
    last_used_at: datetime | None
    by_previous: bool = False

    def caller(self) -> Caller:
        """The program that calls with it."""
        return Caller(
            id=self.id,
            name=self.name,
            scopes=self.scopes,
            reason=self.reason,
            purposes=self.purposes,
            by_previous=self.by_previous,
        )


class Bindable(Struct, frozen=True):
    """A purpose, as far as a key needs it that is bound to it."""

    id: UUID
    name: str


async def api_keys(db: ReadDb) -> list[Key]:
    """List the keys of the business, revoked ones last."""
    return await db.many(sql.keys, Key)


async def api_key(db: ReadDb, key_id: UUID) -> Key:
    """Return one key of the business, or raise NotFound."""
    return await db.one(sql.key, Key, key_id=key_id)


async def add_key(db: Db, by: Actor, new: NewKey) -> tuple[Key, str]:
    """Make a key; its text is returned this once and kept by nobody. TooManyKeys."""
    if await db.one(sql.count_keys, int) >= MOST_KEYS:
        raise TooManyKeys
    key_id = opaque()
    text = texts.key_text(db.business_id, key_id, secret(texts.SECRET_SIZE))
    key = await db.one(
        sql.add_key,
        Key,
        key_id=key_id,
        name=new.name,
        secret_hash=texts.fingerprint(text),
        scopes=[scope for scope in Scope if scope in new.scopes],
        reason=checked_reason(new.reason),
        purposes=await _known(db, new.purposes),
        expires_at=db.now + timedelta(days=new.days) if new.days else None,
        created_by=by.id,
    )
    await events.record(db, by, Kind.key_added, ref=key.id, reason=key.name)
    return key, text


async def rotate_key(
    db: Db, by: Actor, key_id: UUID, *, overlap: timedelta = OVERLAP
) -> tuple[Key, str]:
    """Give a key a new text, returned this once; the one before works on for `overlap`.

    KeyEnded for one that works no more. A database put back from before revokes it: nobody knows
    then which of its texts was seen by whom.
    """
    text = texts.key_text(db.business_id, key_id, secret(texts.SECRET_SIZE))
    key = await db.maybe(
        sql.rotate_key,
        Key,
        key_id=key_id,
        secret_hash=texts.fingerprint(text),
        previous_until=db.now + overlap,
    )
    if key is None:
        await api_key(db, key_id)
        raise KeyEnded
    db.note(journal.Revoked("key", key_id))
    await events.record(db, by, Kind.key_rotated, ref=key_id, reason=key.name)
    return key, text


async def revoke_key(db: Db, by: Actor, key_id: UUID) -> Key:
    """End a key from its next request on; a second time changes nothing."""
    revoked = await db.maybe(sql.revoke_key, Key, key_id=key_id)
    if revoked is None:
        return await api_key(db, key_id)
    db.note(journal.Revoked("key", key_id))
    await events.record(db, by, Kind.key_revoked, ref=key_id, reason=revoked.name)
    return revoked


async def key_of(db: ReadDb, text: texts.KeyText) -> KeyInUse | None:
    """Return the key if it is in use and the text is exactly its own."""
    found = await db.maybe(sql.key_in_use, KeyInUse, key_id=text.key_id)
    if found is None:
        return None
    # Both are compared, whichever fits.
    current = texts.same(found.secret_hash, text.hash)
    previous = texts.same(found.previous_hash or b"", text.hash)
    if not current and not previous:
        return None
    return msgspec.structs.replace(found, by_previous=not current)


async def use(db: Db, key_id: UUID) -> None:
    """Note that a key is in use, at most once in a while."""
    await db.run(sql.use_key, key_id=key_id, stale=db.now - SEEN_EVERY)


async def purposes_to_bind(db: ReadDb) -> list[Bindable]:
    """Return the purposes that a key can be bound to, by name."""
    return await db.many(sql.purposes_to_bind, Bindable)


async def _known(db: ReadDb, wanted: list[UUID]) -> list[UUID]:
    known = {each.id for each in await purposes_to_bind(db)}
    if known.issuperset(wanted):
        return sorted(set(wanted))
    sentence = "There is no such purpose to bind a key to."
    raise Invalid(sentence, [Problem("purposes", sentence)])
