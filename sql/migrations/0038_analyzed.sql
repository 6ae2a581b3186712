-- A campaign is claimed by plans that know how many there are: after an import the first one would
-- else be sent, until autovacuum comes round, as if there were next to nobody.
CREATE OR REPLACE FUNCTION crm.analyze_deliveries() RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog AS $$
BEGIN
  ANALYZE crm.delivery, crm.consent, crm.customer, crm.suppression;
END
$$;
