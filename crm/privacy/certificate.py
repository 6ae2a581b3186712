"""The certificate of an erasure: which stores it reached, with counts, and what stays until when.

It names nobody: whoever holds it knows whose it is.
"""

from __future__ import annotations

import binascii
from base64 import urlsafe_b64decode, urlsafe_b64encode
from datetime import datetime, timedelta
from uuid import UUID

from msgspec import Struct

from crm.events import ActorKind
from crm.journal import KEPT
from crm.keys import MAC_SIZE, Keys
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
    "customer": "Address, name, language, time zone and number",
    "former_address": "Earlier addresses",
    "address_change": "A new address that was not confirmed",
    "attribute_value": "What else was known",
    "interaction": "Purchases, notes, calls and answers",
    "rhythm": "How often you wanted mail",
    "consent": "What you allowed",
    "consent_record": "Decisions with their evidence",
    "consent_network": "From where you decided",
    "evidence_file": "Files that showed a decision",
    "mailbox_proof": "When your mailbox spoke for you",
    "signup": "Sign-ups that were not confirmed",
    "portal_link": "Ways in that were mailed and not used",
    "portal_session": "Browsers in which you were signed in",
    "service_message": "Letters that answered you, sent or waiting",
    "retry": "Newsletters that were to be tried again",
    "delivery": "What mail servers said about newsletters to you",
    "soft_bounce": "Mails that did not arrive, as a count",
    "attempt": "Codes and mails that were counted for your address",
    "suppression": "The fingerprint of your address",
    "privacy_request": "The words of what you asked under the law, and that it was you",
    "erasure_wish": "The wish itself, while it could be called off",
    "look_reason": "Reasons that staff gave for looking",
    "event": "What was done with your record, and who looked",
}


_SENT = "Newsletters that went to somebody or left somebody out"
_CHECKSUMS = "Checksums of decisions"
_WHOLE_LEDGER = "So that the ledger stays whole; nobody can read from one what it was, or whose"
_REQUESTS = "What was asked under the law, when, and what came of it"
_THREE_YEARS = "three years after it was answered"
_JOURNAL = "Lines in a journal outside the database: the record's number and the fingerprint"
_BACKUPS = f"no backup is left: {KEPT.days} days, unless the operator sets other days"


class Store(Struct, frozen=True):
    """A store that the erasure reached, and how many entries went from it."""

    table: str
    what: str
    gone: int


class Stays(Struct, frozen=True):
    """Something that stays: why, until when, and how many."""

    what: str
    why: str
    until: str
    count: int


_ANSWERS = Stays(
    "Answers that a program was given, encrypted so that only it can read them",
    "So that a call repeated does nothing twice",
    "a day",
    0,
)


class Certificate(Struct, frozen=True, kw_only=True):
    """What an erasure did; `version` rises when its shape changes."""

    format: str = "firsthand/erasure-certificate"
    version: int = 1
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
    deliveries: int
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
        without=[
            "The queue of work (Redis): numbers of businesses and newsletters only",
            "The logs of the programs: what happened and where, never to whom",
        ],
        stays=_stays(erasure),
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


def _stays(erasure: Erasure) -> list[Stays]:
    """List what stays; each of it names nobody."""
    good, gone = "for good", erasure.gone.get
    books, answered = "So that the books of each newsletter add up", gone("privacy_request", 0)
    found = [
        Stays("An empty record", "So that what hangs on it still counts", good, 1),
        Stays(_SENT, books, good, erasure.deliveries),
        Stays(_CHECKSUMS, _WHOLE_LEDGER, good, gone("consent_record", 0)),
        Stays(_REQUESTS, "To show an authority that it was answered", _THREE_YEARS, answered),
        Stays("A line that a record was deleted", "To show that it was done", good, 1),
        Stays("This certificate", "To show what was done", f"{erasure.expires_at:%Y-%m-%d}", 1),
        Stays(_JOURNAL, "So that a backup which is put back is put right first", _BACKUPS, 1),
    ]
    if erasure.fingerprint is Fingerprint.keep:
        marks = 1 + gone("former_address", 0)
        why = "So that no old list brings newsletters back; it cannot be read back"
        until = "you confirm a new sign-up"
        found.append(Stays("The fingerprint of each address you had", why, until, marks))
    return [*(each for each in found if each.count), _ANSWERS]
