"""What makes it lawful to keep a field on a customer, and what happens while it is not."""

from __future__ import annotations

from enum import StrEnum

from crm.languages import gettext, marked


class LawfulBasis(StrEnum):
    """What makes it lawful to keep a field on a customer: Art. 6(1) GDPR, (a) to (f)."""

    consent = "consent"
    contract = "contract"
    legal_obligation = "legal_obligation"
    vital_interests = "vital_interests"
    public_task = "public_task"
    legitimate_interests = "legitimate_interests"


class WhenNotAllowed(StrEnum):
    """What becomes of a value for a purpose that the customer does not allow."""

    refuse = "refuse"
    drop = "drop"


BASES: dict[LawfulBasis, str] = {
    LawfulBasis.consent: marked("Your consent (Art. 6(1)(a) GDPR)"),
    LawfulBasis.contract: marked("A contract with you (Art. 6(1)(b) GDPR)"),
    LawfulBasis.legal_obligation: marked("A duty that the law sets (Art. 6(1)(c) GDPR)"),
    LawfulBasis.vital_interests: marked("The vital interests of somebody (Art. 6(1)(d) GDPR)"),
    LawfulBasis.public_task: marked("A task in the public interest (Art. 6(1)(e) GDPR)"),
    LawfulBasis.legitimate_interests: marked("Our legitimate interests (Art. 6(1)(f) GDPR)"),
}


def in_words(basis: LawfulBasis | None) -> str:
    """Name a basis in the language that is spoken; nothing where none was declared."""
    return gettext(BASES[basis]) if basis else ""
