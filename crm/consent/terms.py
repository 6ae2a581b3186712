"""What a purpose is, entered once: all that ISO/IEC TS 27560 and Art. 13 GDPR ask to be said."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from enum import StrEnum
from typing import Annotated, Literal

import msgspec
import rfc8785
from msgspec import Meta, Struct

from crm import customers
from crm.consent.states import Basis
from crm.errors import Invalid, Problem
from crm.languages import gettext, marked

# `$` alone would let a line feed pass at the end, which PostgreSQL's own check refuses.
END = r"(?!\n)$"
ONE_LINE = r"^[^\x00-\x1f\x7f]*[^\s\x00-\x1f\x7f][^\x00-\x1f\x7f]*" + END

Line = Annotated[str, Meta(min_length=1, max_length=200, pattern=ONE_LINE)]
Text = Annotated[str, Meta(max_length=1000)]
# A purpose, by its id or by its short name.
NAMED = r"^[A-Za-z0-9-]{1,63}" + END
Named = Annotated[str, Meta(pattern=NAMED)]
Locale = Annotated[str, Meta(pattern=r"^[a-z]{2,3}(-[A-Za-z0-9]{2,8})*" + END, max_length=35)]
Country = Annotated[str, Meta(pattern=r"^[A-Z]{2}" + END)]
Duration = Annotated[str, Meta(pattern=r"^(P(?=\d)(\d+Y)?(\d+M)?(\d+D)?)?" + END, max_length=20)]
Age = Annotated[int, Meta(ge=1, le=99)]


class DataKind(StrEnum):
    """Kinds of personal data; W3C DPV's extension PD has a term for each (crm.consent.dpv)."""

    email = "email"
    name = "name"
    language = "language"
    postal_address = "postal_address"
    phone = "phone"
    birth_year = "birth_year"
    purchases = "purchases"
    interests = "interests"
    location = "location"
    health = "health"
    belief = "belief"
    politics = "politics"
    sexuality = "sexuality"


# As people are told of them.
WORDS = {
    DataKind.email: marked("e-mail address"),
    DataKind.name: marked("name"),
    DataKind.language: marked("language"),
    DataKind.postal_address: marked("postal address"),
    DataKind.phone: marked("telephone number"),
    DataKind.birth_year: marked("year of birth"),
    DataKind.purchases: marked("purchases"),
    DataKind.interests: marked("interests"),
    DataKind.location: marked("place"),
    DataKind.health: marked("health"),
    DataKind.belief: marked("belief"),
    DataKind.politics: marked("political views"),
    DataKind.sexuality: marked("sexual life"),
}
# Art. 9(1) GDPR.
SPECIAL = frozenset({DataKind.health, DataKind.belief, DataKind.politics, DataKind.sexuality})


class DataItem(Struct, frozen=True, forbid_unknown_fields=True):
    """One kind of data that is used; `optional` where the purpose works without it."""

    kind: DataKind
    optional: bool = False

    def words(self) -> str:
        """Say it to people, in the language that is spoken."""
        said = gettext(WORDS[self.kind])
        return gettext("%(data)s (if you like)", data=said) if self.optional else said


class Party(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Somebody who receives the data, and what for."""

    name: Line
    address: Text = ""
    contact: Text = ""
    country: Country
    role: Line


class Wording(Struct, frozen=True, forbid_unknown_fields=True):
    """What a purpose is called and described as, in one language."""

    name: Line
    description: Text = ""


class Terms(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One version of a purpose. Durations are ISO 8601, countries ISO 3166; empty says nothing."""

    basis: Basis = Basis.consent
    channel: Literal["email", "none"] = "email"
    double_opt_in: bool = True
    special_category: bool = False
    # How long a consent holds from when it was given or renewed.
    validity: Duration = ""
    # How long the proof of it is kept after it has ended.
    retention: Duration = ""
    # From what age a customer can consent herself (Art. 8 GDPR), by country.
    ages: dict[Country, Age] = {}
    jurisdictions: tuple[Country, ...] = ()
    data: tuple[DataItem, ...] = (DataItem(DataKind.email),)
    recipients: tuple[Party, ...] = ()
    storage: tuple[Country, ...] = ()
    # What protects data where they leave the union they were collected in.
    safeguards: Text = ""
    automated_decisions: bool = False
    wording: dict[Locale, Wording]


class NewPurpose(Struct, kw_only=True, forbid_unknown_fields=True):
    """What is entered for a purpose; the rest of its terms stays as most purposes need it."""

    slug: Annotated[str, Meta(pattern=r"^[a-z0-9]+(-[a-z0-9]+)*" + END, max_length=63)]
    name: Line
    description: Text = ""
    basis: Basis = Basis.consent
    channel: Literal["email", "none"] = "email"
    double_opt_in: bool = True
    special_category: bool = False
    validity: Duration = "P24M"
    retention: Duration = "P3Y"
    ages: dict[Country, Age] = {}
    jurisdictions: tuple[Country, ...] = ()
    data: tuple[DataItem, ...] = (DataItem(DataKind.email),)
    recipients: tuple[Party, ...] = ()
    storage: tuple[Country, ...] = ()
    safeguards: Text = ""
    automated_decisions: bool = False
    # Other languages than the business's own.
    wording: dict[Locale, Wording] = {}

    def terms(self, locale: str) -> Terms:
        """Make its terms, with name and description in this language."""
        said = {name: getattr(self, name) for name in Terms.__struct_fields__}
        return Terms(**said | {"wording": {**self.wording, locale: self.wording_of_its_own}})

    @property
    def wording_of_its_own(self) -> Wording:
        """Name and description as entered first."""
        return Wording(self.name, self.description)


class BadTerms(Invalid):
    """These values do not go together in one purpose."""


def check_terms(terms: Terms, *, soft_opt_in: bool) -> None:
    """Refuse with BadTerms what the law, or a duration, does not allow."""
    problems = [Problem(field, said) for field, said in _wrong(terms, soft_opt_in=soft_opt_in)]
    if problems:
        raise BadTerms(problems=problems)


def _wrong(terms: Terms, *, soft_opt_in: bool) -> Iterator[tuple[str, str]]:
    explicit = terms.basis is Basis.explicit_consent
    if terms.basis is Basis.soft_opt_in and not soft_opt_in:
        yield "basis", "Soft opt-in is switched off for this business; its settings switch it on."
    if terms.special_category and not explicit:
        yield "basis", "A special category of data asks for an explicit consent (Art. 9 GDPR)."
    if terms.special_category and not terms.double_opt_in:
        yield "double_opt_in", "A special category of data asks for the mailbox's own word."
    if any(item.kind in SPECIAL for item in terms.data) and not terms.special_category:
        yield "special_category", "Health, belief, politics and sexuality are special categories."
    for field in ("validity", "retention"):
        value = getattr(terms, field)
        try:
            if value:
                customers.retention(value)
        except Invalid as wrong:
            yield field, wrong.message


def canonical(terms: Terms) -> bytes:
    """Write terms as RFC 8785 JSON, all of them, so that equal terms are equal bytes."""
    return rfc8785.dumps(msgspec.to_builtins(terms))


def digest(written: bytes) -> bytes:
    """Address a version by its content."""
    return hashlib.sha256(written).digest()


def read(written: bytes) -> Terms:
    """Read what `canonical` wrote."""
    return msgspec.json.decode(written, type=Terms)
