"""What the service answers: business. Written by `make calls`."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from msgspec import Struct


class BusinessNow(Struct, frozen=True, kw_only=True):
    """What is known of the business; `hosts` are all that it answers on, former ones as well."""

    id: UUID
    name: str
    legal_name: str
    postal_address: str
    sender_name: str
    sender_address: str
    privacy_contact: str
    return_domain: str
    locale: str
    time_zone: str
    origin: str
    hosts: list[str]
    country: str
    officer: str
    representative: str
    authority: str
    authority_url: str
    authority_address: str
    privacy_url: str
    soft_opt_in: bool
    keeps_network: bool
    network_days: int
    image_hosts: list[str]
    canary: str
    mails_from: int
    mails_until: int
    mail_days: int
    dormant_months: int
    names_staff: bool
    version: int
    created_at: datetime
