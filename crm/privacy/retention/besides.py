"""What is declared to be kept besides what customers leave: hashes, sums, and the house itself."""

from __future__ import annotations

from crm.languages import marked
from crm.privacy.retention.declared import By, Declared

BESIDES: tuple[Declared, ...] = (
    Declared(
        name="stubs",
        tables=("consent_event", "consent_erased"),
        what=marked("Stubs of decisions, which name nobody"),
        why=marked("To keep the ledger whole"),
        until=marked("kept for good"),
        by=By.ledger,
    ),
    Declared(
        name="ledger",
        tables=(
            "ledger_alarm",
            "ledger_checkpoint",
            "ledger_head",
            "ledger_leaf",
            "ledger_origin",
            "ledger_tile",
            "ledger_unsealed",
            "ledger_watch",
        ),
        what=marked("The ledger: hashes, and heads that were signed"),
        why=marked("So that nobody can rewrite a decision unseen"),
        until=marked("kept for good"),
        by=By.ledger,
    ),
    Declared(
        name="journal",
        tables=("journal_mark", "journal_debt"),
        what=marked(
            "What is owed to the journal outside the database: identifiers and fingerprints"
        ),
        why=marked("So that a restored backup brings nothing back"),
        until=marked("it is written there, where each entry stays for %(number)s days"),
        setting="journal_days",
        by=By.use,
    ),
    Declared(
        name="backups",
        tables=(),
        what=marked("Encrypted backups of the whole database"),
        why=marked("In case a disk fails; what was deleted since is deleted again in each"),
        until=marked("%(number)s days"),
        setting="backup_days",
        by=By.use,
    ),
    Declared(
        name="logs",
        tables=(),
        what=marked(
            "Logs of the programs and of the database: what happened and where, never to whom"
        ),
        why=marked("To find faults"),
        until=marked("the operator's servers delete them, which is outside of this program"),
        by=By.use,
    ),
    Declared(
        name="sums",
        tables=("campaign_return", "domain_trouble", "inbound_count", "poll_count", "relay_use"),
        what=marked("Sums over mails, which name nobody"),
        why=marked("To see whether mail arrives"),
        until=marked("with the business; those of a few readers: a month"),
        by=By.use,
    ),
    Declared(
        name="house",
        tables=(
            "api_key",
            "attribute",
            "business",
            "campaign",
            "campaign_image",
            "canary",
            "digest",
            "digest_plan",
            "dkim_key",
            "domain_pace",
            "form_shown",
            "host",
            "import",
            "import_turn",
            "interaction_kind",
            "lease",
            "logo",
            "theme",
            "mailbox",
            "member",
            "notice",
            "purpose",
            "purpose_version",
            "relay",
            "second_factor",
            "second_factor_rule",
            "sending_domain",
            "session",
            "signing_key",
            "trust_figures",
            "value_check",
            "verdict",
            "webhook",
        ),
        what=marked("What the business wrote, declared and set up"),
        why=marked("To run"),
        until=marked("with the business"),
        by=By.business,
    ),
)
