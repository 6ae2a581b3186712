-- What the columns of some other tool's list mean, saved under a name; and how a list was read.

CREATE TABLE crm.import_mapping (
  business_id uuid NOT NULL REFERENCES crm.business (business_id),
  name        text NOT NULL CHECK (length(name) BETWEEN 1 AND 100),
  -- As crm/imports/mapping.py has it.
  mapping     jsonb NOT NULL CHECK (jsonb_typeof(mapping) = 'object'),
  changed_at  timestamptz NOT NULL,
  PRIMARY KEY (business_id, name)
);

SELECT crm.place('crm.import_mapping');

SELECT crm.keep_apart('crm.import_mapping');

GRANT SELECT, INSERT, UPDATE, DELETE ON crm.import_mapping TO crm_app;

ALTER TABLE crm.import
  -- As found out or as said; of an archive all that its lists are in.
  ADD COLUMN encoding text NOT NULL DEFAULT '',
  ADD COLUMN separator text NOT NULL DEFAULT '',
  ADD COLUMN mapping text NOT NULL DEFAULT '',
  -- What it is read by, for the worker: what was said, and the mappings as they were.
  ADD COLUMN reading jsonb NOT NULL DEFAULT '{}' CHECK (jsonb_typeof(reading) = 'object');
