"""An event, who did it, and the list of kinds there are."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from uuid import UUID

from msgspec import Struct


class ActorKind(StrEnum):
    """Who can do something."""

    customer = "customer"
    member = "member"
    key = "key"
    system = "system"


class Actor(Struct, frozen=True):
    """Who did it; the name is what a customer may read, never an address."""

    kind: ActorKind
    id: UUID | None = None
    name: str = ""

    @classmethod
    def customer(cls, customer_id: UUID) -> Actor:
        """Name the customer as acting for herself."""
        return cls(ActorKind.customer, customer_id)

    @classmethod
    def member(cls, member_id: UUID, name: str) -> Actor:
        """Name a staff member."""
        return cls(ActorKind.member, member_id, name)

    @classmethod
    def key(cls, key_id: UUID, name: str) -> Actor:
        """Name a program by its API key."""
        return cls(ActorKind.key, key_id, name)

    @classmethod
    def system(cls) -> Actor:
        """Name nobody: a job, or the operator's command."""
        return cls(ActorKind.system)


class Kind(StrEnum):
    """Everything that is recorded."""

    business_changed = "business.changed"
    member_invited = "member.invited"
    member_changed = "member.changed"
    member_signed_in = "member.signed_in"
    member_signed_out = "member.signed_out"
    member_refused = "member.refused"
    key_added = "key.added"
    key_revoked = "key.revoked"
    key_rotated = "key.rotated"
    customer_added = "customer.added"
    customer_changed = "customer.changed"
    customer_looked = "customer.looked"
    customer_exported = "customer.exported"
    customer_erased = "customer.erased"
    customer_merged = "customer.merged"
    erasure_planned = "erasure.planned"
    erasure_called_off = "erasure.called_off"
    address_changed = "address.changed"
    address_change_undone = "address.change_undone"
    attribute_declared = "attribute.declared"
    interaction_recorded = "interaction.recorded"
    purpose_added = "purpose.added"
    purpose_changed = "purpose.changed"
    notice_published = "notice.published"
    consent_requested = "consent.requested"
    consent_given = "consent.given"
    consent_refused = "consent.refused"
    consent_withdrawn = "consent.withdrawn"
    consent_deferred = "consent.deferred"
    consent_unproven = "consent.unproven"
    consent_revoked = "consent.revoked"
    consent_expired = "consent.expired"
    consent_invalidated = "consent.invalidated"
    soft_opt_in_recorded = "soft_opt_in.recorded"
    proof_sought = "proof.sought"
    signing_key_rotated = "signing_key.rotated"
    database_restored = "database.restored"
    ledger_reopened = "ledger.reopened"
    ledger_alarm_settled = "ledger.alarm_settled"
    journal_line_set_aside = "journal.line_set_aside"
    relay_added = "relay.added"
    relay_changed = "relay.changed"
    domain_limited = "domain.limited"
    inbound_changed = "inbound.changed"
    domain_added = "domain.added"
    domain_keys_made = "domain.keys_made"
    domain_keys_retired = "domain.keys_retired"
    domain_signs = "domain.signs"
    relay_confirmed = "domain.relay_confirmed"
    relay_revoked = "domain.relay_revoked"
    service_message_posted = "service_message.posted"
    service_message_sent = "service_message.sent"
    service_message_failed = "service_message.failed"
    service_message_uncertain = "service_message.uncertain"
    service_message_bounced = "service_message.bounced"
    address_suppressed = "address.suppressed"
    address_works_again = "address.works_again"
    import_started = "import.started"
    import_tried = "import.tried"
    import_done = "import.done"
    import_undo_asked = "import.undo_asked"
    import_undone = "import.undone"
    import_mapping_changed = "import.mapping_changed"
    import_rows_let_go = "import.rows_let_go"
    import_failed = "import.failed"
    segment_changed = "segment.changed"
    campaign_drafted = "campaign.drafted"
    campaign_changed = "campaign.changed"
    campaign_checked = "campaign.checked"
    campaign_tested = "campaign.tested"
    campaign_scheduled = "campaign.scheduled"
    campaign_held = "campaign.held"
    canary_sent = "canary.sent"
    canary_passed = "canary.passed"
    canary_changed = "canary.changed"
    canary_waived = "canary.waived"
    campaign_started = "campaign.started"
    campaign_paused = "campaign.paused"
    campaign_resumed = "campaign.resumed"
    campaign_cancelled = "campaign.cancelled"
    campaign_done = "campaign.done"
    delivery_resolved = "delivery.resolved"
    rhythm_changed = "rhythm.changed"
    digest_switched = "digest.switched"
    webhook_added = "webhook.added"
    webhook_changed = "webhook.changed"
    webhook_removed = "webhook.removed"
    webhook_switched_on = "webhook.switched_on"
    webhook_switched_off = "webhook.switched_off"
    webhook_rotated = "webhook.rotated"
    webhook_tested = "webhook.tested"
    webhook_replayed = "webhook.replayed"


LOOKS = frozenset({Kind.customer_looked, Kind.customer_exported})
# A customer's number stands in the `ref` of these: of who is no more, and of a record that went.
NAMING = frozenset({Kind.customer_erased, Kind.customer_merged})
# How the kinds begin that say what a customer decided: of some purposes that tells of her health.
DECISIONS = ("consent.", "soft_opt_in.", "proof.", "rhythm.", "digest.")


class Event(Struct, frozen=True, kw_only=True):
    """One thing that happened; `ref` is what it is about besides the customer."""

    id: UUID
    at: datetime
    kind: Kind
    actor_kind: ActorKind
    actor_id: UUID | None
    actor_name: str
    customer_id: UUID | None
    ref: UUID | None
    reason: str


class Numbered(Event, frozen=True, kw_only=True):
    """An event with its place in the stream of its business."""

    number: int


class Look(Struct, frozen=True, kw_only=True):
    """Somebody opened or copied a customer's record, as she is told: who, when and why.

    `role` is that of a member of staff; the name is empty where the business keeps it to itself.
    """

    id: UUID
    at: datetime
    kind: Kind
    actor_kind: ActorKind
    actor_id: UUID | None
    actor_name: str
    role: str
    reason: str
