"""The audit trail: what staff, programs and customers did, newest first."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from litestar import Response, get
from litestar.di import NamedDependency
from litestar.params import FromQuery
from msgspec import Struct

from crm import events
from crm.db import ReadDb
from crm.events import ActorKind, Event, Kind
from crm.web.pages import page
from crm.web.paging import DEFAULT_LIMIT, Cursors, link

_PATH = "/staff/audit"

# What a reader of the trail sees after the name of whoever did it.
WORDS: dict[Kind, str] = {
    Kind.business_changed: "changed the settings of the business",
    Kind.member_invited: "invited a member of staff",
    Kind.member_changed: "changed a member of staff",
    Kind.member_signed_in: "signed in",
    Kind.member_signed_out: "signed out",
    Kind.member_refused: "refused a sign-in",
    Kind.key_added: "made a key",
    Kind.key_revoked: "revoked a key",
    Kind.key_rotated: "gave a key a new text",
    Kind.customer_added: "added a customer",
    Kind.customer_changed: "changed a customer",
    Kind.customer_looked: "looked at a customer",
    Kind.customer_exported: "exported a customer",
    Kind.customer_erased: "erased a customer",
    Kind.customer_merged: "merged another record into a customer",
    Kind.erasure_planned: "planned to erase a customer",
    Kind.erasure_called_off: "called off an erasure",
    Kind.address_changed: "changed the address of a customer",
    Kind.address_change_undone: "undid the change of an address",
    Kind.attribute_declared: "declared an attribute",
    Kind.interaction_recorded: "recorded an interaction",
    Kind.purpose_added: "added a purpose",
    Kind.purpose_changed: "changed a purpose",
    Kind.notice_published: "published a notice",
    Kind.consent_requested: "recorded a request for consent",
    Kind.consent_given: "recorded consent given",
    Kind.consent_refused: "recorded consent refused",
    Kind.consent_withdrawn: "recorded consent withdrawn",
    Kind.consent_deferred: "recorded that a question was put off",
    Kind.consent_unproven: "kept a consent without proof, which allows nothing",
    Kind.consent_revoked: "ended a consent",
    Kind.consent_expired: "ended a consent whose time was over",
    Kind.consent_invalidated: "ended a consent that did not hold",
    Kind.soft_opt_in_recorded: "recorded what was told at a sale",
    Kind.proof_sought: "looked for the proof of somebody who was deleted",
    Kind.signing_key_rotated: "put a new signing key in the place of the old one",
    Kind.database_restored: "brought a database that was put back up to date",
    Kind.ledger_reopened: "opened a new origin for the ledger",
    Kind.ledger_alarm_settled: "settled an alarm of the ledger",
    Kind.journal_line_set_aside: "set aside a line of the journal that could not be carried out",
    Kind.relay_added: "added a relay",
    Kind.relay_changed: "changed a relay",
    Kind.domain_limited: "set how fast mail goes to a domain",
    Kind.domain_added: "added a domain that mail is sent from",
    Kind.domain_keys_made: "made new DKIM keys",
    Kind.domain_keys_retired: "retired DKIM keys",
    Kind.domain_signs: "began to sign with new DKIM keys",
    Kind.relay_confirmed: "confirmed that the relay signs",
    Kind.relay_revoked: "took back that the relay signs",
    Kind.service_message_posted: "wrote a service message to a customer",
    Kind.service_message_sent: "sent a service message",
    Kind.service_message_failed: "could not send a service message",
    Kind.service_message_uncertain: "does not know whether a service message went",
    Kind.service_message_bounced: "heard that a service message came back",
    Kind.address_suppressed: "suppressed an address",
    Kind.address_works_again: "mails an address again that mail had come back from",
    Kind.import_started: "started an import",
    Kind.import_tried: "tried an import",
    Kind.import_done: "finished an import",
    Kind.import_undo_asked: "had an import undone",
    Kind.import_undone: "finished the undo of an import",
    Kind.import_mapping_changed: "changed what columns of lists mean",
    Kind.import_rows_let_go: "let rows of an import go that had no evidence",
    Kind.import_failed: "broke off an import",
    Kind.inbound_changed: "changed where mail comes back",
    Kind.segment_changed: "changed a segment",
    Kind.campaign_drafted: "drafted a campaign",
    Kind.campaign_changed: "changed a campaign",
    Kind.campaign_checked: "had the values of a campaign checked",
    Kind.campaign_tested: "sent a test of a campaign",
    Kind.campaign_scheduled: "scheduled a campaign",
    Kind.campaign_held: "held a campaign that was overdue",
    Kind.canary_sent: "sent another canary of a campaign",
    Kind.canary_passed: "found a canary as it was sent",
    Kind.canary_changed: "found a canary changed on its way",
    Kind.canary_waived: "let a campaign begin without its canary",
    Kind.campaign_started: "started a campaign",
    Kind.campaign_paused: "paused a campaign",
    Kind.campaign_resumed: "resumed a campaign",
    Kind.campaign_cancelled: "cancelled a campaign",
    Kind.campaign_done: "finished a campaign",
    Kind.delivery_resolved: "resolved an uncertain delivery",
    Kind.rhythm_changed: "said how much mail may come",
    Kind.digest_switched: "switched the digest of a purpose",
    Kind.webhook_added: "added an endpoint for events",
    Kind.webhook_changed: "changed an endpoint for events",
    Kind.webhook_removed: "removed an endpoint for events",
    Kind.webhook_switched_on: "switched an endpoint for events on",
    Kind.webhook_switched_off: "switched an endpoint for events off",
    Kind.webhook_rotated: "made a new secret for an endpoint for events",
    Kind.webhook_tested: "sent a test to an endpoint for events",
    Kind.webhook_replayed: "had events told to an endpoint once more",
}

# What a customer does herself; of anybody else it is said that they recorded it.
_OWN: dict[Kind, str] = {
    Kind.consent_requested: "asked for something",
    Kind.consent_given: "gave consent",
    Kind.consent_refused: "refused consent",
    Kind.consent_withdrawn: "withdrew consent",
    Kind.customer_changed: "changed what is held",
    Kind.customer_exported: "took everything along",
    Kind.customer_erased: "had everything erased",
    Kind.customer_merged: "had another record of hers merged into this one",
    Kind.erasure_planned: "wanted everything erased in some days",
    Kind.erasure_called_off: "called an erasure off",
    Kind.address_changed: "took another address",
    Kind.address_change_undone: "took the earlier address back",
    Kind.address_works_again: "had her address mailed again",
}

_KINDS: dict[ActorKind, str] = {
    ActorKind.customer: "A customer",
    ActorKind.member: "Somebody of staff",
    ActorKind.key: "A program",
    ActorKind.system: "Firsthand",
}


class Line(Struct, frozen=True):
    """An event as the trail shows it."""

    event: Event
    who: str
    did: str


class After(Struct, frozen=True):
    """The last event of a page."""

    id: UUID


# A right by name: the guard of the router asks for it, this domain lies below the one of roles.
@get("/audit", opt={"right": "see_audit"})
async def get_audit(
    db: NamedDependency[ReadDb], after: FromQuery[str | None] = None
) -> Response[Any]:
    """Show a page of the trail."""
    cursors = Cursors(db.keys, db.business_id, "audit")
    begun = cursors.open(after, After)
    found = await events.page(db, before=begun.id if begun else None, limit=DEFAULT_LIMIT + 1)
    cut = cursors.cut(found, DEFAULT_LIMIT, lambda event: After(event.id))
    return page(
        "events/pages/audit.html",
        lines=[line(event) for event in cut.rows],
        older=f"{_PATH}?after={cut.after}" if cut.after else "",
        newest=_PATH if begun else "",
        headers=link(_PATH, cut.after),
    )


def line(event: Event) -> Line:
    """Put an event into words."""
    own = event.actor_kind is ActorKind.customer and event.kind in _OWN
    did = _OWN[event.kind] if own else WORDS[event.kind]
    return Line(event, event.actor_name or _KINDS[event.actor_kind], did)


handlers = [get_audit]
