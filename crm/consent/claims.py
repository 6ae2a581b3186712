"""What a receipt says of a decision, held against the record that was sealed of it."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import Any

import rfc8785

from crm.consent import dpv
from crm.consent.model import shown
from crm.consent.papers import Fault, fits, strict_json, unpadded
from crm.consent.record import commitment
from crm.consent.states import Basis, Status

_SALT = 32


def sealed_record(said: dict[str, Any]) -> dict[str, Any]:
    """Return the record in a receipt, if the receipt commits to these very bytes."""
    sealed = said["sealed"]
    salt = unpadded("receipt.salt", sealed["salt"])
    if len(salt) != _SALT:
        raise Fault("receipt.salt", f"a salt has {_SALT} bytes, not {len(salt)}")
    canonical = unpadded("receipt.canonical", sealed["canonical"])
    try:
        record = strict_json("receipt.canonical", canonical.decode())
    except UnicodeDecodeError:
        raise Fault("receipt.canonical", "it is no UTF-8") from None
    try:
        again = rfc8785.dumps(record)
    except (ValueError, RecursionError):
        again = b""
    if again != canonical or not isinstance(record, dict):
        raise Fault("receipt.canonical", "it is not written as RFC 8785 writes it")
    if unpadded("receipt.commitment", sealed["commitment"]) != commitment(salt, canonical):
        raise Fault("receipt.commitment", "salt and record come to another commitment")
    return _normal(record)


def _normal(record: dict[str, Any]) -> dict[str, Any]:
    """Give a record of version 1 the members that those of version 2 have."""
    version = record.get("version")
    if version == 1 and isinstance(record.get("purpose"), str):
        notice = {"id": record.get("notice"), "sha256": None} if record.get("notice") else None
        purpose = {"id": record["purpose"], "version": 1, "sha256": None}
        record = {**record, "basis": "consent", "purpose": purpose, "notice": notice}
        record["control"] = None
    elif version != 2:  # noqa: PLR2004
        raise Fault("record.version", f"version {version} is not known")
    shape = {"event": str, "status": str, "basis": str, "at": str, "method": str, "customer": str}
    for name, kind in shape.items():
        if type(record.get(name)) is not kind:
            raise Fault(f"record.{name}", "the record does not say it")
    if not isinstance(record.get("purpose"), dict):
        raise Fault("record.purpose", "the record does not say it")
    return record


def check_claims(said: dict[str, Any], record: dict[str, Any]) -> None:
    """Compare what a receipt says for people and programs with what was sealed."""
    for name, claimed, sealed in _claims(said, record):
        if claimed != sealed or type(claimed) is not type(sealed):
            raise Fault(f"record.{name}", f"the receipt says {claimed}, the record {sealed}")


def _claims(said: dict[str, Any], record: dict[str, Any]) -> Iterator[tuple[str, Any, Any]]:
    told = _only(said, "dpv:hasRecordOfActivity")
    state = _only(told, "dpv:hasStatus" if "dpv:hasStatus" in told else "dpv:hasConsentStatus")
    purpose = _only(told, "dpv:hasProcess").get("dpv:hasPurpose")
    purpose = purpose if isinstance(purpose, dict) else {}
    types = state.get("@type")
    yield "event", state.get("dct:identifier"), record["event"]
    yield "status", types[0] if isinstance(types, list) and types else None, _term(record)
    yield "at", state.get("dpv:isIndicatedAtTime"), record["at"]
    yield "method", state.get("dpv:hasIndicationMethod"), record["method"]
    yield "customer", told.get("dpv:hasDataSubject"), f"urn:uuid:{record['customer']}"
    yield "purpose", purpose.get("@id"), f"urn:uuid:{record['purpose'].get('id')}"
    yield "version", purpose.get("our:version"), record["purpose"].get("version")
    terms = hashlib.sha256(unpadded("record.terms", said["sealed"]["terms"])).hexdigest()
    sealed_terms = record["purpose"].get("sha256")
    yield "terms", terms, terms if sealed_terms is None else sealed_terms
    yield from _claims_of_notice(told, record)


def _claims_of_notice(
    told: dict[str, Any], record: dict[str, Any]
) -> Iterator[tuple[str, Any, Any]]:
    notice = _only(told, "dpv:hasNotice") if told.get("dpv:hasNotice") else {}
    sealed = record.get("notice")
    sealed = sealed if isinstance(sealed, dict) else {}
    yield "notice", notice.get("dct:identifier"), sealed.get("id")
    if sealed.get("sha256") is None:
        return
    words: list[Any] = [
        notice.get(name) for name in ("dct:description", "our:particulars", "our:controlLabel")
    ]
    whole = shown(*words) if fits(words, [str]) else ""
    yield "text", hashlib.sha256(whole.encode()).hexdigest(), sealed["sha256"]
    control = record.get("control")
    yield "control", words[2], control.get("label") if isinstance(control, dict) else None


def _only(said: dict[str, Any], name: str) -> dict[str, Any]:
    """Return the one object that a member of a receipt lists."""
    found: Any = said.get(name)
    if not fits(found, [dict]) or len(found) != 1:
        raise Fault("receipt.payload", f"{name} is not a list of one object")
    return dict(found[0])


def _term(record: dict[str, Any]) -> str:
    try:
        return dpv.state(Status(record["status"]), Basis(record["basis"]))
    except ValueError:
        raise Fault("record.status", "its state or basis is not known") from None
