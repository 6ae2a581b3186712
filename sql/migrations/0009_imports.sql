-- Customers from elsewhere, taken in as one unit that can be reported.

CREATE TABLE crm.import (
  business_id uuid NOT NULL,
  import_id   uuid NOT NULL,
  purpose_id  uuid NOT NULL,
  notice_id   uuid NOT NULL,
  file_name   text NOT NULL CHECK (length(file_name) BETWEEN 1 AND 255),
  file_sha256 bytea NOT NULL CHECK (length(file_sha256) = 32),
  format      text NOT NULL,
  state       text NOT NULL CHECK (state IN (
    'waiting',   -- received
    'running',   -- one at a time and business
    'done',
    'failed')),  -- nothing of it was kept; problem says why
  problem     text NOT NULL DEFAULT '',
  actor_kind  text NOT NULL,
  actor_id    uuid,
  created_at  timestamptz NOT NULL,
  -- Shown while it runs; committed apart from the work.
  rows_read   integer NOT NULL DEFAULT 0,
  beat_at     timestamptz,
  done_at     timestamptz,
  -- Each row of the file is exactly one of these.
  added       integer NOT NULL DEFAULT 0,
  changed     integer NOT NULL DEFAULT 0,
  unchanged   integer NOT NULL DEFAULT 0,
  rejected    integer NOT NULL DEFAULT 0,
  -- What was recorded besides, by kind.
  given       integer NOT NULL DEFAULT 0,
  withdrawn   integer NOT NULL DEFAULT 0,
  unproven    integer NOT NULL DEFAULT 0,
  suppressed  integer NOT NULL DEFAULT 0,
  PRIMARY KEY (business_id, import_id),
  FOREIGN KEY (business_id, purpose_id) REFERENCES crm.purpose (business_id, purpose_id),
  FOREIGN KEY (business_id, notice_id) REFERENCES crm.notice (business_id, notice_id),
  CHECK ((state IN ('done', 'failed')) = (done_at IS NOT NULL))
);

SELECT crm.place('crm.import');

SELECT crm.keep_apart('crm.import');

GRANT SELECT, INSERT, UPDATE ON crm.import TO crm_app;

-- One import works at a time in a business: its transaction holds this row.
CREATE TABLE crm.import_turn (
  business_id uuid PRIMARY KEY REFERENCES crm.business (business_id)
);

SELECT crm.place('crm.import_turn');

SELECT crm.keep_apart('crm.import_turn');

GRANT SELECT, INSERT, UPDATE ON crm.import_turn TO crm_app;

-- The file of an import that has not been worked through; gone afterwards.
CREATE TABLE crm.import_file (
  business_id uuid NOT NULL,
  import_id   uuid NOT NULL,
  content     bytea NOT NULL,
  PRIMARY KEY (business_id, import_id),
  FOREIGN KEY (business_id, import_id) REFERENCES crm.import (business_id, import_id)
);

SELECT crm.place('crm.import_file');

SELECT crm.keep_apart('crm.import_file');

GRANT SELECT, INSERT, DELETE ON crm.import_file TO crm_app;

-- The rows worth a word: rejected, kept without warrant, or taken otherwise than they say.
CREATE TABLE crm.import_row (
  business_id uuid NOT NULL,
  import_id   uuid NOT NULL,
  line        integer NOT NULL CHECK (line > 0),
  number      integer NOT NULL DEFAULT 0,
  outcome     text NOT NULL CHECK (outcome IN ('rejected', 'noted')),
  reason      text NOT NULL CHECK (length(reason) <= 500),
  PRIMARY KEY (business_id, import_id, line, number),
  FOREIGN KEY (business_id, import_id) REFERENCES crm.import (business_id, import_id)
);

SELECT crm.place('crm.import_row');

SELECT crm.keep_apart('crm.import_row');

GRANT SELECT, INSERT, DELETE ON crm.import_row TO crm_app;

CREATE POLICY sweep ON crm.import FOR SELECT TO crm_sweep USING (true);

GRANT SELECT (business_id, import_id, state, beat_at) ON crm.import TO crm_sweep;

CREATE FUNCTION crm.imports_waiting(_quiet_since timestamptz)
RETURNS TABLE (business_id uuid, import_id uuid)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog AS $$
  SELECT i.business_id, i.import_id FROM crm.import i
   WHERE i.state = 'waiting' OR (i.state = 'running' AND i.beat_at < _quiet_since)
$$;

ALTER FUNCTION crm.imports_waiting(timestamptz) OWNER TO crm_sweep;

REVOKE ALL ON FUNCTION crm.imports_waiting(timestamptz) FROM PUBLIC;

GRANT EXECUTE ON FUNCTION crm.imports_waiting(timestamptz) TO crm_app;
