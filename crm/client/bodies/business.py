"""What a call takes: business. Written by `make calls`."""

from __future__ import annotations

from typing import NotRequired, TypedDict


class BusinessChanges(TypedDict):
    """What to change, as a merge patch (RFC 7396): what is absent stays, null is as never said."""

    name: NotRequired[str]
    legal_name: NotRequired[str]
    postal_address: NotRequired[str | None]
    sender_name: NotRequired[str]
    sender_address: NotRequired[str]
    privacy_contact: NotRequired[str]
    return_domain: NotRequired[str | None]
    locale: NotRequired[str | None]
    time_zone: NotRequired[str | None]
    origin: NotRequired[str]
    country: NotRequired[str | None]
    officer: NotRequired[str | None]
    representative: NotRequired[str | None]
    authority: NotRequired[str | None]
    authority_url: NotRequired[str | None]
    authority_address: NotRequired[str | None]
    privacy_url: NotRequired[str | None]
    soft_opt_in: NotRequired[bool | None]
    keeps_network: NotRequired[bool | None]
    network_days: NotRequired[int | None]
    image_hosts: NotRequired[list[str] | None]
    canary: NotRequired[str | None]
    mails_from: NotRequired[int | None]
    mails_until: NotRequired[int | None]
    mail_days: NotRequired[int | None]
    dormant_months: NotRequired[int | None]
    names_staff: NotRequired[bool | None]
