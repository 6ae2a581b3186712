"""A campaign's mail as it was sent: its published skeleton, filled with what was kept of her.

The skeleton holds every word that was the same for all, so a letterhead, a theme or a logo changed
since makes no difference. Once values are gone, neutral words stand in their places.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from hashlib import sha256
from html import escape
from uuid import UUID

from msgspec import Struct

from crm import businesses, customers
from crm.businesses.image import Image
from crm.businesses.logo import logo_of
from crm.campaigns import words
from crm.campaigns.composing import Envelope
from crm.campaigns.merge import Field, Marks
from crm.campaigns.model import DeliveryState
from crm.campaigns.skeleton import Piece, Variant, slot_names, unpacked
from crm.customers import Customer
from crm.db import ReadDb, Statements
from crm.mail import Inline
from crm.mail.mime import Slots, stamp

sql = Statements("campaigns")


class HeldMail(Struct, frozen=True, kw_only=True):
    """One campaign to one customer, with all it was written with as long as that is kept."""

    campaign_id: UUID
    subject: str
    preheader: str
    source: str
    started_at: datetime | None
    purpose_id: UUID
    purpose_code: int
    state: DeliveryState
    reason: str | None
    event_id: UUID | None
    claimed_at: datetime | None
    done_at: datetime | None
    bounced_at: datetime | None
    merged: dict[str, str] | None
    asked: bool
    # The fingerprint of the address she had when it went.
    sent_to: bytes
    skeleton: bytes | None


class AsSent(Struct, frozen=True, kw_only=True):
    """A mail as its customer reads it again; `images` are those that are still the same."""

    subject: str
    text: str
    html: str
    headers: tuple[tuple[str, str], ...] = ()
    images: tuple[Inline, ...] = ()
    # Whether what was filled in for her is still there, or nothing was.
    whole: bool = True
    # Whether it went to the address she has now; an earlier one is not kept, so no `To` names it.
    here: bool = True


async def held_mail(db: ReadDb, customer_id: UUID, campaign_id: UUID) -> HeldMail | None:
    """Return one campaign to a customer, or None where there is none."""
    return await db.maybe(
        sql.mail_of_customer, HeldMail, campaign_id=campaign_id, customer_id=customer_id
    )


async def html_as_sent(db: ReadDb, me: Customer, campaign_id: UUID) -> str:
    """Return the HTML of one mail that went to her, to be kept; empty where there is none.

    Pictures that went along are only named in it.
    """
    held = await held_mail(db, me.id, campaign_id)
    sent = await as_sent(db, me, held, pictures=False) if held else None
    return sent.html if sent else ""


async def as_sent(
    db: ReadDb, me: Customer, held: HeldMail, *, pictures: bool = True
) -> AsSent | None:
    """Return what went to her; None where nothing did."""
    variant = _variant(held) if held.state.went else None
    if variant is None:
        return None
    business = await businesses.get(db)
    date = stamp(held.started_at or db.now)
    envelope = Envelope(db.keys, business, held.campaign_id, held.purpose_code, date)
    here = is_hers_now(db, me, held.sent_to)
    # Her links are made of keys, and are the same each time.
    slots = envelope.slots(me.address, held.sent_to)
    fields = _fields(held)
    filled = _filled(fields, held.merged, words.own(slots, business.name))
    parts = {leaf.media_type: leaf.words for leaf in variant.parts if leaf.words}
    headers = [(each.name, _line(each.value, filled)) for each in variant.fields]
    return AsSent(
        subject=next((value for name, value in headers if name.lower() == "subject"), ""),
        text=_joined(parts.get("text/plain", ()), filled),
        html=_joined(
            parts.get("text/html", ()), {name: escape(value) for name, value in filled.items()}
        ),
        headers=(*_own_headers(slots, here=here), *headers),
        images=await _images(db, held.campaign_id, variant) if pictures else (),
        whole=held.merged is not None or not any(_asks_for_her(field) for field in fields),
        here=here,
    )


def is_hers_now(db: ReadDb, me: Customer, address_hash: bytes) -> bool:
    """Say whether this is the fingerprint of the address she has now."""
    return address_hash == db.keys.address_hash(db.business_id, customers.fold(me.address))


def _variant(held: HeldMail) -> Variant | None:
    variants = unpacked(held.skeleton).variants if held.skeleton else ()
    return next((each for each in variants if each.asks is held.asked), None)


def _fields(held: HeldMail) -> list[Field]:
    """Find the merge fields, in the order in which a compiled mail numbers them."""
    marks = Marks()
    for line in (held.subject, held.preheader):
        marks.protect(" ".join(line.split()))
    marks.protect(held.source)
    return marks.fields


def _filled(
    fields: Sequence[Field], merged: dict[str, str] | None, own: Mapping[str, str]
) -> dict[str, str]:
    """Return what stands in each slot of the skeleton."""
    if merged is None:
        said = words.neutral(fields, own["business"])
    else:
        first, _, _ = merged.get("name", "").partition(" ")
        said = words.filled(fields, {"first_name": first, **merged}, own, lenient=True)
    return {**dict(zip(slot_names(fields), said, strict=True)), **own}


def _asks_for_her(field: Field) -> bool:
    return any(name != "business" for name in field.asks)


def _joined(pieces: Sequence[Piece], filled: Mapping[str, str]) -> str:
    return "".join(
        each if isinstance(each, str) else filled.get(each.slot, words.UNKNOWN) for each in pieces
    )


def _line(pieces: Sequence[Piece], filled: Mapping[str, str]) -> str:
    return " ".join(_joined(pieces, filled).split())


def _own_headers(slots: Slots, *, here: bool) -> list[tuple[str, str]]:
    """Return what the skeleton leaves out because it is each mail's own."""
    return [
        ("Date", slots.date),
        ("Message-ID", slots.message_id),
        *([("To", slots.to)] if here else []),
        ("List-Unsubscribe", f"<{slots.unsubscribe}>"),
    ]


async def _images(db: ReadDb, campaign_id: UUID, variant: Variant) -> tuple[Inline, ...]:
    """Return the pictures that went along, as far as they are still known by their bytes."""
    went = {leaf.sha256: leaf.content_id for leaf in variant.parts if leaf.content_id}
    if not went:
        return ()
    known = await db.many(sql.images, Image, campaign_id=campaign_id)
    logo = await logo_of(db)
    found = {sha256(each.content).hexdigest(): each for each in (*known, *([logo] if logo else ()))}
    return tuple(
        Inline(found[digest].name, found[digest].media_type, found[digest].content, content_id)
        for digest, content_id in went.items()
        if digest in found
    )
