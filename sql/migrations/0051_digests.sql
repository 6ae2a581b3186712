-- The weekly digest of a purpose: where the business offers one, who chose it, and those made.

-- Staff switch it on, with their name; no row: single issues only. Its digests start by themselves,
-- in the name of whoever switched it on.
CREATE TABLE crm.digest_plan (
  business_id uuid NOT NULL,
  purpose_id  uuid NOT NULL,
  -- When its week ends, by the clock of the business: 1 is Monday (ISO 8601).
  weekday     smallint NOT NULL CHECK (weekday BETWEEN 1 AND 7),
  hour        smallint NOT NULL CHECK (hour BETWEEN 0 AND 23),
  subject     text NOT NULL CHECK (length(subject) BETWEEN 1 AND 300),
  intro       text NOT NULL DEFAULT '' CHECK (length(intro) <= 10000),
  switched_by uuid NOT NULL,
  switched_at timestamptz NOT NULL,
  -- The end of the present week.
  due_at      timestamptz NOT NULL,
  PRIMARY KEY (business_id, purpose_id),
  FOREIGN KEY (business_id, purpose_id) REFERENCES crm.purpose (business_id, purpose_id)
);

SELECT crm.place('crm.digest_plan');

SELECT crm.keep_apart('crm.digest_plan');

GRANT SELECT, INSERT, UPDATE, DELETE ON crm.digest_plan TO crm_app;

-- Who wants one digest a week instead of single issues. Whoever wants these again keeps the row with
-- its end, because what was kept for the digest of that week still comes in it.
CREATE TABLE crm.digest_choice (
  business_id uuid NOT NULL,
  purpose_id  uuid NOT NULL,
  customer_id uuid NOT NULL,
  chosen_at   timestamptz NOT NULL,
  left_at     timestamptz,
  PRIMARY KEY (business_id, purpose_id, customer_id),
  FOREIGN KEY (business_id, purpose_id) REFERENCES crm.purpose (business_id, purpose_id),
  FOREIGN KEY (business_id, customer_id) REFERENCES crm.customer (business_id, customer_id)
);

SELECT crm.place('crm.digest_choice');

SELECT crm.keep_apart('crm.digest_choice');

CREATE INDEX digest_choice_of ON crm.digest_choice (business_id, customer_id);

GRANT SELECT, INSERT, UPDATE, DELETE ON crm.digest_choice TO crm_app;

-- One campaign for one purpose and week, made once.
CREATE TABLE crm.digest (
  business_id uuid NOT NULL,
  purpose_id  uuid NOT NULL,
  -- The Monday of the calendar week in which its own week ends.
  week        date NOT NULL,
  campaign_id uuid NOT NULL,
  -- The issues in it, each a campaign that left some out for it.
  issues      uuid[] NOT NULL CHECK (cardinality(issues) > 0),
  made_at     timestamptz NOT NULL,
  PRIMARY KEY (business_id, purpose_id, week),
  UNIQUE (business_id, campaign_id),
  FOREIGN KEY (business_id, campaign_id) REFERENCES crm.campaign (business_id, campaign_id),
  CONSTRAINT digest_of_a_monday CHECK (extract(isodow FROM week) = 1)
);

SELECT crm.place('crm.digest');

SELECT crm.keep_apart('crm.digest');

GRANT SELECT, INSERT ON crm.digest TO crm_app;

ALTER TABLE crm.delivery DROP CONSTRAINT delivery_reason_check;

ALTER TABLE crm.delivery ADD CONSTRAINT delivery_reason_check CHECK (reason IN (
  'withdrawn', 'refused', 'no_consent', 'expired', 'suppressed', 'frozen', 'erased', 'cancelled',
  'budget',    -- her week was full until it was too late
  'pause',     -- she paused until it was too late
  'digest'));  -- she gets it in the digest of the week

-- Above one business: plans whose week is over.
CREATE POLICY sweep ON crm.digest_plan FOR SELECT TO crm_sweep USING (true);

GRANT SELECT (business_id, purpose_id, due_at) ON crm.digest_plan TO crm_sweep;

GRANT CREATE ON SCHEMA crm TO crm_sweep;

CREATE FUNCTION crm.digests_due(_now timestamptz)
RETURNS TABLE (business_id uuid, purpose_id uuid)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog AS $$
  SELECT p.business_id, p.purpose_id FROM crm.digest_plan p WHERE p.due_at <= _now
$$;

ALTER FUNCTION crm.digests_due(timestamptz) OWNER TO crm_sweep;

REVOKE ALL ON FUNCTION crm.digests_due(timestamptz) FROM PUBLIC;

GRANT EXECUTE ON FUNCTION crm.digests_due(timestamptz) TO crm_app;

REVOKE CREATE ON SCHEMA crm FROM crm_sweep;
