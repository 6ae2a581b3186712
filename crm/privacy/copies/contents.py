"""Everything held of a customer, list by list, read from PostgreSQL as it is needed.

What grows with the years (mails, events, what happened) is never in memory as a whole. What she
decided is, since its receipts are made at once.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from msgspec import Struct

from crm import (
    access,
    businesses,
    campaigns,
    consent,
    customers,
    events,
    inbound,
    mail,
    rhythm,
    staff,
    webhooks,
)
from crm.access.model import FormerAddress, WaitingAddress
from crm.campaigns import DigestChoice, HeldDelivery
from crm.consent import (
    Bundle,
    Consent,
    EvidenceFile,
    KeptNetwork,
    KeptProof,
    MailboxProof,
    Network,
    Purpose,
)
from crm.customers import AttributeValue, Customer, HeldTag, Interaction, LawfulBasis
from crm.customers.model import Derived
from crm.db import ReadDb
from crm.events import Event
from crm.imports import quarantine
from crm.imports.quarantine import HeldRow
from crm.inbound import SoftBounce
from crm.languages import marked
from crm.mail import LetterKind, Suppression
from crm.privacy import brought, copies, dormancy, requests, restriction
from crm.privacy.brought.actions import HeldBrought
from crm.privacy.copies.archive import letter_file, newsletter_file
from crm.privacy.copies.model import Copy
from crm.privacy.dormancy import Dormancy
from crm.privacy.erasure import wishes
from crm.privacy.merging.actions import merged_records
from crm.privacy.model import (
    Controller,
    Decision,
    Look,
    MergedRecord,
    Wish,
    decisions,
    looks,
)
from crm.privacy.requests.model import HeldRequest
from crm.privacy.restriction.actions import FreezeEnds
from crm.rhythm import Rhythm
from crm.staff import Said
from crm.webhooks import HeldPost

_LOOKS_AT_ONCE = 1000


class Newsletter(Struct, frozen=True):
    """One campaign to her, and the file of the copy with its text; none where it did not go."""

    delivery: HeldDelivery
    file: str


class Recipient(Struct, frozen=True, kw_only=True):
    """Somebody else who receives her data for a purpose that is on, as its text says now."""

    purpose: str
    name: str
    role: str
    address: str
    contact: str
    country: str


class Letter(Struct, frozen=True):
    """One service message to her, and the file of the copy with its text, as long as it is kept."""

    message_id: UUID
    kind: LetterKind
    state: str
    created_at: datetime
    done_at: datetime | None
    subject: str
    # What the business calls it, and of one that a program wrote, what for and on which ground.
    reference: str
    label: str | None
    purpose: str | None
    basis: LawfulBasis | None
    bounced_at: datetime | None
    bounce_code: str | None
    file: str


class Listed(Struct, frozen=True):
    """One list of a copy: a name for its files, what it is, of what kind, and its rows anew."""

    name: str
    what: str
    kind: Any
    rows: Callable[[], AsyncIterator[Struct]]
    # What the page of the copy says in words; all else it shows as a table.
    in_words: bool = False


class Contents(Struct, frozen=True):
    """What a copy is made of; its lists can be read as often as it takes."""

    db: ReadDb
    business: Controller
    customer: Customer
    attributes: list[AttributeValue]
    decisions: list[Decision]
    receipts: Bundle | None
    files: list[EvidenceFile]
    lists: list[Listed]

    @property
    def generated_at(self) -> datetime:
        """The instant that all of it is of."""
        return self.db.now


async def contents(db: ReadDb, customer_id: UUID) -> Contents:
    """Look up what a copy is made of; UnknownCustomer where she is erased."""
    held = await customers.export(db, customer_id)
    said = await consent.export(db, customer_id)
    waits, her = await wishes.wish(db, customer_id), customer_id
    decided = decisions(said.told)
    purposes = (said.told.purposes, said.told.consents)
    return Contents(
        db=db,
        business=Controller.of(await businesses.get(db)),
        customer=held.customer,
        attributes=held.attributes,
        decisions=decided,
        receipts=said.receipts,
        files=said.files,
        lists=[
            *_of_customer(db, held),
            _few("consents", marked("what you allow now"), Consent, purposes[1]),
            _few("decisions", _DECISIONS, Decision, decided, in_words=True),
            _few("purposes", marked("what we ask to use your address for"), Purpose, purposes[0]),
            _few("recipients", _RECIPIENTS, Recipient, await _recipients(db, *purposes)),
            *_of_mail(db, customer_id),
            *await _of_rhythm(db, customer_id),
            *_of_looks(db, customer_id),
            Listed("passed_on", _PASSED_ON, HeldPost, lambda: webhooks.export(db, customer_id)),
            _few("networks", _NETWORKS, KeptNetwork, said.networks),
            _few("proofs", marked("when your mailbox spoke for you"), MailboxProof, said.proofs),
            _few("kept_proofs", _KEPT_PROOFS, KeptProof, said.kept_proofs),
            _few("quarantine", _QUARANTINE, HeldRow, await quarantine.export(db, her)),
            _few("files", marked("files that show a decision"), EvidenceFile, said.files),
            *await _of_access(db, customer_id),
            _few("deletions", marked("a deletion that you can call off"), Wish, _one(waits)),
            *await _of_mailbox(db, customer_id, held.derived),
            _few("dormancy", _DORMANCY, Dormancy, _one(await dormancy.of_customer(db, her))),
            _few("freeze_ends", _FREEZE, FreezeEnds, _one(await restriction.ending(db, her))),
            Listed("brought", _BROUGHT, HeldBrought, lambda: brought.export(db, customer_id)),
            _few("merged_records", _MERGED, MergedRecord, await merged_records(db, her)),
            _few("requests", _REQUESTS, HeldRequest, await requests.export(db, customer_id)),
        ],
    )


_DECISIONS = marked("each decision of yours, with the words it was about")
_KEPT_PROOFS = marked("what you allowed before an earlier deletion, kept as a proof")
_RECIPIENTS = marked("who else receives your data, and what for")
_MERGED = marked("other records of you that became part of this one")
_QUARANTINE = marked("rows of lists that say you agreed and do not show it, so they count nothing")
_NEW = marked("a change of address not confirmed")
_DORMANCY = marked("that you were told of the end of a quiet record")
_FREEZE = marked("that your freeze is to end, and who said so")
_REQUESTS = marked("what you asked of us, and each step of it")
_LETTERS = marked("mails that answered something you did, or were about a contract with you")
_NETWORKS = marked("from where you decided, as far as it is kept")
_PASSED_ON = marked("to which other systems it was told that something of yours changed")
_BROUGHT = marked("what you brought along from another business, as it was told there")


def _of_customer(db: ReadDb, held: customers.Export) -> list[Listed]:
    her = held.customer.id
    what = marked("what else we know of you, for what, and until when")
    return [
        _few("profile", marked("who you are to us"), Customer, [held.customer], in_words=True),
        _few("attributes", what, AttributeValue, held.attributes, in_words=True),
        _few("tags", marked("tags that we put on you"), HeldTag, held.tags, in_words=True),
        Listed(
            "interactions",
            marked("what happened between us"),
            Interaction,
            lambda: customers.all_interactions(db, her),
            in_words=True,
        ),
        _few("derived", marked("what is kept for comparing and joining"), Derived, [held.derived]),
    ]


async def _recipients(
    db: ReadDb, purposes: Sequence[Purpose], consents: Sequence[Consent]
) -> list[Recipient]:
    on = {each.purpose_id for each in consents if each.status in consent.AUTHORISES}
    found = []
    for purpose in purposes:
        if purpose.id in on:
            said = (await consent.version(db, purpose.id, purpose.version)).entered
            found += [
                Recipient(
                    purpose=purpose.name,
                    name=each.name,
                    role=each.role,
                    address=each.address,
                    contact=each.contact,
                    country=each.country,
                )
                for each in said.recipients
            ]
    return found


def _of_mail(db: ReadDb, her: UUID) -> list[Listed]:
    what = marked("newsletters that went to you, or left you out")
    return [
        Listed("newsletters", what, Newsletter, lambda: _newsletters(db, her), in_words=True),
        Listed("letters", _LETTERS, Letter, lambda: _letters(db, her), in_words=True),
    ]


async def _of_rhythm(db: ReadDb, her: UUID) -> list[Listed]:
    wanted = _one(await rhythm.export(db, her))
    chosen = await campaigns.digest_choices(db, her)
    return [
        _few("rhythm", marked("how much mail you want"), Rhythm, wanted),
        _few("digests", marked("where you want one digest a week"), DigestChoice, chosen),
    ]


def _of_looks(db: ReadDb, her: UUID) -> list[Listed]:
    what = marked("who opened or copied your record, and why")
    done = marked("everything that was done with your record")
    return [
        Listed("looks", what, Look, lambda: _looks(db, her), in_words=True),
        Listed("events", done, Event, lambda: events.export(db, her)),
    ]


async def _of_access(db: ReadDb, her: UUID) -> list[Listed]:
    held = await access.export(db, her)
    return [
        _few(
            "sign_ups", marked("sign-ups that you have not confirmed"), access.Signup, held.signups
        ),
        _few("sign_up_networks", marked("from where these came"), Network, held.networks),
        _few(
            "ways_in", marked("a way in that was mailed and not used"), access.OpenLink, held.links
        ),
        _few("sessions", marked("where you are signed in"), access.Session, held.sessions),
        _few("new_addresses", _NEW, WaitingAddress, held.new_addresses),
        _few(
            "former_addresses",
            marked("addresses that were yours"),
            FormerAddress,
            held.former_addresses,
        ),
        _few("copies", marked("copies like this one"), Copy, await copies.asked_of(db, her)),
    ]


async def _of_mailbox(db: ReadDb, her: UUID, derived: Derived) -> list[Listed]:
    above = await mail.suppressed(db, derived.address_hash)
    decided = await mail.decided_against(db, derived.address_hash)
    kept = list(dict.fromkeys([*_one(above), *_one(decided)]))
    bounced = await inbound.export(db, her)
    said = await staff.export(db, her)
    return [
        _few("suppressions", marked("why mails are kept from you"), Suppression, kept),
        _few(
            "soft_bounces", marked("mails that could not be delivered lately"), SoftBounce, bounced
        ),
        _few("open_reasons", marked("reasons that staff gave for looking, just now"), Said, said),
    ]


def _one(thing: Struct | None) -> list[Struct]:
    return [] if thing is None else [thing]


def _few(
    name: str, what: str, kind: Any, rows: Sequence[Struct], *, in_words: bool = False
) -> Listed:
    """A list that is in memory already."""

    async def each() -> AsyncIterator[Struct]:
        for row in rows:
            yield row

    return Listed(name, what, kind, each, in_words)


async def _newsletters(db: ReadDb, her: UUID) -> AsyncIterator[Newsletter]:
    async for each in campaigns.export(db, her):
        # Handed over to the relay, as far as we know: then its text is in the copy.
        file = newsletter_file(each.campaign_id, each.format, as_sent=each.as_sent)
        yield Newsletter(each, file if each.state.went else "")


async def _letters(db: ReadDb, her: UUID) -> AsyncIterator[Letter]:
    async for each in mail.export(db, her):
        yield Letter(
            each.message_id,
            each.kind,
            each.state,
            each.created_at,
            each.done_at,
            each.subject,
            each.reference,
            each.label,
            each.purpose,
            each.basis,
            each.bounced_at,
            each.bounce_code,
            letter_file(each.message_id) if each.texted else "",
        )


async def _looks(db: ReadDb, her: UUID) -> AsyncIterator[Look]:
    """Newest first, some at a time."""
    before: UUID | None = None
    while found := await events.looks_at(db, her, before=before, limit=_LOOKS_AT_ONCE):
        for look in looks(found):
            yield look
        before = found[-1].id
