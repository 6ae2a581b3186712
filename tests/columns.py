"""Every column of the tables that are not about customers, as it was looked at.

Whoever adds a column to such a table adds it here, and so says that it holds nothing of a customer;
one that does goes into KNOWS of tests/test_personal_data.py, the copy and the erasure.
"""

from __future__ import annotations

COLUMNS: dict[str, str] = {
    "api_key": (
        "business_id created_at created_by expires_at key_id last_used_at name previous_hash "
        "previous_until purposes reason revoked_at scopes secret_hash"
    ),
    "attempt": "business_id count kind subject window_start",
    "attribute": (
        "basis business_id declared_at hers label name not_allowed origin purpose purpose_id "
        "retention type"
    ),
    "business": (
        "authority authority_address authority_url business_id canary changed_at country "
        "created_at dormant_months image_hosts keeps_network legal_name locale mail_days "
        "mails_from mails_until name names_staff network_days officer origin postal_address "
        "privacy_contact privacy_url representative return_domain sender_address sender_name "
        "soft_opt_in time_zone version"
    ),
    "campaign": (
        "answers approved_by business_id campaign_id changed_at created_at created_by "
        "emptied_at emptied_upto ended_at expires_hours filled_by filled_to format held_why "
        "local_at passed_complaints passed_hard passed_sent paused_why preheader public purpose_id "
        "question scheduled_at segment_id segment_kept source started_at state subject version"
    ),
    "campaign_image": "added_at business_id campaign_id content media_type name",
    "campaign_return": "business_id campaign_id kind reports",
    "canary": (
        "arrived_at business_id campaign_id differences mark passed_at passed_by remarks sent_at"
    ),
    "consent_erased": "business_id erased_on event_id",
    "consent_event": "business_id commitment event_id warrants",
    "consent_tally": "business_id customers entry_id purpose_id purpose_version status",
    "digest": "business_id campaign_id first_id issues made_at purpose_id stopped week",
    "digest_plan": (
        "business_id due_at hour intro offered purpose_id subject switched_at switched_by weekday"
    ),
    "dkim_key": (
        "algorithm business_id domain made_at private published retired_at retiring_at "
        "selector signing_at state"
    ),
    "domain_pace": (
        "business_id changed_at domain held_until limit_connections limit_rate line_at "
        "next_at rate reason strikes"
    ),
    "domain_trouble": "business_id campaign_id customers domain kind reason",
    "endpoint": (
        "acknowledges beginning business_id changed_at clearing created_at endpoint_id epoch "
        "failures kinds leased_until made_by made_by_kind name next_at off_at off_why position "
        "rest_until state succeeded_at url version"
    ),
    "endpoint_secret": "business_id endpoint_id ends_at made_at number sealed",
    "event_unread": "business_id entered_at event_id",
    "feed": "business_id event_id number",
    "feed_head": "business_id number",
    "form_shown": "business_id locale sha256 shown_at text",
    "host": "business_id host",
    "idempotency_key": (
        "body business_id content_type created_at expires_at fingerprint key scope status"
    ),
    "import": (
        "actor_id actor_kind added arrivals_upto beat_at business_id changed created_at done_at "
        "file_name encoding file_sha256 format given import_id mapping notice_id only_try problem "
        "purpose_id reading reasons rejected separator "
        "removed rows_read state suppressed unchanged undone_at unproven withdrawn xact "
        "yeses_upto"
    ),
    "import_file": "business_id content import_id lines",
    "import_mapping": "business_id changed_at mapping name",
    "import_row": "business_id import_id line number outcome part reason",
    "import_turn": "business_id",
    "inbound_count": "business_id day kind last_at reports via",
    "inbound_report": "at business_id code digest kind via",
    "interaction_kind": "business_id declared_at label name purpose purpose_id retention",
    "journal_debt": "business_id debt_id entry owed_at",
    "journal_mark": "business_id number",
    "lease": (
        "blocked business_id campaign_id complaints cursor due_at epoch excluded expires_at "
        "failed hard high holder low number open reasons relays_as_of sending sent uncertain "
        "waiting waits_for"
    ),
    "ledger_alarm": (
        "alarm_id business_id detail found_at kind mended_at seen_at settled_at settled_why subject"
    ),
    "ledger_checkpoint": "business_id key_number note origin_number root signed_at size",
    "ledger_head": (
        "anchored_at anchored_size business_id moved_at origin_number root signed_size size "
        "stopped_at stopped_why"
    ),
    "ledger_leaf": "business_id entry_id leaf_index",
    "ledger_origin": "begins_at business_id entry_id number opened_at opening origin predecessor",
    "ledger_tile": "business_id hashes level number",
    "ledger_unsealed": "business_id commitment entered_at entry_id",
    "ledger_watch": "after business_id ended_at found last_ended_at position root size started_at",
    "logo": "business_id changed_at content mark media_type name",
    "mailbox": (
        "business_id changed_at checked_at folder host kept_in next_at password port tls "
        "trouble username"
    ),
    "member": "address business_id created_at disabled_at folded member_id name password_hash role",
    "notice": (
        "accepts business_id control_label locale notice_id particulars published_at "
        "purpose_id purpose_version sha256 text version"
    ),
    "poll_count": "answer business_id campaign_id given",
    "privacy_request_step": "actor_id actor_kind actor_name at business_id request_id step_id what",
    "post_try": "at business_id endpoint_id millis number status trouble try_id",
    "purpose": (
        "basis business_id channel code created_at description double_opt_in name purpose_id "
        "retired_at slug special_category version"
    ),
    "purpose_version": (
        "basis business_id ends_at published_at published_by purpose_id sha256 "
        "special_category stale_at terms validity version"
    ),
    "relay": (
        "active business_id changed_at connections created_at daily_cap hello host name "
        "password port rate relay_id sends_from tls trouble trouble_at username warm_up "
        "warm_up_on weight"
    ),
    "relay_use": "business_id day next_at relay_id taken",
    "retention_sweep": "begun_at business_id deleted ended_at longest_ms pieces upto what",
    "second_factor": "begun_at business_id confirmed_at member_id recovery secret used_step",
    "second_factor_rule": "business_id since",
    "segment": "business_id changed_at created_at name rule segment_id version",
    "sending_domain": (
        "added_at business_id checked_at domain findings relay_signs_at relay_signs_by"
    ),
    "service_purpose": "basis business_id declared_at label name purpose",
    "session": "business_id created_at expires_at member_id seen_at token_hash",
    "signing_key": "business_id created_at endorsement kind name number private public retired_at",
    "tag": "business_id declared_at label name purpose purpose_id retention",
    "theme": "band band_dark business_id changed_at corner face foot link link_dark",
    "trust_figures": (
        "business_id campaigns complaints counted_at lag_median lag_p99 mails months "
        "on_the_way readers withdrawals"
    ),
    "value_check": (
        "audience beat_at began_at business_id campaign_id ended_at findings getting lacking "
        "looked purpose_id state version walked_to"
    ),
    "verdict": "at business_id campaign_id digest findings lists rules skeleton",
    "webhook": "business_id heard_at made_at provider secret_hash topic trouble",
}
