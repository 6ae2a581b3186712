"""What is held of campaigns to one customer, for her copy."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from msgspec import Struct

from crm.campaigns.model import DeliveryState, Format


class HeldDelivery(Struct, frozen=True, kw_only=True):
    """All that is held about one campaign to one customer but its text: for her export."""

    campaign_id: UUID
    subject: str
    preheader: str
    format: Format
    purpose_id: UUID
    state: DeliveryState
    reason: str | None
    event_id: UUID | None
    notice_id: UUID | None
    attempt: int
    claimed_at: datetime | None
    done_at: datetime | None
    code: int | None
    reply: str | None
    bounced_at: datetime | None
    bounce_class: str | None
    bounce_code: str | None
    complained_at: datetime | None
    # What the mail was written with, as long as it is kept, and whether it asked if it goes on.
    merged: dict[str, str] | None
    asked: bool
    # Whether it can still be written as it was sent.
    as_sent: bool
    next_try_at: datetime | None
    waits_for: str | None


class HeldText(Struct, frozen=True):
    """The text of one campaign, as it was written: before a customer's details are put in.

    `as_sent` says whether it can still be written with them.
    """

    campaign_id: UUID
    format: Format
    source: str
    as_sent: bool
