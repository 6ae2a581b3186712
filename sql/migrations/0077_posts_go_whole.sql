-- With a post go its tries, also one that a worker records while the customer is erased: a row that
-- came in meanwhile is seen by the key, and not by the statement that deletes. The owner sees the
-- rows while they are looked through.
ALTER TABLE crm.post NO FORCE ROW LEVEL SECURITY;

ALTER TABLE crm.post_try NO FORCE ROW LEVEL SECURITY;

ALTER TABLE crm.post_try
  DROP CONSTRAINT post_try_business_id_endpoint_id_number_fkey,
  ADD CONSTRAINT post_try_of_a_post FOREIGN KEY (business_id, endpoint_id, number)
    REFERENCES crm.post (business_id, endpoint_id, number) ON DELETE CASCADE;

ALTER TABLE crm.post FORCE ROW LEVEL SECURITY;

ALTER TABLE crm.post_try FORCE ROW LEVEL SECURITY;

REVOKE DELETE ON crm.post_try FROM crm_app;

REVOKE SELECT, DELETE ON crm.post_try FROM crm_eraser;

GRANT CREATE ON SCHEMA crm TO crm_eraser;

CREATE OR REPLACE FUNCTION crm.end_events(
  _business uuid, _after uuid, _limit integer, _before timestamptz)
RETURNS TABLE (deleted bigint, upto uuid)
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog AS $$
  WITH piece AS MATERIALIZED (
    SELECT e.event_id, e.customer_id, e.at FROM crm.event e
     WHERE e.business_id = _business AND e.event_id > _after
     ORDER BY e.event_id LIMIT _limit
  ), gone AS (
    DELETE FROM crm.event e
     WHERE e.business_id = _business
       AND e.event_id = ANY (ARRAY(
             SELECT p.event_id FROM piece p
              WHERE p.at < least(_before, now() - interval '1 year')
                AND NOT EXISTS (SELECT FROM crm.customer c
                                WHERE c.business_id = _business
                                  AND c.customer_id = p.customer_id
                                  AND c.restricted_at IS NOT NULL)))
    RETURNING e.event_id
  ), unread AS (
    DELETE FROM crm.feed f
     WHERE f.business_id = _business AND f.event_id = ANY (ARRAY(SELECT g.event_id FROM gone g))
  ), untold AS (
    DELETE FROM crm.post p
     WHERE p.business_id = _business AND p.event_id = ANY (ARRAY(SELECT g.event_id FROM gone g))
  )
  SELECT (SELECT count(*) FROM gone),
         -- They lie in the order in which they happened: where none is old, no later one is.
         CASE WHEN (SELECT count(*) FROM piece) = _limit
               AND EXISTS (SELECT FROM piece p WHERE p.at < _before)
              THEN (SELECT p.event_id FROM piece p ORDER BY p.event_id DESC LIMIT 1) END
$$;

REVOKE CREATE ON SCHEMA crm FROM crm_eraser;

-- Whoever has withdrawals told is told of erasures too: of an erased customer no withdrawal goes any
-- more, and that she was erased is the end of every consent of hers. The owner sees the rows
-- meanwhile.
ALTER TABLE crm.endpoint NO FORCE ROW LEVEL SECURITY;

UPDATE crm.endpoint e
   SET kinds = ARRAY(SELECT k FROM unnest(e.kinds || 'customer.erased'::text) AS k ORDER BY k)
 WHERE 'consent.withdrawn' = ANY (e.kinds)
   AND NOT 'customer.erased' = ANY (e.kinds);

ALTER TABLE crm.endpoint FORCE ROW LEVEL SECURITY;

-- What waits for its number is found in its order, however much an import leaves waiting.
CREATE INDEX event_unread_in_order ON crm.event_unread (business_id, entered_at, event_id);
