"""The canonical bytes are RFC 8785's, and the commitment follows from what is stored."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest
import rfc8785
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Struct, json

from crm import consent
from crm.businesses import Business
from crm.consent import Basis, Form, Method, NewEvent, Notice, OptIn, Status
from crm.consent.model import CitedNotice, CitedVersion
from crm.consent.record import Place, canonical, check_evidence, commitment, instant, read
from crm.db import Database, parse
from crm.events import Actor
from tests.consent.conftest import imported, say_no, say_yes

WORDS = st.text(st.characters(exclude_categories=["Cs"]))
KEYS = st.text(st.characters(max_codepoint=127), max_size=20)
PLAIN = WORDS | st.booleans() | st.integers(-(2**53) + 1, 2**53 - 1)
EVIDENCE = st.dictionaries(KEYS, PLAIN | st.dictionaries(KEYS, PLAIN, max_size=4), max_size=6)
INSTANTS = st.datetimes(datetime(1990, 1, 1), datetime(2200, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001

_RECORDS = parse(
    """-- name: records
-- What was committed to, and the commitment.
SELECT r.salt, r.canonical, e.commitment
  FROM crm.consent_record r
  JOIN crm.consent_event e USING (business_id, event_id)
 WHERE r.business_id = :business_id
   AND r.customer_id = :customer_id
 ORDER BY r.event_id
"""
)[0]


class Sealed(Struct):
    salt: bytes
    canonical: bytes
    commitment: bytes


@given(EVIDENCE, st.tuples(INSTANTS, INSTANTS), st.uuids(), st.sampled_from(Status), WORDS)
def test_the_bytes_are_those_of_rfc_8785(
    evidence: dict[str, Any],
    instants: tuple[datetime, datetime],
    id: UUID,
    status: Status,
    label: str,
) -> None:
    at, now = instants
    own = status is Status.given
    by = Actor.customer(id) if own else Actor.system()
    event = NewEvent(
        customer_id=id,
        status=status,
        method=Method.portal,
        at=at,
        purpose=CitedVersion(id, 3, Basis.consent, bytes(32)),
        notice=CitedNotice(id, 2, "en", label, bytes(32)) if own else None,
        evidence=evidence,
        form=Form("sign_up", label, None) if own else None,
        opt_in=OptIn(id, "confirm_link", at, now, label) if own else None,
        valid_until=now,
    )
    written = canonical(id, Place(id, id, id if own else None), event, by, now)
    assert written == rfc8785.dumps(json.decode(written))
    assert json.decode(written)["evidence"] == evidence
    told = read(written)
    assert (told.status, told.at, told.recorded_at, told.opt_in) == (status, at, now, event.opt_in)
    assert (told.evidence, told.control_label) == (evidence, label if own else "")


@pytest.mark.parametrize(
    "value", [0.5, float("nan"), 2**53, -(2**53), None, ["a"], {"deeper": 1.5}, b"bytes"]
)
def test_what_json_cannot_hold_exactly_is_our_bug(value: object) -> None:
    with pytest.raises(ValueError, match="evidence values"):
        check_evidence({"kind": value})


def test_a_key_beyond_ascii_is_our_bug() -> None:
    # UTF-16 order and UTF-8 order differ there (RFC 8785 §3.2.3).
    with pytest.raises(ValueError, match="ASCII"):
        check_evidence({"outer": {"clé": "x"}})


def test_an_instant_is_written_in_utc_with_all_its_digits() -> None:
    at = datetime.fromisoformat("2026-05-03T20:44:10+02:00")
    assert instant(at) == "2026-05-03T18:44:10.000000Z"


def test_a_commitment_is_the_documented_hash() -> None:
    salt = bytes(32)
    expected = hashlib.sha256(b"firsthand/consent/v1" + salt + b"{}").digest()
    assert commitment(salt, b"{}") == expected


async def test_it_is_recomputed_from_what_is_stored(
    database: Database, business: Business, customer: UUID, notice: Notice
) -> None:
    async with database.write(business.id) as db:
        await say_yes(db, customer, notice)
        await say_no(db, customer, notice.purpose_id)
        row = await imported(db, customer, notice, Status.given)
        await consent.append_many(db, Actor.system(), [row])
        stored = await db.many(_RECORDS, Sealed, customer_id=customer)
        told = {event.id: event for event in await consent.history(db, customer)}
    assert len(stored) == 3
    assert len({each.salt for each in stored}) == 3
    for each in stored:
        assert commitment(each.salt, each.canonical) == each.commitment
        record = json.decode(each.canonical)
        event = told[UUID(record["event"])]
        assert record["status"] == event.status
        assert record["at"] == instant(event.at)
        assert record["recorded_at"] == instant(event.recorded_at)
        assert record["evidence"] == event.evidence
        assert record["business"] == str(business.id)
        if event.notice_id:
            ours = {"default": False} if event.method is Method.portal else {}
            assert record["control"] == {"label": notice.control_label} | ours
