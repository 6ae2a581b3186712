-- What a program of the business writes to one customer, on the ground of a contract or a duty.

GRANT CREATE ON SCHEMA crm TO crm_sweep;

-- What such messages are for. The ground is one that needs no yes: what does need one, or rests on
-- an interest, is advertising, and goes as a campaign.
CREATE TABLE crm.service_purpose (
  business_id uuid NOT NULL REFERENCES crm.business (business_id),
  name        text NOT NULL CHECK (name ~ '^[a-z][a-z0-9_]{0,62}$'),
  label       text NOT NULL CHECK (length(label) BETWEEN 1 AND 200),
  -- Why she gets it, in a sentence that she reads.
  purpose     text NOT NULL CHECK (length(purpose) BETWEEN 3 AND 500),
  basis       text NOT NULL CHECK (basis IN (
    'contract',            -- Art. 6(1)(b) GDPR
    'legal_obligation')),  -- Art. 6(1)(c) GDPR
  declared_at timestamptz NOT NULL,
  PRIMARY KEY (business_id, name)
);

SELECT crm.place('crm.service_purpose');

SELECT crm.keep_apart('crm.service_purpose');

GRANT SELECT, INSERT, UPDATE ON crm.service_purpose TO crm_app;

-- The owner sees the rows while the keys are checked.
ALTER TABLE crm.service_message NO FORCE ROW LEVEL SECURITY;

ALTER TABLE crm.service_purpose NO FORCE ROW LEVEL SECURITY;

ALTER TABLE crm.service_message
  DROP CONSTRAINT service_message_kind_check,
  DROP CONSTRAINT service_message_state_check,
  DROP CONSTRAINT service_message_check,
  DROP CONSTRAINT service_message_check1;

ALTER TABLE crm.service_message
  -- What it is for, and what the business calls whatever it is about; of its programs' messages.
  ADD COLUMN purpose   text,
  ADD COLUMN reference text CHECK (length(reference) BETWEEN 1 AND 200),
  -- Since when the relay may have it: from then on nobody but who holds it hands it over again.
  ADD COLUMN handed_at timestamptz,
  ADD CONSTRAINT service_message_kind_check CHECK (kind IN (
    'confirmation', 'sign_in', 'test', 'notice', 'receipt', 'canary', 'asked',
    'business')),  -- written by a program of the business
  ADD CONSTRAINT service_message_state_check CHECK (state IN (
    'waiting',     -- due at next_at
    'sending',     -- claimed until lease_until; claimed again after that
    'sent', 'failed',
    'uncertain')), -- of a program's message: the relay may have it, and it is not handed over again
  -- Promise 1: none without a ground, and the ground is in no other hands than a customer's own.
  ADD CONSTRAINT service_message_warrant CHECK (
    (kind = 'business') = (purpose IS NOT NULL) AND (kind <> 'business' OR customer_id IS NOT NULL)),
  ADD CONSTRAINT service_message_of_a_program CHECK (
    kind = 'business' OR (reference IS NULL AND handed_at IS NULL AND state <> 'uncertain')),
  ADD CONSTRAINT service_message_handed CHECK (state <> 'waiting' OR handed_at IS NULL),
  ADD CONSTRAINT service_message_done CHECK (
    (state IN ('sent', 'failed', 'uncertain')) = (done_at IS NOT NULL)),
  ADD CONSTRAINT service_message_emptied CHECK (
    (state IN ('sent', 'failed', 'uncertain')) = (address IS NULL AND content IS NULL)),
  ADD CONSTRAINT service_message_of_a_purpose
    FOREIGN KEY (business_id, purpose) REFERENCES crm.service_purpose (business_id, name);

ALTER TABLE crm.service_message FORCE ROW LEVEL SECURITY;

ALTER TABLE crm.service_purpose FORCE ROW LEVEL SECURITY;

-- Two lines that do not meet: however many messages a program leaves here, whoever waits for a way
-- in finds hers first.
DROP INDEX crm.service_message_due;

CREATE INDEX service_message_due ON crm.service_message (business_id, next_at)
  WHERE done_at IS NULL AND kind <> 'business';

CREATE INDEX service_message_of_programs_due ON crm.service_message (business_id, next_at)
  WHERE done_at IS NULL AND kind = 'business';

GRANT SELECT (kind) ON crm.service_message TO crm_sweep;

CREATE OR REPLACE FUNCTION crm.businesses_with_letters(_now timestamptz)
RETURNS TABLE (business_id uuid)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog AS $$
  SELECT DISTINCT m.business_id FROM crm.service_message m
   WHERE m.done_at IS NULL AND m.kind <> 'business' AND m.next_at <= _now
$$;

-- Whose programs' messages are due: one look at the index for each, however many wait.
CREATE FUNCTION crm.businesses_with_service_messages(_now timestamptz)
RETURNS TABLE (business_id uuid)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog AS $$
  WITH RECURSIVE due AS (
    (SELECT m.business_id FROM crm.service_message m
      WHERE m.done_at IS NULL AND m.kind = 'business' AND m.next_at <= _now
      ORDER BY m.business_id LIMIT 1)
    UNION ALL
    SELECT (SELECT m.business_id FROM crm.service_message m
             WHERE m.done_at IS NULL AND m.kind = 'business' AND m.next_at <= _now
               AND m.business_id > d.business_id
             ORDER BY m.business_id LIMIT 1)
      FROM due d WHERE d.business_id IS NOT NULL
  )
  SELECT d.business_id FROM due d WHERE d.business_id IS NOT NULL
$$;

ALTER FUNCTION crm.businesses_with_service_messages(timestamptz) OWNER TO crm_sweep;

REVOKE ALL ON FUNCTION crm.businesses_with_service_messages(timestamptz) FROM PUBLIC;

GRANT EXECUTE ON FUNCTION crm.businesses_with_service_messages(timestamptz) TO crm_app;

REVOKE CREATE ON SCHEMA crm FROM crm_sweep;
