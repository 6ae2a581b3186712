"""What the journal says, line by line: identifiers and keyed hashes, no address and no name.

A line is the first 16 hexadecimal digits of the SHA-256 of what follows, a space, and JSON. One
line is one transaction: it is there whole, or it is torn and its transaction was never committed.
"""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from hashlib import sha256
from typing import Literal, TypeAlias
from uuid import UUID

import msgspec
from msgspec import Struct, field

_SUM = 16


class Decision(Struct, array_like=True):
    """The end of what one customer allowed for one purpose; the keyed hash of her address."""

    customer_id: UUID
    purpose_id: UUID
    status: str
    method: str
    address: str = ""


class Withdrawn(Struct, tag="withdrawn"):
    """Consents that ended, whichever way."""

    decisions: list[Decision]


class Suppressed(Struct, tag="suppressed"):
    """Addresses that are mailed no more, by keyed hash, each with scope and reason."""

    addresses: list[tuple[str, str, str]]


class Lifted(Struct, tag="lifted"):
    """What kept mail from an address: its owner took it with her, or her mailbox works again."""

    address: str


class Left(Struct, tag="left"):
    """The press of a link while the database could not be used; no purpose means all."""

    address: str
    purpose_code: int | None
    method: str


class Restricted(Struct, tag="restricted"):
    """A customer frozen, or free again."""

    customer_id: UUID
    frozen: bool
    address: str = ""


class Erased(Struct, tag="erased"):
    """A customer who was deleted; `dropped`: not even the fingerprint of her address stays.

    `by` is the kind of who had it done.
    """

    customer_id: UUID
    address: str
    dropped: bool
    by: str = "system"


class Forgotten(Struct, tag="forgotten"):
    """Somebody who was no customer, and whose address nothing is kept under any more."""

    address: str


class Merged(Struct, tag="merged"):
    """Two records of one customer that became one: the number that is kept, and the other."""

    kept_id: UUID
    gone_id: UUID


class Planned(Struct, tag="planned", kw_only=True):
    """A deletion that she can call off until it is due: with the hash of the link that does so."""

    customer_id: UUID
    due_at: datetime
    fingerprint: str
    was_frozen: bool
    call_off: str
    address: str = ""


class CalledOff(Struct, tag="called_off"):
    """A deletion that its customer called off."""

    customer_id: UUID


class Revoked(Struct, tag="revoked"):
    """A key that was revoked, or a member of staff who was disabled: `holder` says which."""

    holder: Literal["key", "member"]
    id: UUID


class Readmitted(Struct, tag="readmitted"):
    """A member of staff who was let in again."""

    member_id: UUID


class Campaign(Struct, tag="campaign"):
    """What a campaign began to do: scheduled, started, resumed, or still sending by then."""

    campaign_id: UUID
    does: str


class Replayed(Struct, tag="replayed"):
    """A restored database has caught up with the journal after one number and up to another.

    What was open before those is open still, and so are the lines `left`, though they may have
    been committed: the restore has not carried them out.
    """

    upto: int
    since: int = 0
    left: list[Written] = []


Entry: TypeAlias = (
    Withdrawn
    | Suppressed
    | Lifted
    | Left
    | Restricted
    | Merged
    | Planned
    | CalledOff
    | Erased
    | Forgotten
    | Revoked
    | Readmitted
    | Campaign
    | Replayed
)


def never_refused(entry: Entry) -> bool:
    """Say what is taken without a journal: leaving, whatever else stops mail, and shutting out."""
    if isinstance(entry, Restricted):
        return entry.frozen
    return isinstance(entry, Withdrawn | Suppressed | Left | Revoked)


def loosens(entry: Entry) -> bool:
    """Say what ends a freeze or lets in again: nobody does that unless it is known as committed."""
    if isinstance(entry, Restricted):
        return not entry.frozen
    return isinstance(entry, Readmitted)


class Begins(Struct, tag="begins", frozen=True):
    """The first line of a file: its first number, and the last that was known to be committed."""

    n: int
    committed: int
    at: datetime


class Written(Struct, tag="written", frozen=True):
    """What one transaction is about to commit.

    `after` is the number that the database had committed last by then, null where it could not
    be asked. Of the entries so many, the first, had been committed before, and were `owed`.
    """

    n: int
    after: int | None
    at: datetime
    entries: list[Entry] = field(default_factory=list)
    owed: int = 0


class Committed(Struct, tag="committed", frozen=True):
    """The transaction of a number was committed; said soon after, and lost without harm."""

    n: int


class Ending(StrEnum):
    """What came of a line that nobody committed."""

    # By a sweep: gone with a database that is lost afterwards. What loosens, in a line that a
    # restore left, is open still.
    carried_out = "carried_out"
    # The same, without what loosens: nobody had committed it, so it was never to be.
    passed_over = "passed_over"
    # PostgreSQL refused the commit: it was never to be, in no database.
    refused = "refused"
    # Staff looked into it, and do by hand what it says.
    set_aside = "set_aside"


class Settled(Struct, tag="settled", frozen=True):
    """Numbers whose transactions were never committed, and what came of them.

    Lines of before did not say what: of those the most is still to be done, as after a sweep.
    """

    numbers: list[int]
    ending: Ending = Ending.carried_out


Line: TypeAlias = Begins | Written | Committed | Settled

_encoder = msgspec.json.Encoder()
_decoder: msgspec.json.Decoder[Line] = msgspec.json.Decoder(Line)


def written_down(line: Line) -> bytes:
    """Write a line with its checksum."""
    data = _encoder.encode(line)
    return _sum(data) + b" " + data + b"\n"


def read_line(text: bytes) -> Line | None:
    """Read a line without its end; None where it is torn or was damaged."""
    given, _, data = text.partition(b" ")
    if given != _sum(data):
        return None
    try:
        return _decoder.decode(data)
    except msgspec.MsgspecError:
        return None


def _sum(data: bytes) -> bytes:
    return sha256(data).hexdigest()[:_SUM].encode()
