"""Replies of real servers and what they mean for a message."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crm.mail import outcome
from crm.mail.outcome import Kind, Outcome, Reply, Step, Whose


def judged(step: Step, line: str, recipient: str = "nora@example.com") -> Outcome:
    return outcome.verdict(step, Reply(int(line[:3]), line[4:]), recipient)


@pytest.mark.parametrize(
    ("step", "line", "kind", "whose", "hard"),
    [
        (Step.content, "250 2.0.0 Ok: queued as 4F1D", "sent", "nobody", False),
        (Step.rcpt, "550 5.1.1 <nora@example.com>: User unknown", "failed", "recipient", True),
        (Step.rcpt, "550 5.1.2 Bad destination system", "failed", "recipient", True),
        (Step.rcpt, "501 5.1.3 Bad address syntax", "failed", "recipient", True),
        (Step.rcpt, "551 5.1.6 Mailbox has moved", "failed", "recipient", True),
        (Step.rcpt, "556 5.1.10 Recipient address has null MX", "failed", "recipient", True),
        (Step.content, "550 5.2.1 Mailbox disabled", "failed", "recipient", True),
        (Step.rcpt, "550 No such user here", "failed", "recipient", True),
        (Step.rcpt, "550 Requested action not taken", "failed", "recipient", False),
        (Step.rcpt, "552 5.2.2 Mailbox full", "failed", "recipient", False),
        (Step.rcpt, "452 4.2.2 Mailbox full", "later", "recipient", False),
        (Step.rcpt, "552 Too many recipients", "later", "relay", False),
        (Step.rcpt, "452 4.5.3 Too many recipients", "later", "relay", False),
        (Step.rcpt, "550 5.7.1 User unknown", "failed", "policy", False),
        (Step.content, "550 5.7.26 Unauthenticated email", "failed", "policy", False),
        (Step.content, "550 5.7.515 Access denied", "failed", "policy", False),
        (Step.rcpt, "550 5.1.1 Blocked, see the blocklist", "failed", "policy", False),
        (Step.rcpt, "451 4.7.1 Greylisted", "later", "policy", False),
        (Step.content, "421 4.7.28 Slow down", "later", "relay", False),
        (Step.content, "552 5.3.4 Message too big", "failed", "content", False),
        (Step.content, "554 5.6.0 Bad MIME", "failed", "content", False),
        (Step.mail, "550 5.1.1 Sender unknown", "failed", "ours", False),
        (Step.mail, "553 5.1.8 Sender domain unknown", "failed", "ours", False),
        (Step.rcpt, "553 5.6.7 SMTPUTF8 needed", "failed", "ours", False),
        (Step.data, "503 5.5.1 Bad sequence", "failed", "protocol", False),
        (Step.rcpt, "450 4.1.2 Domain not found now", "later", "recipient", False),
        (Step.rcpt, "552 Mailbox full", "failed", "recipient", False),
        (
            Step.content,
            "552 Requested action aborted: exceeded storage allocation",
            "failed",
            "recipient",
            False,
        ),
        (Step.rcpt, "450 Mailbox unavailable", "later", "recipient", False),
        (Step.rcpt, "450 Greylisted", "later", "policy", False),
        (Step.mail, "521 Host does not accept mail", "failed", "relay", False),
        (Step.mail, "535 5.7.8 Credentials invalid", "failed", "ours", False),
        (Step.mail, "530 5.7.0 Must issue STARTTLS first", "failed", "policy", False),
        (Step.rcpt, "550 5.7.13 Account disabled", "failed", "ours", False),
        (Step.rcpt, "550 5.7.27 Sender has null MX", "failed", "ours", False),
        (Step.content, "550 5.7.20 No DKIM signature", "failed", "policy", False),
        (Step.content, "550 5.7.23 SPF failed", "failed", "policy", False),
        (Step.rcpt, "450 4.7.25 No reverse DNS", "later", "policy", False),
        (Step.rcpt, "451 4.4.7 Expired", "later", "relay", False),
        (Step.rcpt, "550 5.4.4 No route", "failed", "recipient", True),
        (Step.content, "354 What", "uncertain", "protocol", False),
        (Step.data, "250 What", "later", "protocol", False),
    ],
)
def test_reply_means(step: Step, line: str, kind: str, whose: str, *, hard: bool) -> None:
    found = judged(step, line)
    assert (found.kind, found.whose, found.hard) == (kind, whose, hard)
    assert found.reason


def test_only_what_left_whole_is_uncertain() -> None:
    assert outcome.lost(content_left=False).kind is Kind.later
    assert outcome.lost(content_left=True).kind is Kind.uncertain
    assert outcome.lost(content_left=True, timeout=True).reason == "no_answer"


@pytest.mark.parametrize(
    "text",
    [
        "<nora.l@example.com>: user unknown",
        "nora.l@example.com unknown",
        '"nora.l"@example.com unknown',
        "see http://x.example/?nora.l%40example.com",
        "bounces+nora.l=40example.com@b.example",
        "no user nora.l here",
        "NORA.L not found",
    ],
)
def test_no_address_survives_in_the_text(text: str) -> None:
    found = judged(Step.rcpt, f"550 5.1.1 {text}", "nora.l@example.com")
    assert "nora.l" not in found.text.casefold()
    assert "@" not in found.text


@given(
    code=st.integers(400, 599),
    enhanced=st.from_regex(r"[245]\.[0-9]{1,3}\.[0-9]{1,3}", fullmatch=True),
    text=st.text(max_size=300),
    step=st.sampled_from([Step.mail, Step.rcpt, Step.data, Step.content]),
)
def test_a_policy_refusal_never_blames_a_recipient(
    code: int, enhanced: str, text: str, step: Step
) -> None:
    found = outcome.verdict(step, Reply(code, f"{enhanced} {text}"), "nora@example.com")
    if enhanced.split(".")[1] == "7":
        assert found.whose is not Whose.recipient
    if found.hard:
        assert found.whose is Whose.recipient
        assert found.kind is Kind.failed
        assert step in (Step.rcpt, Step.content)
    assert len(found.text) <= outcome.TEXT_LIMIT
    assert "@" not in found.text or " @ " in f" {found.text} "
