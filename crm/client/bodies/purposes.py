"""What a call takes: purposes. Written by `make calls`."""

from __future__ import annotations

from typing import Literal, NotRequired, TypedDict

Basis = Literal["consent", "explicit_consent", "soft_opt_in"]


class DataItem(TypedDict):
    """One kind of data that is used; `optional` where the purpose works without it."""

    kind: DataKind
    optional: NotRequired[bool]


DataKind = Literal[
    "email",
    "name",
    "language",
    "postal_address",
    "phone",
    "birth_year",
    "purchases",
    "interests",
    "location",
    "health",
    "belief",
    "politics",
    "sexuality",
]


EvidenceKind = Literal["former_double_opt_in", "former_single_opt_in", "signed_form", "own_form"]


class NewNotice(TypedDict):
    """A text to publish: what is shown, and the words of the control beside it."""

    locale: str
    text: str
    control_label: str
    particulars: NotRequired[str]
    accepts: NotRequired[list[EvidenceKind]]


class NewPurpose(TypedDict):
    """What is entered for a purpose; the rest of its terms stays as most purposes need it."""

    slug: str
    name: str
    description: NotRequired[str]
    basis: NotRequired[Basis]
    channel: NotRequired[Literal["email", "none"]]
    double_opt_in: NotRequired[bool]
    special_category: NotRequired[bool]
    validity: NotRequired[str]
    retention: NotRequired[str]
    ages: NotRequired[dict[str, int]]
    jurisdictions: NotRequired[list[str]]
    data: NotRequired[list[DataItem]]
    recipients: NotRequired[list[Party]]
    storage: NotRequired[list[str]]
    safeguards: NotRequired[str]
    automated_decisions: NotRequired[bool]
    wording: NotRequired[dict[str, Wording]]


class Party(TypedDict):
    """Somebody who receives the data, and what for."""

    name: str
    address: NotRequired[str]
    contact: NotRequired[str]
    country: str
    role: str


class Publication(TypedDict):
    """The next version, the texts to ask with, and the version that it replaces."""

    terms: Terms
    notices: NotRequired[list[NewNotice]]
    replaces: int
    is_substance: NotRequired[bool]
    grace_days: NotRequired[int]


class Terms(TypedDict):
    """One version of a purpose. Durations are ISO 8601, countries ISO 3166; empty says nothing."""

    basis: NotRequired[Basis]
    channel: NotRequired[Literal["email", "none"]]
    double_opt_in: NotRequired[bool]
    special_category: NotRequired[bool]
    validity: NotRequired[str]
    retention: NotRequired[str]
    ages: NotRequired[dict[str, int]]
    jurisdictions: NotRequired[list[str]]
    data: NotRequired[list[DataItem]]
    recipients: NotRequired[list[Party]]
    storage: NotRequired[list[str]]
    safeguards: NotRequired[str]
    automated_decisions: NotRequired[bool]
    wording: dict[str, Wording]


class Wording(TypedDict):
    """What a purpose is called and described as, in one language."""

    name: str
    description: NotRequired[str]
