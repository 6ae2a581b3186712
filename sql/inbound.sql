-- Every statement of crm/inbound.
-- Owns: inbound_report, inbound_count, campaign_return, soft_bounce, mailbox, webhook.

-- name: add_report
-- A report takes effect once; no row where it already has.
INSERT INTO crm.inbound_report (business_id, digest, via, kind, code, at)
VALUES (:business_id, :digest, :via, :kind, :code, :now)
ON CONFLICT (business_id, digest) DO NOTHING;

-- name: drop_reports
-- Forgets that reports were heard, long after any server would send one again.
DELETE FROM crm.inbound_report
 WHERE business_id = :business_id
   AND at < :before;

-- name: count_report
-- One more of a kind today.
INSERT INTO crm.inbound_count AS c (business_id, day, via, kind, reports, last_at)
VALUES (:business_id, (:now::timestamptz AT TIME ZONE 'UTC')::date, :via, :kind, 1, :now)
ON CONFLICT (business_id, day, via, kind) DO UPDATE
   SET reports = c.reports + 1, last_at = greatest(c.last_at, excluded.last_at);

-- name: count_return
-- One more of a kind that came back of a campaign.
INSERT INTO crm.campaign_return AS r (business_id, campaign_id, kind, reports)
VALUES (:business_id, :campaign_id, :kind, 1)
ON CONFLICT (business_id, campaign_id, kind) DO UPDATE SET reports = r.reports + 1;

-- name: returns
-- What came back of a campaign, by kind.
SELECT kind, reports
  FROM crm.campaign_return
 WHERE business_id = :business_id
   AND campaign_id = :campaign_id
 ORDER BY reports DESC, kind;

-- name: counts_since
-- What came in since a day, by kind and way.
SELECT via, kind, sum(reports)::bigint AS reports, max(last_at) AS last_at
  FROM crm.inbound_count
 WHERE business_id = :business_id
   AND day >= :since::date
 GROUP BY via, kind
 ORDER BY sum(reports) DESC, via, kind;

-- name: begin_soft_bounce
-- The first soft bounce of an address; no row where it has one. Of two at once the later one waits.
INSERT INTO crm.soft_bounce (business_id, address_hash, bounces, first_at, last_at)
VALUES (:business_id, :address_hash, 1, :now, :now)
ON CONFLICT (business_id, address_hash) DO NOTHING;

-- name: soft_bounce
-- Since when mail to an address has bounced softly, held until it is counted on.
SELECT address_hash, bounces, first_at, last_at
  FROM crm.soft_bounce
 WHERE business_id = :business_id
   AND address_hash = :address_hash
   FOR UPDATE;

-- name: keep_soft_bounce
-- One soft bounce more, or the first of a new row of them.
INSERT INTO crm.soft_bounce (business_id, address_hash, bounces, first_at, last_at)
VALUES (:business_id, :address_hash, :bounces, :first_at, :now)
ON CONFLICT (business_id, address_hash) DO UPDATE
   SET bounces = excluded.bounces, first_at = excluded.first_at, last_at = excluded.last_at;

-- name: hold_owners
-- Whose address it is or was, held before what hangs on it, as an erasure does: of the two, one waits
-- for the other. Of a record that was merged into another, that one, as the erasure holds it.
SELECT k.customer_id
  FROM crm.customer k
 WHERE k.business_id = :business_id
   AND k.customer_id IN (
       SELECT c.customer_id
         FROM crm.customer c
        WHERE c.business_id = :business_id AND c.address_hash = :address_hash
       UNION ALL
       SELECT coalesce(c.merged_into, c.customer_id)
         FROM crm.former_address f
         JOIN crm.customer c ON c.business_id = :business_id AND c.customer_id = f.customer_id
        WHERE f.business_id = :business_id AND f.address_hash = :address_hash)
 ORDER BY k.customer_id
   FOR KEY SHARE OF k;

-- name: address_is_known
-- Whether anything is kept under an address: a customer, a sign-up, a letter, or its suppression.
SELECT EXISTS (SELECT FROM crm.customer c
                WHERE c.business_id = :business_id AND c.address_hash = :address_hash)
    OR EXISTS (SELECT FROM crm.suppression u
                WHERE u.business_id = :business_id AND u.address_hash = :address_hash)
    OR EXISTS (SELECT FROM crm.signup s
                WHERE s.business_id = :business_id AND s.address_hash = :address_hash)
    -- Not the last letter to somebody who is erased.
    OR EXISTS (SELECT FROM crm.service_message m
                WHERE m.business_id = :business_id AND m.address_hash = :address_hash
                  AND m.customer_id IS NULL);

-- name: forget_soft_bounce
-- How an address bounced goes with its owner until then: all of it where nobody has it now.
DELETE FROM crm.soft_bounce
 WHERE business_id = :business_id
   AND address_hash = :address_hash
   AND (:until::timestamptz IS NULL
        OR first_at <= :until
        OR NOT EXISTS (SELECT FROM crm.customer c
                        WHERE c.business_id = :business_id
                          AND c.address_hash = :address_hash));

-- name: drop_soft_bounce
-- Mail arrives again, or the address is suppressed.
DELETE FROM crm.soft_bounce
 WHERE business_id = :business_id
   AND address_hash = :address_hash;

-- name: soft_bounce_of
-- The same of one customer's addresses, former ones too: for her copy.
SELECT s.address_hash, s.bounces, s.first_at, s.last_at
  FROM crm.customer c
  JOIN crm.soft_bounce s ON s.business_id = :business_id AND s.address_hash = c.address_hash
 WHERE c.business_id = :business_id
   AND c.customer_id = :customer_id
UNION ALL
SELECT s.address_hash, s.bounces, s.first_at, s.last_at
  FROM crm.former_address f
  JOIN crm.soft_bounce s ON s.business_id = :business_id AND s.address_hash = f.address_hash
 WHERE f.business_id = :business_id
   AND f.customer_id = ANY (crm.records_of(:business_id, :customer_id));

-- name: drop_old_soft_bounces
-- Addresses of which nothing was heard for long.
DELETE FROM crm.soft_bounce
 WHERE business_id = :business_id
   AND last_at < :before;

-- name: mailbox
-- Where mail is fetched from.
SELECT host, port, tls, username, folder, kept_in, checked_at, trouble
  FROM crm.mailbox
 WHERE business_id = :business_id;

-- name: sealed_password
-- The encrypted password of the mailbox.
SELECT password FROM crm.mailbox WHERE business_id = :business_id;

-- name: keep_mailbox
-- Where mail is fetched from now on, at once.
INSERT INTO crm.mailbox (business_id, host, port, tls, username, password, folder, kept_in,
                         next_at, changed_at)
VALUES (:business_id, :host, :port, :tls, :username, :password, :folder, :kept_in, :now, :now)
ON CONFLICT (business_id) DO UPDATE
   SET host = excluded.host, port = excluded.port, tls = excluded.tls,
       username = excluded.username, password = excluded.password, folder = excluded.folder,
       kept_in = excluded.kept_in, next_at = excluded.next_at, trouble = '',
       changed_at = excluded.changed_at;

-- name: drop_mailbox
-- No mail is fetched any more.
DELETE FROM crm.mailbox WHERE business_id = :business_id;

-- name: claim_mailbox
-- Takes the mailbox for one round; no row where another worker has it, or it is not time.
UPDATE crm.mailbox
   SET next_at = :next_at
 WHERE business_id = :business_id
   AND next_at <= :now
RETURNING host, port, tls, username, folder, kept_in, checked_at, trouble;

-- name: note_mailbox
-- How the last look went.
UPDATE crm.mailbox
   SET checked_at = :now, trouble = :trouble, next_at = :next_at
 WHERE business_id = :business_id;

-- name: webhooks
-- Every address that providers post to.
SELECT provider, topic, made_at, heard_at, trouble
  FROM crm.webhook
 WHERE business_id = :business_id
 ORDER BY provider;

-- name: webhook_by_secret
-- The address with this secret.
SELECT provider, topic, made_at, heard_at, trouble
  FROM crm.webhook
 WHERE business_id = :business_id
   AND provider = :provider
   AND secret_hash = :secret_hash;

-- name: keep_webhook
-- An address with a new secret; the former one is refused from now on.
INSERT INTO crm.webhook (business_id, provider, secret_hash, topic, made_at)
VALUES (:business_id, :provider, :secret_hash, :topic, :now)
ON CONFLICT (business_id, provider) DO UPDATE
   SET secret_hash = excluded.secret_hash, topic = excluded.topic, made_at = excluded.made_at,
       heard_at = NULL, trouble = '';

-- name: drop_webhook
-- Nobody posts there any more.
DELETE FROM crm.webhook
 WHERE business_id = :business_id
   AND provider = :provider;

-- name: note_webhook
-- When it was used last, and what was wrong.
UPDATE crm.webhook
   SET heard_at = :now, trouble = :trouble
 WHERE business_id = :business_id
   AND provider = :provider;
