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
from crm.keys import MAC_SIZE, Keys
from crm.languages import marked
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
    "interaction": marked("Purchases, notes, calls and answers"),
    "rhythm": marked("How often you wanted mail"),
    "consent": marked("What you allowed"),
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
    "attempt": marked("Codes and mails that were counted for your address"),
    "suppression": marked("The fingerprint of your address"),
    "privacy_request": marked("The words of what you asked under the law, and that it was you"),
    "restriction_end": marked("That a freeze was to end"),
    "erasure_wish": marked("The wish itself, while it could be called off"),
    "brought": marked("What you had brought along from another business"),
    "copy": marked("That a copy of everything was asked for"),
    "copy_part": marked("Copies of everything, in parts"),
    "look_reason": marked("Reasons that staff gave for looking"),
    "event": marked("What was done with your record, and who looked"),
}


_GOOD = marked("It stays for good.")
_SENT = marked("Newsletters that went to somebody or left somebody out")
_BOOKS = marked("So that the books of each newsletter add up.")
_CHECKSUMS = marked("Checksums of decisions")
_LEDGER = marked("So that the ledger stays whole; nobody can read from one what it was, or whose.")
_REQUESTS = marked("What was asked under the law, when, and what came of it")
_ANSWERED = marked("To show an authority that it was answered.")
_THREE_YEARS = marked("It goes three years after the answer.")
_EMPTY = marked("An empty record")
_HANGS = marked("So that what hangs on it still counts.")
_LINE = marked("A line that a record was deleted, and this certificate")
_DONE = marked("To show that it was done.")
_FOUR_YEARS = marked("The line goes after three years, the certificate after four.")
_JOURNAL = marked(
    "Lines in a journal outside the database: the record's number and the fingerprint"
)
_BACKUPS = marked("So that a backup which is put back is put right before it is used.")
_AGED = marked("They go when no backup from before can be put back any more.")
_MARKS = marked("The fingerprint of each address you had")
_LISTS = marked("So that no old list brings newsletters back; it cannot be read back.")
_AGAIN = marked("It goes if you confirm a new sign-up.")
_PROGRAMS = marked("Answers that a program was given, encrypted so that only it can read them")
_TWICE = marked("So that a call repeated does nothing twice.")
_A_DAY = marked("They go after a day.")
_WITHOUT = (
    marked("The queue of work (Redis): numbers of businesses and newsletters only"),
    marked("The logs of the programs: what happened and where, never to whom"),
)


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
        without=list(_WITHOUT),
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
    gone = erasure.gone.get
    found = [
        Stays(_EMPTY, _HANGS, _GOOD, 1),
        Stays(_SENT, _BOOKS, _GOOD, erasure.deliveries),
        Stays(_CHECKSUMS, _LEDGER, _GOOD, gone("consent_record", 0)),
        Stays(_REQUESTS, _ANSWERED, _THREE_YEARS, gone("privacy_request", 0)),
        Stays(_LINE, _DONE, _FOUR_YEARS, 1),
        Stays(_JOURNAL, _BACKUPS, _AGED, 1),
    ]
    if erasure.fingerprint is Fingerprint.keep:
        found.append(Stays(_MARKS, _LISTS, _AGAIN, 1 + gone("former_address", 0)))
    return [*(each for each in found if each.count), Stays(_PROGRAMS, _TWICE, _A_DAY, 0)]
