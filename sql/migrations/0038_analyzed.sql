-- What is asked of customers and deliveries is planned by how many there are. A list that was just
-- imported is unknown until autovacuum comes round, and would be taken for next to nobody.
CREATE FUNCTION crm.analyze_customers() RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog AS $$
DECLARE
  before text := current_setting('lock_timeout');
BEGIN
  PERFORM set_config('lock_timeout', '2s', true);
  -- Where somebody vacuums them they are known in a while, and nobody waits for it.
  BEGIN
    ANALYZE crm.consent, crm.customer, crm.suppression;
  EXCEPTION WHEN lock_not_available THEN
    NULL;
  END;
  PERFORM set_config('lock_timeout', before, true);
END
$$;

REVOKE ALL ON FUNCTION crm.analyze_customers() FROM PUBLIC;

GRANT EXECUTE ON FUNCTION crm.analyze_customers() TO crm_app;

CREATE OR REPLACE FUNCTION crm.analyze_deliveries() RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog AS $$
BEGIN
  ANALYZE crm.delivery;
  PERFORM crm.analyze_customers();
END
$$;
