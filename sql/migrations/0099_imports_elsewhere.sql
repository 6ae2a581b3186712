-- A campaign waits, before it opens, for every transaction that could not see its deliveries. An
-- import is one transaction and may take minutes; that of another business decides about none of
-- this campaign's customers, and is not waited for.

-- The transaction that does the work; it counts while the import runs and gives signs of life.
ALTER TABLE crm.import ADD COLUMN xact bigint;

CREATE INDEX import_at_work ON crm.import (xact) WHERE state = 'running' AND xact IS NOT NULL;

-- Above one business.
GRANT CREATE ON SCHEMA crm TO crm_sweep;

GRANT SELECT (xact) ON crm.import TO crm_sweep;

-- Without a sign of life it may be what a backup remembers of another server, which counted its
-- transactions on its own.
CREATE FUNCTION crm.imports_elsewhere(_business uuid, _xact bigint, _now timestamptz)
RETURNS boolean
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog AS $$
  SELECT EXISTS (
    SELECT FROM crm.import i
     WHERE i.xact = _xact
       AND i.state = 'running'
       AND i.business_id <> _business
       AND i.beat_at > _now - interval '1 minute')
$$;

ALTER FUNCTION crm.imports_elsewhere(uuid, bigint, timestamptz) OWNER TO crm_sweep;

REVOKE ALL ON FUNCTION crm.imports_elsewhere(uuid, bigint, timestamptz) FROM PUBLIC;

GRANT EXECUTE ON FUNCTION crm.imports_elsewhere(uuid, bigint, timestamptz) TO crm_app;

REVOKE CREATE ON SCHEMA crm FROM crm_sweep;
