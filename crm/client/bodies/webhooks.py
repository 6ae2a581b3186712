"""What a call takes: webhooks. Written by `make calls`."""

from __future__ import annotations

from datetime import datetime
from typing import Literal, NotRequired, TypedDict

Kind = Literal[
    "business.changed",
    "member.invited",
    "member.changed",
    "member.signed_in",
    "member.signed_out",
    "member.refused",
    "key.added",
    "key.revoked",
    "key.rotated",
    "customer.added",
    "customer.changed",
    "customer.looked",
    "customer.exported",
    "customer.erased",
    "customer.merged",
    "erasure.planned",
    "erasure.called_off",
    "address.changed",
    "address.change_undone",
    "attribute.declared",
    "interaction.recorded",
    "purpose.added",
    "purpose.changed",
    "notice.published",
    "consent.requested",
    "consent.given",
    "consent.refused",
    "consent.withdrawn",
    "consent.deferred",
    "consent.unproven",
    "consent.revoked",
    "consent.expired",
    "consent.invalidated",
    "soft_opt_in.recorded",
    "proof.sought",
    "signing_key.rotated",
    "database.restored",
    "ledger.reopened",
    "ledger.alarm_settled",
    "journal.line_set_aside",
    "relay.added",
    "relay.changed",
    "domain.limited",
    "inbound.changed",
    "domain.added",
    "domain.keys_made",
    "domain.keys_retired",
    "domain.signs",
    "domain.relay_confirmed",
    "domain.relay_revoked",
    "service_message.posted",
    "service_message.sent",
    "service_message.failed",
    "service_message.uncertain",
    "service_message.bounced",
    "address.suppressed",
    "address.works_again",
    "import.started",
    "import.tried",
    "import.done",
    "import.undo_asked",
    "import.undone",
    "import.mapping_changed",
    "import.rows_let_go",
    "import.failed",
    "segment.changed",
    "campaign.drafted",
    "campaign.changed",
    "campaign.checked",
    "campaign.tested",
    "campaign.scheduled",
    "campaign.held",
    "canary.sent",
    "canary.passed",
    "canary.changed",
    "canary.waived",
    "campaign.started",
    "campaign.paused",
    "campaign.resumed",
    "campaign.cancelled",
    "campaign.done",
    "delivery.resolved",
    "rhythm.changed",
    "digest.switched",
    "webhook.added",
    "webhook.changed",
    "webhook.removed",
    "webhook.switched_on",
    "webhook.switched_off",
    "webhook.rotated",
    "webhook.tested",
    "webhook.replayed",
]


class NewEndpoint(TypedDict):
    """Where events are to be told to; no kinds stands for all of them."""

    name: str
    url: str
    kinds: NotRequired[list[Kind]]
    acknowledges: NotRequired[bool]


class Since(TypedDict):
    """From when on everything is told once more."""

    since: datetime


class Switch(TypedDict):
    """Whether events go there."""

    on: bool


class Rotation(TypedDict):
    """For how many seconds the former secret signs beside the new one; 0 where it was seen."""

    overlap_seconds: NotRequired[int]
