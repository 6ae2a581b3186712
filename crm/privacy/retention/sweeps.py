"""What the sweep deletes by: for each declaration that says so, the action of the domain."""

from __future__ import annotations

from collections.abc import Mapping

from crm import consent, customers, events, imports, mail
from crm.pieces import Sweep
from crm.privacy import requests
from crm.privacy.retention.sweeping import lapse_sweeps
from crm.web import idempotency

SWEEPS: Mapping[str, Sweep] = {
    "attributes": customers.lapse_values,
    "attributes_of_purposes": customers.lapse_values_of_purposes,
    "interactions": customers.lapse_interactions,
    "consent_records": consent.end_records,
    "kept_proofs": consent.end_kept_proofs,
    "mailbox_proofs": consent.end_proofs,
    "evidence_files": consent.end_files,
    "letters": mail.lapse_letters,
    "events": events.end,
    "requests": requests.end,
    "import_rows": imports.lapse_rows,
    "answers": idempotency.forget,
    "sweeps": lapse_sweeps,
}
