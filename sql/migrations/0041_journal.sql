-- How far the database has written to the journal outside of it, and what it owes to it.

CREATE TABLE crm.journal_mark (
  business_id uuid PRIMARY KEY,
  -- The last number whose transaction was committed; changed in that transaction.
  number      bigint NOT NULL CHECK (number >= 0)
);

SELECT crm.place('crm.journal_mark');

SELECT crm.keep_apart('crm.journal_mark');

GRANT SELECT, INSERT, UPDATE ON crm.journal_mark TO crm_app;

-- A withdrawal is taken also while the journal cannot be written.
CREATE TABLE crm.journal_debt (
  business_id uuid NOT NULL,
  -- Ordered by time.
  debt_id     uuid NOT NULL,
  -- The entry as the journal will have it: identifiers and keyed hashes.
  entry       jsonb NOT NULL,
  owed_at     timestamptz NOT NULL,
  PRIMARY KEY (business_id, debt_id)
);

SELECT crm.place('crm.journal_debt');

SELECT crm.keep_apart('crm.journal_debt');

GRANT SELECT, INSERT, UPDATE, DELETE ON crm.journal_debt TO crm_app;

-- Above one business: what a journal is compared with, every few seconds.
GRANT CREATE ON SCHEMA crm TO crm_sweep;

CREATE POLICY sweep ON crm.journal_mark FOR SELECT TO crm_sweep USING (true);

GRANT SELECT ON crm.journal_mark TO crm_sweep;

CREATE POLICY sweep ON crm.journal_debt FOR SELECT TO crm_sweep USING (true);

GRANT SELECT (business_id, debt_id) ON crm.journal_debt TO crm_sweep;

GRANT SELECT (origin_number) ON crm.ledger_head TO crm_sweep;

CREATE FUNCTION crm.journal_marks()
RETURNS TABLE (business_id uuid, number bigint, owed bigint, origin_number integer, size bigint)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog AS $$
  SELECT b.business_id, coalesce(m.number, 0),
         (SELECT count(*) FROM crm.journal_debt d WHERE d.business_id = b.business_id),
         coalesce(h.origin_number, 0), coalesce(h.size, 0)
    FROM crm.business b
    LEFT JOIN crm.journal_mark m ON m.business_id = b.business_id
    LEFT JOIN crm.ledger_head h ON h.business_id = b.business_id
   ORDER BY b.business_id
$$;

ALTER FUNCTION crm.journal_marks() OWNER TO crm_sweep;

REVOKE ALL ON FUNCTION crm.journal_marks() FROM PUBLIC;

GRANT EXECUTE ON FUNCTION crm.journal_marks() TO crm_app;

-- Campaigns that send: each says so to the journal now and then.
CREATE FUNCTION crm.campaigns_sending() RETURNS TABLE (business_id uuid, campaign_id uuid)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog AS $$
  SELECT c.business_id, c.campaign_id FROM crm.campaign c WHERE c.state = 'sending'
   ORDER BY c.business_id, c.campaign_id
$$;

ALTER FUNCTION crm.campaigns_sending() OWNER TO crm_sweep;

REVOKE ALL ON FUNCTION crm.campaigns_sending() FROM PUBLIC;

GRANT EXECUTE ON FUNCTION crm.campaigns_sending() TO crm_app;

REVOKE CREATE ON SCHEMA crm FROM crm_sweep;
