"""One address of a list as it was judged, and what its row says about the decision."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from msgspec import Struct
from msgspec.structs import replace

from crm.consent import Consent, EvidenceKind, Method, Network, Notice, Status, Version
from crm.events import Actor
from crm.imports.decision import Closed, Decision
from crm.imports.fields import Fields
from crm.imports.gathering import Group
from crm.imports.model import Row, Tool, address_of, evidence_kind


class Task(Struct, frozen=True):
    """What is the same for every row of an import."""

    import_id: UUID
    by: Actor
    version: Version
    notice: Notice
    # For how many days network addresses of the former tool's export are kept; 0 keeps none.
    network_days: int
    tool: Tool
    sha256: str
    fields: Fields
    closed: Closed | None = None


class Judged(Struct, frozen=True, gc=False):
    """One address with its decision.

    `id` is of a customer already known, `new_id` of one that is to be added.
    """

    group: Group
    decision: Decision
    id: UUID | None
    # The consent that is there already.
    state: Consent | None
    new_id: UUID | None = None


class LeftOut(Struct):
    """What of a decision was left out after all: fields, and tags, by name."""

    fields: set[str] = set()
    tags: set[str] = set()


def less(decision: Decision, left_out: LeftOut) -> Decision:
    """A decision without what was left out."""
    fields, tags = left_out.fields, left_out.tags
    return replace(
        decision,
        fill={name: value for name, value in decision.fill.items() if name not in fields},
        tags=tuple(name for name in decision.tags if name not in tags),
    )


def without(judged: Judged, left_out: LeftOut | None) -> Judged:
    """What came of one address, without what was left out."""
    if left_out is None:
        return judged
    return replace(judged, decision=less(judged.decision, left_out))


def network(row: Row) -> Network | None:
    """From where she signed up and confirmed, where the row has that.

    Of a confirmation that proves nothing the address is not hers: who uploaded the list has it.
    """
    opted_in = address_of(row.opted_in_ip)
    confirmed = address_of(row.confirmed_ip) if _confirmed(row) else ""
    if not opted_in and not confirmed:
        return None
    return Network(address=confirmed or opted_in, asked_from=opted_in if confirmed else "")


def decided_at(row: Row, status: Status, stands: Consent | None) -> datetime | None:
    """When it was decided, as far as the row knows; a confirmation dates only what it proves.

    A time without a zone does not date a leaving where her own word that `stands` came after it, as
    the row has it: it wins because it may be newer, and would stand before that in her history.
    """
    if status is Status.given:
        return row.confirmed_at if _confirmed(row) else row.opted_in_at
    left = row.unsubscribed_at if status is Status.withdrawn else None
    if left is None or stands is None or not row.left_assumed:
        return left
    hers = stands.method is not Method.imported
    return None if hers and left <= stands.at else left


def _confirmed(row: Row) -> bool:
    return evidence_kind(row) is EvidenceKind.former_double_opt_in
