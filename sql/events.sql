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
-- Who looked at or exported one customer's record, newest first.
SELECT event_id AS id, at, kind, actor_kind, actor_id, actor_name, customer_id, ref, reason
  FROM crm.event
 WHERE business_id = :business_id
   AND customer_id = :customer_id
   AND kind IN ('customer.looked', 'customer.exported')
   AND actor_kind IN ('member', 'key')
   AND event_id < :before
 ORDER BY event_id DESC
 LIMIT :limit;

-- name: events_of_customer
-- Everything recorded about one customer, oldest first.
SELECT event_id AS id, at, kind, actor_kind, actor_id, actor_name, customer_id, ref, reason
  FROM crm.event
 WHERE business_id = :business_id
   AND customer_id = :customer_id
 ORDER BY event_id;

-- name: erase_events
-- Deletes what was recorded about a customer whose row is already a tombstone.
SELECT crm.erase_events(:business_id, :customer_id);
