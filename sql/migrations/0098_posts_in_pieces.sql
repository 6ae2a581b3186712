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
  SELECT e.business_id, e.endpoint_id FROM crm.endpoint e WHERE e.clearing IS NOT NULL
$$;

ALTER FUNCTION crm.endpoints_to_clear() OWNER TO crm_sweep;

REVOKE ALL ON FUNCTION crm.endpoints_to_clear() FROM PUBLIC;

GRANT EXECUTE ON FUNCTION crm.endpoints_to_clear() TO crm_app;

REVOKE CREATE ON SCHEMA crm FROM crm_sweep;
