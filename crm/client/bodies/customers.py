"""What a call takes: customers. Written by `make calls`."""

from __future__ import annotations

from typing import NotRequired, TypedDict

from crm.client.exchange import Id


class Changes(TypedDict):
    """What to change, as a merge patch (RFC 7396): what is absent stays, null takes away."""

    name: NotRequired[str | None]
    locale: NotRequired[str | None]
    time_zone: NotRequired[str | None]
    external_id: NotRequired[str | None]
    address: NotRequired[str | None]


class Merge(TypedDict):
    """Which record goes."""

    gone: Id


class NewCustomer(TypedDict):
    """What is entered for a customer; consent is not part of it and is asked for on its own."""

    address: str
    name: NotRequired[str]
    locale: NotRequired[str]
    time_zone: NotRequired[str]
    external_id: NotRequired[str | None]


class Put(TypedDict):
    """What another system says of a customer; of what is left out nothing changes."""

    address: str
    external_id: NotRequired[str]
    name: NotRequired[str]
    locale: NotRequired[str]
    time_zone: NotRequired[str]


class Wanted(TypedDict):
    """Whom to look for, in the body because an address belongs in no URL; one of the two."""

    address: NotRequired[str | None]
    external_id: NotRequired[str | None]
