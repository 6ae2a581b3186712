-- A row of an import that asks for a consent and has no evidence of it: whom it is of is kept apart
-- until evidence comes, somebody lets the row go, or its time is over.

CREATE TABLE crm.quarantine (
  business_id uuid NOT NULL,
  customer_id uuid NOT NULL,
  -- What the row asks for.
  purpose_id  uuid NOT NULL,
  import_id   uuid NOT NULL,
  part        text NOT NULL CHECK (length(part) <= 255),
  line        integer NOT NULL,
  why         text NOT NULL CHECK (length(why) BETWEEN 1 AND 500),
  since       timestamptz NOT NULL,
  ends_at     timestamptz NOT NULL,
  PRIMARY KEY (business_id, customer_id, purpose_id),
  FOREIGN KEY (business_id, customer_id) REFERENCES crm.customer (business_id, customer_id),
  FOREIGN KEY (business_id, purpose_id) REFERENCES crm.purpose (business_id, purpose_id),
  FOREIGN KEY (business_id, import_id) REFERENCES crm.import (business_id, import_id)
);

-- In the order of the file.
CREATE INDEX quarantine_of_import
  ON crm.quarantine (business_id, import_id, part, line, customer_id);

CREATE INDEX quarantine_by_end ON crm.quarantine (business_id, ends_at);

SELECT crm.place('crm.quarantine');

SELECT crm.keep_apart('crm.quarantine');

GRANT SELECT, INSERT, DELETE, UPDATE (ends_at) ON crm.quarantine TO crm_app;

-- A decision ends it in its own transaction, whoever decides: a yes with evidence, hers, or a no.
CREATE FUNCTION crm.consent_leaves_quarantine() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
  DELETE FROM crm.quarantine q
   WHERE q.business_id = NEW.business_id
     AND q.customer_id = NEW.customer_id
     AND q.purpose_id = NEW.purpose_id;
  RETURN NULL;
END
$$;

CREATE TRIGGER consent_leaves_quarantine AFTER UPDATE ON crm.consent
  FOR EACH ROW WHEN (
    OLD.status IN ('unknown', 'requested', 'deferred')
    AND NEW.status NOT IN ('unknown', 'requested', 'deferred'))
  EXECUTE FUNCTION crm.consent_leaves_quarantine();
