"""What is done when a customer's address changes: the new mailbox answers, the old one can undo.

Consent was given for one mailbox. With the new one she says it again, or it ends.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from uuid import UUID

import asyncpg
from msgspec import Struct

from crm import businesses, consent, customers, events, mail, staff
from crm.access import bounds, credentials, sessions, wording
from crm.access.actions import posted, sql
from crm.access.model import (
    CHANGE_LASTS,
    MAILS_PER_ADDRESS,
    UNDO_LASTS,
    AskedAgain,
    LinkOver,
    NewAddress,
    SameAddress,
    WrongCode,
)
from crm.businesses import Business
from crm.consent import AUTHORISES, Circumstances, Form, Method, Notice, OptIn
from crm.customers import Address, AddressTaken, Customer
from crm.db import Db, ReadDb
from crm.events import Actor, Kind
from crm.ids import opaque, secret
from crm.mail import Letter, LetterKind, Scope, Why

HERE = "/me/address"
_LETTERS_OF_ONE = "address_letter_by"
# What she said herself; a bounce is of the mailbox alone.
_HERS = frozenset({Why.left, Why.complained, Why.staff, Why.imported, Why.objected})


class Undoable(Struct, frozen=True, kw_only=True):
    """A change that the old mailbox can undo."""

    customer_id: UUID
    address: str
    address_hash: bytes
    changed_at: datetime
    undo_until: datetime


class Returned(Struct, frozen=True):
    """Whose old address is hers again, since when it was not, and how many yeses ended by it."""

    customer: Customer
    since: datetime
    ended: int


async def ask(db: Db, me: Customer, new: Address) -> int:
    """Mail the new address a secret that makes it hers, or refuse with SameAddress.

    Nothing comes back that tells whether somebody else here has that address: the owner of the
    mailbox is told, and the secret of the change stands in no mail. Each way costs the same
    statements. After too many mails of hers nothing is sent, and an earlier change goes on waiting;
    where it is she who asked too often, the seconds to wait are returned, else 0.
    """
    if new.folded == customers.fold(me.address):
        raise SameAddress
    mine, theirs = _hash(db, customers.fold(me.address)), _hash(db, new.folded)
    wait = await staff.count_attempt(db, _LETTERS_OF_ONE, mine, most=MAILS_PER_ADDRESS)
    flood = await bounds.count_letter(db, bounds.NEW_ADDRESS, theirs, str(me.id))
    owner = await customers.by_hash(db, theirs)
    business = await businesses.get(db)
    token = credentials.secret_token(db.business_id, secret(credentials.SECRET_SIZE))
    code = credentials.new_code()
    letter = _asking(db, business, me, new, owner, token=token, code=code)
    may = not wait and not flood
    # Nothing, where others have filled that mailbox for today: what is mailed to an address that
    # somebody here has is counted apart, so whether the change waits must not hang on it.
    message_id = await posted(db, letter, send=may)
    if not may:
        await waiting(db, me.id)
        return wait
    await db.run(
        sql.replace_change,
        customer_id=me.id,
        address=new.display,
        folded=new.folded,
        address_hash=theirs,
        message_id=message_id,
        token_hash=credentials.fingerprint(token),
        code_hash=credentials.code_hash(db.keys, db.business_id, theirs, code),
        expires_at=db.now + CHANGE_LASTS,
    )
    return 0


async def waiting(db: ReadDb, customer_id: UUID) -> NewAddress | None:
    """Return the change of hers that waits for the new mailbox."""
    return await db.maybe(sql.change_of_customer, NewAddress, customer_id=customer_id)


async def named(db: ReadDb, customer_id: UUID, token: str) -> NewAddress:
    """Return the change of hers that a link names; LinkOver if it is over, or another's."""
    return _of_link(db, await waiting(db, customer_id), token)


async def held(db: Db, customer_id: UUID, token: str | None = None) -> NewAddress:
    """Return the change of hers that waits, of this link if one is given, until it is confirmed.

    Nobody else changes her record before this transaction ends. Refuses with LinkOver.
    """
    found = await db.maybe(sql.change_held, NewAddress, customer_id=customer_id)
    if token is not None:
        return _of_link(db, found, token)
    if found is None:
        raise LinkOver
    return found


async def asked_again(db: ReadDb, me: Customer) -> list[AskedAgain]:
    """Return what she allows by mail now, each with the text to say it again with, if it can be.

    It cannot where the purpose rests on no consent of hers, or has no text.
    """
    locale = me.locale or (await businesses.get(db)).locale
    notices = await consent.current_notices(db, locale)
    allowed = {each.purpose_id for each in await consent.states(db, me.id) if _stands(each.status)}
    return [
        AskedAgain(
            purpose,
            None
            if purpose.basis is consent.Basis.soft_opt_in or purpose.retired_at
            else notices.get(purpose.id),
        )
        for purpose in await consent.purposes_for(db, me.id)
        if purpose.id in allowed and purpose.channel == "email"
    ]


async def confirm(
    db: Db,
    me: Customer,
    change: NewAddress,
    again: Mapping[UUID, Notice],
    *,
    session: str,
    token: str | None = None,
    code: str = "",
) -> Customer:
    """Make the new address hers, once; by the link's token, or else by the typed code.

    `again` are the texts, by purpose, that she said yes to on that page; every other yes to mails
    ends. All other sessions end; this one goes on. Refuses with WrongCode or AddressTaken. The
    caller has counted this try.
    """
    undo = credentials.secret_token(db.business_id, secret(credentials.SECRET_SIZE))
    proof_id = await _proved(db, me, change, token=token, code=code, undo=undo)
    if proof_id is None:
        raise WrongCode
    way = "address_code" if token is None else "address_link"
    opt_in = OptIn(proof_id, way, change.requested_at, db.now, change.message_id)
    await _say_again(db, me, again, opt_in)
    by = Actor.customer(me.id)
    old = _hash(db, customers.fold(me.address))
    if not again:
        await carry_over(db, by, old, change.address_hash)
    await mail.suppress(db, by, old, Scope.marketing, Why.moved)
    await db.run(sql.drop_renewals, address_hash=old)
    await sessions.close_others(db, me.id, session)
    hashed = credentials.fingerprint(session)
    await db.run(sql.rest_session, customer_id=me.id, token_hash=hashed, proof_id=proof_id)
    await events.record(db, by, Kind.address_changed, customer_id=me.id)
    # No bound holds it back: the address is not changed behind her back.
    await mail.post_letter(db, await _word(db, "moved", me, link=f"/undo/{undo}"))
    return await customers.get(db, me.id)


async def undoable(db: ReadDb, token: str) -> Undoable:
    """Return what a link from the mail to the old address undoes; LinkOver, BadLink."""
    credentials.check_token(db.business_id, token)
    hashed = credentials.fingerprint(token)
    found = await db.maybe(sql.undoable, Undoable, undo_hash=hashed)
    if found is None:
        raise LinkOver
    return found


async def undo(db: Db, token: str) -> Returned:
    """Put the old address back, end every session, and tell the address that was there instead.

    It needs no sign-in: her record may be in wrong hands. Every yes to mails ends, because it was
    said for the other mailbox; a no to all advertising stays hers. Whatever was changed since
    cannot be undone any more. What else was asked from there is called off by `privacy.take_back`.
    """
    change = await undoable(db, token)
    # Held, so that no other change comes between what she has now and what she gets back.
    there = await customers.hold(db, change.customer_id)
    if there is None:
        raise LinkOver
    try:
        done = await db.maybe(sql.undo_new_address, UUID, token=token)
    except asyncpg.UniqueViolationError:
        raise AddressTaken from None
    if done is None:
        raise LinkOver
    by = Actor.customer(there.id)
    ended = await _end(db, there, {})
    left = _hash(db, customers.fold(there.address))
    await mail.lift_move(db, change.address_hash)
    if left != change.address_hash:
        await carry_over(db, by, left, change.address_hash)
        await mail.suppress(db, by, left, Scope.marketing, Why.moved)
    await db.run(sql.forget_changes, customer_id=there.id)
    await db.run(sql.forget_sessions, customer_id=there.id)
    await db.run(sql.forget_link, customer_id=there.id)
    await events.record(db, by, Kind.address_change_undone, customer_id=there.id)
    await mail.post_letter(db, await _word(db, "moved_back", there, link="/sign-in"))
    return Returned(await customers.get(db, there.id), change.changed_at, ended)


async def carry_over(db: Db, by: Actor, old: bytes, new: bytes) -> None:
    """Keep to what she said against all advertising: that is hers, and not the mailbox's."""
    reason = await objection(db, old)
    if reason is not None:
        await mail.suppress(db, by, new, Scope.marketing, reason)


async def objection(db: ReadDb, address_hash: bytes) -> Why | None:
    """Return what of hers, and not of the mailbox, stands against all advertising to an address."""
    found = await mail.decided_against(db, address_hash)
    return found.reason if found is not None and found.reason in _HERS else None


def _of_link(db: ReadDb, found: NewAddress | None, token: str) -> NewAddress:
    credentials.check_token(db.business_id, token)
    if found is None or not credentials.same(found.token_hash, credentials.fingerprint(token)):
        raise LinkOver
    return found


async def _proved(
    db: Db, me: Customer, change: NewAddress, *, token: str | None, code: str, undo: str
) -> UUID | None:
    typed = credentials.code_hash(db.keys, db.business_id, change.address_hash, code)
    try:
        return await db.maybe(
            sql.prove_new_address,
            UUID,
            proof_id=opaque(),
            customer_id=me.id,
            token=token,
            code_hash=typed if token is None else None,
            undo_hash=credentials.fingerprint(undo),
            undo_until=db.now + UNDO_LASTS,
        )
    except asyncpg.UniqueViolationError:
        raise AddressTaken from None


async def _say_again(db: Db, me: Customer, again: Mapping[UUID, Notice], opt_in: OptIn) -> None:
    """Record each text that she said yes to for the new mailbox, and the end of all the others."""
    by = Actor.customer(me.id)
    shown = [f"[ ] {each.control_label}\n{each.text}" for each in again.values()]
    locale = me.locale or (await businesses.get(db)).locale
    form = Form("address", HERE, await consent.keep_form(db, locale, "\n".join(shown)))
    given = Circumstances(Method.double_opt_in, form=form, opt_in=opt_in)
    await _end(db, me, again)
    for purpose_id in sorted(again):
        await consent.give(db, by, me.id, again[purpose_id].question, given)


async def _end(db: Db, her: Customer, again: Mapping[UUID, Notice]) -> int:
    """End each yes to mails but those that are said again; return how many."""
    mailed = {each.id for each in await consent.purposes_for(db, her.id) if each.channel == "email"}
    ending = [
        each.purpose_id
        for each in await consent.states(db, her.id)
        if _stands(each.status) and each.purpose_id in mailed - set(again)
    ]
    await consent.hold_ranges(db, her.id)
    for purpose_id in sorted(ending):
        await consent.end_at_move(db, Actor.customer(her.id), her.id, purpose_id)
    return len(ending)


def _asking(
    db: ReadDb,
    business: Business,
    me: Customer,
    new: Address,
    owner: Customer | None,
    *,
    token: str,
    code: str,
) -> Letter:
    """Write the mail to the new address; to one of somebody else here, what was tried."""
    words = wording.words(
        "address_taken" if owner else "new_address",
        (owner or me).locale or business.locale,
        business,
        asked=wording.moment(db.now, business),
        link=f"{business.origin}/sign-in" if owner else f"{business.origin}{HERE}/{token}",
        code=credentials.grouped(code),
    )
    kind = LetterKind.asked if owner else LetterKind.confirmation
    return wording.answer(kind, words, new, _hash(db, new.folded), owner, about=me.id)


async def _word(db: ReadDb, letter: str, her: Customer, *, link: str) -> Letter:
    """Write to the address that `her` still shows and that is hers no more."""
    business = await businesses.get(db)
    words = wording.words(
        letter,
        her.locale or business.locale,
        business,
        at=wording.moment(db.now, business),
        link=f"{business.origin}{link}",
        until=wording.moment(db.now + UNDO_LASTS, business),
    )
    fingerprint = _hash(db, customers.fold(her.address))
    return wording.answer(LetterKind.notice, words, customers.parse(her.address), fingerprint, her)


def _hash(db: ReadDb, folded: str) -> bytes:
    return db.keys.address_hash(db.business_id, folded)


def _stands(status: consent.Status) -> bool:
    return status in AUTHORISES
