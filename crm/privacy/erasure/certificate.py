"""The certificate of an erasure: which stores it reached, with counts, and what stays until when.

It names nobody: whoever holds it knows whose it is.
"""

from __future__ import annotations

import binascii
from base64 import urlsafe_b64decode, urlsafe_b64encode
from datetime import date, datetime, timedelta
from uuid import UUID

from msgspec import Struct

from crm.consent import ToKeep
from crm.events import ActorKind
from crm.keys import MAC_SIZE, Keys
from crm.languages import marked
from crm.privacy.erasure.staying import Left, Stays, staying
from crm.privacy.model import Controller, Fingerprint
from crm.tokens import BadLink

# As long as somebody may ask whether it was done: claims end after three years, counted from the
# end of the year, in most of Europe.
CERTIFICATE_LASTS = timedelta(days=4 * 365)
TYPE = "firsthand-erasure+jws"

_LABEL = "erasure certificate"
_ID = 16

# Every table that a customer can stand in, as she would call it; tests/test_personal_data.py finds
# the one that is missing.
STORES: dict[str, str] = {
    "customer": marked("Address, name, language, time zone and number"),
    "former_address": marked("Earlier addresses"),
    "address_change": marked("A new address that was not confirmed"),
    "attribute_value": marked("What else was known"),
    "customer_tag": marked("Tags that were put on you"),
    "interaction": marked("Purchases, notes, calls and answers"),
    "rhythm": marked("How often you wanted mail"),
    "consent": marked("What you allowed"),
    "quarantine": marked("Rows of lists that said you agreed and did not show it"),
    "consent_record": marked("Decisions with their evidence"),
    "consent_network": marked("From where you decided"),
    "evidence_file": marked("Files that showed a decision"),
    "mailbox_proof": marked("When your mailbox spoke for you"),
    "signup": marked("Sign-ups that were not confirmed"),
    "portal_link": marked("Ways in that were mailed and not used"),
    "portal_session": marked("Browsers in which you were signed in"),
    "service_message": marked("Letters that answered you, sent or waiting"),
    "retry": marked("Newsletters that were to be tried again"),
    "digest_choice": marked("Where you wanted one digest a week"),
    "delivery": marked("What mail servers said about newsletters to you"),
    "soft_bounce": marked("Mails that did not arrive, as a count"),
    "attempt": marked("Codes, mails and consents that were counted for your address"),
    "suppression": marked("The fingerprint of your address"),
    "privacy_request": marked("The words of what you asked under the law, and that it was you"),
    "restriction_end": marked("That a freeze was to end"),
    "dormancy": marked("That you were told of the end of a quiet record"),
    "erasure_wish": marked("The wish itself, while it could be called off"),
    "brought": marked("What you had brought along from another business"),
    "copy": marked("That a copy of everything was asked for"),
    "copy_part": marked("Copies of everything, in parts"),
    "look_reason": marked("Reasons that staff gave for looking"),
    "post": marked("What was told to other systems, or was to be"),
    "event": marked("What was done with your record, and who looked"),
}


_WITHOUT = (
    marked("The queue of work (Redis): numbers of businesses and newsletters only"),
    marked("The logs of the programs: what happened and where, never to whom"),
)


class Store(Struct, frozen=True):
    """A store that the erasure reached, and how many entries went from it."""

    table: str
    what: str
    gone: int


class Certificate(Struct, frozen=True, kw_only=True):
    """What an erasure did; `version` rises when its shape changes."""

    format: str = "firsthand/erasure-certificate"
    version: int = 2
    business: Controller
    # The number of the record, which is empty now.
    record: UUID
    erased_at: datetime
    asked_by: ActorKind
    stores: list[Store]
    # Stores in which nothing about customers is kept, so that nothing had to be deleted there.
    without: list[str]
    stays: list[Stays]
    kept_until: datetime


class Signed(Struct, frozen=True):
    """A certificate, and the same signed; nothing where the key cannot be used now."""

    certificate: Certificate
    jws: str


class Erasure(Struct, frozen=True, kw_only=True):
    """What is kept of an erasure."""

    customer_id: UUID
    erased_at: datetime
    actor_kind: ActorKind
    fingerprint: Fingerprint
    gone: dict[str, int]
    # Hers, and those that were merged into it.
    records: int
    # How many different ones all of those had; unknown of an erasure that did not count them.
    addresses: int | None
    deliveries: int
    # How many proofs of consents were kept, and when the last of them goes.
    proofs: int
    proofs_until: date | None
    expires_at: datetime


def written(erasure: Erasure, business: Controller) -> Certificate:
    """Write the certificate of an erasure."""
    return Certificate(
        business=business,
        record=erasure.customer_id,
        erased_at=erasure.erased_at,
        asked_by=erasure.actor_kind,
        stores=[
            Store(table, what, erasure.gone.get(table, 0))
            for table, what in STORES.items()
            if table != "suppression" or erasure.fingerprint is Fingerprint.drop
        ],
        without=list(_WITHOUT),
        stays=staying(_left(erasure)),
        kept_until=erasure.expires_at,
    )


def certificate_token(keys: Keys, business_id: UUID, customer_id: UUID) -> str:
    """Write the link to a certificate; whoever holds it may read what names nobody."""
    signature = keys.sign(business_id, _LABEL, customer_id.bytes)
    return urlsafe_b64encode(customer_id.bytes + signature).rstrip(b"=").decode()


def open_certificate(keys: Keys, business_id: UUID, token: str) -> UUID:
    """Read such a link, or refuse with BadLink."""
    try:
        whole = urlsafe_b64decode(token + "=" * (-len(token) % 4))
    except (binascii.Error, ValueError):
        raise BadLink from None
    if len(whole) != _ID + MAC_SIZE + 1 or urlsafe_b64encode(whole).rstrip(b"=").decode() != token:
        raise BadLink
    if not keys.verified(business_id, _LABEL, whole[:_ID], whole[_ID:]):
        raise BadLink
    return UUID(bytes=whole[:_ID])


def _left(erasure: Erasure) -> Left:
    gone = erasure.gone.get
    kept = erasure.fingerprint is Fingerprint.keep
    addresses = erasure.addresses or 1 + gone("former_address", 0)
    return Left(
        at=erasure.erased_at,
        records=erasure.records,
        deliveries=erasure.deliveries,
        decisions=gone("consent_record", 0),
        proof=ToKeep(erasure.proofs, erasure.proofs_until),
        requests=gone("privacy_request", 0),
        addresses=addresses if kept else 0,
    )
