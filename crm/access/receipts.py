"""A receipt mailed to the customer who asks for it: the words, and the files that prove it."""

from __future__ import annotations

from uuid import UUID

from crm import businesses, consent, customers, mail, staff
from crm.access import wording
from crm.access.model import MAILS_PER_ADDRESS
from crm.customers import Customer
from crm.db import Db
from crm.languages import language
from crm.mail import Attachment, Letter, LetterKind, TooManyLetters

_LETTERS = "receipt_letter"


async def mail_receipt(db: Db, me: Customer, event_id: UUID) -> None:
    """Mail her the receipt of one of her decisions, or refuse with UnknownEvent.

    Refuses with TooManyLetters after a few in a quarter of an hour, or within a day.
    """
    receipt = await consent.receipt(db, me.id, event_id)
    bundle = await consent.bundle(db, me.id, event_id)
    fingerprint = db.keys.address_hash(db.business_id, customers.fold(me.address))
    wait = await staff.count_attempt(db, _LETTERS, fingerprint, most=MAILS_PER_ADDRESS)
    if wait:
        raise TooManyLetters(retry_after=wait)
    business = await businesses.get(db)
    words = wording.words(
        "receipt",
        me.locale or language(),
        business,
        receipt=receipt,
        day=wording.day(receipt.event.at, business),
        decided=wording.moment(receipt.event.at, business),
        link=f"{business.origin}/me/receipts/{event_id}",
    )
    letter = Letter(
        kind=LetterKind.receipt,
        address=me.address,
        address_hash=fingerprint,
        subject=words.subject,
        text=words.text,
        html=words.html,
        locale=words.language,
        customer_id=me.id,
        attachments=(
            Attachment(f"receipt-{event_id}.json", "application/json", consent.packed(bundle)),
            Attachment(f"receipt-{event_id}.jws", "application/jose", receipt.jws.encode()),
        ),
    )
    await mail.post_letter(db, letter)
