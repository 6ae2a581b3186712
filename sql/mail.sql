-- Every statement of crm/mail. Owns: service_message, suppression.

-- name: post_letter
-- A service message to be sent as soon as possible.
INSERT INTO crm.service_message (business_id, message_id, kind, passes, customer_id, address_hash,
                                 address, content, next_at, created_at)
VALUES (:business_id, :message_id, :kind, :passes, :customer_id, :address_hash, :address,
        :content, :now, :now);

-- name: claim_letters
-- Messages that are due, or whose sender has gone quiet; a suppressed one ends here.
WITH due AS MATERIALIZED (
  SELECT m.message_id
    FROM crm.service_message m
   WHERE m.business_id = :business_id
     AND m.done_at IS NULL
     AND m.next_at <= :now
     AND (m.state = 'waiting' OR m.lease_until < :now)
   ORDER BY m.next_at
   LIMIT :limit
     FOR UPDATE SKIP LOCKED
)
UPDATE crm.service_message m
   SET state = CASE WHEN blocked.it THEN 'failed' ELSE 'sending' END,
       lease_until = CASE WHEN blocked.it THEN NULL ELSE :lease_until::timestamptz END,
       done_at = CASE WHEN blocked.it THEN :now::timestamptz END,
       reply = CASE WHEN blocked.it THEN 'suppressed' END,
       address = CASE WHEN NOT blocked.it THEN m.address END,
       content = CASE WHEN NOT blocked.it THEN m.content END,
       attempt = m.attempt + 1
  FROM due
  JOIN crm.service_message f ON f.business_id = :business_id AND f.message_id = due.message_id
  LEFT JOIN crm.suppression u
    ON u.business_id = :business_id AND u.address_hash = f.address_hash
 CROSS JOIN LATERAL (
   SELECT coalesce(u.scope = 'all' AND f.passes <> 'all'
                OR u.scope = 'marketing' AND f.passes = 'nothing', false) AS it) blocked
 WHERE m.business_id = :business_id
   AND m.message_id = due.message_id
RETURNING m.message_id, m.state, m.attempt, coalesce(m.address, '') AS address, m.address_hash,
          coalesce(m.content, ''::bytea) AS content, m.created_at;

-- name: record_letter
-- What became of a message; once it has gone or failed, address and text go too.
UPDATE crm.service_message
   SET state = :state, lease_until = NULL, code = :code, reply = :reply,
       next_at = coalesce(:next_at, next_at),
       done_at = CASE WHEN :state::text IN ('sent', 'failed') THEN :now::timestamptz END,
       address = CASE WHEN :state::text = 'waiting' THEN address END,
       content = CASE WHEN :state::text = 'waiting' THEN content END
 WHERE business_id = :business_id
   AND message_id = :message_id
   AND state = 'sending';

-- name: letters_of_customer
-- Every service message to one customer or to her address before she was one, newest first.
SELECT m.message_id, m.kind, m.state, m.created_at, m.done_at
  FROM crm.customer c
  JOIN crm.service_message m ON m.business_id = :business_id
   AND (m.customer_id = c.customer_id OR m.address_hash = c.address_hash)
 WHERE c.business_id = :business_id
   AND c.customer_id = :customer_id
 ORDER BY m.message_id DESC;

-- name: forget_letters
-- Nothing remains of the service messages to an erased customer.
DELETE FROM crm.service_message
 WHERE business_id = :business_id
   AND customer_id = :customer_id;

-- name: forget_letters_to
-- Nothing remains of the service messages to an erased address, whoever was meant.
DELETE FROM crm.service_message
 WHERE business_id = :business_id
   AND address_hash = :address_hash;

-- name: letters_to
-- How many messages of a kind an address was sent since an instant: against floods.
SELECT count(*)
  FROM crm.service_message
 WHERE business_id = :business_id
   AND address_hash = :address_hash
   AND kind = :kind
   AND created_at > :since;

-- name: suppress
-- An address that must not be mailed; a wider scope replaces a narrower one, never the reverse.
INSERT INTO crm.suppression AS u (business_id, address_hash, scope, reason, at)
VALUES (:business_id, :address_hash, :scope, :reason, :now)
ON CONFLICT (business_id, address_hash) DO UPDATE
   SET scope = excluded.scope, reason = excluded.reason, at = excluded.at
 WHERE u.scope = 'marketing' AND excluded.scope = 'all';

-- name: suppress_many
-- The same for many addresses at once, as imports do.
INSERT INTO crm.suppression AS u (business_id, address_hash, scope, reason, at)
SELECT DISTINCT ON (s.address_hash) :business_id, s.address_hash, s.scope, s.reason, :now
  FROM unnest(:address_hashes::bytea[], :scopes::text[], :reasons::text[])
         AS s (address_hash, scope, reason)
 ORDER BY s.address_hash, s.scope
ON CONFLICT (business_id, address_hash) DO UPDATE
   SET scope = excluded.scope, reason = excluded.reason, at = excluded.at
 WHERE u.scope = 'marketing' AND excluded.scope = 'all';

-- name: suppression
-- Whether and how an address is suppressed.
SELECT scope, reason, at
  FROM crm.suppression
 WHERE business_id = :business_id
   AND address_hash = :address_hash;

-- name: suppressed_among
-- Which of these addresses are suppressed.
SELECT address_hash
  FROM crm.suppression
 WHERE business_id = :business_id
   AND address_hash = ANY (:address_hashes::bytea[]);

-- name: lift_suppression
-- The owner of the address asked that nothing at all remains.
DELETE FROM crm.suppression
 WHERE business_id = :business_id
   AND address_hash = :address_hash;
