-- How many consents of each version and state a purpose has, so that nobody who asks how large an
-- audience is waits for each of them to be read. The numbers of all rows add up: whoever writes
-- consents adds what changed by it and waits for nobody, and a job puts many rows into one.
-- What it counts refers to its version already; a second reference would be a lock more for each
-- decision.
CREATE TABLE crm.consent_tally (
  business_id     uuid NOT NULL,
  purpose_id      uuid NOT NULL,
  purpose_version integer NOT NULL,
  status          text NOT NULL,
  entry_id        uuid NOT NULL DEFAULT gen_random_uuid(),
  -- Less than none where so many moved on.
  customers       bigint NOT NULL CHECK (customers <> 0),
  PRIMARY KEY (business_id, purpose_id, purpose_version, status, entry_id)
);

SELECT crm.place('crm.consent_tally');

SELECT crm.keep_apart('crm.consent_tally');

GRANT SELECT, INSERT, DELETE ON crm.consent_tally TO crm_app;

-- Nothing is changed; without it PostgreSQL lets nobody hold a row.
GRANT UPDATE (entry_id) ON crm.consent_tally TO crm_app;

GRANT INSERT ON crm.consent_tally TO crm_eraser;

-- The owner sees no row of either table while they force it. First of all, so that nobody decides
-- meanwhile, and nobody waits for whom this waits for.
ALTER TABLE crm.consent NO FORCE ROW LEVEL SECURITY;

ALTER TABLE crm.consent_tally NO FORCE ROW LEVEL SECURITY;

CREATE FUNCTION crm.tally_consents() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
  IF TG_OP = 'INSERT' THEN
    INSERT INTO crm.consent_tally (business_id, purpose_id, purpose_version, status, customers)
    SELECT n.business_id, n.purpose_id, n.purpose_version, n.status, count(*)
      FROM now_so n
     GROUP BY 1, 2, 3, 4;
  ELSIF TG_OP = 'DELETE' THEN
    INSERT INTO crm.consent_tally (business_id, purpose_id, purpose_version, status, customers)
    SELECT o.business_id, o.purpose_id, o.purpose_version, o.status, -count(*)
      FROM once_so o
     GROUP BY 1, 2, 3, 4;
  ELSE
    INSERT INTO crm.consent_tally (business_id, purpose_id, purpose_version, status, customers)
    SELECT t.business_id, t.purpose_id, t.purpose_version, t.status, sum(t.customers)
      FROM (
        SELECT n.business_id, n.purpose_id, n.purpose_version, n.status, 1 AS customers
          FROM now_so n
        UNION ALL
        SELECT o.business_id, o.purpose_id, o.purpose_version, o.status, -1 FROM once_so o) t
     GROUP BY 1, 2, 3, 4
    HAVING sum(t.customers) <> 0;
  END IF;
  RETURN NULL;
END
$$;

CREATE TRIGGER consent_tallies_new AFTER INSERT ON crm.consent
  REFERENCING NEW TABLE AS now_so
  FOR EACH STATEMENT EXECUTE FUNCTION crm.tally_consents();

CREATE TRIGGER consent_tallies_changed AFTER UPDATE ON crm.consent
  REFERENCING OLD TABLE AS once_so NEW TABLE AS now_so
  FOR EACH STATEMENT EXECUTE FUNCTION crm.tally_consents();

CREATE TRIGGER consent_tallies_gone AFTER DELETE ON crm.consent
  REFERENCING OLD TABLE AS once_so
  FOR EACH STATEMENT EXECUTE FUNCTION crm.tally_consents();

-- What is there already.
INSERT INTO crm.consent_tally (business_id, purpose_id, purpose_version, status, customers)
SELECT s.business_id, s.purpose_id, s.purpose_version, s.status, count(*)
  FROM crm.consent s
 GROUP BY 1, 2, 3, 4;

ALTER TABLE crm.consent_tally FORCE ROW LEVEL SECURITY;

ALTER TABLE crm.consent FORCE ROW LEVEL SECURITY;
