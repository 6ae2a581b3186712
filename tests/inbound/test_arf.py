"""Complaints: what is told, and whose mail it was about when nearly all of it is redacted."""

from datetime import UTC, datetime

import pytest

from crm.inbound.heard import Complaint
from crm.inbound.reading import read
from tests.inbound.corpus import fixture

REPORT = b"""From: <fbl@mx.example>
To: <complaints@a.example>
Subject: FW: Our letter
MIME-Version: 1.0
Content-Type: multipart/report; report-type=feedback-report; boundary="b"

--b
Content-Type: text/plain

This is an abuse report.
--b
Content-Type: message/feedback-report

Feedback-Type: ABUSE
User-Agent: Some/1.0
Version: 1
Original-Rcpt-To: <Zm9vYmFy@mx.example>
Original-Rcpt-To: rfc822; b@mx.example
Arrival-Date: Thu, 8 Mar 2035 14:00:00 -0500
Reported-Domain: A.example
--b
Content-Type: text/rfc822-headers

From: letter@a.example
CFBL-Address: fbl@a.example; report=arf
CFBL-Feedback-ID: 111:222:3
 33:4444
Message-ID: <m1@a.example>
--b--
"""


def complaint(raw: bytes) -> Complaint:
    found = read(raw)
    assert isinstance(found, Complaint), found
    return found


def test_all_of_a_report_is_read() -> None:
    assert complaint(REPORT) == Complaint(
        kind="abuse",
        recipients=("Zm9vYmFy@mx.example", "b@mx.example"),
        original_message_id="<m1@a.example>",
        feedback_id="111:222:3 33:4444",
        reported_domain="a.example",
        arrived=datetime(2035, 3, 8, 19, tzinfo=UTC),
    )


def test_a_mail_that_only_calls_itself_a_report_is_still_a_complaint() -> None:
    broken = REPORT.replace(b"message/feedback-report", b"text/x-mangled")
    assert complaint(broken).original_message_id == "<m1@a.example>"
    assert complaint(broken).kind == "other"
    assert complaint(REPORT.replace(b"Thu, 8 Mar 2035", b"Some day")).arrived is None


@pytest.mark.parametrize(
    ("kind", "objects"),
    [("abuse", True), ("opt-out", True), ("fraud", True), ("other", True), ("unheard-of", True),
     ("not-spam", False), ("auth-failure", False), ("virus", False)],
)  # fmt: skip
def test_only_a_person_objects(kind: str, *, objects: bool) -> None:
    assert complaint(REPORT.replace(b"ABUSE", kind.encode())).objects is objects


@pytest.mark.parametrize(
    ("name", "kind", "recipients", "message_id"),
    [
        ("arf-12", "opt-out", 1, "<0000000000000000000000000@example.net>"),
        ("arf-16", "abuse", 7, "<ffffffffffffffffffffffff0000000@example.jp>"),
        ("arf-18", "auth-failure", 1, "<000000002.2222222.1500000000022@example.net>"),
        ("arf-25", "abuse", 1, ""),
    ],
)
def test_real_complaints(name: str, kind: str, recipients: int, message_id: str) -> None:
    found = complaint(fixture(name))
    assert (found.kind, len(found.recipients)) == (kind, recipients)
    assert found.original_message_id == message_id


def test_newlines_do_not_matter() -> None:
    assert complaint(fixture("dos-arf-01")) == complaint(fixture("mac-arf-01"))
    assert complaint(fixture("mac-arf-01")).kind == "abuse"
