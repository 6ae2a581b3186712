"""What a mail that came back says, once read.

None of it proves who wrote it: only the token in the address a mail came to may change anything.
"""

from datetime import datetime
from enum import StrEnum
from typing import Literal

from msgspec import Struct


class Verdict(StrEnum):
    """What one recipient's report means; only `hard` may cost an address anything at once."""

    hard = "hard"  # the address takes no mail
    soft = "soft"  # the mailbox cannot now, or why is not told: counted, never at once
    policy = "policy"  # the sender, its servers or their reputation: never the person
    content = "content"  # this mail: too large, refused for what is in it
    protocol = "protocol"  # how the two servers spoke, or our own mistake
    delayed = "delayed"  # still being tried: no failure
    delivered = "delivered"  # delivered, relayed or expanded: no failure
    unknown = "unknown"  # it failed, and nothing says for whom or why


class Failure(Struct, frozen=True):
    """One recipient of a bounce (RFC 3464 §2.3); `text` is free of addresses and short."""

    recipient: str  # as reported, or empty; never what decides whose failure it is
    verdict: Verdict
    enhanced: str = ""  # X.Y.Z of RFC 3463, or empty
    code: int = 0  # of the SMTP reply, or 0
    reason: str = ""  # a word of `crm.mail.outcome`
    text: str = ""

    @property
    def failed(self) -> bool:
        """False where it was delivered, handed on, or is still being tried."""
        return self.verdict not in (Verdict.delayed, Verdict.delivered)


class Bounce(Struct, frozen=True):
    """A report of a mail server on what became of a mail of ours; at least one failure."""

    failures: tuple[Failure, ...]
    original_message_id: str = ""  # with its angle brackets, like every Message-ID here
    envelope_id: str = ""  # the ENVID of RFC 3461 that we gave


# Kinds of RFC 5965 §7.3 and RFC 6591 that no person chose against us.
_NO_OBJECTION = frozenset({"not-spam", "auth-failure", "virus", "dmarc"})


class Complaint(Struct, frozen=True):
    """A feedback report (RFC 5965, RFC 9477); addresses may be redacted (RFC 6590) or missing."""

    kind: str  # abuse, opt-out, auth-failure, not-spam ..., in lower case
    recipients: tuple[str, ...] = ()
    original_message_id: str = ""
    feedback_id: str = ""  # our CFBL-Feedback-ID, as the mail carried it
    reported_domain: str = ""
    arrived: datetime | None = None  # at the reporter; aware, in UTC

    @property
    def objects(self) -> bool:
        """A person does not want this mail: an objection (GDPR Art. 21)."""
        return self.kind not in _NO_OBJECTION


class AutoReply(Struct, frozen=True):
    """A machine's answer (RFC 3834) or a read receipt (RFC 8098): no effect on anybody."""

    sign: str  # the header that told, or what else did
    in_reply_to: str = ""


class Unsubscribe(Struct, frozen=True):
    """Somebody asks to leave: by mail to the address for it, or by an answer that says only so."""

    by: Literal["mailto", "reply"]
    message_id: str = ""
    in_reply_to: str = ""
    sender: str = ""


class Attachment(Struct, frozen=True):
    """What was attached, not its content; `size` in bytes, decoded."""

    name: str
    media_type: str
    size: int


class Reply(Struct, frozen=True):
    """What a person wrote: `text` without quoted history and signature where these are clear."""

    subject: str
    text: str
    message_id: str = ""
    in_reply_to: str = ""
    references: tuple[str, ...] = ()
    sender: str = ""
    at: datetime | None = None  # as its Date says; aware, in UTC
    attachments: tuple[Attachment, ...] = ()


class Unreadable(Struct, frozen=True):
    """Nothing could be made of it; `why` is a sentence without personal data."""

    why: str


Heard = Bounce | Complaint | AutoReply | Unsubscribe | Reply | Unreadable
