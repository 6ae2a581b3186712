-- Statements of crm/mail about the domains it sends from. Owns: sending_domain, dkim_key.

-- name: add_domain
-- A domain that mail is sent from; nothing where it is known.
INSERT INTO crm.sending_domain (business_id, domain, added_at)
VALUES (:business_id, :domain, :now)
ON CONFLICT (business_id, domain) DO NOTHING;

-- name: domains
-- Every domain of the business, with its last look.
SELECT domain, added_at, checked_at, findings, relay_signs_by, relay_signs_at
  FROM crm.sending_domain
 WHERE business_id = :business_id
 ORDER BY domain
 LIMIT 200;

-- name: sending_domain
-- One domain, with its last look.
SELECT domain, added_at, checked_at, findings, relay_signs_by, relay_signs_at
  FROM crm.sending_domain
 WHERE business_id = :business_id
   AND domain = :domain;

-- name: hold_domain
-- The same, so that nobody else changes its keys meanwhile.
SELECT domain, added_at, checked_at, findings, relay_signs_by, relay_signs_at
  FROM crm.sending_domain
 WHERE business_id = :business_id
   AND domain = :domain
   FOR NO KEY UPDATE;

-- name: keep_findings
-- What a look found.
UPDATE crm.sending_domain
   SET checked_at = :now, findings = :findings
 WHERE business_id = :business_id
   AND domain = :domain;

-- name: relay_signs
-- Who says that the relay signs, or that it does not any more.
UPDATE crm.sending_domain
   SET relay_signs_by = :relay_signs_by, relay_signs_at = :relay_signs_at
 WHERE business_id = :business_id
   AND domain = :domain;

-- name: add_dkim_key
-- A key whose record is not in DNS yet.
INSERT INTO crm.dkim_key (business_id, domain, selector, algorithm, published, private, made_at)
VALUES (:business_id, :domain, :selector, :algorithm, :published, :private, :now);

-- name: keys
-- The keys of a domain without their secrets, the newest first.
SELECT domain, selector, algorithm, published, state, made_at, signing_at, retiring_at, retired_at
  FROM crm.dkim_key
 WHERE business_id = :business_id
   AND domain = :domain
 ORDER BY made_at DESC, algorithm DESC
 LIMIT 200;

-- name: signing_keys
-- What signs for a domain, as kept; nothing where its relay is said to do so.
SELECT k.selector, k.private
  FROM crm.dkim_key k
  JOIN crm.sending_domain d ON d.business_id = :business_id AND d.domain = k.domain
 WHERE k.business_id = :business_id
   AND k.domain = :domain
   AND k.state = 'signing'
   AND d.relay_signs_at IS NULL
 ORDER BY k.algorithm DESC;

-- name: take_out
-- The keys that sign step back; their secrets go.
UPDATE crm.dkim_key
   SET state = 'retiring', retiring_at = :now, private = NULL
 WHERE business_id = :business_id
   AND domain = :domain
   AND state = 'signing';

-- name: put_in
-- The keys that waited sign from now on.
UPDATE crm.dkim_key
   SET state = 'signing', signing_at = :now
 WHERE business_id = :business_id
   AND domain = :domain
   AND state = 'waiting';

-- name: retire_keys
-- Keys that have stepped back long enough ago count no more.
UPDATE crm.dkim_key
   SET state = 'retired', retired_at = :now
 WHERE business_id = :business_id
   AND domain = :domain
   AND state = 'retiring'
   AND retiring_at <= :retiring_at;
