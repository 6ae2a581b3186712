-- Every statement of crm/rhythm.
-- Owns: rhythm.

-- name: hold_customer
-- Her row before anything else of hers; none where she is erased.
SELECT customer_id
  FROM crm.customer
 WHERE business_id = :business_id
   AND customer_id = :customer_id
   AND erased_at IS NULL
   FOR KEY SHARE;

-- name: hold_rhythm
-- Nobody else changes her rhythm before this transaction ends. There may be no row of it, and that
-- of the customer would have a press wait for the end of an import.
SELECT pg_advisory_xact_lock(hashtextextended(
  'crm.rhythm ' || :business_id::uuid::text || ' ' || :customer_id::uuid::text, 0));

-- name: rhythm
-- What a customer said about how much mail she wants.
SELECT budget, paused_until, changed_at
  FROM crm.rhythm
 WHERE business_id = :business_id
   AND customer_id = :customer_id;

-- name: keep_rhythm
-- From now on so; whoever claims next sees it.
INSERT INTO crm.rhythm (business_id, customer_id, budget, paused_until, changed_at)
VALUES (:business_id, :customer_id, :budget, :paused_until, :now)
ON CONFLICT (business_id, customer_id) DO UPDATE
   SET budget = excluded.budget, paused_until = excluded.paused_until,
       changed_at = excluded.changed_at;

-- name: drop_rhythm
-- She wants each mail when it is written, or is forgotten.
DELETE FROM crm.rhythm
 WHERE business_id = :business_id
   AND customer_id = :customer_id;

-- name: week
-- The customer's present week by her clock, or that of the business, and what has come in it.
SELECT w.begins_at, w.ends_at,
       crm.places_taken(:business_id, c.customer_id, NULL, w.begins_at) AS taken
  FROM crm.customer c
  JOIN crm.business b ON b.business_id = :business_id
 CROSS JOIN LATERAL crm.week_of(:now, coalesce(nullif(c.time_zone, ''), b.time_zone)) w
 WHERE c.business_id = :business_id
   AND c.customer_id = :customer_id;
