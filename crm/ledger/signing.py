"""The keys a business signs with: made, kept encrypted, rotated, and published for ever."""

from __future__ import annotations

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from msgspec import Struct

from crm import businesses, events
from crm.db import Db, ReadDb, Statements
from crm.events import Actor, Kind
from crm.keys import KeyWrong
from crm.ledger import note
from crm.ledger.model import Halt, KeyKind, PublicKey, Stopped
from crm.ledger.note import Verifier

sql = Statements("ledger")


class Signer(Struct, frozen=True):
    """A key that signs now."""

    number: int
    name: str
    private: Ed25519PrivateKey

    @property
    def verifier(self) -> Verifier:
        """Its public half."""
        return Verifier(self.name, self.private.public_key().public_bytes_raw())


class _Kept(Struct, frozen=True):
    number: int
    name: str
    public: bytes
    private: bytes


async def signer(db: ReadDb, kind: KeyKind) -> Signer | None:
    """Return the key that signs now, or None where none was made yet; Halt if it is unreadable."""
    kept = await db.maybe(sql.key_in_use, _Kept, kind=kind)
    return _opened(db, kind, kept) if kept else None


async def keys(db: ReadDb) -> list[PublicKey]:
    """Return every public key the business ever signed with, for whoever checks an old receipt."""
    return await db.many(sql.public_keys, PublicKey)


async def ensure_key(db: Db, kind: KeyKind, name: str) -> Signer:
    """Return the key that signs now, made under this name if there is none yet."""
    found = await signer(db, kind)
    if found is None:
        await _add(db, kind, 1, name, key=Ed25519PrivateKey.generate())
        found = await signer(db, kind)
    if found is None:
        raise Halt(Stopped.key_wrong)
    return found


async def rotate(db: Db, by: Actor, kind: KeyKind, *, name: str = "") -> Verifier:
    """Put a new key in the place of the present one, which says so before its secret is deleted.

    Old receipts and checkpoints go on being checked with the old public key. `name` is for a
    ledger that goes by a new origin.
    """
    kept = await db.maybe(sql.hold_key, _Kept, kind=kind)
    if kept is None:
        business = await businesses.get(db)
        return (await ensure_key(db, kind, name or business.host)).verifier
    old = _opened(db, kind, kept)
    await db.run(sql.retire_key, kind=kind, number=old.number)
    new = Ed25519PrivateKey.generate()
    verifier = Verifier(name or old.name, new.public_key().public_bytes_raw())
    endorsement = _endorsed(db, old, verifier)
    await _add(db, kind, old.number + 1, verifier.name, key=new, endorsement=endorsement)
    await events.record(db, by, Kind.signing_key_rotated, reason=f"{kind.value} {verifier}"[:500])
    return verifier


async def encrypt_anew(db: Db, kind: KeyKind) -> bool:
    """Encrypt the secret of the present key under the newest of CRM_STORAGE_KEYS."""
    kept = await db.maybe(sql.hold_key, _Kept, kind=kind)
    if kept is None:
        return False
    raw = _opened(db, kind, kept).private.private_bytes_raw()
    private = db.keys.encrypt(db.business_id, _label(kind, kept.number), raw)
    return bool(await db.run(sql.keep_key, kind=kind, number=kept.number, private=private))


def endorsement_text(verifier: Verifier, at: str) -> str:
    """Write what a retiring key signs: which one follows, and when."""
    return f"firsthand/next-key/v1\n{verifier}\n{at}\n"


async def _add(
    db: Db, kind: KeyKind, number: int, name: str, *, key: Ed25519PrivateKey, endorsement: str = ""
) -> None:
    await db.maybe(
        sql.add_key,
        int,
        kind=kind,
        number=number,
        name=note.check_name(name),
        public=key.public_key().public_bytes_raw(),
        private=db.keys.encrypt(db.business_id, _label(kind, number), key.private_bytes_raw()),
        endorsement=endorsement,
    )


def _endorsed(db: ReadDb, old: Signer, verifier: Verifier) -> str:
    at = db.now.isoformat(timespec="seconds").replace("+00:00", "Z")
    return note.sign(endorsement_text(verifier, at), old.name, old.private)


def _opened(db: ReadDb, kind: KeyKind, kept: _Kept) -> Signer:
    try:
        raw = db.keys.decrypt(db.business_id, _label(kind, kept.number), kept.private)
    except KeyWrong:
        raise Halt(Stopped.key_wrong) from None
    private = Ed25519PrivateKey.from_private_bytes(raw)
    if private.public_key().public_bytes_raw() != kept.public:
        raise Halt(Stopped.key_wrong)
    return Signer(kept.number, kept.name, private)


def _label(kind: KeyKind, number: int) -> str:
    return f"signing key {kind.value} {number}"
