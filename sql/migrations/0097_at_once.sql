-- What two transactions at once left undone.
GRANT CREATE ON SCHEMA crm TO crm_sweep;

CREATE POLICY sweep ON crm.feed_head FOR SELECT TO crm_sweep USING (true);

GRANT SELECT (business_id, number) ON crm.feed_head TO crm_sweep;

GRANT SELECT (state, position, rest_until) ON crm.endpoint TO crm_sweep;

-- Whose events are numbered without an endpoint being woken for them: a worker let go of it before it
-- could see the number, and the sweep that gave it passed over what a worker had.
CREATE FUNCTION crm.feeds_behind(_now timestamptz) RETURNS TABLE (business_id uuid)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog AS $$
  SELECT DISTINCT e.business_id
    FROM crm.endpoint e
    JOIN crm.feed_head h ON h.business_id = e.business_id
   WHERE e.state = 'on'
     AND (e.next_at IS NULL OR e.next_at > greatest(_now, e.rest_until))
     AND e.position < h.number
$$;

ALTER FUNCTION crm.feeds_behind(timestamptz) OWNER TO crm_sweep;

REVOKE ALL ON FUNCTION crm.feeds_behind(timestamptz) FROM PUBLIC;

GRANT EXECUTE ON FUNCTION crm.feeds_behind(timestamptz) TO crm_app;

REVOKE CREATE ON SCHEMA crm FROM crm_sweep;
