"""What others published as examples: canonical JSON, DPV's guide to ISO/IEC TS 27560, Kantara."""

from __future__ import annotations

import json
import re
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
import rfc8785

from crm.consent import dpv
from crm.consent.papers import Fault, strict_json
from tests.consent.forge import Forge
from tests.consent.test_verify import STRANGER

VECTORS = Path(__file__).resolve().parents[3] / "shared" / "data" / "vectors"
pytestmark = pytest.mark.skipif(not VECTORS.is_dir(), reason="the vectors of others are not here")

CANONICAL = ("arrays", "french", "structures", "unicode", "values", "weird")
# They hold fractions, which no record does: a strict reader refuses them.
FRACTIONS = {"structures", "values"}

# Of the 90 examples printed in the guide, those that are no JSON, and what is wrong with each.
BROKEN = {
    10: "no comma after the type of the status",
    20: "a name in the place of a value: the type of the third datum",
    27: "no quotation mark before pd:EmailAddress",
    28: "a brace for the process is not closed",
    29: "no quotation mark before dpv:Transfer",
    30: "no quotation mark before pd:Location",
    31: "no quotation mark before pd:Location",
    34: "a comma after the last member of a location",
    35: "a comma after the last member of a process",
    41: "a bracket for the list of processes is not closed",
    50: "a comma after the last member of the format",
    65: "no comma, and no name, before the address of the policy",
    79: "a comma after the last member of a location",
    80: "a comma after the last member of a datum, and more of that kind",
}
# Valid for a lenient reader, who keeps the last of two members of one name and forgets the first.
TWICE = {
    9: "dpv:hasNotice",
    12: "dpv:hasProcess",
    13: "dpv:hasProcess",
    15: "dpv:hasPurpose",
    32: "dpv:hasDuration",
    88: "dpv:hasProcess",
}
# Prefixes of the guide that a receipt has no use for.
_FOREIGN = {"rdfs", "tech", "xsd", "fibo", "ex", "iana"}


def _examples() -> list[dict[str, Any]]:
    path = VECTORS / "consent" / "dpv-27560-examples.jsonl"
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


@pytest.mark.parametrize("name", CANONICAL)
def test_canonical_json_is_that_of_others(name: str) -> None:
    """By the library; and by the verifier for strangers, where there is no fraction."""
    text = (VECTORS / "jcs" / "input" / f"{name}.json").read_text()
    expected = bytes.fromhex((VECTORS / "jcs" / "outhex" / f"{name}.txt").read_text())
    assert rfc8785.dumps(json.loads(text)) == expected
    assert (VECTORS / "jcs" / "output" / f"{name}.json").read_bytes() == expected
    if name in FRACTIONS:
        with pytest.raises(Fault, match="no place"):
            strict_json("vector", text)
        with pytest.raises(STRANGER.Wrong):
            STRANGER.parse("vector", text)
    else:
        assert STRANGER.canonical(strict_json("vector", text)).encode() == expected


def test_all_examples_of_the_guide_are_here() -> None:
    every = _examples()
    assert len(every) == 90
    assert {each["n"] for each in every if not each["valid_json"]} == BROKEN.keys()


@pytest.mark.parametrize("example", _examples(), ids=lambda each: f"{each['n']} {each['title']}")
def test_an_example_of_the_guide(example: dict[str, Any]) -> None:
    """Read as a receipt is read; its prefixes are ours, its names those of DPV that we use."""
    text, number = example["text"], example["n"]
    if number in BROKEN | TWICE:
        why = "twice" if number in TWICE else "not JSON"
        with pytest.raises(Fault, match=why):
            strict_json("vector", text)
        with pytest.raises(STRANGER.Wrong):
            STRANGER.parse("vector", text)
        if number in TWICE:
            assert text.count(f'"{TWICE[number]}"') > 1
        return
    said = strict_json("vector", text)
    assert STRANGER.parse("vector", text) == said
    assert STRANGER.canonical(said).encode() == rfc8785.dumps(said)
    used = set(re.findall(r'"([a-z][a-z0-9-]*):[A-Za-z]', text)) - {"https", "http"}
    assert used - _FOREIGN <= dpv.CONTEXT.keys()


@pytest.mark.parametrize("name", ["full-record-a", "full-record-b", "full-receipt-a"])
def test_the_full_examples_say_nothing_that_we_leave_out(name: str) -> None:
    """By the names of their members, since two of them are no JSON; but for what we never do."""
    text = (VECTORS / "consent" / f"dpv-27560-{name}.jsonld").read_text()
    ours = json.dumps(Forge(1).said(0))
    names = set(re.findall(r'"(dpv:has\w+|dpv:is\w+|dct:\w+|schema:\w+)"\s*:', text))
    # Processors are named as recipients; nothing asks for an assessment; `coverage` and `date` are
    # said with an instant: published, and good until.
    never = {"dpv:hasDataProcessor", "dpv:hasImpactAssessment", "dpv:hasService", "schema:url"}
    assert {each for each in names if f'"{each}"' not in ours} <= never | {
        "dct:coverage",
        "dct:date",
    }


def test_a_summary_is_read_too() -> None:
    text = (VECTORS / "consent" / "dpv-27560-full-receipt-b.jsonld").read_text()
    said = strict_json("vector", text)
    told = [each["dpv:hasConsentStatus"]["@type"] for each in said["dpv:hasRecordOfActivity"]]
    assert told == ["dpv:ConsentGiven", "dpv:ConsentWithdrawn"]
    assert said.keys() - Forge(1).said(0).keys() == set()


@pytest.mark.parametrize("name", ["E0016", "E0023"])
def test_the_terms_of_the_turtle_examples_are_ours(name: str) -> None:
    text = (VECTORS / "consent" / f"dpv-{name}.ttl").read_text()
    ours = json.dumps([Forge(1).said(number) for number in range(6)])
    terms = set(re.findall(r"\b(dpv:(?:has|is)\w+)", text))
    # The guide says record_id by dct:identifier, and who by isIndicatedBy.
    assert {each for each in terms if f'"{each}"' not in ours} <= {
        "dpv:hasIdentifier",
        "dpv:hasEntity",
    }


def _kantara(said: dict[str, Any]) -> dict[str, Any]:
    """Write a receipt of ours as a Kantara Consent Receipt v1.1."""
    (record,) = said["dpv:hasRecordOfActivity"]
    (process,) = record["dpv:hasProcess"]
    (state,) = record["dpv:hasConsentStatus"]
    controller = record["dpv:hasDataController"]
    at = datetime.fromisoformat(state["dpv:isIndicatedAtTime"])
    data = [each["skos:broader"] for each in process["dpv:hasPersonalData"]]
    special = ["dpv:SpecialCategoryPersonalData"]
    sensitive = [each for each in process["dpv:hasPersonalData"] if each["@type"] == special]
    third = [each["dct:title"] for each in process["dpv:hasRecipient"]]
    purpose = {
        "purpose": process["dpv:hasPurpose"]["dct:title"],
        "consentType": state["@type"][1],
        "purposeCategory": [process["dpv:hasPurpose"]["skos:broader"]],
        "piiCategory": data,
        "termination": process["dpv:hasStorageCondition"][-1]["dpv:hasDuration"],
        "thirdPartyDisclosure": bool(third),
        "thirdPartyName": ", ".join(third),
    }
    return {
        "version": "KI-CR-v1.1.0",
        "jurisdiction": record["dpv:hasJurisdiction"][0].removeprefix("loc:"),
        "consentTimestamp": int(at.timestamp()),
        "collectionMethod": state["dpv:hasIndicationMethod"],
        "consentReceiptID": said["dct:identifier"],
        "piiPrincipalId": record["dpv:hasDataSubject"],
        "piiControllers": [
            {
                "piiController": controller["dpv:hasName"],
                "contact": controller["dpv:hasContact"],
                "address": {"streetAddress": controller["schema:address"]},
                "email": controller["dpv:hasContact"],
                "phone": "",
            }
        ],
        "policyUrl": said["iss"],
        "services": [{"service": controller["dct:title"], "purposes": [purpose]}],
        "sensitive": bool(sensitive),
        "spiCat": [each["skos:broader"] for each in sensitive],
    }


_TYPES = {"string": str, "integer": int, "boolean": bool, "array": list, "object": dict}


def _wrong(value: Any, schema: dict[str, Any], at: str = "") -> list[str]:
    """Check by as much of JSON Schema draft 4 as Kantara's needs."""
    found = []
    if "type" in schema and type(value) is not _TYPES[schema["type"]]:
        return [f"{at} is no {schema['type']}"]
    if value not in schema.get("enum", [value]) or (
        "minimum" in schema and value < schema["minimum"]
    ):
        found.append(f"{at} is out of range")
    found += [f"{at}/{name} is missing" for name in schema.get("required", ()) if name not in value]
    for name, part in schema.get("properties", {}).items():
        if name in value:
            found += _wrong(value[name], part, f"{at}/{name}")
    for number, each in enumerate(value if "items" in schema else ()):
        found += _wrong(each, schema["items"], f"{at}/{number}")
    if "oneOf" in schema and sum(not _wrong(value, one) for one in schema["oneOf"]) != 1:
        found.append(f"{at} is not one of the alternatives")
    return found


def test_a_receipt_says_all_that_kantara_asks() -> None:
    folder = VECTORS / "consent"
    text = (folder / "kantara-consent-receipt-v1_1-schema.json").read_text()
    # It holds lines of comment, which are no JSON.
    schema = json.loads(re.sub(r"^\s*//.*$", "", text, flags=re.MULTILINE))
    example = json.loads((folder / "kantara-consent-receipt-v1_1-example.json").read_text())
    assert _wrong(example, schema) == []
    for name in schema["required"]:
        assert _wrong({k: v for k, v in example.items() if k != name}, schema)
    assert _wrong(_kantara(Forge(1).said(0)), schema) == []
