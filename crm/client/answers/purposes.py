"""What the service answers: purposes. Written by `make calls`."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from msgspec import Struct


class Consequences(Struct, frozen=True, kw_only=True):
    """What publishing would mean, said before it happens."""

    replaces: int
    changed: list[str]
    substance: list[str]
    standing: int


class DataItem(Struct, frozen=True, kw_only=True):
    """One kind of data that is used; `optional` where the purpose works without it."""

    kind: str
    optional: bool = False


class Party(Struct, frozen=True, kw_only=True):
    """Somebody who receives the data, and what for."""

    name: str
    address: str = ""
    contact: str = ""
    country: str
    role: str


class PublishedNotice(Struct, frozen=True, kw_only=True):
    """One version of a text; `sha256` is over all of it, as docs/verify.md says."""

    id: UUID
    purpose_id: UUID
    purpose_version: int
    version: int
    locale: str
    text: str
    particulars: str
    control_label: str
    sha256: str
    accepts: list[str]
    published_at: datetime


class PublishedVersion(Struct, frozen=True, kw_only=True):
    """One version of a purpose; `sha256` is over its terms as RFC 8785 JSON."""

    purpose_id: UUID
    version: int
    basis: str
    terms: Terms
    sha256: str
    published_at: datetime
    stale_at: datetime | None
    ends_at: datetime | None


class Purpose(Struct, frozen=True, kw_only=True):
    """What a customer may be contacted or data be used for; a newsletter is one."""

    id: UUID
    code: int
    slug: str
    name: str
    description: str
    channel: str
    double_opt_in: bool
    basis: str
    special_category: bool
    version: int
    created_at: datetime
    retired_at: datetime | None


class Terms(Struct, frozen=True, kw_only=True):
    """One version of a purpose. Durations are ISO 8601, countries ISO 3166; empty says nothing."""

    basis: str | None = None
    channel: str = "email"
    double_opt_in: bool = True
    special_category: bool = False
    validity: str = ""
    retention: str = ""
    ages: dict[str, int] | None = None
    jurisdictions: list[str] | None = None
    data: list[DataItem] | None = None
    recipients: list[Party] | None = None
    storage: list[str] | None = None
    safeguards: str = ""
    automated_decisions: bool = False
    wording: dict[str, Wording]


class Wording(Struct, frozen=True, kw_only=True):
    """What a purpose is called and described as, in one language."""

    name: str
    description: str = ""
