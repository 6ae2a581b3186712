"""What is done with sign-ups: they are offered, started, confirmed once, and forgotten."""

from __future__ import annotations

from collections.abc import Collection
from uuid import UUID

import msgspec
from msgspec import Struct

from crm import businesses, consent, customers, mail
from crm.access import bounds, credentials, form, wording
from crm.access.circumstances import steps
from crm.access.credentials import ConfirmLink
from crm.access.form import Shown
from crm.access.model import (
    IDLE,
    SIGNUP_LASTS,
    Choice,
    Confirmed,
    Export,
    FormerAddress,
    LinkOver,
    NewSignup,
    Offer,
    OpenLink,
    Session,
    Signup,
    Standing,
    WaitingAddress,
    WordsOver,
    WrongCode,
    offered,
    wanted,
)
from crm.access.telling import told as told_of
from crm.businesses import Business
from crm.consent import (
    Method,
    Network,
    OptIn,
    PurposeRetired,
    Question,
)
from crm.customers import Address, AddressTaken, Changes, Customer, NewCustomer, Source
from crm.db import Db, ReadDb, Statements
from crm.events import Actor
from crm.ids import opaque
from crm.keys import HASH_SIZE
from crm.mail import Letter, LetterKind, TooManyLetters

sql = Statements("access")

_NOBODY = bytes(HASH_SIZE)
# How what was confirmed from a mailbox is recorded.
_CONFIRMED = frozenset({Method.double_opt_in, Method.renewal})


async def offers(db: ReadDb, locale: str, slugs: Collection[str] = ()) -> list[Offer]:
    """Return what can be signed up for, with the text shown now; of these short names, or all."""
    notices = await consent.current_notices(db, locale)
    versions = await consent.current_versions(db)
    return [
        Offer(purpose, notices[purpose.id], versions[purpose.id].entered.ages)
        for purpose in await consent.purposes(db)
        if offered(purpose) and purpose.id in notices and (not slugs or purpose.slug in slugs)
    ]


def seal_form(db: ReadDb, shown: list[Offer], locale: str) -> str:
    """Write the hidden field of a form that shows these texts."""
    ids = tuple(offer.notice.id for offer in shown)
    return form.seal(db.keys, db.business_id, Shown(ids, locale, int(db.now.timestamp())))


def unseal_form(db: ReadDb, text: str) -> Shown:
    """Read the hidden field of a form of this business, or refuse with NotOurForm."""
    return form.unseal(db.keys, db.business_id, text)


async def start(db: Db, new: NewSignup, *, asker: str = "") -> None:
    """Take a sign-up and mail its address. Nothing comes back that tells whose address it is.

    Whoever allows all of it already is told so by mail. When the address got too many mails from
    the network of the `asker`, nothing is sent. What waited before waits on, each with its own
    link. Each way costs the same statements.
    """
    fingerprint = db.keys.address_hash(db.business_id, new.address.folded)
    wait = await bounds.count_letter(db, bounds.SIGN_UP, fingerprint, asker)
    standing = await db.maybe(sql.standing, Standing, address_hash=fingerprint)
    link = ConfirmLink(db.business_id, opaque(), fingerprint)
    token, code = credentials.confirm_token(db.keys, link), credentials.new_code()
    asks = new.again or wanted(new.choices, standing)
    business = await businesses.get(db)
    letter = await _letter(db, business, new, standing, token=token if asks else "", code=code)
    message_id = await posted(db, letter, send=not wait)
    if not (message_id and asks):
        await db.run(sql.drop_expired_signup, folded=new.address.folded)
        return
    await db.run(
        sql.add_signup,
        signup_id=link.signup_id,
        address=new.address.display,
        folded=new.address.folded,
        address_hash=fingerprint,
        name=new.name,
        locale=new.locale,
        choices=new.choices,
        page=new.page,
        message_id=message_id,
        form_sha256=new.form_sha256,
        jurisdiction=new.jurisdiction,
        of_age=new.of_age,
        network=_kept_network(db, business, link.signup_id, new),
        again=new.again,
        elsewhere=new.elsewhere,
        token_hash=credentials.fingerprint(token),
        code_hash=credentials.code_hash(db.keys, db.business_id, fingerprint, code),
        expires_at=db.now + SIGNUP_LASTS,
    )


async def waiting(db: ReadDb, token: str) -> Signup | None:
    """Return what a link would confirm, or None where it is over; BadLink if it is no link."""
    credentials.open_confirm(db.keys, db.business_id, token)
    return await db.maybe(sql.signup, Signup, token_hash=credentials.fingerprint(token))


async def open_choices(db: ReadDb, signup: Signup) -> list[Choice]:
    """Return what of a sign-up can be confirmed: of purposes in use, by words that still hold.

    Where nothing is left: WordsOver if other words can be read by now, and else PurposeRetired.
    """
    in_use = {each.id for each in await consent.purposes(db)}
    chosen = [each for each in signup.choices if each.purpose_id in in_use]
    if not chosen:
        raise PurposeRetired
    found = [each for each in chosen if await _holds(db, each)]
    if not found:
        raise WordsOver
    return found


async def goes_on(db: ReadDb, signup: Signup) -> bool:
    """Say whether what waits can be confirmed: a renewal only while there is what to renew."""
    customer = await customers.by_hash(db, signup.address_hash) if signup.again else None
    return not signup.again or (customer is not None and await _stands(db, customer, signup))


async def confirm(db: Db, token: str, network: Network | None = None) -> Confirmed:
    """Make a sign-up's wish count, once: customer, request, yes, and the mailbox free for mail.

    A second press records nothing and tells what the first did; a link that is over is refused
    with LinkOver, one that is none with BadLink, and as `open_choices` does where nothing is left.
    """
    link = credentials.open_confirm(db.keys, db.business_id, token)
    await db.maybe(sql.hold_owner, UUID, address_hash=link.address_hash)
    held = await db.maybe(sql.signup_held, Signup, token_hash=credentials.fingerprint(token))
    if held is None:
        return await confirmed_before(db, token)
    return await _confirmed(db, held, _Secret(token=token), network)


async def confirm_by_code(
    db: Db, address: Address, code: str, network: Network | None = None
) -> Confirmed:
    """Make a sign-up's wish count by the typed code, or refuse with WrongCode or as `confirm` does.

    The caller has counted this try and committed the count.
    """
    fingerprint = db.keys.address_hash(db.business_id, address.folded)
    hashed = credentials.code_hash(db.keys, db.business_id, fingerprint, code)
    await db.maybe(sql.hold_owner, UUID, address_hash=fingerprint)
    held = await db.maybe(sql.signup_held_by_code, Signup, folded=address.folded, code_hash=hashed)
    if held is None:
        raise WrongCode
    return await _confirmed(db, held, _Secret(code_hash=hashed), network)


async def confirmed_before(db: ReadDb, token: str) -> Confirmed:
    """Tell what the first press of a link recorded, or refuse with LinkOver if there was none."""
    link = credentials.open_confirm(db.keys, db.business_id, token)
    customer = await customers.by_hash(db, link.address_hash)
    if customer is None:
        raise LinkOver
    events = [
        event
        for event in await consent.history(db, customer.id)
        if event.method in _CONFIRMED and event.request == str(link.signup_id)
    ]
    if not events:
        raise LinkOver
    return await told_of(db, customer, events, before=True)


async def posted(db: Db, letter: Letter, *, send: bool) -> str:
    """Send a letter if it is to be sent and nobody floods the address; else do as much work.

    Returns its Message-ID, or nothing. The answer to whoever asked is the same and takes the same
    time: the letter is composed and written, and the worker is woken, in each case.
    """
    if not send:
        await _busy(db)
        await mail.rehearse_letter(db, letter)
        return ""
    try:
        message_id = await mail.post_letter(db, letter)
    except TooManyLetters:
        await mail.rehearse_letter(db, letter)
        return ""
    await _busy(db)
    return message_id


async def export(db: ReadDb, customer_id: UUID) -> Export:
    """Return what is held of a customer here: sign-ups not confirmed, ways in, sessions."""
    signups = await db.many(sql.signups_of_customer, Signup, customer_id=customer_id)
    return Export(
        signups=[msgspec.structs.replace(each, network=None) for each in signups],
        networks=[
            consent.unsealed_network(db, each.id, each.network)
            for each in signups
            if each.network is not None
        ],
        links=await db.many(sql.link_of_customer, OpenLink, customer_id=customer_id),
        sessions=await db.many(sql.sessions_of_customer, Session, customer_id=customer_id),
        new_addresses=await db.many(
            sql.changes_of_customer, WaitingAddress, customer_id=customer_id
        ),
        former_addresses=await db.many(
            sql.formers_of_customer, FormerAddress, customer_id=customer_id
        ),
    )


async def tidy(db: Db) -> None:
    """Delete what has ended: sign-ups, ways in, sessions, changes of address, ways to undo them."""
    await db.run(sql.drop_old_changes)
    await db.one(sql.close_old_undos, int)
    await db.run(sql.drop_old_signups)
    await db.run(sql.drop_old_links)
    await db.run(sql.drop_old_sessions, idle_since=db.now - IDLE)


async def _letter(
    db: Db,
    business: Business,
    new: NewSignup,
    standing: Standing | None,
    *,
    token: str,
    code: str,
) -> Letter:
    """Write the mail that asks for a confirmation, or, without token, says there is nothing to."""
    names = {each.id: each.name for each in await consent.purposes(db)}
    words = wording.words(
        "confirm" if token else "already",
        new.locale,
        business,
        names=wording.Names(tuple(names[choice.purpose_id] for choice in new.choices)),
        asked=wording.moment(db.now, business),
        until=wording.moment(db.now + SIGNUP_LASTS, business),
        link=f"{business.origin}/confirm/{token}" if token else f"{business.origin}/sign-in",
        again=new.again,
        code=credentials.grouped(code),
        typed_at=wording.to_type(business, "/confirm"),
    )
    return Letter(
        kind=LetterKind.confirmation if token else LetterKind.asked,
        address=new.address.deliverable,
        address_hash=db.keys.address_hash(db.business_id, new.address.folded),
        subject=words.subject,
        text=words.text,
        html=words.html,
        locale=words.language,
        customer_id=standing.customer_id if standing else None,
    )


class _Secret(Struct, frozen=True):
    """What came back from the mailbox: the token of the link, or the hash of the typed code."""

    token: str | None = None
    code_hash: bytes | None = None


async def _confirmed(db: Db, signup: Signup, by: _Secret, network: Network | None) -> Confirmed:
    chosen = await open_choices(db, signup)
    customer = await (_renewing if signup.again else _customer)(db, signup)
    proof_id = await db.one(
        sql.prove_sign_up,
        UUID,
        proof_id=opaque(),
        customer_id=customer.id,
        signup_id=signup.id,
        token=by.token,
        code_hash=by.code_hash,
    )
    way = "confirm_link" if by.token else "confirm_code"
    opt_in = OptIn(proof_id, way, signup.requested_at, db.now, signup.message_id)
    asked, given = steps(db, signup, opt_in, network)
    actor, told = Actor.customer(customer.id), signup.elsewhere
    asking = Actor.key(told.key_id, told.key_name) if told else actor
    events = []
    # In one order for everybody, so that two at once wait and do not deadlock. The text that was
    # shown counts, whatever is published by now.
    for choice in sorted(chosen, key=lambda choice: choice.purpose_id):
        question = Question(choice.purpose_id, choice.notice_id)
        await consent.request(db, asking, customer.id, question, asked)
        events.append(await consent.give(db, actor, customer.id, question, given))
    await bounds.forgive_letters(db, bounds.SIGN_UP, signup.address_hash)
    return await told_of(db, customer, events, before=False)


async def _holds(db: ReadDb, choice: Choice) -> bool:
    """Say whether a yes to the words that were ticked would allow anything now."""
    notice = await consent.notice(db, choice.notice_id)
    version = await consent.version(db, notice.purpose_id, notice.purpose_version)
    return version.ends_at is None or version.ends_at > db.now


async def _renewing(db: ReadDb, signup: Signup) -> Customer:
    """Find who says it again; LinkOver where it has ended since, so that it lifts no later no.

    LinkOver too where she has left that address: saying something again makes nobody a customer.
    """
    customer = await customers.by_hash(db, signup.address_hash)
    if customer is None or not await _stands(db, customer, signup):
        raise LinkOver
    return customer


async def _stands(db: ReadDb, customer: Customer, signup: Signup) -> bool:
    on = [await consent.authorised(db, c.purpose_id, [customer.id]) for c in signup.choices]
    return all(on)


def _kept_network(db: Db, business: Business, signup_id: UUID, new: NewSignup) -> bytes | None:
    if new.network is None or not business.keeps_network:
        return None
    return consent.sealed_network(db, signup_id, new.network)


async def _customer(db: Db, signup: Signup) -> Customer:
    """Find or add whose address was confirmed; what a customer says herself fills a gap only."""
    customer = await customers.by_hash(db, signup.address_hash)
    if customer is None:
        new = NewCustomer(address=signup.address, name=signup.name, locale=signup.locale)
        customer_id = opaque()
        by = Actor.customer(customer_id)
        try:
            return await customers.add(db, by, new, source=Source.sign_up, customer_id=customer_id)
        except AddressTaken:
            # Somebody else added her between the look and here.
            customer = await customers.by_hash(db, signup.address_hash)
            if customer is None:
                raise
    if signup.name and not customer.name:
        by = Actor.customer(customer.id)
        return await customers.change(db, by, customer.id, Changes(name=signup.name))
    return customer


async def _busy(db: ReadDb) -> None:
    """Ask for nobody: the statement that the other way costs more."""
    await db.maybe(sql.standing, Standing, address_hash=_NOBODY)
