"""What comes back as it is handled: by which way it came, what it proves, what it changed."""

from __future__ import annotations

import hashlib
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Annotated, Literal
from uuid import UUID

from msgspec import Meta, Struct

from crm.errors import Conflict, Invalid, NotFound
from crm.inbound import reading
from crm.inbound.heard import Bounce, Failure, Heard, Verdict
from crm.return_path import Sent, Way, parted
from crm.tokens import Stop

# So many soft bounces over so long, and nothing in between that arrived: the mailbox is given up.
SOFT_BOUNCES = 5
SOFT_TIME = timedelta(days=14)
# Servers try for four to five days (RFC 5321 §4.5.4.1): what has not come back by then arrived.
SETTLES = timedelta(days=5)
# How long it is known that a report was heard; servers send one again within days.
REMEMBERED = timedelta(days=400)
# So long a letter of somebody lies in the mailbox it was fetched from, for people to read.
LETTERS_REST = timedelta(days=90)


class UnknownWebhook(NotFound):
    """There is no such address for reports; make it anew under Coming back, and enter that."""


class NoMailbox(NotFound):
    """No mailbox is set up yet; enter one first."""


class MailboxTrouble(Conflict):
    """The mailbox could not be opened; look at server, name and password."""


class NotAProvider(Invalid):
    """This is not a report of the provider that this address is for."""


class NotSigned(Invalid):
    """The signature of this report is wrong or old, or not that of the topic entered here."""


class BadTopic(Invalid):
    """A topic of Amazon SNS is named like arn:aws:sns:eu-west-1:123456789012:mail-events."""


class Via(StrEnum):
    """Which way something came in."""

    listener = "listener"
    mailbox = "mailbox"
    ses = "ses"
    postmark = "postmark"


class Provider(StrEnum):
    """Who posts reports to us."""

    ses = "ses"
    postmark = "postmark"


class Effect(StrEnum):
    """What became of a mail that came in."""

    done = "done"  # it had its effect, or is kept with its customer
    repeated = "repeated"  # it had that before
    counted = "counted"  # there is nothing to do about it, or it proves nothing


class Vouched(Struct, frozen=True):
    """What a provider says of the mail it reports on; its signature or secret was checked."""

    message_id: str = ""
    address: str = ""


class Arrival(Struct, frozen=True):
    """One mail to one address of ours, as read; its bytes are gone."""

    recipient: str
    heard: Heard
    digest: bytes
    vouched: Vouched | None = None


class Proof(Struct, frozen=True):
    """Whose mail is spoken of, proven by a token; `sent` names it, `stop` what is to end."""

    address_hash: bytes
    sent: Sent | None = None
    stop: Stop | None = None


class SoftBounce(Struct, frozen=True, kw_only=True):
    """Since when, and how often, the mailbox of an address could not take mail."""

    address_hash: bytes
    bounces: int
    first_at: datetime
    last_at: datetime


class Count(Struct, frozen=True, kw_only=True):
    """How much of a kind came in by one way."""

    via: Via
    kind: str
    reports: int
    last_at: datetime


class Return(Struct, frozen=True):
    """How much of a kind came back of a campaign."""

    kind: str
    reports: int


class NewMailbox(Struct, frozen=True, kw_only=True):
    """Where mail is to be fetched from; an empty password keeps the one that is known."""

    host: Annotated[str, Meta(min_length=1, max_length=253, pattern=r"^[A-Za-z0-9.:-]+(?!\n)$")]
    port: Annotated[int, Meta(ge=1, le=65535)] = 993
    tls: Literal["implicit", "starttls", "none"] = "implicit"
    username: Annotated[str, Meta(min_length=1, max_length=254)]
    password: Annotated[str, Meta(max_length=500)] = ""
    folder: Annotated[str, Meta(min_length=1, max_length=200)] = "INBOX"
    kept_in: Annotated[str, Meta(min_length=1, max_length=200)] = "Firsthand"


class Mailbox(Struct, frozen=True, kw_only=True):
    """Where mail is fetched from, and how the last look went; without its password."""

    host: str
    port: int
    tls: Literal["implicit", "starttls", "none"]
    username: str
    folder: str
    kept_in: str
    checked_at: datetime | None
    trouble: str


class Webhook(Struct, frozen=True, kw_only=True):
    """An address that a provider posts to; its secret was shown once."""

    provider: Provider
    topic: str
    made_at: datetime
    heard_at: datetime | None
    trouble: str


class NamedWebhook(Struct, frozen=True):
    """A webhook's secret with the business that it names in clear."""

    business_id: UUID
    secret: bytes


_RANK = (
    Verdict.hard,
    Verdict.soft,
    Verdict.policy,
    Verdict.content,
    Verdict.protocol,
    Verdict.unknown,
    Verdict.delayed,
    Verdict.delivered,
)


def arrived(recipient: str, raw: bytes) -> Arrival:
    """Read one mail to one address; takes milliseconds, and never raises."""
    heard = reading.read(raw, to_leave=_leaves(recipient))
    return Arrival(recipient, heard, _digest(recipient, raw))


def unread(recipient: str, raw: bytes) -> Arrival:
    """Take a mail whose reading takes too long for one that says nothing but by its address."""
    why = "Reading the mail took too long."
    heard = reading.unread(why, to_leave=_leaves(recipient))
    return Arrival(recipient, heard, _digest(recipient, raw))


def _leaves(recipient: str) -> bool:
    way, _, _ = parted(recipient)
    return way is Way.leave


def _digest(recipient: str, raw: bytes) -> bytes:
    # A server may fold the case of an address; the mail is the same.
    return hashlib.sha256(recipient.lower().encode() + b"\0" + raw).digest()


def worst(bounce: Bounce) -> Failure:
    """Choose the failure that counts: one mail of ours has one recipient.

    Where that address hands on to several, and one of those took the mail, it is not dead.
    """
    failure = min(bounce.failures, key=lambda each: _RANK.index(each.verdict))
    taken = any(each.verdict is Verdict.delivered for each in bounce.failures)
    if failure.verdict is Verdict.hard and taken:
        return Failure(failure.recipient, Verdict.soft, failure.enhanced, failure.code)
    return failure


def worn_out(bounces: int, first_at: datetime, now: datetime) -> bool:
    """Say whether soft bounces have gone on so often and so long that the mailbox is given up."""
    return bounces >= SOFT_BOUNCES and now - first_at >= SOFT_TIME
