"""What a bounce is read as: whose fault, for whom, and never a person's by mistake."""

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crm.inbound.heard import Bounce, Failure, Verdict
from crm.inbound.reading import read
from tests.inbound.corpus import fixture


def bounce(raw: bytes) -> Bounce:
    found = read(raw)
    assert isinstance(found, Bounce), found
    return found


def report(*groups: str, text: str = "It failed.", kind: str = "message/delivery-status") -> bytes:
    """A report of our own writing, RFC 3464 §2."""
    fields = "\n\n".join(("Reporting-MTA: dns; mx.example\nOriginal-Envelope-Id: e42", *groups))
    return (
        "From: Mail Delivery System <mailer-daemon@mx.example>\n"
        "Subject: Undelivered\nMIME-Version: 1.0\n"
        'Content-Type: multipart/report; report-type=delivery-status; boundary="b"\n\n'
        f"--b\nContent-Type: text/plain; charset=utf-8\n\n{text}\n"
        f"--b\nContent-Type: {kind}\n\n{fields}\n"
        "--b\nContent-Type: text/rfc822-headers\n\nMessage-ID: <m1@a.example>\nSubject: x\n--b--\n"
    ).encode()


def judged(status: str, diagnosis: str = "", action: str = "failed") -> Failure:
    group = f"Final-Recipient: rfc822; nora@example.com\nAction: {action}\nStatus: {status}"
    (found,) = bounce(report(group + f"\nDiagnostic-Code: {diagnosis}" * bool(diagnosis))).failures
    return found


@pytest.mark.parametrize(
    ("status", "diagnosis", "verdict"),
    [
        ("5.1.1", "smtp; 550 5.1.1 <nora@example.com>: User unknown", "hard"),
        ("5.1.2", "smtp; 550 Bad destination system", "hard"),
        ("5.1.3", "smtp; 501 5.1.3 Bad address syntax", "hard"),
        ("5.1.6", "smtp; 551 5.1.6 Mailbox has moved", "hard"),
        ("5.1.10", "smtp; 556 5.1.10 Recipient address has null MX", "hard"),
        ("5.2.1", "smtp; 550 5.2.1 Mailbox disabled", "hard"),
        ("5.4.4", "smtp; 550 5.4.4 Unable to route", "hard"),
        ("5.0.0", "smtp; 550 No such user here", "hard"),
        ("5.0.0", "smtp; 550 Requested action not taken", "soft"),
        ("5.0.0", "", "unknown"),
        ("5.2.2", "smtp; 552 5.2.2 Over quota", "soft"),
        ("5.0.0", "smtp; 552 Mailbox is full", "soft"),
        ("4.2.2", "smtp; 452 4.2.2 Mailbox full", "soft"),
        ("4.1.1", "smtp; 450 4.1.1 User unknown in virtual table", "soft"),
        ("4.4.7", "smtp; 421 4.4.2 Timeout", "policy"),
        ("4.4.7", "x-postfix; delivery temporarily suspended: connection refused", "soft"),
        ("5.2.1", "smtp; 550 5.2.1 receiving mail at a rate that prevents delivery", "soft"),
        ("5.1.1", "smtp; 550 5.1.1 Account temporarily locked", "soft"),
        ("5.1.1", "x-unix; procmail: no such user", "soft"),
        ("5.1.1", "smtp; 550 5.1.1 Blocked, see the blocklist", "policy"),
        ("5.7.1", "smtp; 550 5.7.1 User unknown", "policy"),
        ("5.7.1", "smtp; 550 5.1.1 User unknown", "policy"),
        ("5.1.1", "smtp; 550 5.7.26 Unauthenticated mail", "policy"),
        ("5.7.515", "smtp; 550 5.7.515 Access denied", "policy"),
        ("5.0.0", "smtp; 554 Sender address rejected: User unknown", "protocol"),
        ("5.1.8", "smtp; 553 5.1.8 Domain of sender address does not exist", "protocol"),
        ("5.1.7", "smtp; 553 5.1.7 Bad sender", "protocol"),
        ("5.3.4", "smtp; 552 5.3.4 Message too big", "content"),
        ("5.6.0", "smtp; 554 5.6.0 Bad MIME", "content"),
        ("5.5.1", "smtp; 503 5.5.1 Bad sequence", "protocol"),
        # Sendmail gives the code of a sender's null MX for a recipient's, RFC 7505 §4.2.
        ("5.7.27", "smtp; 550 5.7.27 Host does not accept mail", "hard"),
        ("5.7.27", "smtp; 550 5.7.27 Sender address has null MX", "policy"),
    ],
)
def test_a_report_means(status: str, diagnosis: str, verdict: str) -> None:
    found = judged(status, diagnosis)
    assert found.verdict == verdict
    assert found.failed
    assert found.reason
    assert "nora" not in found.text


@pytest.mark.parametrize(
    ("action", "verdict"),
    [("delayed", "delayed"), ("relayed (to a host without DSN)", "delivered"),
     ("expanded", "delivered"), ("Delivered", "delivered")],
)  # fmt: skip
def test_what_has_not_failed_is_no_failure(action: str, verdict: str) -> None:
    found = judged("5.1.1", "smtp; 550 5.1.1 User unknown", action)
    assert (found.verdict, found.failed) == (verdict, False)


def test_the_words_beside_the_fields_are_asked_where_these_say_nothing() -> None:
    group = "Final-Recipient: rfc822; nora@example.com\nAction: failed\nStatus: 5.0.0"
    found = bounce(report(group, text="These failed:\n\n  nora@example.com\n    Unknown user\n"))
    assert found.failures[0].verdict is Verdict.hard
    assert found.original_message_id == "<m1@a.example>"
    assert found.envelope_id == "e42"


def test_an_address_may_be_in_any_script() -> None:
    groups = (
        "Original-Recipient: utf-8; ñaca@áfrica.example\nAction: failed\nStatus: 5.1.1",
        "Final-Recipient: utf-8; \\x{5B57}@b.example\nAction: failed\nStatus: 5.1.1",
        "Final-Recipient: rfc822; c@c.example\nAction: delayed\nStatus: 4.4.1",
    )
    found = bounce(report(*groups, kind="message/global-delivery-status"))
    assert [(each.recipient, each.verdict) for each in found.failures] == [
        ("ñaca@áfrica.example", "hard"), ("字@b.example", "hard"), ("c@c.example", "delayed")
    ]  # fmt: skip


def test_groups_that_nothing_parts_are_two() -> None:
    found = bounce(
        report(
            "Final-Recipient: rfc822; a@a.example\nAction: failed\nStatus: 5.1.1\n"
            "Final-Recipient: rfc822; b@b.example\nAction: failed\nStatus: 5.2.2"
        )
    )
    assert [each.verdict for each in found.failures] == ["hard", "soft"]


_ADDRESSES = st.from_regex(r"[a-z]{1,9}@[a-z]{1,9}\.example", fullmatch=True)
_CLASSES = {"5.1.1": "hard", "5.2.2": "soft", "5.7.1": "policy", "5.6.1": "content",
            "5.5.2": "protocol", "4.2.1": "soft", "5.1.7": "protocol"}  # fmt: skip

_REPORTS = st.tuples(_ADDRESSES, st.sampled_from(sorted(_CLASSES)))


@settings(max_examples=50)
@given(
    reports=st.lists(
        st.tuples(_ADDRESSES, st.sampled_from(sorted(_CLASSES))), min_size=1, max_size=4
    ),
    newline=st.sampled_from([b"\n", b"\r\n", b"\r", b"\r\r\n"]),
    fold=st.booleans(),
)
def test_what_is_written_is_read_back(
    reports: list[tuple[str, str]], newline: bytes, *, fold: bool
) -> None:
    between = "\n " if fold else " "
    groups = (
        f"Final-Recipient:{between}rfc822; {who}\nAction: failed\nStatus: {status}\n"
        f"Diagnostic-Code: smtp; {status[0]}50-{status} No\n {status[0]}50 {status} delivery"
        for who, status in reports
    )
    found = bounce(report(*groups).replace(b"\n", newline))
    assert [(each.recipient, each.enhanced, each.verdict) for each in found.failures] == [
        (who, status, _CLASSES[status]) for who, status in reports
    ]


@pytest.mark.parametrize(
    ("name", "verdicts"),
    [
        ("lhost-postfix-02", ["hard", "hard"]),
        ("lhost-postfix-01", ["soft"]),  # procmail says that there is no such user
        ("lhost-postfix-11", ["protocol", "protocol"]),
        ("lhost-postfix-59", ["soft"]),
        ("lhost-outlook-04", ["hard", "soft"]),
        ("lhost-gmx-03", ["hard", "soft"]),
        ("lhost-kddi-03", ["soft"]),
        ("lhost-domino-01", ["hard"]),
        ("lhost-mailru-05", ["hard"]),
        ("lhost-messagingserver-07", ["delayed"]),
        ("lhost-exim-07", ["soft"]),
        ("lhost-sendmail-05", ["content"]),
        ("lhost-qmail-20", ["policy"]),
        ("lhost-sendmail-57", ["hard"]),
        ("lhost-apachejames-01", ["soft"]),  # a subject that calls it no failure
        ("lhost-exchange2003-04", ["soft"]),
        ("rhost-microsoft-05", ["policy"]),
        ("lhost-amazonworkmail-03", ["soft"]),
        ("rb-issue-368-bug", ["soft"]),
    ],
)
def test_real_bounces(name: str, verdicts: list[str]) -> None:
    found = bounce(fixture(name))
    assert [each.verdict for each in found.failures] == verdicts
    assert not [each.text for each in found.failures if re.search(r"\w@\w", each.text)]


def test_newlines_do_not_matter() -> None:
    dos, mac = (bounce(fixture(f"{kind}-lhost-amazonses-01")) for kind in ("dos", "mac"))
    assert dos == mac
    assert dos.failures[0].verdict is not Verdict.hard
