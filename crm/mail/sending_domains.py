"""What is done with the domains that mail is sent from, and who signs for them.

Keys are made in pairs, RSA for everybody and Ed25519 (RFC 8463). A pair waits until a look at DNS
finds both records, then signs in the place of the one before, whose records stay for a week.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from msgspec import Struct

from crm import customers, events
from crm.businesses import Business
from crm.db import Db, ReadDb, Statements
from crm.events import Actor, ActorKind, Kind
from crm.ids import opaque
from crm.mail.dkim import PrivateKey, Signer, SigningKey, kept, new_rsa_key, opened, published
from crm.mail.sending_domain import (
    OVERLAP,
    DkimKey,
    DomainNotReady,
    Finding,
    HostName,
    KeyState,
    KeysWait,
    NoDomain,
    NothingToRetire,
    SendingDomain,
    why_not,
)

sql = Statements("sending_domains")


class _Kept(Struct, frozen=True):
    selector: str
    private: bytes


def domain_of(sender: str) -> str:
    """Name the domain of a sender's address in ASCII: what its signatures have as `d=`."""
    return customers.parse(sender).deliverable.rpartition("@")[2].lower()


async def add(db: Db, by: Actor, name: str) -> SendingDomain:
    """Know a domain and make its first keys; nothing where it is known already."""
    domain = _read(name)
    await db.run(sql.add_domain, domain=domain)
    await db.one(sql.hold_domain, SendingDomain, domain=domain)
    if not await keys(db, domain):
        await _make_keys(db, domain)
        await events.record(db, by, Kind.domain_added, reason=domain)
    return await get(db, domain)


async def get(db: ReadDb, name: str) -> SendingDomain:
    """Return one domain, or refuse with NotFound."""
    return await db.one(sql.sending_domain, SendingDomain, domain=name)


async def known(db: ReadDb) -> list[SendingDomain]:
    """Return every domain of the business."""
    return await db.many(sql.domains, SendingDomain)


async def keys(db: ReadDb, name: str) -> list[DkimKey]:
    """Return the keys of a domain without their secrets, the newest first."""
    return await db.many(sql.keys, DkimKey, domain=name)


async def rotate(db: Db, by: Actor, name: str) -> list[DkimKey]:
    """Make a new pair of keys, which takes the place of the present one once it is in DNS."""
    await db.one(sql.hold_domain, SendingDomain, domain=name)
    if any(key.state is KeyState.waiting for key in await keys(db, name)):
        raise KeysWait
    await _make_keys(db, name)
    await events.record(db, by, Kind.domain_keys_made, reason=name)
    return [key for key in await keys(db, name) if key.state is KeyState.waiting]


async def retire(db: Db, by: Actor, name: str) -> list[DkimKey]:
    """Count keys no more that stepped back a week ago; returns them, their records to be emptied.

    Refuses with NothingToRetire before: mail signed with them may still be on its way.
    """
    await db.one(sql.hold_domain, SendingDomain, domain=name)
    if not await db.run(sql.retire_keys, domain=name, retiring_at=db.now - OVERLAP):
        raise NothingToRetire
    await events.record(db, by, Kind.domain_keys_retired, reason=name)
    return [key for key in await keys(db, name) if key.retired_at == db.now]


async def confirm(db: Db, by: Actor, name: str) -> SendingDomain:
    """Say that the relay signs for this domain: then we do not, and its DNS stops no campaign."""
    domain = _read(name)
    await db.run(sql.add_domain, domain=domain)
    who = by.name if by.kind is ActorKind.member else "the operator"
    await db.run(sql.relay_signs, domain=domain, relay_signs_by=who, relay_signs_at=db.now)
    await events.record(db, by, Kind.relay_confirmed, reason=domain)
    return await get(db, domain)


async def revoke(db: Db, by: Actor, name: str) -> SendingDomain:
    """Say that the relay signs no more: from the next mail on we do, where keys are published."""
    await db.one(sql.hold_domain, SendingDomain, domain=name)
    await db.run(sql.relay_signs, domain=name, relay_signs_by="", relay_signs_at=None)
    if not await keys(db, name):
        await _make_keys(db, name)
    await events.record(db, by, Kind.relay_revoked, reason=name)
    return await get(db, name)


async def keep(
    db: Db, name: str, findings: Sequence[Finding], seen: frozenset[str]
) -> SendingDomain:
    """Keep what a look found; keys that wait sign from now on if DNS has shown all of them.

    `seen` are the selectors whose records say what they have to.
    """
    await db.one(sql.hold_domain, SendingDomain, domain=name)
    waiting = {key.selector for key in await keys(db, name) if key.state is KeyState.waiting}
    if waiting and waiting <= seen:
        await db.run(sql.take_out, domain=name)
        await db.run(sql.put_in, domain=name)
        await events.record(db, Actor.system(), Kind.domain_signs, reason=name)
    await db.run(sql.keep_findings, domain=name, findings=msgspec.to_builtins(tuple(findings)))
    return await get(db, name)


async def signer(db: ReadDb, sender: str) -> Signer | None:
    """Return what signs mail from an address; None where the relay does, or no key does yet.

    A KeyWrong where CRM_STORAGE_KEYS lacks the key that they are encrypted with.
    """
    domain = domain_of(sender)
    found = await db.many(sql.signing_keys, _Kept, domain=domain)
    if not found:
        return None
    return Signer(domain, [_opened(db, domain, each) for each in found])


async def not_ready(db: ReadDb, business: Business) -> DomainNotReady | None:
    """Return the refusal unless the sender's domain was lately found to be right."""
    why = await unready(db, business)
    return DomainNotReady(why) if why else None


async def not_right(db: ReadDb, business: Business) -> DomainNotReady | None:
    """Return the refusal of what is under way where the sender's domain is unknown or wrong.

    However long ago it was found to be right: that keeps only a start waiting. So does a question
    that DNS did not answer, where a key signs: its record was seen before.
    """
    name = domain_of(business.sender_address)
    domain = await db.maybe(sql.sending_domain, SendingDomain, domain=name)
    if domain is None:
        return DomainNotReady(why_not(name, domain, db.now))
    signs = any(key.state is KeyState.signing for key in await keys(db, name))
    found = domain.as_answered if signs else domain
    why = why_not(name, found, domain.checked_at or db.now)
    return DomainNotReady(why) if why else None


async def unready(db: ReadDb, business: Business) -> str:
    """Say why no campaign of the business may start, as far as its domain goes."""
    name = domain_of(business.sender_address)
    domain = await db.maybe(sql.sending_domain, SendingDomain, domain=name)
    return why_not(name, domain, db.now)


def _read(name: str) -> str:
    try:
        read = customers.parse(f"postmaster@{name.strip().rstrip('.')}").deliverable
        return msgspec.convert(read.partition("@")[2].lower(), HostName)
    except (customers.NotAnAddress, msgspec.ValidationError):
        raise NoDomain from None


async def _make_keys(db: Db, domain: str) -> None:
    # Nobody else's selector, wherever else the domain is used; one key for each (RFC 8463 §3).
    prefix = f"fh{opaque().hex[:8]}"
    made: dict[str, PrivateKey] = {
        "rsa": new_rsa_key(),
        "ed25519": Ed25519PrivateKey.generate(),
    }
    for algorithm, key in made.items():
        selector = f"{prefix}-{algorithm}"
        await db.run(
            sql.add_dkim_key,
            domain=domain,
            selector=selector,
            algorithm=algorithm,
            published=published(key),
            private=db.keys.encrypt(db.business_id, _label(domain, selector), kept(key)),
        )


def _opened(db: ReadDb, domain: str, found: _Kept) -> SigningKey:
    label = _label(domain, found.selector)
    return SigningKey(found.selector, opened(db.keys.decrypt(db.business_id, label, found.private)))


def _label(domain: str, selector: str) -> str:
    return f"dkim {selector}._domainkey.{domain}"
