"""What is done with service messages of programs: each is looked at, set, judged and sent."""

from __future__ import annotations

from crm import businesses, customers, mail
from crm.businesses.logo import logo_of
from crm.campaigns import letterhead
from crm.campaigns.layout import Ground
from crm.campaigns.single import Single, check_single, single
from crm.customers import Customer, NotAnAddress, UnknownCustomer
from crm.customers.text import cleaned, filled, named
from crm.db import Db
from crm.events import Actor
from crm.mail import Letter, LetterKind, Scope, ServiceMessage, ServicePurpose
from crm.service.model import (
    AddressSuppressed,
    CustomerFrozen,
    NewServiceMessage,
    Reference,
    Subject,
    Words,
)


async def send(db: Db, by: Actor, new: NewServiceMessage) -> ServiceMessage:
    """Send one mail to one customer soon after this transaction commits.

    Refused where its purpose is none of a contract or a duty, where she may not be written to, got
    enough within a day, or where its final bytes would watch her.
    """
    new.check()
    purpose = await mail.service_purpose(db, new.purpose)
    customer = await _to(db, new)
    address_hash = db.keys.address_hash(db.business_id, customers.fold(customer.address))
    stands = await mail.suppressed(db, address_hash)
    if stands is not None and stands.scope is Scope.all:
        raise AddressSuppressed
    await mail.check_room(db, customer.id)
    words = await _words(db, new, purpose, customer)
    letter = _letter(new, purpose, customer, address_hash, words)
    written = await mail.write(db, letter)
    origin = (await businesses.get(db)).origin
    check_single(written.content, written.address, origin, words.problems)
    return await mail.post_service_message(db, by, letter, written)


async def _to(db: Db, new: NewServiceMessage) -> Customer:
    """Find and hold her; refuse who is unknown, waits for her deletion, or has a frozen record."""
    customer_id = new.customer
    if customer_id is None:
        try:
            known = await customers.by_address(db, new.address or "")
        except NotAnAddress as wrong:
            raise named(wrong, "address") from None
        customer_id = known.id if known else None
    customer = await customers.hold(db, customer_id) if customer_id else None
    if customer is None:
        raise UnknownCustomer
    await customers.check_stays(db, customer.id)
    if customer.restricted_at is not None:
        raise CustomerFrozen
    return customer


async def _words(
    db: Db, new: NewServiceMessage, purpose: ServicePurpose, customer: Customer
) -> Single:
    business = await businesses.get(db)
    head = letterhead(business, await businesses.theme_of(db), await logo_of(db))
    ground = Ground(
        label=purpose.label,
        purpose=purpose.purpose,
        basis=purpose.basis,
        mails=f"{business.origin}/me/mails",
    )
    return single(
        filled(new.subject, "subject", Subject),
        cleaned(new.text, "text", Words, lines=True),
        head,
        ground,
        new.locale or customer.locale or business.locale,
    )


def _letter(
    new: NewServiceMessage,
    purpose: ServicePurpose,
    customer: Customer,
    address_hash: bytes,
    words: Single,
) -> Letter:
    return Letter(
        kind=LetterKind.business,
        address=customer.address,
        address_hash=address_hash,
        subject=words.subject,
        text=words.text,
        html=words.html,
        locale=words.language,
        customer_id=customer.id,
        images=words.attached,
        purpose=purpose.name,
        reference=cleaned(new.reference, "reference", Reference) or None,
    )
