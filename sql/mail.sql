-- Every statement of crm/mail. Owns: service_message, service_purpose, suppression, relay, relay_use,
-- domain_pace.

-- name: post_letter
-- A service message to be sent as soon as possible.
INSERT INTO crm.service_message (business_id, message_id, kind, passes, customer_id, address_hash,
                                 address, content, kept, purpose, reference, next_at, created_at)
VALUES (:business_id, :message_id, :kind, :passes, :customer_id, :address_hash, :address,
        :content, :kept, :purpose, :reference, :now, :now);

-- name: drop_rehearsed
-- A message that was written only to do the same work for nobody goes before anybody sees it.
DELETE FROM crm.service_message
 WHERE business_id = :business_id
   AND message_id = :message_id;

-- name: claim_letters
-- Messages that are due, or whose sender has gone quiet. A suppressed one ends here, and so does one
-- that was tried and is too old, or a sender that goes quiet each time would send it for ever.
WITH due AS MATERIALIZED (
  SELECT m.message_id
    FROM crm.service_message m
   WHERE m.business_id = :business_id
     AND m.kind <> 'business'
     AND m.done_at IS NULL
     AND m.next_at <= :now
     AND (m.state = 'waiting' OR m.lease_until < :now)
   ORDER BY m.next_at
   LIMIT :limit
     FOR UPDATE SKIP LOCKED
)
UPDATE crm.service_message m
   SET state = CASE WHEN ends.why IS NULL THEN 'sending' ELSE 'failed' END,
       lease_until = CASE WHEN ends.why IS NULL THEN :lease_until::timestamptz END,
       done_at = CASE WHEN ends.why IS NOT NULL THEN :now::timestamptz END,
       reply = ends.why,
       address = CASE WHEN ends.why IS NULL THEN m.address END,
       content = CASE WHEN ends.why IS NULL THEN m.content END,
       attempt = m.attempt + CASE WHEN ends.why IS NULL THEN 1 ELSE 0 END
  FROM due
  JOIN crm.service_message f ON f.business_id = :business_id AND f.message_id = due.message_id
  LEFT JOIN crm.suppression u
    ON u.business_id = :business_id AND u.address_hash = f.address_hash
 CROSS JOIN LATERAL (
   SELECT CASE WHEN u.scope = 'all' AND f.passes <> 'all'
                 OR u.scope = 'marketing' AND f.passes = 'nothing' THEN 'suppressed'
               WHEN f.attempt > 0 AND f.created_at <= :stale_before THEN 'stale' END AS why) ends
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

-- name: drop_kept
-- The texts of letters that were kept long enough, some at a time; that they were sent stays, and
-- so do those to one who has her record frozen.
WITH over AS MATERIALIZED (
  SELECT f.message_id
    FROM crm.service_message f
   WHERE f.business_id = :business_id
     AND f.kept IS NOT NULL
     AND f.created_at <= :sent_before
     AND NOT EXISTS (SELECT FROM crm.frozen_address z
                      WHERE z.business_id = :business_id AND z.address_hash = f.address_hash)
     AND NOT EXISTS (SELECT FROM crm.customer c
                      WHERE c.business_id = :business_id AND c.customer_id = f.customer_id
                        AND c.restricted_at IS NOT NULL)
   ORDER BY f.created_at
   LIMIT :limit
     FOR UPDATE OF f SKIP LOCKED
), gone AS (
  UPDATE crm.service_message m
     SET kept = NULL
   WHERE m.business_id = :business_id
     AND m.message_id = ANY (ARRAY(SELECT o.message_id FROM over o))
  RETURNING 1
)
SELECT count(*) AS deleted, CASE WHEN count(*) = :limit THEN :after::uuid END AS upto FROM gone;

-- name: letter_of_customer
-- One service message to one customer, and the fingerprint of the address it went to.
SELECT l.message_id, l.kind, l.state, l.created_at, l.done_at, l.address_hash, l.kept, p.label,
       p.purpose, p.basis,
       CASE WHEN l.state = 'failed' AND l.reply IN ('suppressed', 'frozen', 'leaving')
            THEN l.reply END AS kept_off, l.bounced_at
  FROM crm.letters_of(:business_id, :customer_id) l
  LEFT JOIN crm.service_purpose p ON p.business_id = :business_id AND p.name = l.purpose
 WHERE l.message_id = :message_id;

-- name: stop_letters
-- What waited in a database that was put back: it may have gone since, and its links are old.
UPDATE crm.service_message
   SET state = CASE kind WHEN 'business' THEN 'uncertain' ELSE 'failed' END, lease_until = NULL,
       reply = 'restored', done_at = :now, address = NULL, content = NULL
 WHERE business_id = :business_id
   AND done_at IS NULL;

-- name: letters_of_customer
-- Every service message to one customer without its texts, newest first.
SELECT l.message_id, l.kind, l.state, l.created_at, l.done_at,
       coalesce(l.kept ->> 'subject', '') AS subject, l.kept IS NOT NULL AS texted,
       coalesce(l.reference, '') AS reference, p.label, p.purpose, p.basis, l.bounced_at,
       l.bounce_code
  FROM crm.letters_of(:business_id, :customer_id) l
  LEFT JOIN crm.service_purpose p ON p.business_id = :business_id AND p.name = l.purpose
 ORDER BY l.message_id DESC;

-- name: letter_texts
-- The texts of service messages to one customer as far as they are kept, newest first, by pages.
SELECT l.message_id, l.kind, l.state, l.created_at, l.done_at, l.address_hash, l.kept, p.label,
       p.purpose, p.basis,
       CASE WHEN l.state = 'failed' AND l.reply IN ('suppressed', 'frozen', 'leaving')
            THEN l.reply END AS kept_off, l.bounced_at
  FROM crm.letters_of(:business_id, :customer_id) l
  LEFT JOIN crm.service_purpose p ON p.business_id = :business_id AND p.name = l.purpose
 WHERE l.kept IS NOT NULL
   AND l.message_id < :before
 ORDER BY l.message_id DESC
 LIMIT :limit;

-- name: forget_letters
-- Nothing remains of the service messages to an erased customer.
DELETE FROM crm.service_message
 WHERE business_id = :business_id
   AND customer_id = :customer_id;

-- name: forget_letters_to
-- Nothing remains of the service messages to an erased address until then that name no customer;
-- those to somebody else who has had it since are that customer's.
DELETE FROM crm.service_message
 WHERE business_id = :business_id
   AND address_hash = :address_hash
   AND customer_id IS NULL
   AND (:until::timestamptz IS NULL OR created_at <= :until);

-- name: lapse_letters
-- Deletes what is left of service messages long ago, among some: that they went, and when; not of
-- one who has her record frozen.
WITH piece AS MATERIALIZED (
  SELECT m.message_id, m.address_hash, m.customer_id, m.created_at, m.done_at
    FROM crm.service_message m
   WHERE m.business_id = :business_id AND m.message_id > :after
   ORDER BY m.message_id LIMIT :limit
), gone AS (
  DELETE FROM crm.service_message m
   WHERE m.business_id = :business_id
     AND m.message_id = ANY (ARRAY(
           SELECT p.message_id FROM piece p
            WHERE p.done_at <= :over_before
              AND NOT EXISTS (SELECT FROM crm.frozen_address z
                               WHERE z.business_id = :business_id
                                 AND z.address_hash = p.address_hash)
              AND NOT EXISTS (SELECT FROM crm.customer c
                               WHERE c.business_id = :business_id AND c.customer_id = p.customer_id
                                 AND c.restricted_at IS NOT NULL)))
  RETURNING 1
)
SELECT (SELECT count(*) FROM gone) AS deleted,
       CASE WHEN (SELECT count(*) FROM piece) = :limit
             AND EXISTS (SELECT FROM piece p WHERE p.created_at <= :over_before)
            THEN (SELECT p.message_id FROM piece p ORDER BY p.message_id DESC LIMIT 1)
            END AS upto;

-- name: letters_to
-- How many messages of a kind an address was sent since an instant: against floods.
SELECT count(*)
  FROM crm.service_message
 WHERE business_id = :business_id
   AND address_hash = :address_hash
   AND kind = :kind
   AND created_at > :since;

-- name: declare_service_purpose
-- What a program's messages are for, new or in other words; the ground stays as it was first
-- declared, so that what was sent on it keeps its own.
INSERT INTO crm.service_purpose AS p (business_id, name, label, purpose, basis, declared_at)
VALUES (:business_id, :name, :label, :purpose, :basis, :now)
ON CONFLICT (business_id, name) DO UPDATE
   SET label = excluded.label, purpose = excluded.purpose, declared_at = excluded.declared_at
 WHERE p.basis = excluded.basis
RETURNING name, label, purpose, basis, declared_at;

-- name: service_purposes
-- What a business declared that it writes to single customers for.
SELECT name, label, purpose, basis, declared_at
  FROM crm.service_purpose
 WHERE business_id = :business_id
 ORDER BY name;

-- name: service_purpose
-- One of these; none whose short name is also that of a purpose that needs consent.
SELECT name, label, purpose, basis, declared_at
  FROM crm.service_purpose
 WHERE business_id = :business_id
   AND name = :name
   AND NOT EXISTS (SELECT FROM crm.purpose p
                    WHERE p.business_id = :business_id
                      AND p.slug = service_purpose.name);

-- name: service_message_at
-- When a customer was sent the last but so many of the messages of programs, if that is lately; to
-- whichever of her records.
SELECT created_at
  FROM crm.service_message
 WHERE business_id = :business_id
   AND customer_id = ANY (crm.records_of(:business_id, :customer_id))
   AND kind = 'business'
   AND created_at > :since
 ORDER BY created_at DESC
OFFSET :others
 LIMIT 1;

-- name: service_message
-- Where a message of a program stands.
SELECT message_id AS id, customer_id, purpose, reference, state, attempt AS attempts, code, reply,
       created_at, CASE WHEN state = 'waiting' THEN next_at END AS next_at, done_at, bounced_at,
       bounce_code
  FROM crm.service_message
 WHERE business_id = :business_id
   AND message_id = :message_id
   AND kind = 'business';

-- name: claim_service_messages
-- Messages of programs that are due, or whose sender has gone quiet. One that the relay may have
-- ends here as uncertain, and one that may not go any more with the reason.
WITH due AS MATERIALIZED (
  SELECT m.message_id
    FROM crm.service_message m
   WHERE m.business_id = :business_id
     AND m.kind = 'business'
     AND m.done_at IS NULL
     AND m.next_at <= :now
     AND (m.state = 'waiting' OR m.lease_until < :now)
   ORDER BY m.next_at
   LIMIT :limit
     FOR UPDATE SKIP LOCKED
)
UPDATE crm.service_message m
   SET state = coalesce(ends.state, 'sending'),
       lease_until = CASE WHEN ends.state IS NULL THEN :lease_until::timestamptz END,
       done_at = CASE WHEN ends.state IS NOT NULL THEN :now::timestamptz END,
       reply = coalesce(ends.reply, m.reply),
       address = CASE WHEN ends.state IS NULL THEN m.address END,
       content = CASE WHEN ends.state IS NULL THEN m.content END,
       attempt = m.attempt + CASE WHEN ends.state IS NULL THEN 1 ELSE 0 END
  FROM due
  JOIN crm.service_message f ON f.business_id = :business_id AND f.message_id = due.message_id
  JOIN crm.customer c ON c.business_id = :business_id AND c.customer_id = f.customer_id
  LEFT JOIN crm.suppression u
    ON u.business_id = :business_id AND u.address_hash = f.address_hash
  LEFT JOIN crm.erasure_wish w
    ON w.business_id = :business_id AND w.customer_id = f.customer_id
 CROSS JOIN LATERAL (
   SELECT CASE WHEN f.handed_at IS NOT NULL THEN 'uncertain'
               WHEN w.customer_id IS NOT NULL OR c.restricted_at IS NOT NULL OR u.scope = 'all'
               THEN 'failed' END AS state,
          CASE WHEN f.handed_at IS NOT NULL THEN 'interrupted'
               WHEN w.customer_id IS NOT NULL THEN 'leaving'
               WHEN c.restricted_at IS NOT NULL THEN 'frozen'
               WHEN u.scope = 'all' THEN 'suppressed' END AS reply) ends
 WHERE m.business_id = :business_id
   AND m.message_id = due.message_id
RETURNING m.message_id, m.customer_id, m.state, m.attempt, coalesce(m.address, '') AS address,
          m.address_hash, coalesce(m.content, ''::bytea) AS content, m.created_at,
          coalesce(m.reply, '') AS reply;

-- name: hand_over
-- The relay is there and gets a message next: nobody else does so from here on, whatever happens.
UPDATE crm.service_message
   SET handed_at = :now, lease_until = :lease_until
 WHERE business_id = :business_id
   AND message_id = :message_id
   AND state = 'sending'
   AND attempt = :attempt
   AND lease_until > :now
   AND handed_at IS NULL;

-- name: record_service_message
-- What became of a message of a program; where it waits on, the relay does not have it.
UPDATE crm.service_message
   SET state = :state, lease_until = NULL, code = :code, reply = :reply,
       next_at = coalesce(:next_at, next_at),
       handed_at = CASE WHEN :state::text <> 'waiting' THEN handed_at END,
       done_at = CASE WHEN :state::text <> 'waiting' THEN :now::timestamptz END,
       address = CASE WHEN :state::text = 'waiting' THEN address END,
       content = CASE WHEN :state::text = 'waiting' THEN content END
 WHERE business_id = :business_id
   AND message_id = :message_id
   AND state = 'sending'
   AND attempt = :attempt;

-- name: service_message_came_back
-- A message of a program that was handed over came back, by the beginning of its id: the first word
-- of that is the last.
UPDATE crm.service_message
   SET bounced_at = :now, bounce_code = :bounce_code
 WHERE business_id = :business_id
   AND address_hash = :address_hash
   AND message_id BETWEEN :low AND :high
   AND kind = 'business'
   AND state IN ('sending', 'sent', 'uncertain')
   AND bounced_at IS NULL
RETURNING message_id, customer_id;

-- name: suppress
-- Addresses that must not be mailed; a wider scope replaces a narrower one, never the reverse. What
-- somebody decided is not forgotten by a bounce, whichever came first: it stands beneath. That an
-- address was left is nobody's decision: whatever is decided since stands in its place.
INSERT INTO crm.suppression AS u (business_id, address_hash, scope, reason, at)
SELECT DISTINCT ON (s.address_hash) :business_id, s.address_hash, s.scope, s.reason, :now
  FROM unnest(:address_hashes::bytea[], :scopes::text[], :reasons::text[])
         AS s (address_hash, scope, reason)
 ORDER BY s.address_hash, s.scope
ON CONFLICT (business_id, address_hash) DO UPDATE
   SET scope = least(u.scope, excluded.scope),
       reason = CASE WHEN excluded.scope = 'all' OR u.reason = 'moved' THEN excluded.reason
                     ELSE u.reason END,
       at = CASE WHEN excluded.scope = 'all' OR u.reason = 'moved' THEN excluded.at ELSE u.at END,
       beneath = CASE WHEN excluded.reason = 'bounced' THEN u.reason
                      WHEN excluded.scope = 'marketing' AND u.reason = 'bounced'
                      THEN excluded.reason END,
       beneath_at = CASE WHEN excluded.reason = 'bounced' THEN u.at
                         WHEN excluded.scope = 'marketing' AND u.reason = 'bounced'
                         THEN excluded.at END
 WHERE u.scope = 'marketing' AND excluded.scope = 'all'
    OR u.reason = 'bounced' AND excluded.reason <> 'bounced'
   AND (excluded.scope = 'all' OR u.beneath IS NULL)
    OR 'moved' IN (u.reason, u.beneath) AND excluded.reason NOT IN ('moved', 'bounced');

-- name: suppression
-- Whether and how an address is suppressed.
SELECT scope, reason, at
  FROM crm.suppression
 WHERE business_id = :business_id
   AND address_hash = :address_hash;

-- name: decided_against
-- What somebody decided against mail to an address, also where a bounce stands above it.
SELECT CASE WHEN beneath IS NULL THEN scope ELSE 'marketing' END AS scope,
       coalesce(beneath, reason) AS reason, coalesce(beneath_at, at) AS at
  FROM crm.suppression
 WHERE business_id = :business_id
   AND address_hash = :address_hash
   AND (reason <> 'bounced' OR beneath IS NOT NULL);

-- name: suppressed_among
-- Which of these addresses are suppressed, and whether anybody decided that.
SELECT address_hash,
       reason NOT IN ('bounced', 'moved') OR coalesce(beneath, 'moved') <> 'moved' AS decided
  FROM crm.suppression
 WHERE business_id = :business_id
   AND address_hash = ANY (:address_hashes::bytea[]);

-- name: suppressions_among
-- How and why some addresses are suppressed; those that are not are left out.
SELECT address_hash, scope, reason, at, beneath, beneath_at
  FROM crm.suppression
 WHERE business_id = :business_id
   AND address_hash = ANY (:address_hashes::bytea[]);

-- name: suppressions_after
-- Every suppression in the order of its fingerprint, which is in no order of time or name.
SELECT address_hash, scope, reason, at, beneath, beneath_at
  FROM crm.suppression
 WHERE business_id = :business_id
   AND address_hash > :after_hash
 ORDER BY address_hash
 LIMIT :limit;

-- name: lift_suppression
-- The owner of the address asked that nothing at all remains.
DELETE FROM crm.suppression
 WHERE business_id = :business_id
   AND address_hash = :address_hash;

-- name: lift_former
-- The same of whose it was until then. What somebody has decided since stands; that a mail came back
-- from it, or that it was left, was nobody's decision, whenever it was.
DELETE FROM crm.suppression
 WHERE business_id = :business_id
   AND address_hash = :address_hash
   AND (coalesce(beneath_at, at) <= :until
        OR reason IN ('bounced', 'moved') AND coalesce(beneath, 'moved') = 'moved');

-- name: lift_heard
-- What nobody decided, as it stood at an instant: mail came back from it, or it was left.
DELETE FROM crm.suppression
 WHERE business_id = :business_id
   AND address_hash = :address_hash
   AND reason IN ('bounced', 'moved')
   AND beneath IS NULL
   AND at <= :until;

-- name: lift_bounce
-- What came back from a mailbox before it proved itself, and nobody decided: it works again.
DELETE FROM crm.suppression
 WHERE business_id = :business_id
   AND address_hash = :address_hash
   AND reason = 'bounced'
   AND beneath IS NULL
   AND at < :proved_at;

-- name: uncover
-- The same where somebody decided too: that stands from now on, since it was decided.
UPDATE crm.suppression
   SET scope = 'marketing', reason = beneath, at = beneath_at, beneath = NULL, beneath_at = NULL
 WHERE business_id = :business_id
   AND address_hash = :address_hash
   AND beneath IS NOT NULL
   AND at < :proved_at
RETURNING reason;

-- name: lift_move
-- An address is not left any more; why else it is suppressed stands.
DELETE FROM crm.suppression
 WHERE business_id = :business_id
   AND address_hash = :address_hash
   AND reason = 'moved';

-- name: lift_move_beneath
-- The same where a mail came back from it.
UPDATE crm.suppression
   SET beneath = NULL, beneath_at = NULL
 WHERE business_id = :business_id
   AND address_hash = :address_hash
   AND beneath = 'moved';

-- name: end_move
-- That an address was left says from now on that whoever had it last is erased.
UPDATE crm.suppression
   SET reason = CASE reason WHEN 'moved' THEN 'erased' ELSE reason END,
       at = CASE reason WHEN 'moved' THEN :now ELSE at END,
       beneath = CASE beneath WHEN 'moved' THEN 'erased' END,
       beneath_at = CASE beneath WHEN 'moved' THEN :now::timestamptz END
 WHERE business_id = :business_id
   AND address_hash = :address_hash
   AND 'moved' IN (reason, beneath);

-- name: relays
-- The relays of a business, the largest share first.
SELECT relay_id AS id, name, host, port, tls, username, password AS sealed, hello, weight,
       connections, rate, daily_cap, warm_up, warm_up_on, sends_from, active, trouble, trouble_at,
       changed_at
  FROM crm.relay
 WHERE business_id = :business_id
 ORDER BY weight DESC, relay_id;

-- name: add_relay
-- A relay more.
INSERT INTO crm.relay (business_id, relay_id, name, host, port, tls, username, password, hello,
                       weight, connections, rate, daily_cap, warm_up, warm_up_on, sends_from,
                       active, created_at, changed_at)
VALUES (:business_id, :relay_id, :name, :host, :port, :tls, :username, :password, :hello, :weight,
        :connections, :rate, :daily_cap, :warm_up, :warm_up_on, :sends_from, :active, :now, :now);

-- name: change_relay
-- What is known of a relay, replaced as a whole; its password stays where none is given and host
-- and user are the same, so that it is never shown to another machine.
UPDATE crm.relay
   SET name = :name, host = :host, port = :port, tls = :tls, username = :username,
       password = coalesce(:password, CASE WHEN :username::text <> '' AND username = :username::text
                                             AND host = :host::text THEN password END),
       hello = :hello, weight = :weight, connections = :connections, rate = :rate,
       daily_cap = :daily_cap, warm_up = :warm_up,
       warm_up_on = CASE WHEN warm_up = :warm_up::integer[] THEN warm_up_on
                         ELSE :warm_up_on::date END,
       sends_from = :sends_from, active = :active, trouble = NULL, trouble_at = NULL, changed_at = :now
 WHERE business_id = :business_id
   AND relay_id = :relay_id
RETURNING relay_id;

-- name: use_relay
-- Whether mail goes by a relay.
UPDATE crm.relay
   SET active = :active, trouble = NULL, trouble_at = NULL, changed_at = :now
 WHERE business_id = :business_id
   AND relay_id = :relay_id
RETURNING name;

-- name: note_trouble
-- Why a relay could not be reached, or null when it could again; written only when it changes.
UPDATE crm.relay
   SET trouble = :trouble, trouble_at = CASE WHEN :trouble::text IS NOT NULL THEN :now::timestamptz END
 WHERE business_id = :business_id
   AND relay_id = :relay_id
   AND trouble IS DISTINCT FROM :trouble::text;

-- name: relay_uses
-- What relays have taken, without a lock: for the page.
SELECT relay_id, day, taken, next_at
  FROM crm.relay_use
 WHERE business_id = :business_id;

-- name: begin_relay_use
-- A relay with a rate or a cap is counted from now on; in the order of the key.
INSERT INTO crm.relay_use (business_id, relay_id, day)
SELECT :business_id, r.relay_id, :day
  FROM unnest(:relay_ids::uuid[]) AS r (relay_id)
 ORDER BY r.relay_id
ON CONFLICT (business_id, relay_id) DO NOTHING;

-- name: hold_relay_uses
-- What relays have taken, held in the order of their key until the end of the transaction.
SELECT relay_id, day, taken, next_at
  FROM crm.relay_use
 WHERE business_id = :business_id
   AND relay_id = ANY (:relay_ids::uuid[])
 ORDER BY relay_id
   FOR UPDATE;

-- name: write_relay_uses
-- What relays may take from now on is spoken for.
UPDATE crm.relay_use u
   SET day = n.day, taken = n.taken, next_at = n.next_at
  FROM unnest(:relay_ids::uuid[], :days::date[], :takens::integer[], :next_ats::timestamptz[])
         AS n (relay_id, day, taken, next_at)
 WHERE u.business_id = :business_id
   AND u.relay_id = n.relay_id;

-- name: give_back_relay_use
-- What was spoken for and not handed over counts for nothing.
UPDATE crm.relay_use
   SET taken = greatest(taken - :unused, 0)
 WHERE business_id = :business_id
   AND relay_id = :relay_id
   AND day = :day;

-- name: domain_paces
-- Recipient domains that go slower than the rest.
SELECT domain, limit_rate, limit_connections, rate, strikes, held_until, reason, next_at, line_at,
       changed_at
  FROM crm.domain_pace
 WHERE business_id = :business_id
 ORDER BY domain
 LIMIT 10000;

-- name: begin_domain_paces
-- Domains that asked for less for the first time; in the order of the key.
INSERT INTO crm.domain_pace (business_id, domain, changed_at)
SELECT :business_id, d.domain, :now
  FROM unnest(:domains::text[]) AS d (domain)
 ORDER BY d.domain
ON CONFLICT (business_id, domain) DO NOTHING;

-- name: hold_domain_paces
-- Some of them, held in the order of their key until the end of the transaction.
SELECT domain, limit_rate, limit_connections, rate, strikes, held_until, reason, next_at, line_at,
       changed_at
  FROM crm.domain_pace
 WHERE business_id = :business_id
   AND domain = ANY (:domains::text[])
 ORDER BY domain
   FOR UPDATE;

-- name: write_domain_pace
-- How a domain that is held goes on, learned from what its servers said.
UPDATE crm.domain_pace
   SET rate = :rate, strikes = :strikes, held_until = :held_until, reason = :reason,
       next_at = :next_at, line_at = :line_at, changed_at = :changed_at
 WHERE business_id = :business_id
   AND domain = :domain;

-- name: limit_domain
-- What staff set for a domain; null for both leaves what was learned.
INSERT INTO crm.domain_pace AS p (business_id, domain, limit_rate, limit_connections, changed_at)
VALUES (:business_id, :domain, :limit_rate, :limit_connections, :now)
ON CONFLICT (business_id, domain) DO UPDATE
   SET limit_rate = excluded.limit_rate, limit_connections = excluded.limit_connections,
       changed_at = excluded.changed_at;

-- name: forget_domain_paces
-- Domains that have recovered, and of which staff say nothing, go as fast as all others again. Only
-- those that are held: a walk over all rows would wait for others in the order it meets them.
DELETE FROM crm.domain_pace
 WHERE business_id = :business_id
   AND domain = ANY (:domains::text[])
   AND rate IS NULL
   AND limit_rate IS NULL
   AND limit_connections IS NULL;
