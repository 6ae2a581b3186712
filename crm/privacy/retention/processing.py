"""The record of processing activities (Art. 30 GDPR), made of what is declared and enforced.

Nothing is written for it: purposes, service purposes, attributes, tags and kinds of interaction are
as they are declared, and the times of what is kept besides are those of `retention.py`, which the
sweep deletes by.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from uuid import UUID

from msgspec import Struct

from crm import businesses, consent, customers, mail
from crm.businesses import Business
from crm.consent import Purpose, Version
from crm.consent.terms import Party, Terms
from crm.customers import Attribute, Tag, retention
from crm.customers.basis import in_words
from crm.db import ReadDb
from crm.languages import gettext
from crm.privacy.model import Controller
from crm.privacy.retention.declarations import DECLARED

# Art. 30(1)(g): in general words; the documentation says more.
_SECURITY = (
    "Each business's rows are kept apart by the database itself (row-level security).",
    "Passwords of staff are hashed with Argon2id; customers have none.",
    "Keys of receipts, of DKIM, of relays and of network addresses are encrypted at rest.",
    "Mail goes to relays inside TLS, unless the operator says that a relay's network is his alone.",
    "Each look at a record of a customer is written down, with who and why.",
    "Decisions are sealed in a Merkle tree whose signed heads are kept outside the database.",
)

_LETTERS = next(each for each in DECLARED if "service_message" in each.tables)


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
    """One kind of data: what it is for, when it is deleted, by what right, and where it is from."""

    what: str
    why: str
    until: str
    basis: str = ""
    origin: str = ""


class Processing(Struct, frozen=True, kw_only=True):
    """The whole record; `version` rises when its shape changes."""

    format: str = "firsthand/ropa"
    version: int = 2
    generated_at: datetime
    controller: Controller
    # Whose data: Art. 30(1)(c).
    subjects: str = "Customers, and whoever signs up and has not confirmed yet."
    activities: list[Activity]
    # What programs write to single customers for, without a consent.
    messages: list[Kept]
    attributes: list[Kept]
    tags: list[Kept]
    interactions: list[Kept]
    besides: list[Kept]
    security: list[str]


async def processing(db: ReadDb) -> Processing:
    """Make the record of a business as it is now."""
    business = await businesses.get(db)
    activities = []
    purposes = {each.id: each for each in await consent.purposes(db)}
    for purpose in purposes.values():
        version = await consent.version(db, purpose.id, purpose.version)
        activities.append(_activity(purpose, version))
    return Processing(
        generated_at=db.now,
        controller=Controller.of(business),
        activities=activities,
        messages=await _messages(db, business),
        attributes=[
            Kept(
                each.label,
                each.purpose,
                _until(each, purposes),
                basis=in_words(each.basis),
                origin=each.origin,
            )
            for each in await customers.attributes(db)
        ],
        tags=[
            Kept(each.label, each.purpose, _until(each, purposes))
            for each in await customers.tags(db)
        ],
        interactions=[
            Kept(
                each.called,
                each.what_for,
                gettext("%(time)s after it happened", time=each.kept_for),
            )
            for each in await customers.kinds(db)
        ],
        besides=_besides(business),
        security=list(_SECURITY),
    )


async def _messages(db: ReadDb, business: Business) -> list[Kept]:
    return [
        Kept(each.label, each.purpose, _LETTERS.ends(business), basis=in_words(each.basis))
        for each in await mail.service_purposes(db)
    ]


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
        data=[each.words() for each in terms.data],
        recipients=list(terms.recipients),
        storage=list(terms.storage),
        safeguards=terms.safeguards,
        validity=_words(terms.validity),
        proof_kept=_words(terms.retention),
    )


def _besides(business: Business) -> list[Kept]:
    """Say what is kept besides what was declared, as it is declared to the sweep."""
    return [
        Kept(gettext(each.what), gettext(each.why), each.ends(business))
        for each in DECLARED
        if each.told
    ]


def _until(declared: Attribute | Tag, purposes: Mapping[UUID, Purpose]) -> str:
    purpose = purposes.get(declared.purpose_id) if declared.purpose_id else None
    if purpose is None:
        return gettext("%(time)s after it was set", time=declared.kept_for)
    return gettext(
        "%(time)s after it was set, and no longer than the purpose lasts: %(purpose)s",
        time=declared.kept_for,
        purpose=purpose.name,
    )


def _words(duration: str) -> str:
    return retention(duration).words() if duration else ""
