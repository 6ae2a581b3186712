"""What the sweep deletes by: for each declaration that says so, the action of the domain."""

from __future__ import annotations

from collections.abc import Mapping

from crm import campaigns, consent, customers, events, imports, mail, webhooks
from crm.pieces import Sweep
from crm.privacy import brought, copies, requests
from crm.privacy.erasure.certifying import lapse_certificates
from crm.privacy.retention.sweeping import lapse_sweeps

SWEEPS: Mapping[str, Sweep] = {
    "attributes": customers.lapse_values,
    "attributes_of_purposes": customers.lapse_values_of_purposes,
    "tags": customers.lapse_tags,
    "interactions": customers.lapse_interactions,
    "consent_records": consent.end_records,
    "kept_proofs": consent.end_kept_proofs,
    "mailbox_proofs": consent.end_proofs,
    "evidence_files": consent.end_files,
    "as_sent": campaigns.empty,
    "letter_texts": mail.drop_texts,
    "letters": mail.lapse_letters,
    "posts": webhooks.lapse,
    "events": events.end,
    "requests": requests.end,
    "certificates": lapse_certificates,
    "copies": copies.lapse,
    "brought": brought.lapse,
    "import_rows": imports.lapse_rows,
    "sweeps": lapse_sweeps,
}
