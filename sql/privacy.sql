-- Every statement of crm/privacy. Owns: brought, copy, copy_part, privacy_request,
-- privacy_request_step, erasure, erasure_wish, retention_sweep, restriction_end, dormancy.

-- name: tombstones_with_traces
-- Among some customers erased since an instant, those of whom something was recorded after all: what
-- waited for the erasure's lock on her row is written when it commits.
WITH piece AS MATERIALIZED (
  SELECT c.customer_id
    FROM crm.customer c
   WHERE c.business_id = :business_id
     AND c.erased_at >= :since
     -- What stands under a record that was merged is hers who was kept.
     AND c.merged_into IS NULL
     AND c.customer_id > :after
   ORDER BY c.customer_id
   LIMIT :limit
), left_over AS (
  SELECT c.customer_id
    FROM piece c
   WHERE (EXISTS (SELECT FROM crm.consent_record r
                   WHERE r.business_id = :business_id AND r.customer_id = c.customer_id)
       OR EXISTS (SELECT FROM crm.consent s
                   WHERE s.business_id = :business_id AND s.customer_id = c.customer_id)
       OR EXISTS (SELECT FROM crm.mailbox_proof m
                   WHERE m.business_id = :business_id AND m.customer_id = c.customer_id)
       OR EXISTS (SELECT FROM crm.evidence_file f
                   WHERE f.business_id = :business_id AND f.customer_id = c.customer_id)
       OR EXISTS (SELECT FROM crm.event e
                   WHERE e.business_id = :business_id AND e.customer_id = c.customer_id)
       OR EXISTS (SELECT FROM crm.post t
                   WHERE t.business_id = :business_id AND t.customer_id = c.customer_id)
       OR EXISTS (SELECT FROM crm.portal_session p
                   WHERE p.business_id = :business_id AND p.customer_id = c.customer_id)
       OR EXISTS (SELECT FROM crm.portal_link l
                   WHERE l.business_id = :business_id AND l.customer_id = c.customer_id)
       -- The last letter to her waits until it has gone.
       OR EXISTS (SELECT FROM crm.service_message m
                   WHERE m.business_id = :business_id AND m.customer_id = c.customer_id
                     AND m.done_at IS NOT NULL)
       OR EXISTS (SELECT FROM crm.erasure_wish w
                   WHERE w.business_id = :business_id AND w.customer_id = c.customer_id)
       OR EXISTS (SELECT FROM crm.restriction_end n
                   WHERE n.business_id = :business_id AND n.customer_id = c.customer_id)
       OR EXISTS (SELECT FROM crm.privacy_request q
                   WHERE q.business_id = :business_id AND q.customer_id = c.customer_id)
       OR EXISTS (SELECT FROM crm.brought b
                   WHERE b.business_id = :business_id AND b.customer_id = c.customer_id)
       OR EXISTS (SELECT FROM crm.copy y
                   WHERE y.business_id = :business_id AND y.customer_id = c.customer_id)
       OR EXISTS (SELECT FROM crm.delivery d
                   WHERE d.business_id = :business_id AND d.customer_id = c.customer_id
                     AND (d.reply IS NOT NULL OR d.merged IS NOT NULL)))
)
SELECT ARRAY(SELECT l.customer_id FROM left_over l ORDER BY l.customer_id) AS found,
       CASE WHEN (SELECT count(*) FROM piece) = :limit
            THEN (SELECT p.customer_id FROM piece p ORDER BY p.customer_id DESC LIMIT 1)
            END AS upto;

-- name: add_request
-- What a customer, or somebody whom nobody here knows, asks; again changes nothing.
INSERT INTO crm.privacy_request (business_id, request_id, kind, state, way, by_itself, customer_id,
                                 address, address_hash, name, words, received_on, due_on, proof,
                                 proved_at, created_at, closed_at, keep_until)
VALUES (:business_id, :request_id, :kind, :state, :way, :by_itself, :customer_id, :address,
        :address_hash, :name, :words, :received_on, :due_on, :proof,
        CASE WHEN :proof::text IS NOT NULL THEN :now::timestamptz END, :now, :closed_at,
        :keep_until)
ON CONFLICT (business_id, request_id) DO NOTHING;

-- name: add_step
-- What was done with a request.
INSERT INTO crm.privacy_request_step (business_id, request_id, step_id, at, what, actor_kind,
                                      actor_id, actor_name)
VALUES (:business_id, :request_id, :step_id, :now, :what, :actor_kind, :actor_id, :actor_name);

-- name: request
-- One request.
SELECT r.request_id AS id, r.kind, r.state, r.way, r.by_itself,
       crm.kept_as(:business_id, r.customer_id) AS customer_id, r.address, r.name,
       r.words, r.received_on, r.due_on, r.extended_on, r.extended_why, r.proof, r.proved_at,
       coalesce(m.name, '') AS member, r.answer, r.ground, r.created_at, r.closed_at, r.keep_until
  FROM crm.privacy_request r
  LEFT JOIN crm.member m ON m.business_id = :business_id AND m.member_id = r.member_id
 WHERE r.business_id = :business_id
   AND r.request_id = :request_id;

-- name: request_locked
-- Holds one request until its next step is written.
SELECT request_id
  FROM crm.privacy_request
 WHERE business_id = :business_id
   AND request_id = :request_id
   FOR UPDATE;

-- name: request_of_link
-- The open request whose link this is, and the mailbox that it was mailed to.
SELECT r.request_id, r.mailed_hash
  FROM crm.privacy_request r
 WHERE r.business_id = :business_id
   AND r.link_hash = :link_hash
   AND r.mailed_hash IS NOT NULL
   AND r.link_expires_at > :now
   AND r.closed_at IS NULL;

-- name: open_requests
-- Requests that wait for an answer, the most urgent first, by pages.
SELECT r.request_id AS id, r.kind, r.state, r.way, r.by_itself,
       crm.kept_as(:business_id, r.customer_id) AS customer_id, r.address, r.name,
       r.words, r.received_on, r.due_on, r.extended_on, r.extended_why, r.proof, r.proved_at,
       coalesce(m.name, '') AS member, r.answer, r.ground, r.created_at, r.closed_at, r.keep_until
  FROM crm.privacy_request r
  LEFT JOIN crm.member m ON m.business_id = :business_id AND m.member_id = r.member_id
 WHERE r.business_id = :business_id
   AND r.closed_at IS NULL
   AND (r.due_on, r.request_id) > (:due_on::date, :request_id::uuid)
   AND (:kind::text IS NULL OR r.kind = :kind)
 ORDER BY r.due_on, r.request_id
 LIMIT :limit;

-- name: ended_requests
-- Requests that were answered, the latest first, by pages; those that staff had no part in too.
SELECT r.request_id AS id, r.kind, r.state, r.way, r.by_itself,
       crm.kept_as(:business_id, r.customer_id) AS customer_id, r.address, r.name,
       r.words, r.received_on, r.due_on, r.extended_on, r.extended_why, r.proof, r.proved_at,
       coalesce(m.name, '') AS member, r.answer, r.ground, r.created_at, r.closed_at, r.keep_until
  FROM crm.privacy_request r
  LEFT JOIN crm.member m ON m.business_id = :business_id AND m.member_id = r.member_id
 WHERE r.business_id = :business_id
   AND r.closed_at IS NOT NULL
   AND r.request_id < :request_id
   AND (:kind::text IS NULL OR r.kind = :kind)
 ORDER BY r.request_id DESC
 LIMIT :limit;

-- name: requests_of_customer
-- What one customer asked, the newest first, or before one of hers; whoever works on it by name only
-- where that is allowed.
SELECT r.request_id AS id, r.kind, r.state, r.way, r.by_itself,
       crm.kept_as(:business_id, r.customer_id) AS customer_id, r.address, r.name,
       r.words, r.received_on, r.due_on, r.extended_on, r.extended_why, r.proof, r.proved_at,
       crm.told_name(:business_id, 'member', coalesce(m.name, '')) AS member, r.answer, r.ground, r.created_at, r.closed_at, r.keep_until
  FROM crm.privacy_request r
  LEFT JOIN crm.member m ON m.business_id = :business_id AND m.member_id = r.member_id
 WHERE r.business_id = :business_id
   AND r.customer_id = ANY (crm.records_of(:business_id, :customer_id))
   AND (:before::uuid IS NULL OR r.request_id < :before)
 ORDER BY r.request_id DESC
 LIMIT :limit;

-- name: steps_of_requests
-- What was done with these requests, in order.
SELECT request_id, at, what, actor_kind, actor_name
  FROM crm.privacy_request_step
 WHERE business_id = :business_id
   AND request_id = ANY (:request_ids::uuid[])
 ORDER BY request_id, step_id;

-- name: steps_told
-- The same for whoever asked: who works here stands there by name only where that is allowed.
SELECT s.request_id, s.at, s.what, s.actor_kind,
       crm.told_name(:business_id, s.actor_kind, s.actor_name) AS actor_name
  FROM crm.privacy_request_step s
 WHERE s.business_id = :business_id
   AND s.request_id = ANY (:request_ids::uuid[])
 ORDER BY s.request_id, s.step_id;

-- name: requests_settled
-- How many of each kind were done without staff since a day, and the slowest answer by a person.
SELECT kind, count(*) FILTER (WHERE by_itself)::integer AS count,
       max(closed_at::date - received_on) FILTER (WHERE NOT by_itself) AS slowest
  FROM crm.privacy_request
 WHERE business_id = :business_id
   AND closed_at >= :since
 GROUP BY kind
 ORDER BY kind;

-- name: keep_link
-- The link that proves the mailbox; one before it opens nothing any more.
UPDATE crm.privacy_request
   SET link_hash = :link_hash, mailed_hash = :mailed_hash, link_expires_at = :expires_at,
       state = CASE WHEN state = 'received' THEN 'identity' ELSE state END
 WHERE business_id = :business_id
   AND request_id = :request_id;

-- name: prove_request
-- It is known now who asks.
UPDATE crm.privacy_request
   SET proof = :proof, proved_at = :now, link_hash = NULL, mailed_hash = NULL,
       link_expires_at = NULL,
       state = CASE WHEN state = 'extended' THEN state ELSE 'in_progress' END
 WHERE business_id = :business_id
   AND request_id = :request_id
   AND proved_at IS NULL;

-- name: unprove_requests
-- What her mailbox or a session has proved since then was in other hands; of whoever asked, with
-- the records that were merged into hers.
UPDATE crm.privacy_request
   SET proof = NULL, proved_at = NULL,
       state = CASE WHEN state = 'in_progress' THEN 'received' ELSE state END
 WHERE business_id = :business_id
   AND customer_id = ANY (crm.records_of(:business_id, :customer_id))
   AND closed_at IS NULL
   AND proof IN ('session', 'mailbox')
   AND proved_at >= :since
RETURNING request_id;

-- name: take_request
-- A member works on it.
UPDATE crm.privacy_request
   SET member_id = :member_id,
       state = CASE WHEN proved_at IS NOT NULL AND state IN ('received', 'identity')
                    THEN 'in_progress' ELSE state END
 WHERE business_id = :business_id
   AND request_id = :request_id;

-- name: extend_request
-- Two months more, and why.
UPDATE crm.privacy_request
   SET state = 'extended', extended_on = :extended_on, due_on = :due_on, extended_why = :why,
       reminded = 0
 WHERE business_id = :business_id
   AND request_id = :request_id;

-- name: close_request
-- It is answered or refused, once.
UPDATE crm.privacy_request
   SET state = :state, ground = :ground, answer = :answer, closed_at = :now,
       keep_until = :keep_until, link_hash = NULL, mailed_hash = NULL, link_expires_at = NULL
 WHERE business_id = :business_id
   AND request_id = :request_id
   AND closed_at IS NULL;

-- name: requests_to_remind
-- Requests that have become more urgent since staff were reminded, held until they are.
SELECT request_id, due_on, reminded
  FROM crm.privacy_request
 WHERE business_id = :business_id
   AND closed_at IS NULL
   AND due_on <= :due_before
   AND reminded < CASE WHEN due_on < :today THEN 4 WHEN due_on <= :today THEN 3
                       WHEN due_on <= :soon THEN 2 ELSE 1 END
 ORDER BY due_on, request_id
 LIMIT 1000
   FOR UPDATE SKIP LOCKED;

-- name: note_reminder
-- So urgently were staff reminded.
UPDATE crm.privacy_request
   SET reminded = :reminded
 WHERE business_id = :business_id
   AND request_id = :request_id;

-- name: requests_to_forget
-- The requests of a customer who is being erased, or of an address until then.
SELECT request_id, closed_at IS NULL AS open
  FROM crm.privacy_request
 WHERE business_id = :business_id
   AND (customer_id = :customer_id OR address_hash = :address_hash AND customer_id IS NULL)
   AND (:until::timestamptz IS NULL OR created_at <= :until)
 ORDER BY request_id
   FOR UPDATE;

-- name: forget_request
-- What was asked, when, and what became of it stays; whose it was and every word goes. One that
-- waited is done where she proved that she wanted just this, and otherwise has lost its object.
UPDATE crm.privacy_request
   SET customer_id = NULL, address = '', address_hash = NULL, name = '', words = '', answer = '',
       extended_why = '', link_hash = NULL, mailed_hash = NULL, link_expires_at = NULL,
       state = CASE WHEN closed_at IS NOT NULL THEN state
                    WHEN kind = 'erasure' AND proof IS NOT NULL THEN 'done'
                    ELSE 'moot' END,
       keep_until = CASE WHEN closed_at IS NULL THEN :keep_until ELSE keep_until END,
       closed_at = coalesce(closed_at, :now)
 WHERE business_id = :business_id
   AND request_id = :request_id;

-- name: keep_erasure
-- What an erasure deleted; who had it done, and when, stays as it was the first time. A later one
-- knows no more which records were merged into this one, so what stays of them stays counted.
INSERT INTO crm.erasure AS e (business_id, customer_id, erased_at, actor_kind, fingerprint, gone,
                              records, addresses, deliveries, proofs, proofs_until,
                              expires_at)
VALUES (:business_id, :customer_id, :erased_at, :actor_kind, :fingerprint, :gone, :records,
        :addresses, :deliveries, :proofs, :proofs_until, :expires_at)
ON CONFLICT (business_id, customer_id) DO UPDATE
   SET gone = excluded.gone, records = greatest(e.records, excluded.records),
       -- Where the first did not count them, a later one cannot.
       addresses = CASE WHEN e.addresses IS NOT NULL
                        THEN greatest(e.addresses, excluded.addresses) END,
       deliveries = greatest(e.deliveries, excluded.deliveries),
       -- Those that this erasure kept beside the earlier ones.
       proofs = e.proofs + excluded.proofs,
       proofs_until = greatest(e.proofs_until, excluded.proofs_until);

-- name: erasure
-- What one erasure deleted.
SELECT customer_id, erased_at, actor_kind, fingerprint, gone, records, addresses, deliveries,
       proofs, proofs_until, expires_at
  FROM crm.erasure
 WHERE business_id = :business_id
   AND customer_id = :customer_id;

-- name: deliveries_left
-- How many deliveries under some numbers stay as a count.
SELECT count(*)::integer
  FROM crm.delivery
 WHERE business_id = :business_id
   AND customer_id = ANY (:customer_ids::uuid[]);

-- name: lapse_erasures
-- Deletes certificates that nobody has to show any more, some at a time.
WITH over AS MATERIALIZED (
  SELECT e.customer_id FROM crm.erasure e
   WHERE e.business_id = :business_id AND e.expires_at <= :now
   LIMIT :limit
     FOR UPDATE SKIP LOCKED
), gone AS (
  DELETE FROM crm.erasure e USING over o
   WHERE e.business_id = :business_id AND e.customer_id = o.customer_id
  RETURNING 1
)
SELECT count(*) AS deleted, CASE WHEN count(*) = :limit THEN :after::uuid END AS upto FROM gone;

-- name: add_wish
-- She wants everything deleted, and can call it off until then; again changes nothing.
INSERT INTO crm.erasure_wish (business_id, customer_id, asked_at, due_at, fingerprint, was_frozen,
                              call_off_hash)
VALUES (:business_id, :customer_id, :asked_at, :due_at, :fingerprint, :was_frozen,
        :call_off_hash)
ON CONFLICT (business_id, customer_id) DO NOTHING;

-- name: wish
-- What a customer waits for.
SELECT customer_id, asked_at, due_at, fingerprint, was_frozen
  FROM crm.erasure_wish
 WHERE business_id = :business_id
   AND customer_id = :customer_id;

-- name: wishes_among
-- Which of these customers wait for their deletion.
SELECT customer_id
  FROM crm.erasure_wish
 WHERE business_id = :business_id
   AND customer_id = ANY (:customer_ids::uuid[]);

-- name: wish_of_link
-- What the link of a mail calls off.
SELECT customer_id, asked_at, due_at, fingerprint, was_frozen
  FROM crm.erasure_wish
 WHERE business_id = :business_id
   AND call_off_hash = :call_off_hash;

-- name: drop_wish
-- She calls it off, or it is done; no row where somebody was sooner.
DELETE FROM crm.erasure_wish
 WHERE business_id = :business_id
   AND customer_id = :customer_id
RETURNING was_frozen;

-- name: forget_wish
-- The wish goes with her.
DELETE FROM crm.erasure_wish
 WHERE business_id = :business_id
   AND customer_id = :customer_id;

-- name: wishes_due
-- Whose time to call it off is over, the first first.
SELECT customer_id
  FROM crm.erasure_wish
 WHERE business_id = :business_id
   AND due_at <= :now
 ORDER BY due_at
 LIMIT 500;

-- name: change_wish
-- While she waits she may say otherwise about her fingerprint, or have it frozen beside.
UPDATE crm.erasure_wish
   SET fingerprint = :fingerprint, was_frozen = :was_frozen
 WHERE business_id = :business_id
   AND customer_id = :customer_id
RETURNING call_off_hash;

-- name: ask_copy
-- A copy more, of a customer who is not erased; no row where the same one was asked for already.
INSERT INTO crm.copy (business_id, copy_id, customer_id, actor_kind, actor_id, actor_name, reason,
                      tells, state, asked_at)
SELECT :business_id, :copy_id, c.customer_id, :actor_kind, :actor_id, :actor_name, :reason, :tells,
       'waiting', :now
  FROM crm.customer c
 WHERE c.business_id = :business_id
   AND c.customer_id = :customer_id
   AND c.erased_at IS NULL
   FOR SHARE
ON CONFLICT (business_id, customer_id, actor_kind, actor_id)
      WHERE state IN ('waiting', 'building', 'ready') DO NOTHING
RETURNING copy_id AS id, customer_id, actor_kind, actor_id, actor_name, reason, tells, state, asked_at,
       epoch, done, total, parts, size, ready_at, ends_at;

-- name: newest_copy
-- What became of the last copy that somebody asked for.
SELECT copy_id AS id, customer_id, actor_kind, actor_id, actor_name, reason, tells, state, asked_at,
       epoch, done, total, parts, size, ready_at, ends_at
  FROM crm.copy
 WHERE business_id = :business_id
   AND customer_id = :customer_id
   AND actor_kind = :actor_kind
   AND actor_id = :actor_id
 ORDER BY asked_at DESC
 LIMIT 1;

-- name: copy
-- One copy, for whoever asked for it.
SELECT copy_id AS id, customer_id, actor_kind, actor_id, actor_name, reason, tells, state, asked_at,
       epoch, done, total, parts, size, ready_at, ends_at
  FROM crm.copy
 WHERE business_id = :business_id
   AND copy_id = :copy_id
   AND actor_kind = :actor_kind
   AND actor_id = :actor_id;

-- name: copies_of_customer
-- Every copy of one customer's record that was asked for, by anybody, as she is told.
SELECT copy_id AS id, customer_id, actor_kind, actor_id,
       crm.told_name(:business_id, actor_kind, actor_name) AS actor_name, reason, tells, state, asked_at,
       epoch, done, total, parts, size, ready_at, ends_at
  FROM crm.copy
 WHERE business_id = :business_id
   AND customer_id = ANY (crm.records_of(:business_id, :customer_id))
 ORDER BY asked_at;

-- name: claim_copy
-- The copy that has waited longest, or one whose worker has gone quiet, for the length of a lease.
UPDATE crm.copy
   SET state = 'building', epoch = epoch + 1, lease_until = :lease_until, done = 0, total = 0
 WHERE business_id = :business_id
   AND copy_id = (
     SELECT y.copy_id
       FROM crm.copy y
      WHERE y.business_id = :business_id
        AND (y.state = 'waiting'
          OR y.state = 'building' AND y.lease_until < :now AND y.epoch < :tries)
      ORDER BY y.asked_at
      LIMIT 1
        FOR UPDATE SKIP LOCKED)
RETURNING copy_id AS id, customer_id, actor_kind, actor_id, actor_name, reason, tells, state, asked_at,
       epoch, done, total, parts, size, ready_at, ends_at;

-- name: copies_due
-- Whether there is a copy to build.
SELECT EXISTS (
  SELECT FROM crm.copy
   WHERE business_id = :business_id
     AND (state = 'waiting' OR state = 'building' AND lease_until < :now AND epoch < :tries));

-- name: extent_of_copy
-- About how much there is of a customer: to say how far her copy is.
SELECT (SELECT count(*) FROM crm.event e
         WHERE e.business_id = :business_id AND e.customer_id = :customer_id)
     + (SELECT count(*) FROM crm.interaction i
         WHERE i.business_id = :business_id AND i.customer_id = :customer_id)
     -- Each of these and its text.
     + (SELECT 2 * count(*) FROM crm.delivery d
         WHERE d.business_id = :business_id AND d.customer_id = :customer_id);

-- name: keep_part
-- The next part of a copy that is still ours to build, and how far it is; no row where it is not,
-- because its customer was erased or another worker has taken it over.
WITH held AS (
  UPDATE crm.copy
     SET lease_until = :lease_until, done = least(:done::bigint, :total), total = :total
   WHERE business_id = :business_id
     AND copy_id = :copy_id
     AND epoch = :epoch
     AND state = 'building'
  RETURNING copy_id, customer_id
)
INSERT INTO crm.copy_part (business_id, copy_id, number, customer_id, content)
SELECT :business_id, h.copy_id, :number, h.customer_id, :content
  FROM held h;

-- name: finish_copy
-- It can be taken from now on, until its end.
UPDATE crm.copy
   SET state = 'ready', lease_until = NULL, done = total, parts = :parts, size = :size,
       ready_at = :now, ends_at = :ends_at
 WHERE business_id = :business_id
   AND copy_id = :copy_id
   AND epoch = :epoch
   AND state = 'building'
RETURNING copy_id AS id, customer_id, actor_kind, actor_id, actor_name, reason, tells, state, asked_at,
       epoch, done, total, parts, size, ready_at, ends_at;

-- name: part_of_copy
-- One part of a copy that can be taken.
SELECT p.content
  FROM crm.copy_part p
  JOIN crm.copy y ON y.business_id = :business_id AND y.copy_id = p.copy_id
 WHERE p.business_id = :business_id
   AND p.copy_id = :copy_id
   AND p.number = :number
   AND y.state = 'ready';

-- name: hold_copied
-- Whose copy it is, held before the copy: an erasure takes them in this order too.
SELECT customer_id
  FROM crm.customer
 WHERE business_id = :business_id AND customer_id = :customer_id
   FOR KEY SHARE;

-- name: drop_parts
-- What was built of a copy before.
DELETE FROM crm.copy_part
 WHERE business_id = :business_id
   AND copy_id = :copy_id;

-- name: end_copies
-- Copies whose time is over; one whose customer is being erased goes with her.
UPDATE crm.copy
   SET state = 'over'
 WHERE business_id = :business_id
   AND copy_id = ANY (ARRAY(
     SELECT y.copy_id
       FROM crm.copy y
      WHERE y.business_id = :business_id
        AND y.state = 'ready'
        AND y.ends_at <= :now
        FOR UPDATE SKIP LOCKED));

-- name: end_copies_of
-- The same of one customer.
UPDATE crm.copy
   SET state = 'over'
 WHERE business_id = :business_id
   AND customer_id = :customer_id
   AND state = 'ready'
   AND ends_at <= :now;

-- name: end_ready_copy
-- One that somebody can take, and wants anew.
UPDATE crm.copy
   SET state = 'over'
 WHERE business_id = :business_id
   AND customer_id = :customer_id
   AND actor_kind = :actor_kind
   AND actor_id = :actor_id
   AND state = 'ready';

-- name: copies_given_up
-- Copies that could not be built: as many workers have gone quiet over each as may.
SELECT copy_id AS id, customer_id, actor_kind, actor_id, actor_name, reason, tells, state, asked_at,
       epoch, done, total, parts, size, ready_at, ends_at
  FROM crm.copy
 WHERE business_id = :business_id
   AND state = 'building'
   AND lease_until < :now
   AND epoch >= :tries
 ORDER BY customer_id;

-- name: fail_copy
-- One that is not to be had; no row where another worker has it.
UPDATE crm.copy
   SET state = 'failed', lease_until = NULL
 WHERE business_id = :business_id
   AND copy_id = :copy_id
   AND epoch = :epoch
   AND state = 'building';

-- name: drop_ended_parts
-- Parts of copies that are over or failed, some at a time: of these only stays that there were any.
DELETE FROM crm.copy_part p
 WHERE p.business_id = :business_id
   AND (p.copy_id, p.number) IN (
     SELECT o.copy_id, o.number
       FROM crm.copy y
       JOIN crm.copy_part o ON o.business_id = :business_id AND o.copy_id = y.copy_id
      WHERE y.business_id = :business_id
        AND y.state IN ('over', 'failed')
      LIMIT :limit
        FOR UPDATE OF y SKIP LOCKED);

-- name: lapse_copies
-- Deletes that there were copies long ago, some at a time; one of which parts are left waits.
WITH over AS MATERIALIZED (
  SELECT y.copy_id FROM crm.copy y
   WHERE y.business_id = :business_id AND y.state IN ('over', 'failed')
     AND y.asked_at < :over_before
     AND NOT EXISTS (SELECT FROM crm.copy_part p
                      WHERE p.business_id = :business_id AND p.copy_id = y.copy_id)
   LIMIT :limit
     FOR UPDATE SKIP LOCKED
), gone AS (
  DELETE FROM crm.copy y USING over o
   WHERE y.business_id = :business_id AND y.copy_id = o.copy_id
  RETURNING 1
)
SELECT count(*) AS deleted, CASE WHEN count(*) = :limit THEN :after::uuid END AS upto FROM gone;

-- name: hold_copies_of
-- The copies of a customer, held before their parts: as whoever builds or ends one does.
SELECT copy_id
  FROM crm.copy
 WHERE business_id = :business_id
   AND customer_id = :customer_id
 ORDER BY copy_id
   FOR UPDATE;

-- name: forget_parts
-- Nothing remains of the copies of an erased customer.
DELETE FROM crm.copy_part
 WHERE business_id = :business_id
   AND customer_id = :customer_id;

-- name: forget_copies
-- Nor that there were any.
DELETE FROM crm.copy
 WHERE business_id = :business_id
   AND customer_id = :customer_id;

-- name: end_requests
-- Deletes the log of requests whose day has come, some at a time.
SELECT crm.end_requests(:business_id, :today, :limit);

-- name: begin_sweep
-- A round over one kind of thing, unless one is under way or the last was not long ago.
INSERT INTO crm.retention_sweep (business_id, what, begun_at)
SELECT :business_id, :what, :now
 WHERE NOT EXISTS (SELECT FROM crm.retention_sweep s
                    WHERE s.business_id = :business_id AND s.what = :what
                      AND (s.ended_at IS NULL OR s.begun_at > :since))
ON CONFLICT DO NOTHING;

-- name: hold_sweep
-- The round under way, held for one piece; no row where another worker is at it.
SELECT begun_at, upto
  FROM crm.retention_sweep
 WHERE business_id = :business_id
   AND what = :what
   AND ended_at IS NULL
   FOR UPDATE SKIP LOCKED;

-- name: go_on_sweeping
-- How far the round has come with this piece.
UPDATE crm.retention_sweep
   SET upto = coalesce(:upto::uuid, upto), pieces = pieces + 1, deleted = deleted + :deleted::bigint
 WHERE business_id = :business_id
   AND what = :what
   AND begun_at = :begun_at;

-- name: end_sweep
-- The round is over, with the longest that one of its transactions took.
UPDATE crm.retention_sweep
   SET ended_at = :now, longest_ms = greatest(longest_ms, :longest_ms::integer)
 WHERE business_id = :business_id
   AND what = :what
   AND begun_at = :begun_at
   AND ended_at IS NULL;

-- name: sweeps
-- The newest round of each kind, and all that was deleted since an instant.
SELECT DISTINCT ON (s.what) s.what, s.begun_at, s.ended_at, s.pieces, s.deleted, s.longest_ms,
       (SELECT coalesce(sum(o.deleted), 0)::bigint FROM crm.retention_sweep o
         WHERE o.business_id = :business_id AND o.what = s.what
           AND o.begun_at >= :since) AS lately
  FROM crm.retention_sweep s
 WHERE s.business_id = :business_id
 ORDER BY s.what, s.begun_at DESC;

-- name: lapse_sweeps
-- Deletes the reports of rounds long ago, some at a time.
WITH over AS MATERIALIZED (
  SELECT s.what, s.begun_at FROM crm.retention_sweep s
   WHERE s.business_id = :business_id AND s.ended_at <= :over_before
   LIMIT :limit
     FOR UPDATE SKIP LOCKED
), gone AS (
  DELETE FROM crm.retention_sweep s USING over o
   WHERE s.business_id = :business_id AND s.what = o.what AND s.begun_at = o.begun_at
  RETURNING 1
)
SELECT count(*) AS deleted, CASE WHEN count(*) = :limit THEN :after::uuid END AS upto FROM gone;

-- name: announce_end
-- A freeze will end; whoever said so first is kept.
INSERT INTO crm.restriction_end (business_id, customer_id, told_at, due_at, actor_kind, actor_id,
                                 actor_name)
VALUES (:business_id, :customer_id, :now, :due_at, :actor_kind, :actor_id, :actor_name)
ON CONFLICT (business_id, customer_id) DO NOTHING;

-- name: announced_end
-- When the freeze of a customer ends, if somebody has said so.
SELECT customer_id, told_at, due_at, actor_kind, actor_id,
       crm.told_name(:business_id, actor_kind, actor_name) AS actor_name
  FROM crm.restriction_end
 WHERE business_id = :business_id
   AND customer_id = :customer_id;

-- name: ends_due
-- Whose freeze is to end, because its notice is over.
SELECT customer_id
  FROM crm.restriction_end
 WHERE business_id = :business_id
   AND due_at <= :now
 ORDER BY customer_id
 LIMIT 500;

-- name: drop_ends
-- Of no freeze is it said any more when it ends.
DELETE FROM crm.restriction_end
 WHERE business_id = :business_id;

-- name: drop_end
-- The freeze stays, or has ended.
DELETE FROM crm.restriction_end
 WHERE business_id = :business_id
   AND customer_id = :customer_id;

-- name: bring
-- One thing that happened elsewhere, as it was told there; no row where it is here already.
INSERT INTO crm.brought (business_id, brought_id, customer_id, list, at, origin, said, content,
                         digest, ends_at)
VALUES (:business_id, :brought_id, :customer_id, :list, :at, :origin, :said, :content, :digest,
        :ends_at)
ON CONFLICT (business_id, customer_id, digest) DO NOTHING;

-- name: brought_of_customer
-- What one customer brought along, newest first; mails without their texts.
SELECT brought_id AS id, list, at, origin, said, content <> '' AS texted, ends_at
  FROM crm.brought
 WHERE business_id = :business_id
   AND customer_id = ANY (crm.records_of(:business_id, :customer_id))
 ORDER BY at DESC, brought_id DESC
 LIMIT :limit;

-- name: brought_texts
-- The texts of mails that one customer brought along, by pages.
SELECT brought_id AS id, content
  FROM crm.brought
 WHERE business_id = :business_id
   AND customer_id = ANY (crm.records_of(:business_id, :customer_id))
   AND content <> ''
   AND brought_id > :after
 ORDER BY brought_id
 LIMIT :limit;

-- name: forget_brought
-- Nothing remains of what an erased customer brought along.
DELETE FROM crm.brought
 WHERE business_id = :business_id
   AND customer_id = :customer_id;

-- name: lapse_brought
-- Deletes what was brought along and whose time is over (promise 13), some at a time; not of one who
-- has her record frozen.
WITH over AS MATERIALIZED (
  SELECT b.brought_id FROM crm.brought b
   WHERE b.business_id = :business_id AND b.ends_at <= :now
     AND NOT EXISTS (SELECT FROM crm.customer c
                      WHERE c.business_id = :business_id AND c.customer_id = b.customer_id
                        AND c.restricted_at IS NOT NULL)
   LIMIT :limit
), gone AS (
  DELETE FROM crm.brought b USING over o
   WHERE b.business_id = :business_id AND b.brought_id = o.brought_id
  RETURNING 1
)
SELECT count(*) AS deleted, CASE WHEN count(*) = :limit THEN :after::uuid END AS upto FROM gone;

-- name: customers_upto
-- The last of the next customers along the key; no row where these are the last of all.
SELECT c.customer_id
  FROM crm.customer c
 WHERE c.business_id = :business_id
   AND c.customer_id > :after
 ORDER BY c.customer_id
OFFSET :limit - 1
 LIMIT 1;

-- name: told_lately
-- How many were told since then that their records will end.
SELECT count(*)
  FROM crm.dormancy
 WHERE business_id = :business_id
   AND told_at > :since;

-- name: tell_dormant
-- Writes down who, among some customers, is told that her record will end: of whom nothing is
-- wanted, and nothing was heard for so many months. Each look is made for one customer by its key.
WITH quiet AS MATERIALIZED (
  SELECT c.customer_id, c.address, c.locale
    FROM crm.customer c
   WHERE c.business_id = :business_id
     AND c.customer_id > :after
     AND c.customer_id <= coalesce(:through::uuid, 'ffffffff-ffff-ffff-ffff-ffffffffffff')
     AND c.erased_at IS NULL
     AND c.created_at <= :now::timestamptz - make_interval(months => :months)
     AND (SELECT count(*) FROM crm.wanted w
           WHERE w.business_id = :business_id AND w.customer_id = c.customer_id) = 0
     AND coalesce(
           (SELECT max(l.at) FROM crm.sign_of_life l
             WHERE l.business_id = :business_id AND l.customer_id = c.customer_id), c.created_at)
         <= :now::timestamptz - make_interval(months => :months)
     AND (SELECT count(*) FROM crm.dormancy d
           WHERE d.business_id = :business_id
             AND d.customer_id = c.customer_id
             AND (d.kept_at IS NULL
                  OR d.kept_at > :now::timestamptz - make_interval(months => :months))) = 0
   ORDER BY c.customer_id
   LIMIT :most
     FOR NO KEY UPDATE OF c SKIP LOCKED
), told AS (
  INSERT INTO crm.dormancy (business_id, customer_id, told_at, due_at)
  SELECT :business_id, q.customer_id, :now::timestamptz, :due_at FROM quiet q
  ON CONFLICT (business_id, customer_id) DO UPDATE
     SET told_at = excluded.told_at, due_at = excluded.due_at, kept_at = NULL
)
SELECT customer_id, address, locale FROM quiet;

-- name: wake_dormant
-- Keeps the records of whoever was heard of since she was told, or is wanted again.
UPDATE crm.dormancy d
   SET kept_at = :now
 WHERE d.business_id = :business_id
   AND d.kept_at IS NULL
   AND ((SELECT max(l.at) FROM crm.sign_of_life l
          WHERE l.business_id = :business_id AND l.customer_id = d.customer_id) > d.told_at
        OR (SELECT count(*) FROM crm.wanted w
             WHERE w.business_id = :business_id AND w.customer_id = d.customer_id) > 0);

-- name: dormant_due
-- Whose notice is over, the first first.
SELECT d.customer_id
  FROM crm.dormancy d
 WHERE d.business_id = :business_id
   AND d.kept_at IS NULL
   AND d.due_at <= :now
 ORDER BY d.due_at
 LIMIT :limit;

-- name: still_dormant
-- Whether the notice of a customer is over and she was not heard of since; her row is held.
SELECT d.customer_id
  FROM crm.dormancy d
  JOIN crm.business b ON b.business_id = :business_id AND b.dormant_months > 0
 WHERE d.business_id = :business_id
   AND d.customer_id = :customer_id
   AND d.kept_at IS NULL
   AND d.due_at <= :now
   AND coalesce(
         (SELECT max(l.at) FROM crm.sign_of_life l
           WHERE l.business_id = :business_id AND l.customer_id = d.customer_id) <= d.told_at,
         true)
   AND (SELECT count(*) FROM crm.wanted w
         WHERE w.business_id = :business_id AND w.customer_id = d.customer_id) = 0;

-- name: dormancy
-- What a customer was told of the end of her record.
SELECT told_at, due_at, kept_at
  FROM crm.dormancy
 WHERE business_id = :business_id
   AND customer_id = :customer_id;

-- name: forget_dormancy
-- That a customer was told goes with her.
DELETE FROM crm.dormancy
 WHERE business_id = :business_id
   AND customer_id = :customer_id;

-- name: forget_dormancies
-- The business keeps records for ever now: whoever was told is not erased.
DELETE FROM crm.dormancy
 WHERE business_id = :business_id;

-- name: arrivals
-- The next whom an import added.
SELECT c.customer_id
  FROM crm.customer c
 WHERE c.business_id = :business_id
   AND c.customer_id > :after
   AND c.import_id = :import_id
   AND c.erased_at IS NULL
   AND c.restricted_at IS NULL
 ORDER BY c.customer_id
 LIMIT :limit;

-- name: arrivals_held
-- Those of them whom an import added, held before anything is judged.
SELECT c.customer_id
  FROM crm.customer c
 WHERE c.business_id = :business_id
   AND c.customer_id = ANY (:customer_ids::uuid[])
   AND c.import_id = :import_id
   AND c.erased_at IS NULL
   AND c.restricted_at IS NULL
 ORDER BY c.customer_id
   FOR UPDATE OF c;

-- name: untouched_arrivals
-- Those of them of whom nothing is known but what the import wrote, at its one instant, and what
-- later ones filled in: nobody decided, changed, wrote, mailed or asked since, and no opt-out stands.
-- A delivery that was never claimed went to nobody. Whoever changes a record leaves an event, imports
-- alone leave none; where the events of the time after it may have ended (`told_since`), a record that
-- was changed at all is not judged, and a detail or a wish for less mail says who was there. Their rows are held: to hold them here would wait for a decision
-- and not see it.
SELECT c.customer_id
  FROM crm.customer c
 WHERE c.business_id = :business_id
   AND c.customer_id = ANY (:customer_ids::uuid[])
   AND (c.changed_at = :done_at OR :told_since::timestamptz <= :done_at)
   AND NOT EXISTS (SELECT FROM crm.consent_record r
                    WHERE r.business_id = :business_id AND r.customer_id = c.customer_id
                      AND (r.recorded_at <> :done_at OR r.status NOT IN ('given', 'unknown')))
   AND NOT EXISTS (SELECT FROM crm.suppression s
                    WHERE s.business_id = :business_id AND s.address_hash = c.address_hash)
   AND NOT EXISTS (SELECT FROM crm.signup u
                    WHERE u.business_id = :business_id AND u.folded = c.folded)
   AND NOT EXISTS (SELECT FROM crm.interaction i
                    WHERE i.business_id = :business_id AND i.customer_id = c.customer_id)
   AND NOT EXISTS (SELECT FROM crm.customer_tag t
                    WHERE t.business_id = :business_id AND t.customer_id = c.customer_id
                      AND t.source <> 'import')
   AND NOT EXISTS (SELECT FROM crm.attribute_value v
                    WHERE v.business_id = :business_id AND v.customer_id = c.customer_id
                      AND v.source <> 'import')
   AND NOT EXISTS (SELECT FROM crm.rhythm r
                    WHERE r.business_id = :business_id AND r.customer_id = c.customer_id)
   AND NOT EXISTS (SELECT FROM crm.delivery d
                    WHERE d.business_id = :business_id AND d.customer_id = c.customer_id
                      AND d.claimed_at IS NOT NULL)
   AND NOT EXISTS (SELECT FROM crm.service_message m
                    WHERE m.business_id = :business_id AND m.address_hash = c.address_hash)
   AND NOT EXISTS (SELECT FROM crm.mailbox_proof p
                    WHERE p.business_id = :business_id AND p.customer_id = c.customer_id)
   AND NOT EXISTS (SELECT FROM crm.privacy_request q
                    WHERE q.business_id = :business_id AND q.customer_id = c.customer_id)
   AND NOT EXISTS (SELECT FROM crm.erasure_wish w
                    WHERE w.business_id = :business_id AND w.customer_id = c.customer_id)
   AND NOT EXISTS (SELECT FROM crm.event e
                    WHERE e.business_id = :business_id AND e.customer_id = c.customer_id
                      AND e.kind NOT IN ('customer.looked', 'customer.exported'))
 ORDER BY c.customer_id;

-- name: brought_by_imports_alone
-- Whether anything keeps mail from a customer of whom nothing is known but rows of imports that had
-- no evidence; no row for anybody else, and none while another row keeps her apart. Her row is held.
SELECT EXISTS (SELECT FROM crm.suppression s
                WHERE s.business_id = :business_id AND s.address_hash = c.address_hash) AS silenced
  FROM crm.customer c
 WHERE c.business_id = :business_id
   AND c.customer_id = :customer_id
   AND c.import_id IS NOT NULL
   AND c.erased_at IS NULL
   AND c.restricted_at IS NULL
   AND NOT EXISTS (SELECT FROM crm.quarantine q
                    WHERE q.business_id = :business_id AND q.customer_id = c.customer_id
                      AND q.purpose_id <> :purpose_id)
   AND NOT EXISTS (SELECT FROM crm.consent_record r
                    WHERE r.business_id = :business_id AND r.customer_id = c.customer_id
                      AND r.status <> 'unknown')
   AND NOT EXISTS (SELECT FROM crm.signup u
                    WHERE u.business_id = :business_id AND u.folded = c.folded)
   AND NOT EXISTS (SELECT FROM crm.interaction i
                    WHERE i.business_id = :business_id AND i.customer_id = c.customer_id)
   AND NOT EXISTS (SELECT FROM crm.customer_tag t
                    WHERE t.business_id = :business_id AND t.customer_id = c.customer_id
                      AND t.source <> 'import')
   AND NOT EXISTS (SELECT FROM crm.delivery d
                    WHERE d.business_id = :business_id AND d.customer_id = c.customer_id
                      AND d.claimed_at IS NOT NULL)
   AND NOT EXISTS (SELECT FROM crm.service_message m
                    WHERE m.business_id = :business_id AND m.address_hash = c.address_hash)
   AND NOT EXISTS (SELECT FROM crm.mailbox_proof p
                    WHERE p.business_id = :business_id AND p.customer_id = c.customer_id)
   AND NOT EXISTS (SELECT FROM crm.privacy_request a
                    WHERE a.business_id = :business_id AND a.customer_id = c.customer_id)
   AND NOT EXISTS (SELECT FROM crm.erasure_wish w
                    WHERE w.business_id = :business_id AND w.customer_id = c.customer_id)
   AND NOT EXISTS (SELECT FROM crm.event e
                    WHERE e.business_id = :business_id AND e.customer_id = c.customer_id
                      AND e.kind NOT IN ('customer.looked', 'customer.exported'));

-- name: yeses_of_import
-- The next who were asked about a purpose, and whether the consent of each stands on what an import
-- recorded, at its one instant. As many are read as are given back, however few of them it brought.
WITH piece AS MATERIALIZED (
  SELECT s.customer_id
    FROM crm.consent s
   WHERE s.business_id = :business_id
     AND s.purpose_id = :purpose_id
     AND s.customer_id > :after
   ORDER BY s.customer_id
   LIMIT :limit
)
SELECT p.customer_id, found.recorded_at IS NOT NULL AS brought
  FROM piece p
  LEFT JOIN LATERAL (
    SELECT r.recorded_at
      FROM crm.consent s
     CROSS JOIN LATERAL (
        SELECT h.recorded_at
          FROM crm.consent_record h
         WHERE h.business_id = :business_id AND h.event_id = s.event_id
        OFFSET 0) r
     WHERE s.business_id = :business_id
       AND s.customer_id = p.customer_id
       AND s.purpose_id = :purpose_id
       AND s.status = 'given'
       AND s.method = 'import'
       AND r.recorded_at = :done_at
    OFFSET 0) found ON true
 ORDER BY p.customer_id;

-- name: yeses_held
-- Whose consent of these is still what an import recorded, held until it is ended.
SELECT s.customer_id
  FROM crm.consent s
 WHERE s.business_id = :business_id
   AND s.customer_id = ANY (:customer_ids::uuid[])
   AND s.purpose_id = :purpose_id
   AND s.status = 'given'
   AND s.method = 'import'
 ORDER BY s.customer_id
   FOR UPDATE OF s;

-- name: merged_records_told
-- The records that were merged into hers, the newest first, as she is told: a member of staff by
-- role as it is now, by name where the business lets her.
SELECT c.customer_id, c.created_at AS begun_at, c.erased_at AS merged_at, e.actor_kind AS who,
       coalesce(m.role, '') AS role,
       coalesce(crm.told_name(:business_id, e.actor_kind, e.actor_name), '') AS name
  FROM crm.customer c
  LEFT JOIN crm.event e
    ON e.business_id = :business_id
   AND e.customer_id = ANY (crm.records_of(:business_id, :customer_id))
   AND e.kind = 'customer.merged'
   AND e.ref = c.customer_id
  LEFT JOIN crm.member m ON m.business_id = :business_id AND m.member_id = e.actor_id
 WHERE c.business_id = :business_id
   AND c.merged_into = :customer_id
 ORDER BY c.erased_at DESC, c.customer_id;
