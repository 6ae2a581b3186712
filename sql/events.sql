-- Every statement of crm/events. Owns: event.

-- name: record_event
-- One thing that happened, in the transaction in which it happens.
INSERT INTO crm.event (business_id, event_id, at, kind, actor_kind, actor_id, actor_name,
                       customer_id, ref, reason)
VALUES (:business_id, :event_id, :now, :kind, :actor_kind, :actor_id, :actor_name,
        :customer_id, :ref, :reason);

-- name: record_looks
-- A look at each of these customers, by one actor for one reason; says which of them have asked to
-- be erased.
INSERT INTO crm.event (business_id, event_id, at, kind, actor_kind, actor_id, actor_name,
                       customer_id, reason)
SELECT :business_id, looked.event_id, :now, 'customer.looked', :actor_kind, :actor_id,
       :actor_name, looked.customer_id, :reason
  FROM unnest(:event_ids::uuid[], :customer_ids::uuid[]) AS looked (event_id, customer_id)
ON CONFLICT (business_id, event_id) DO NOTHING
RETURNING EXISTS (SELECT FROM crm.erasure_wish w
                   WHERE w.business_id = :business_id
                     AND w.customer_id = event.customer_id);

-- name: events_before
-- The newest events of the business, by pages.
SELECT event_id AS id, at, kind, actor_kind, actor_id, actor_name, customer_id, ref, reason
  FROM crm.event
 WHERE business_id = :business_id
   AND event_id < :before
 ORDER BY event_id DESC
 LIMIT :limit;

-- name: looks_at_customer
-- Who looked at or exported one customer's record, newest first, as she is told: a member of staff
-- by role as it is now, by name where the business lets her, and a job where it took a copy.
SELECT e.event_id AS id, e.at, e.kind, e.actor_kind, e.actor_id,
       crm.told_name(:business_id, e.actor_kind, e.actor_name) AS actor_name,
       coalesce(m.role, '') AS role, e.reason
  FROM crm.event e
  LEFT JOIN crm.member m ON m.business_id = :business_id AND m.member_id = e.actor_id
 WHERE e.business_id = :business_id
   AND e.customer_id = :customer_id
   AND e.kind IN ('customer.looked', 'customer.exported')
   AND (e.actor_kind IN ('member', 'key')
        OR (e.actor_kind = 'system' AND e.kind = 'customer.exported'))
   AND e.event_id < :before
 ORDER BY e.event_id DESC
 LIMIT :limit;

-- name: events_of_customer
-- Everything recorded about one customer, oldest first, as she is told.
SELECT event_id AS id, at, kind, actor_kind, actor_id,
       crm.told_name(:business_id, actor_kind, actor_name) AS actor_name, customer_id, ref, reason
  FROM crm.event
 WHERE business_id = :business_id
   AND customer_id = :customer_id
 ORDER BY event_id;

-- name: erase_events
-- Deletes what was recorded about a customer whose row is already a tombstone.
SELECT crm.erase_events(:business_id, :customer_id);

-- name: end_events
-- Deletes events that have had their time, among some; only the eraser's function may.
SELECT deleted, upto FROM crm.end_events(:business_id, :after, :limit, :over_before);
