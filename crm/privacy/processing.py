"""The record of processing activities (Art. 30 GDPR), made of what is declared and enforced.

Nothing is written for it: purposes, attributes and kinds of interaction are as they are declared,
and the times of what is kept besides are those that jobs delete by.
"""

from __future__ import annotations

from datetime import datetime

from msgspec import Struct

from crm import businesses, consent, customers
from crm.access.model import ABSOLUTE, CHANGE_LASTS, LINK_LASTS, SIGNUP_LASTS, UNDO_LASTS
from crm.businesses import Business
from crm.consent import Purpose, Version
from crm.consent.terms import Party, Terms
from crm.customers import retention
from crm.db import ReadDb
from crm.inbound.model import REMEMBERED
from crm.privacy.certificate import CERTIFICATE_LASTS
from crm.privacy.copies import KEPT as COPY_KEPT
from crm.privacy.copies import REMEMBERED as COPY_REMEMBERED
from crm.privacy.model import Controller

# Art. 30(1)(g): in general words; the documentation says more.
_SECURITY = (
    "Each business's rows are kept apart by the database itself (row-level security).",
    "Passwords of staff are hashed with Argon2id; customers have none.",
    "Keys of receipts, of DKIM, of relays and of network addresses are encrypted at rest.",
    "Mail goes to relays inside TLS, unless the operator says that a relay's network is his alone.",
    "Each look at a record of a customer is written down, with who and why.",
    "Decisions are sealed in a Merkle tree whose signed heads are kept outside the database.",
)


class Activity(Struct, frozen=True, kw_only=True):
    """One purpose: what is done, on which ground, with which data, for whom, and for how long."""

    name: str
    description: str
    version: int
    since: datetime
    basis: str
    special_category: bool
    automated_decisions: bool
    data: list[str]
    recipients: list[Party]
    # Countries where it is kept, and what protects it outside the union it came from.
    storage: list[str]
    safeguards: str
    # In words: how long a consent holds, and its proof after that.
    validity: str
    proof_kept: str


class Kept(Struct, frozen=True):
    """One kind of data: what it is for, and when it is deleted."""

    what: str
    why: str
    until: str


class Processing(Struct, frozen=True, kw_only=True):
    """The whole record; `version` rises when its shape changes."""

    format: str = "firsthand/ropa"
    version: int = 1
    generated_at: datetime
    controller: Controller
    # Whose data: Art. 30(1)(c).
    subjects: str = "Customers, and whoever signs up and has not confirmed yet."
    activities: list[Activity]
    attributes: list[Kept]
    interactions: list[Kept]
    besides: list[Kept]
    security: list[str]


async def processing(db: ReadDb) -> Processing:
    """Make the record of a business as it is now."""
    activities = []
    for purpose in await consent.purposes(db):
        version = await consent.version(db, purpose.id, purpose.version)
        activities.append(_activity(purpose, version))
    return Processing(
        generated_at=db.now,
        controller=Controller.of(await businesses.get(db)),
        activities=activities,
        attributes=[
            Kept(each.label, each.purpose, f"{each.kept_for} after it was set")
            for each in await customers.attributes(db)
        ],
        interactions=[
            Kept(each.label, each.purpose, f"{each.kept_for} after it happened")
            for each in await customers.kinds(db)
        ],
        besides=[*_besides(await businesses.get(db)), *_copies()],
        security=list(_SECURITY),
    )


def _activity(purpose: Purpose, version: Version) -> Activity:
    terms: Terms = version.entered
    return Activity(
        name=purpose.name,
        description=purpose.description,
        version=version.version,
        since=version.published_at,
        basis=version.basis.value,
        special_category=version.special_category,
        automated_decisions=terms.automated_decisions,
        data=[f"{each.kind.value}{', optional' if each.optional else ''}" for each in terms.data],
        recipients=list(terms.recipients),
        storage=list(terms.storage),
        safeguards=terms.safeguards,
        validity=_words(terms.validity),
        proof_kept=_words(terms.retention),
    )


def _besides(business: Business) -> list[Kept]:
    """Say what is kept besides what was declared; the times are those that are enforced."""
    return [
        *_to_get_in(),
        Kept("Decisions and their evidence", "To prove consent (Art. 7(1))", "erasure"),
        Kept("Rhythm: limit, pause, digests", "To keep to it", "taken back, or erasure"),
        Kept("Deliveries", "To say what was sent, and on what ground", "erasure; then as a count"),
        Kept(
            "Letters that answer something", "To deliver them", "handed over; their list: erasure"
        ),
        Kept(
            "What was filled in for a customer in a newsletter, and the text of letters without "
            "their secrets",
            "So that she can read what she was sent",
            f"{business.mail_days} days after it was sent, at most",
        ),
        Kept("Network addresses beside decisions", "As evidence", "the days set for the business"),
        Kept("Rows of lists that are imported", "To take them over", "the import is done"),
        Kept(
            "Answers to programs, encrypted", "So that a call repeated does nothing twice", "a day"
        ),
        Kept("Mails that bounced softly, as a count", "To know a dead address", "a mail arrives"),
        Kept("Events", "To say who did what with a record, and who looked", "erasure"),
        Kept(
            "Reports of bounces and complaints, as a digest",
            "So that each has its effect once",
            f"{REMEMBERED.days} days",
        ),
        Kept(
            "Fingerprints of addresses that must get no mail",
            "To keep to a withdrawal, a bounce or an objection",
            "lifted by a new yes of the owner, or deleted with an erasure if she wants that",
        ),
        Kept("Stubs of decisions, which name nobody", "To keep the ledger whole", "kept for good"),
        Kept(
            "Certificates of erasures, which name nobody",
            "To show what was deleted",
            f"{CERTIFICATE_LASTS.days} days",
        ),
    ]


def _to_get_in() -> list[Kept]:
    """Say what is kept of her ways in, and of her address as it changes."""
    change = CHANGE_LASTS.total_seconds() / 3600
    hours, minutes = ABSOLUTE.total_seconds() / 3600, LINK_LASTS.total_seconds() / 60
    return [
        Kept("Sign-ups", "To be confirmed by their mailbox", f"{SIGNUP_LASTS.days} days"),
        Kept("Mailed ways in", "To sign in without a password", f"{minutes:.0f} minutes"),
        Kept("Changes of address, unconfirmed", "To ask the new mailbox", f"{change:.0f} hour"),
        Kept(
            "Former addresses",
            "To undo a change; then as a fingerprint, so that links in old mails stop mails",
            f"{UNDO_LASTS.days} days; the fingerprint until erasure",
        ),
        Kept("Sessions", "To stay signed in", f"{hours:.0f} hours at most"),
    ]


def _copies() -> list[Kept]:
    until = f"{COPY_KEPT.days} days; that there was one: {COPY_REMEMBERED.days} days"
    return [Kept("Copies of everything, encrypted", "To hand them to whoever asked", until)]


def _words(duration: str) -> str:
    return retention(duration).words() if duration else ""
