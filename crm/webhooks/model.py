"""An endpoint, a post, and the rules: when one is tried again, and when an endpoint is given up."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Annotated, Any
from urllib.parse import urlsplit
from uuid import UUID

import msgspec
from msgspec import Meta, Struct

from crm.errors import Conflict, Forbidden, Invalid, NotFound, Problem
from crm.events import ActorKind, Kind
from crm.names import is_public

# What an endpoint may be asked to acknowledge: whoever was given her data is told (Art. 19 GDPR).
PROOFS = (Kind.consent_withdrawn.value, Kind.customer_erased.value)
# Each event is a post for each of them.
MOST = 50
# So many that wait are counted; more are only more.
COUNTED = 10_000
# How long what became of a post is kept; of those, as long as the event.
KEPT = timedelta(days=30)
# A former secret signs beside the new one for so long, unless somebody saw it.
OVERLAP = timedelta(days=7)
LONGEST_OVERLAP = timedelta(days=30)
# Nobody has said for so long that a withdrawal was heeded.
LATE = timedelta(days=3)
# The schedule that the specification proposes: three days and some hours.
_SCHEDULE = (
    timedelta(0),
    timedelta(seconds=5),
    timedelta(minutes=5),
    timedelta(minutes=30),
    timedelta(hours=2),
    timedelta(hours=5),
    timedelta(hours=10),
    timedelta(hours=14),
    timedelta(hours=20),
    timedelta(hours=24),
)
_JITTER = 0.1
_LONGEST_WAIT = timedelta(hours=24)
# From so many failures in a row on an endpoint is left alone for a while, whatever was to go.
_PATIENCE = 5
_FIRST_REST = timedelta(seconds=5)
_LONGEST_REST = timedelta(minutes=5)
_OK = range(200, 300)
_REDIRECT = range(300, 400)
GONE = 410
# What an endpoint answers that wants to be left alone for a while.
_BUSY = frozenset({429, 502, 503, 504})
_HOST = re.compile(r"[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*|\[[0-9A-Fa-f:.]+\]")
_LOOPBACK = frozenset({"localhost", "localhost.localdomain"})


class UnknownEndpoint(NotFound):
    """There is no such endpoint."""


class UnknownPost(NotFound):
    """There is no such event for this endpoint."""


class NeverSent(UnknownPost):
    """No such event was sent to this endpoint yet. Acknowledge it when it has come there."""


class OthersEndpoint(Forbidden):
    """Somebody else made this endpoint. An owner changes it, or a key with `webhooks:manage`."""


class EndpointOff(Conflict):
    """This endpoint is switched off. Switch it on first; what has waited goes then."""


class TooManyEndpoints(Conflict):
    """A business has fifty endpoints at most. Remove one that is not needed first."""


class NotAnEndpoint(Invalid):
    """Events cannot be told to this address."""


class OffWhy(StrEnum):
    """Why nothing goes to an endpoint."""

    staff = "staff"
    # It answered 410.
    gone = "gone"
    # It took nothing for longer than the whole schedule.
    failing = "failing"


class NewEndpoint(Struct, kw_only=True, forbid_unknown_fields=True):
    """Where events are to be told to; no kinds stands for all of them.

    Whoever has withdrawals told has erasures told as well: of an erased customer that is all that
    goes. `acknowledges`: whoever receives says of each of both that it was heeded.
    """

    name: Annotated[str, Meta(min_length=1, max_length=100)]
    url: Annotated[str, Meta(min_length=8, max_length=2000)]
    kinds: Annotated[list[Kind], Meta(max_length=200)] = []
    acknowledges: bool = False


class Maker(Struct, frozen=True, kw_only=True):
    """The member or the key that made something; `ended_at` once that is let in no more."""

    kind: ActorKind
    id: UUID | None
    name: str
    ended_at: datetime | None


class Endpoint(Struct, frozen=True, kw_only=True):
    """Where events are told to, and how it goes there; its secrets are shown once, when made."""

    id: UUID
    name: str
    url: str
    kinds: list[Kind]
    acknowledges: bool
    state: str
    off_why: OffWhy | None
    off_at: datetime | None
    failures: int
    rest_until: datetime | None
    succeeded_at: datetime | None
    version: int
    created_at: datetime
    changed_at: datetime
    # How many events wait for it, and how many it should have acknowledged by now: 10,001 are more.
    waiting: int
    unacknowledged: int
    former_secret_ends_at: datetime | None
    created_by: Maker | None

    @property
    def is_on(self) -> bool:
        """Whether events go there."""
        return self.state == "on"


class Post(Struct, frozen=True, kw_only=True):
    """What became of one event for one endpoint."""

    number: int
    event_id: UUID
    kind: Kind
    state: str
    attempts: int
    next_at: datetime | None
    told_at: datetime | None
    done_at: datetime | None
    asks: bool
    acknowledged_at: datetime | None
    acknowledged_by: str | None


class Try(Struct, frozen=True, kw_only=True):
    """One time that a post went out: what was answered, or what stood in the way."""

    id: UUID
    event_id: UUID
    kind: Kind
    at: datetime
    status: int | None
    trouble: str
    millis: int

    @property
    def arrived(self) -> bool:
        """Whether it was taken."""
        return self.status is not None and self.status in _OK


class Told(Struct, frozen=True, kw_only=True):
    """That a customer's withdrawal was told to a recipient, or is to be; `ref` is the purpose."""

    event_id: UUID
    kind: Kind
    at: datetime
    ref: UUID | None
    recipient: str
    # `failed`: it was never taken, or not where it was told once more, and is tried no more.
    state: str
    told_at: datetime | None
    asks: bool
    acknowledged_at: datetime | None
    acknowledged_by: str | None


class HeldPost(Struct, frozen=True, kw_only=True):
    """One event about a customer for one recipient, as it is in her copy."""

    event_id: UUID
    kind: Kind
    recipient: str
    endpoint_id: UUID
    number: int
    state: str
    asks: bool
    told_at: datetime | None
    done_at: datetime | None
    acknowledged_at: datetime | None
    acknowledged_by: str | None


class DuePost(Struct, frozen=True, kw_only=True):
    """A post that is to go now, and what it says."""

    number: int
    event_id: UUID
    kind: Kind
    at: datetime
    customer_id: UUID | None
    ref: UUID | None
    asks: bool
    attempts: int
    begun_at: datetime | None
    # In which beginning of its endpoint it was taken.
    beginning: int


class Answer(Struct, frozen=True, kw_only=True):
    """What an endpoint answered; `trouble` is why there is no status, or what is wrong with it."""

    status: int | None = None
    trouble: str = ""
    retry_after: timedelta | None = None
    body: bytes = b""
    millis: int = 0

    @property
    def arrived(self) -> bool:
        """Whether the post was taken: any 2xx, and nothing else."""
        return self.status is not None and self.status in _OK


class _Acknowledged(Struct, frozen=True):
    acknowledged: str = ""


def payload(post: DuePost) -> bytes:
    """Write what is told: what kind of event, when, and ids; no name, no address, no words.

    Whoever needs more asks the API, which knows by then whether she is still there.
    """
    erased = post.kind is Kind.customer_erased
    data: dict[str, Any] = {
        "id": post.event_id,
        # Her number is all that is left of her; nobody else needs to look for it.
        "customer_id": post.ref if erased else post.customer_id,
        "ref": None if erased else post.ref,
    }
    if post.asks:
        data["acknowledge"] = True
    return msgspec.json.encode({"type": post.kind, "timestamp": post.at, "data": data})


def acknowledged(answer: Answer, event_id: UUID) -> bool:
    """Say whether an answer acknowledges the event: 2xx with `{"acknowledged": "<webhook-id>"}`."""
    if not answer.arrived:
        return False
    try:
        said = msgspec.json.decode(answer.body, type=_Acknowledged)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return False
    return said.acknowledged == str(event_id)


def redirected(status: int) -> bool:
    """Say whether an answer leads elsewhere, where nothing is sent."""
    return status in _REDIRECT


def next_try(
    attempts: int, now: datetime, chance: float, retry_after: timedelta | None = None
) -> datetime | None:
    """Return when a post goes again that has failed so often, or None when it is given up.

    `chance`, from 0 to 1, keeps what failed together from coming together. An endpoint that says
    when to come again is waited for, a day at most.
    """
    if attempts >= len(_SCHEDULE):
        return None
    wait = _SCHEDULE[attempts] * (1 + _JITTER * chance)
    if retry_after is not None:
        wait = max(wait, min(retry_after, _LONGEST_WAIT))
    return now + wait


def rest_until(failures: int, answers: Sequence[Answer], now: datetime) -> datetime | None:
    """Return until when nothing goes to an endpoint that failed so often; None: it goes on.

    One that asks for a rest has it, an hour at most. One that answers, but takes a certain post
    not, gets the others: what is wrong with one event is nobody else's delay.
    """
    asked = [
        each.retry_after
        for each in answers
        if each.status in _BUSY and each.retry_after is not None
    ]
    rest = max((min(each, timedelta(hours=1)) for each in asked), default=timedelta(0))
    is_away = all(each.status is None or each.status in _BUSY for each in answers)
    if is_away and failures >= _PATIENCE:
        rest = max(rest, min(_FIRST_REST * 2 ** min(failures - _PATIENCE, 10), _LONGEST_REST))
    return now + rest if rest else None


def is_tried_out(failures: int) -> bool:
    """Say whether an endpoint has failed so often that it is asked with one post first."""
    return failures >= _PATIENCE


def has_failed_long(begun_at: datetime, succeeded_at: datetime | None) -> bool:
    """Say whether an endpoint is given up: one post had its whole schedule, no other arrived."""
    return succeeded_at is None or succeeded_at < begun_at


def checked(new: NewEndpoint, *, local: bool) -> NewEndpoint:
    """Return an endpoint that may be, or refuse: by HTTPS, to a public name, without a password.

    A withdrawal that waits goes no more once she is erased; her erasure, which is told instead,
    ends every consent (Art. 19 GDPR), and so belongs to it.

    Where its name leads is looked at with each connection; `local`: anywhere, and by HTTP too.
    """
    try:
        msgspec.convert(msgspec.structs.asdict(new), NewEndpoint)
    except msgspec.ValidationError as wrong:
        field = str(wrong).rpartition("$.")[2].rstrip("`").partition("[")[0]
        raise _wrong(
            field, "This is empty, too long, or not one of the values there are."
        ) from None
    if Kind.customer_looked in new.kinds:
        raise _wrong("kinds", "Looks at customers are not told: a look would follow each of them.")
    url = _checked_url(new.url, local=local)
    kinds = {*new.kinds}
    if Kind.consent_withdrawn in kinds:
        kinds.add(Kind.customer_erased)
    return msgspec.structs.replace(new, url=url, kinds=sorted(kinds))


def _checked_url(url: str, *, local: bool) -> str:
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise _wrong("url", "This is no address such as https://shop.example/events.") from None
    host = parts.netloc.rpartition("@")[2].removesuffix(f":{port}")
    plain = url.isascii() and url.isprintable() and " " not in url and "\\" not in url
    if not plain or port == 0 or not _HOST.fullmatch(host):
        raise _wrong("url", "This is no address such as https://shop.example/events.")
    if parts.scheme != "https" and not (local and parts.scheme == "http"):
        raise _wrong("url", "Events are told inside TLS only: the address begins with https://.")
    if parts.username is not None or parts.fragment or "#" in url:
        sentence = "Leave out name, password and what follows a #: posts are known by signature."
        raise _wrong("url", sentence)
    if not local and _is_private(host.strip("[]")):
        raise _wrong("url", "This address is on this machine or in a private network.")
    return parts.scheme + url[len(parts.scheme) :]


def _is_private(host: str) -> bool:
    if host.lower() in _LOOPBACK:
        return True
    try:
        return not is_public(host)
    except ValueError:
        return False


def _wrong(field: str, sentence: str) -> NotAnEndpoint:
    return NotAnEndpoint(sentence, [Problem(field, sentence)])
