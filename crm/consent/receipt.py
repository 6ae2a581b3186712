"""A receipt: what one decision was about, signed, with what is needed to find it in the ledger.

JWS in its compact form (RFC 7515), `alg` Ed25519 (RFC 9864), `kid` the thumbprint of the key (RFC
7638). The payload is JSON-LD of ISO/IEC TS 27560 and W3C DPV 2.3, with its context inside;
`sealed` holds the canonical bytes of the record and its salt. docs/verify.md tells it to strangers.
"""

from __future__ import annotations

from base64 import urlsafe_b64encode
from collections.abc import Iterable
from datetime import datetime
from functools import lru_cache
from typing import Any
from uuid import UUID, uuid5

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from joserfc import jws
from joserfc.jwk import OKPKey
from msgspec import Raw, Struct

from crm.consent import dpv
from crm.consent.model import ConsentEvent, Notice
from crm.consent.record import commitment, instant, read
from crm.consent.states import Basis
from crm.consent.terms import Party, Terms
from crm.consent.terms import read as read_terms
from crm.events import ActorKind

ALGORITHM = "Ed25519"
TYPE = "consent-receipt+jwt"
REGISTRY = jws.JWSRegistry(algorithms=[ALGORITHM])
# Its own limit is less than a long notice in several languages; crm.consent.papers bounds files.
REGISTRY.max_payload_length = 16 * 1024 * 1024
_RIGHTS = ("A7-3", "A13", "A15", "A16", "A17", "A18", "A20", "A22", "A77")
# Nothing is withdrawn where nothing was consented to; there is the right to object.
_RIGHTS_SOFT = ("A13", "A15", "A16", "A17", "A18", "A21", "A22", "A77")
_encode = msgspec.json.Encoder().encode


class Issuer(Struct, frozen=True, kw_only=True):
    """The controller as Art. 13 GDPR wants it named, and where its pages are."""

    origin: str
    name: str
    legal_name: str
    postal_address: str
    contact: str
    country: str = ""
    officer: str = ""
    representative: str = ""
    authority: str = ""


class Sealed(Struct, frozen=True, kw_only=True):
    """A record as it was sealed, and what it cites."""

    event_id: UUID
    customer_id: UUID
    salt: bytes
    canonical: bytes
    # The terms of the purpose version, as canonical JSON.
    terms: bytes
    # None where nothing was shown with it.
    notice: Notice | None = None


class Seal(Struct, frozen=True):
    """What receipts are signed with now, and the key that the ledger they are found in began with.

    Every later key of the ledger was named by one before it, so nobody can put another in front.
    """

    key: OKPKey
    kid: str
    # As a vkey; empty before the business has sealed anything.
    ledger: str


def seal(private: Ed25519PrivateKey, ledger: str) -> Seal:
    """Take up a key, once for all receipts that it signs."""
    key = OKPKey.import_key(
        {
            "kty": "OKP",
            "crv": ALGORITHM,
            "x": encoded(private.public_key().public_bytes_raw()),
            "d": encoded(private.private_bytes_raw()),
        }
    )
    return Seal(key, key.thumbprint(), ledger)


def signed(issuer: Issuer, sealed: Sealed, with_: Seal, now: datetime) -> str:
    """Write the receipt of one decision."""
    header = {"alg": ALGORITHM, "kid": with_.kid, "typ": TYPE}
    said = payload(issuer, sealed, with_.ledger, now)
    return jws.serialize_compact(header, said, with_.key, registry=REGISTRY)


def payload(issuer: Issuer, sealed: Sealed, ledger: str, now: datetime) -> bytes:
    """Write what a receipt says."""
    event = read(sealed.canonical)
    number = str(uuid5(sealed.event_id, "receipt"))
    soft = event.basis is Basis.soft_opt_in
    said: dict[str, Any] = {
        "@context": _context(issuer.origin),
        "@id": f"urn:uuid:{number}",
        "@type": "dpv:DataProcessingRecord" if soft else "dpv:ConsentReceipt",
        "dct:identifier": number,
        "dct:created": instant(now),
        "dct:publisher": issuer.origin,
        "schema:recipient": "dpv:DataSubject",
        "dpv:hasRecordOfActivity": [_record(issuer, event, sealed)],
        "iss": issuer.origin,
        "iat": int(now.timestamp()),
        "jti": number,
        "sealed": {
            "salt": encoded(sealed.salt),
            "canonical": encoded(sealed.canonical),
            "commitment": encoded(commitment(sealed.salt, sealed.canonical)),
            "terms": encoded(sealed.terms),
            "ledger": ledger,
        },
    }
    if not soft:
        said["dct:conformsTo"] = dpv.RECEIPT
    return _encode(said)


def encoded(data: bytes) -> str:
    """Write bytes as base64url without padding (RFC 7515 §2)."""
    return urlsafe_b64encode(data).rstrip(b"=").decode()


def _record(issuer: Issuer, event: ConsentEvent, sealed: Sealed) -> dict[str, Any]:
    soft = event.basis is Basis.soft_opt_in
    record_id = event.record_id or event.id
    locale = sealed.notice.locale if sealed.notice else ""
    where = event.jurisdiction or issuer.country
    said: dict[str, Any] = {
        "@id": _urn(record_id),
        "@type": "dpv:DataProcessingRecord" if soft else "dpv:ConsentRecord",
        "dct:identifier": str(record_id),
        "dpv:hasDataSubject": _urn(event.customer_id),
        "dpv:hasDataController": _controller(issuer),
        "dpv:hasJurisdiction": [f"loc:{where}"] if where else [],
        "dpv:hasApplicableLaw": "eu-gdpr:GDPR",
        "dpv:hasProcess": [_process(event, sealed.terms, locale)],
        "dpv:hasNotice": [_notice(sealed.notice, soft=soft)] if sealed.notice else [],
        "dpv:hasRight": _rights(issuer.origin, soft=soft),
        "dpv:hasStatus" if soft else "dpv:hasConsentStatus": [_status(event)],
    }
    if not soft:
        said["dct:conformsTo"] = dpv.RECORD
        said["dpv:hasConsentControl"] = [
            {
                "@type": ["dpv:ProvideConsent", "dpv:WithdrawConsent"],
                "dpv:isExercisedAt": f"{issuer.origin}/me/consent",
            }
        ]
    return said


def _status(event: ConsentEvent) -> dict[str, Any]:
    hers = event.actor_kind is ActorKind.customer
    types = [dpv.state(event.status, event.basis)]
    if event.basis is not Basis.soft_opt_in:
        types.append(dpv.expression(event.type))
    said: dict[str, Any] = {
        "@id": _urn(event.id),
        "@type": types,
        "dct:identifier": str(event.id),
        "dpv:isIndicatedBy": "dpv:DataSubject" if hers else "dpv:DataController",
        "dpv:hasIndicationMethod": event.method.value,
        "dpv:isIndicatedAtTime": instant(event.at),
        "our:recordedAt": instant(event.recorded_at),
        "our:actor": event.actor_kind.value,
    }
    if event.valid_until:
        until = instant(event.valid_until)
        said["dpv:hasDuration"] = {"@type": "dpv:UntilTimeDuration", "rdf:value": until}
    if event.opt_in:
        said["our:mailedAt"] = instant(event.opt_in.mailed_at)
        said["our:confirmedAt"] = instant(event.opt_in.confirmed_at)
    return said


def _notice(notice: Notice, *, soft: bool) -> dict[str, Any]:
    return {
        "@id": _urn(notice.id),
        "@type": "dpv:PrivacyNotice" if soft else "dpv:ConsentNotice",
        "dct:identifier": str(notice.id),
        "dct:hasVersion": notice.version,
        "dct:language": notice.locale,
        "dct:issued": instant(notice.published_at),
        "dct:description": notice.text,
        "our:particulars": notice.particulars,
        "our:controlLabel": notice.control_label,
        "our:sha256": notice.sha256.hex(),
    }


def _process(event: ConsentEvent, terms: bytes, locale: str) -> dict[str, Any]:
    common, names = _processing(terms)
    language = locale if locale in names else next(iter(names))
    purpose = {
        "@id": _urn(event.purpose_id),
        "@type": "dpv:Purpose",
        "skos:broader": "dpv:DirectMarketing",
        "our:version": event.purpose_version,
        **names[language],
    }
    return {**common, "dpv:hasPurpose": purpose, "dpv:hasLegalBasis": dpv.legal_basis(event.basis)}


@lru_cache(maxsize=256)
def _processing(written: bytes) -> tuple[dict[str, Any], dict[str, dict[str, Any]]]:
    """Say what of a version is the same in every receipt, and its name in each language."""
    terms = read_terms(written)
    names = {
        locale: {
            "dct:title": each.name,
            "dct:description": each.description,
            "dct:language": locale,
        }
        for locale, each in terms.wording.items()
    }
    special = ["dpv:SpecialCategoryPersonalData"] if terms.special_category else []
    necessity = {True: "dpv:Optional", False: "dpv:Required"}
    common: dict[str, Any] = {
        "@type": "dpv:Process",
        "dpv:hasProcessing": ["dpv:Collect", "dpv:Store", "dpv:Use"],
        "dpv:hasPersonalData": [
            {
                "@type": special or ["dpv:PersonalData"],
                "skos:broader": dpv.data(item.kind),
                "dpv:hasNecessity": necessity[item.optional],
                "dpv:hasDataSource": "dpv:DataSubjectDataSource",
            }
            for item in terms.data
        ],
        "dpv:hasRecipient": [_party(each) for each in terms.recipients],
        "dpv:hasStorageCondition": list(_storage(terms)),
        "dpv:hasJurisdiction": [f"loc:{each}" for each in terms.jurisdictions],
        "our:automatedDecisions": terms.automated_decisions,
        "our:safeguards": terms.safeguards,
        "our:validity": terms.validity,
    }
    return common, names


def _storage(terms: Terms) -> Iterable[dict[str, Any]]:
    if terms.storage:
        places = [f"loc:{each}" for each in terms.storage]
        yield {"@type": "dpv:StorageLocation", "dpv:hasLocation": places}
    until = {"@type": "dpv:UntilEventDuration", "rdf:value": "withdrawal"}
    yield {"@type": "dpv:StorageDuration", "dpv:hasDuration": until}
    if terms.retention:
        # How long the proof is kept after the consent has ended.
        yield {"@type": "dpv:StorageDeletion", "dpv:hasDuration": terms.retention}


def _party(party: Party) -> dict[str, Any]:
    return {
        "@type": "dpv:Recipient",
        "dct:title": party.name,
        "schema:address": party.address,
        "dpv:hasContact": party.contact,
        "dpv:hasLocation": f"loc:{party.country}",
        "dct:description": party.role,
    }


# What is the same in every receipt of a business is encoded once: it is half of the work.
@lru_cache(maxsize=256)
def _context(origin: str) -> Raw:
    return Raw(_encode({**dpv.CONTEXT, "our": f"{origin}/ns#"}))


@lru_cache(maxsize=256)
def _controller(issuer: Issuer) -> Raw:
    said: dict[str, Any] = {
        "@id": issuer.origin,
        "@type": "dpv:DataController",
        "dct:title": issuer.name,
        "dpv:hasName": issuer.legal_name,
        "schema:address": issuer.postal_address,
        "dpv:hasContact": issuer.contact,
    }
    named = {
        "our:dataProtectionOfficer": issuer.officer,
        "our:representative": issuer.representative,
        "our:authority": issuer.authority,
    }
    return Raw(_encode(said | {name: value for name, value in named.items() if value}))


@lru_cache(maxsize=256)
def _rights(origin: str, *, soft: bool) -> Raw:
    names = [f"eu-gdpr:{each}" for each in (_RIGHTS_SOFT if soft else _RIGHTS)]
    told = [
        {"@type": ["dpv:DataSubjectRight", each], "dpv:isExercisedAt": f"{origin}/me"}
        for each in names
    ]
    return Raw(_encode(told))


def _urn(id: UUID) -> str:
    return f"urn:uuid:{id}"
