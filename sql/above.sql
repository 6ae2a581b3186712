-- The few questions above one business. Each calls a function of the role crm_sweep.

-- name: business_of_host
-- Which business answers on this host.
SELECT business_id FROM crm.business_of_host(:host);

-- name: businesses
-- All businesses, by pages of their ids.
SELECT business_id FROM crm.businesses(:after, :limit);

-- name: businesses_with_letters
-- Whose own letters are due.
SELECT business_id FROM crm.businesses_with_letters(:now);

-- name: businesses_with_service_messages
-- Whose programs' messages are due.
SELECT business_id FROM crm.businesses_with_service_messages(:now);

-- name: imports_waiting
-- Imports not begun, or begun by a process that has gone quiet.
SELECT business_id, import_id FROM crm.imports_waiting(:quiet_since);

-- name: campaigns_to_start
-- Campaigns whose deliveries are to be written, and those scheduled for now.
SELECT business_id, campaign_id FROM crm.campaigns_to_start(:now);

-- name: cancellations_due
-- Cancelled campaigns in which somebody still waits.
SELECT business_id, campaign_id FROM crm.cancellations_due();

-- name: leases_due
-- Campaigns with ranges that no worker holds, and how many.
SELECT business_id, campaign_id, leases FROM crm.leases_due(:now);

-- name: campaigns_over
-- Campaigns that send and have no range left to send.
SELECT business_id, campaign_id FROM crm.campaigns_over();

-- name: digests_due
-- Purposes of which the week that their digest is about is over.
SELECT business_id, purpose_id FROM crm.digests_due(:now);

-- name: ledgers_due
-- Businesses with entries to seal, or a head to sign.
SELECT business_id FROM crm.ledgers_due();

-- name: ledgers_health
-- How every ledger is: sizes, what waits since when, alarms.
SELECT business_id, size, unsealed, waiting_since, alarms, stopped_why, watched_at
  FROM crm.ledgers_health();

-- name: retention_rounds
-- Since when each kind of thing of every business was last swept to the end.
SELECT business_id, what, since FROM crm.retention_rounds(:whats::text[]);

-- name: journal_marks
-- How far every business has written to the journal, what it owes to it, and its ledger's head.
SELECT business_id, number, owed, origin_number, size FROM crm.journal_marks();

-- name: campaigns_sending
-- Campaigns that send.
SELECT business_id, campaign_id FROM crm.campaigns_sending();

-- name: value_checks_waiting
-- Drafts whose values nobody is checking.
SELECT business_id, campaign_id FROM crm.value_checks_waiting(:quiet_since);

-- name: businesses_of_return_domain
-- Whose mail comes back to this domain.
SELECT business_id FROM crm.businesses_of_return_domain(:domain);

-- name: mailboxes_due
-- Whose mailbox is looked into now.
SELECT business_id FROM crm.mailboxes_due(:now);

-- name: inbound_counts
-- How much came in for every business, by way and kind.
SELECT business_id, via, kind, reports FROM crm.inbound_counts();

-- name: feeds_due
-- Businesses with events that have no number yet, or one for which an endpoint was not woken.
SELECT business_id FROM crm.feeds_due()
 UNION
SELECT business_id FROM crm.feeds_behind(:now);

-- name: endpoints_due
-- Where events are to be told to now; nowhere that is being cleared.
SELECT business_id, endpoint_id FROM crm.endpoints_due(:now);

-- name: endpoints_to_clear
-- Endpoints of which posts that go nowhere any more are left; last those that nobody waits for.
SELECT business_id, endpoint_id FROM crm.endpoints_to_clear();
