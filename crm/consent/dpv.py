"""What W3C DPV 2.3 calls our states, bases and kinds of data; in JSON-LD with the context inside.

Profile names are those of dpv-27560.ttl, for ISO/IEC TS 27560:2023 with what the GDPR asks for.
"""

from __future__ import annotations

from crm.consent.states import DPV, Basis, Status
from crm.consent.terms import DataKind

RECORD = "https://w3id.org/dpv/schema/dpv-27560#record-eu-gdpr"
RECEIPT = "https://w3id.org/dpv/schema/dpv-27560#receipt-eu-gdpr"

# Whose values are names of DPV or addresses, not text.
_NAMES = (
    "dct:conformsTo",
    "dct:publisher",
    "dpv:hasApplicableLaw",
    "dpv:hasDataSource",
    "dpv:hasDataSubject",
    "dpv:hasJurisdiction",
    "dpv:hasLegalBasis",
    "dpv:hasLocation",
    "dpv:hasNecessity",
    "dpv:hasProcessing",
    "dpv:isExercisedAt",
    "dpv:isIndicatedBy",
    "schema:recipient",
    "skos:broader",
)
# Nothing is ever fetched to read a receipt, which adds `our` for what only we have a word for.
CONTEXT: dict[str, str | dict[str, str] | None] = {
    "dpv": "https://w3id.org/dpv#",
    "eu-gdpr": "https://w3id.org/dpv/legal/eu/gdpr#",
    "pd": "https://w3id.org/dpv/pd#",
    "loc": "https://w3id.org/dpv/loc#",
    "dct": "http://purl.org/dc/terms/",
    "skos": "http://www.w3.org/2004/02/skos/core#",
    "rdf": "http://www.w3.org/1999/02/22-rdf-syntax-ns#",
    "schema": "https://schema.org/",
    "iss": None,
    "iat": None,
    "jti": None,
    "sealed": None,
    **{name: {"@type": "@id"} for name in _NAMES},
}

# A soft opt-in is a legitimate interest; whatever became of it, it was never a consent.
_SOFT = {
    Status.unobjected: "dpv:LegitimateInterestNotObjected",
    Status.withdrawn: "dpv:LegitimateInterestObjected",
    Status.refused: "dpv:LegitimateInterestObjected",
}
_TOLD = "dpv:LegitimateInterestInformed"

_BASES = {
    Basis.consent: "eu-gdpr:A6-1-a-non-explicit-consent",
    Basis.explicit_consent: "eu-gdpr:A6-1-a-explicit-consent",
    Basis.soft_opt_in: "eu-gdpr:A6-1-f",
}
_EXPRESSIONS = {
    "implied": "dpv:ImpliedConsent",
    "expressed": "dpv:ExpressedConsent",
    "explicit": "dpv:ExplicitlyExpressedConsent",
}
_DATA = {
    DataKind.email: "pd:EmailAddress",
    DataKind.name: "pd:Name",
    DataKind.language: "pd:Language",
    DataKind.postal_address: "pd:PhysicalAddress",
    DataKind.phone: "pd:TelephoneNumber",
    DataKind.birth_year: "pd:BirthDate",
    DataKind.purchases: "pd:Purchase",
    DataKind.interests: "pd:Interest",
    DataKind.location: "pd:Location",
    DataKind.health: "pd:Health",
    DataKind.belief: "pd:Religion",
    DataKind.politics: "pd:PoliticalOpinion",
    DataKind.sexuality: "pd:Sexual",
}


def state(status: Status, basis: Basis) -> str:
    """Name a state."""
    if basis is Basis.soft_opt_in:
        return _SOFT.get(status, _TOLD)
    return f"dpv:{DPV[status]}"


def legal_basis(basis: Basis) -> str:
    """Name the provision of Art. 6 GDPR."""
    return _BASES[basis]


def expression(type_: str) -> str:
    """Name how the will was expressed."""
    return _EXPRESSIONS[type_]


def data(kind: DataKind) -> str:
    """Name a category of personal data."""
    return _DATA[kind]
