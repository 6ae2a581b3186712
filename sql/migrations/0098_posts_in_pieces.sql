-- However much waits for an endpoint, to switch it on, to change it or to remove it takes a moment:
-- what waits begins anew without being written, and what goes nowhere any more is taken away piece
-- by piece.

ALTER TABLE crm.endpoint
  -- How often it was switched on.
  ADD COLUMN beginning integer NOT NULL DEFAULT 0,
  -- Up to which number it was looked for posts that go nowhere any more; none while there are none.
  ADD COLUMN clearing bigint;

-- In which beginning of its endpoint it was last tried: in a later one it has its whole schedule
-- before it, and is due.
ALTER TABLE crm.post ADD COLUMN beginning integer NOT NULL DEFAULT 0;

CREATE INDEX endpoint_to_clear ON crm.endpoint (business_id, endpoint_id)
  WHERE clearing IS NOT NULL;

-- Above one business.
GRANT CREATE ON SCHEMA crm TO crm_sweep;

GRANT SELECT (clearing) ON crm.endpoint TO crm_sweep;

CREATE FUNCTION crm.endpoints_to_clear() RETURNS TABLE (business_id uuid, endpoint_id uuid)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog AS $$
  SELECT e.business_id, e.endpoint_id FROM crm.endpoint e
   WHERE e.clearing IS NOT NULL
   -- Nobody waits for one that is removed.
   ORDER BY e.state = 'removed', e.business_id, e.endpoint_id
$$;

ALTER FUNCTION crm.endpoints_to_clear() OWNER TO crm_sweep;

REVOKE ALL ON FUNCTION crm.endpoints_to_clear() FROM PUBLIC;

GRANT EXECUTE ON FUNCTION crm.endpoints_to_clear() TO crm_app;

-- Nothing is told to an endpoint before it is cleared, so nobody is to look.
CREATE OR REPLACE FUNCTION crm.endpoints_due(_now timestamptz)
RETURNS TABLE (business_id uuid, endpoint_id uuid)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog AS $$
  SELECT e.business_id, e.endpoint_id FROM crm.endpoint e
   WHERE e.next_at <= _now AND (e.leased_until IS NULL OR e.leased_until <= _now)
     AND e.clearing IS NULL
   ORDER BY e.next_at
$$;

REVOKE CREATE ON SCHEMA crm FROM crm_sweep;
