"""What is done to let a customer in: a way in is mailed, opened once, and becomes a session."""

from __future__ import annotations

from uuid import UUID

from msgspec import Struct

from crm import businesses, customers
from crm.access import bounds, credentials, wording
from crm.access.actions import posted, sql
from crm.access.model import (
    ABSOLUTE,
    IDLE,
    LINK_LASTS,
    PRESSED_TWICE,
    Entered,
    Link,
    LinkOver,
    OtherBrowser,
    Session,
    SessionOver,
    SignedOut,
    WrongCode,
)
from crm.businesses import Business
from crm.customers import Address, Customer
from crm.db import Db, ReadDb
from crm.ids import opaque, secret
from crm.languages import language
from crm.mail import Letter, LetterKind


class _Way(Struct, frozen=True):
    """The two secrets of one way in."""

    token: str
    code: str


async def send_link(db: Db, address: Address, browser: str, *, asker: str = "") -> None:
    """Mail a way in to an address that is a customer's, good in this browser, or by its code.

    Nothing comes back, and each way costs the same statements. When the network of the `asker`
    caused too many mails to it, nothing is sent and an earlier way in stays open; those that other
    browsers asked for do so anyway. A way in is good while she has that address: her row is not
    held for it.
    """
    fingerprint = db.keys.address_hash(db.business_id, address.folded)
    wait = await bounds.count_letter(db, bounds.SIGN_IN, fingerprint, asker)
    customer = await customers.by_hash(db, fingerprint)
    business = await businesses.get(db)
    way = _new_way(db)
    letter = _letter(db, business, address, way, customer)
    sent = await posted(db, letter, send=customer is not None and not wait)
    if not sent or customer is None:
        await db.run(sql.drop_old_links)
        return
    await _replace(db, customer.id, fingerprint, way, browser)


async def link(db: ReadDb, token: str) -> Link:
    """Return the way in that a link names; LinkOver if it is over, BadLink if it is no link."""
    credentials.check_token(db.business_id, token)
    found = await db.maybe(sql.link, Link, token_hash=credentials.fingerprint(token))
    if found is None:
        raise LinkOver
    return found


def of_browser(found: Link, browser: str) -> bool:
    """Say whether a way in may be opened in this browser without its code."""
    return credentials.same(found.browser_hash, credentials.fingerprint(browser))


async def open_link(db: Db, token: str, browser: str, code: str = "") -> Entered:
    """Use up a way in; say whose it is, and the proof of her mailbox that came of it.

    In another browser than the one that asked, the code is needed too: without it OtherBrowser,
    with a wrong one WrongCode. The caller has counted this try.
    """
    found = await link(db, token)
    if not of_browser(found, browser):
        if not code:
            raise OtherBrowser
        _check_code(db, found, code)
    return await _entered(db, found, token=token)


async def open_by_code(db: Db, address: Address, code: str) -> Entered:
    """Use up the way in of an address by its code, or refuse with WrongCode."""
    fingerprint = db.keys.address_hash(db.business_id, address.folded)
    typed = credentials.code_hash(db.keys, db.business_id, fingerprint, code)
    found = await db.maybe(sql.link_by_code, Link, address_hash=fingerprint, code_hash=typed)
    if found is None:
        raise WrongCode
    return await _entered(db, found, code_hash=typed)


async def open_session(
    db: Db, entered: Entered, *, instead_of: str = "", link: str = "", browser: str = ""
) -> str:
    """Open a session under a new token; the one that the browser had before ends.

    With the link and the mark of the browser that pressed it, `pressed_twice` finds it again.
    """
    await close(db, instead_of)
    token = credentials.secret_token(db.business_id, secret(credentials.SECRET_SIZE))
    pressed = bool(link and browser)
    await db.run(
        sql.open_session,
        token_hash=credentials.fingerprint(token),
        customer_id=entered.customer_id,
        proof_id=entered.proof_id,
        expires_at=db.now + ABSOLUTE,
        link_hash=credentials.fingerprint(link) if pressed else None,
        browser_hash=credentials.fingerprint(browser) if pressed else None,
    )
    return token


async def pressed_twice(db: Db, link: str, browser: str) -> str:
    """Return a token for the session that this link opened in this browser just now, or nothing.

    A browser shows the answer to the second press of a button. The session goes on under this token
    alone, so that it stays one.
    """
    credentials.check_token(db.business_id, link)
    if not browser:
        return ""
    token = credentials.secret_token(db.business_id, secret(credentials.SECRET_SIZE))
    renewed = await db.maybe(
        sql.renew_session,
        UUID,
        token_hash=credentials.fingerprint(token),
        link_hash=credentials.fingerprint(link),
        browser_hash=credentials.fingerprint(browser),
        since=db.now - PRESSED_TWICE,
    )
    return token if renewed else ""


async def session(db: ReadDb, token: str) -> Session | None:
    """Return the session of this token, or None where it has ended."""
    return await db.maybe(
        sql.session,
        Session,
        token_hash=credentials.fingerprint(token),
        idle_since=db.now - IDLE,
    )


async def see(db: Db, token: str) -> None:
    """Note that a session is in use."""
    await db.run(sql.see_session, token_hash=credentials.fingerprint(token))


async def close(db: Db, token: str) -> None:
    """End the session of this token, if there is one."""
    await db.run(sql.close_session, token_hash=credentials.fingerprint(token))


async def open_sessions(db: ReadDb, customer_id: UUID) -> list[Session]:
    """Return the sessions of a customer that can still be used, the newest first."""
    found = await db.many(sql.sessions_of_customer, Session, customer_id=customer_id)
    return [each for each in found if each.expires_at > db.now and each.seen_at > db.now - IDLE]


async def close_one(db: Db, customer_id: UUID, proof_id: UUID) -> None:
    """End the session that came of one proof of her mailbox, or refuse with SessionOver.

    Nobody else's, whatever is asked.
    """
    if not await db.run(sql.close_one_session, customer_id=customer_id, proof_id=proof_id):
        raise SessionOver


async def insist_hers(db: Db, me: Customer) -> None:
    """Refuse with SignedOut where her address was changed or put back since she was let in.

    Nobody does so before this transaction ends. Whatever only needs her record to be there, as an
    import that is at it, is not waited for: a customer stops at once (promise 2).
    """
    address = await db.maybe(sql.still_hers, str, customer_id=me.id)
    if address is not None and address != me.address:
        raise SignedOut


async def hold_herself(db: Db, me: Customer) -> Customer | None:
    """Hold the row of whoever is signed in; None once she is erased.

    Refuses with SignedOut where her address was changed or put back while this waited for it: that
    signed out whoever had asked.
    """
    held = await customers.hold(db, me.id)
    if held is not None and held.address != me.address:
        raise SignedOut
    return held


async def close_others(db: Db, customer_id: UUID, token: str) -> None:
    """End all sessions but that of this token, and the way in that is open, if there is one."""
    # Whoever comes in holds her row: of a session that opens now, the next statement knows.
    await customers.hold(db, customer_id)
    keep = credentials.fingerprint(token)
    await db.run(sql.close_other_sessions, customer_id=customer_id, token_hash=keep)
    await db.run(sql.forget_link, customer_id=customer_id)


def _new_way(db: ReadDb) -> _Way:
    token = credentials.secret_token(db.business_id, secret(credentials.SECRET_SIZE))
    return _Way(token, credentials.new_code())


def _letter(
    db: ReadDb, business: Business, address: Address, way: _Way, customer: Customer | None
) -> Letter:
    """Write the mail, also where nobody gets it: that costs time too."""
    words = wording.words(
        "sign_in",
        customer.locale if customer and customer.locale else language(),
        business,
        asked=wording.moment(db.now, business),
        link=f"{business.origin}/sign-in/{way.token}",
        typed_at=wording.to_type(business, "/sign-in/code"),
        code=credentials.grouped(way.code),
    )
    fingerprint = db.keys.address_hash(db.business_id, address.folded)
    return wording.answer(LetterKind.sign_in, words, address, fingerprint, customer)


async def _replace(db: Db, customer_id: UUID, address_hash: bytes, way: _Way, browser: str) -> None:
    await db.run(
        sql.replace_link,
        customer_id=customer_id,
        address_hash=address_hash,
        token_hash=credentials.fingerprint(way.token),
        code_hash=credentials.code_hash(db.keys, db.business_id, address_hash, way.code),
        browser_hash=credentials.fingerprint(browser),
        expires_at=db.now + LINK_LASTS,
    )


def _check_code(db: ReadDb, found: Link, code: str) -> None:
    typed = credentials.code_hash(db.keys, db.business_id, found.address_hash, code)
    if not credentials.same(found.code_hash, typed):
        raise WrongCode


async def _entered(
    db: Db, found: Link, *, token: str | None = None, code_hash: bytes | None = None
) -> Entered:
    await db.maybe(sql.hold_customer, UUID, customer_id=found.customer_id)
    proof_id = await db.maybe(
        sql.prove_sign_in,
        UUID,
        proof_id=opaque(),
        customer_id=found.customer_id,
        token=token,
        code_hash=code_hash,
    )
    if proof_id is None:
        raise LinkOver
    await bounds.forgive_letters(db, bounds.SIGN_IN, found.address_hash)
    return Entered(found.customer_id, proof_id, found.address_hash)


async def end_sessions(db: Db) -> int:
    """Sign every customer out and let no mailed link open anything; return how many sessions."""
    await db.run(sql.end_links)
    return await db.run(sql.end_sessions)
