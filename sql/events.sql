-- Every statement of crm/events. Owns: event, event_unread, feed, feed_head.

-- name: record_event
-- One thing that happened, in the transaction in which it happens; it waits for its number.
WITH happened AS (
  INSERT INTO crm.event (business_id, event_id, at, kind, actor_kind, actor_id, actor_name,
                         customer_id, ref, reason)
  VALUES (:business_id, :event_id, :now, :kind, :actor_kind, :actor_id, :actor_name,
          :customer_id, :ref, :reason)
  RETURNING business_id, event_id
)
INSERT INTO crm.event_unread (business_id, event_id)
SELECT h.business_id, h.event_id FROM happened h;

-- name: record_events
-- What happened to many customers at once, by one actor: each waits for a number of its own.
WITH happened AS (
  INSERT INTO crm.event (business_id, event_id, at, kind, actor_kind, actor_id, actor_name,
                         customer_id, ref)
  SELECT :business_id, told.event_id, :now, told.kind, :actor_kind, :actor_id, :actor_name,
         told.customer_id, told.ref
    FROM unnest(:event_ids::uuid[], :kinds::text[], :customer_ids::uuid[], :refs::uuid[])
           AS told (event_id, kind, customer_id, ref)
  RETURNING business_id, event_id
)
INSERT INTO crm.event_unread (business_id, event_id)
SELECT h.business_id, h.event_id FROM happened h;

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

-- name: open_feed
-- A business has a stream from its first event on.
INSERT INTO crm.feed_head (business_id) VALUES (:business_id)
ON CONFLICT (business_id) DO NOTHING;

-- name: hold_feed
-- How far the stream of the business is numbered; whoever holds this is alone with it.
SELECT h.number FROM crm.feed_head h WHERE h.business_id = :business_id FOR UPDATE;

-- name: leap
-- In a database that was put back numbers go on above all that the lost time can have given; also
-- of a business that had none yet at the backup.
INSERT INTO crm.feed_head AS h (business_id, number) VALUES (:business_id, :leap::bigint)
ON CONFLICT (business_id) DO UPDATE SET number = h.number + excluded.number;

-- name: number_events
-- The next numbers for events that have none, in the order in which they were recorded; one that
-- was forgotten meanwhile gets none. Says how many were looked at.
WITH unread AS MATERIALIZED (
  SELECT u.event_id, u.entered_at
    FROM crm.event_unread u
   WHERE u.business_id = :business_id
   ORDER BY u.entered_at, u.event_id
   LIMIT :limit
), gone AS (
  DELETE FROM crm.event_unread u
   WHERE u.business_id = :business_id
     AND u.event_id = ANY (ARRAY(SELECT r.event_id FROM unread r))
  RETURNING u.event_id
), numbered AS (
  INSERT INTO crm.feed (business_id, number, event_id)
  SELECT e.business_id,
         :number::bigint + row_number() OVER (ORDER BY r.entered_at, r.event_id), e.event_id
    FROM unread r
    JOIN crm.event e ON e.business_id = :business_id AND e.event_id = r.event_id
  RETURNING number
), moved AS (
  UPDATE crm.feed_head h
     SET number = greatest(h.number, (SELECT max(n.number) FROM numbered n))
   WHERE h.business_id = :business_id
  RETURNING h.number
)
SELECT (SELECT count(*) FROM gone) FROM moved;

-- name: events_after
-- The stream of the business after a number, oldest first, by pages.
SELECT f.number, e.event_id AS id, e.at, e.kind, e.actor_kind, e.actor_id, e.actor_name,
       e.customer_id, e.ref, e.reason
  FROM crm.feed f
  JOIN crm.event e ON e.business_id = :business_id AND e.event_id = f.event_id
 WHERE f.business_id = :business_id
   AND f.number > :number
 ORDER BY f.number
 LIMIT :limit;

-- name: place_in_feed
-- The lowest number of the events whose id is this or later. Ids begin with when they were made, and
-- numbers are given once they are committed: the first by its id may be far from the first here.
SELECT min(f.number)
  FROM crm.feed f
 WHERE f.business_id = :business_id
   AND f.event_id >= :first
HAVING count(*) > 0;

-- name: looks_at_customer
-- Who looked at or exported one customer's record, newest first, as she is told: a member of staff
-- by role as it is now, by name where the business lets her, and a job where it took a copy.
SELECT e.event_id AS id, e.at, e.kind, e.actor_kind, e.actor_id,
       crm.told_name(:business_id, e.actor_kind, e.actor_name) AS actor_name,
       coalesce(m.role, '') AS role, e.reason
  FROM crm.event e
  LEFT JOIN crm.member m ON m.business_id = :business_id AND m.member_id = e.actor_id
 WHERE e.business_id = :business_id
   AND e.customer_id = ANY (crm.records_of(:business_id, :customer_id))
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
   AND customer_id = ANY (crm.records_of(:business_id, :customer_id))
 ORDER BY event_id;

-- name: erase_events
-- Deletes what was recorded about a customer whose row is already a tombstone.
SELECT crm.erase_events(:business_id, :customer_id);

-- name: end_events
-- Deletes events that have had their time, among some; only the eraser's function may.
SELECT deleted, upto FROM crm.end_events(:business_id, :after, :limit, :over_before);
