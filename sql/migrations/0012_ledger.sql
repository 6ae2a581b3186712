-- The ledger of a business: what is sealed, in which order, and the signed heads of it (promise 6).
-- It seals commitments and knows nothing of what they stand for; crm.consent_event enters first.

GRANT CREATE ON SCHEMA crm TO crm_sweep, crm_eraser;

-- Keys the business signs with. Public halves stay for ever: old signatures are checked with them.
CREATE TABLE crm.signing_key (
  business_id uuid NOT NULL REFERENCES crm.business (business_id),
  kind        text NOT NULL CHECK (kind IN (
    'checkpoint',  -- signs heads of the ledger, under the name of its origin
    'receipt')),   -- signs receipts, under the host they are issued at
  number      integer NOT NULL CHECK (number > 0),
  name        text NOT NULL CHECK (length(name) BETWEEN 1 AND 300),
  public      bytea NOT NULL CHECK (length(public) = 32),
  -- Ed25519, encrypted under a key of CRM_STORAGE_KEYS; deleted when the key is retired.
  private     bytea,
  -- The key before it says that this one follows: a signed note. Empty for the first.
  endorsement text NOT NULL DEFAULT '',
  created_at  timestamptz NOT NULL,
  retired_at  timestamptz,
  PRIMARY KEY (business_id, kind, number),
  CONSTRAINT signing_key_retired_or_kept CHECK ((retired_at IS NULL) = (private IS NOT NULL))
);

SELECT crm.place('crm.signing_key');

SELECT crm.keep_apart('crm.signing_key');

-- One at a time signs.
CREATE UNIQUE INDEX signing_key_in_use ON crm.signing_key (business_id, kind)
  WHERE retired_at IS NULL;

GRANT SELECT, INSERT, UPDATE (private, retired_at) ON crm.signing_key TO crm_app;

CREATE FUNCTION crm.signing_key_stays() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
  IF TG_OP <> 'UPDATE' OR OLD.retired_at IS NOT NULL THEN
    RAISE EXCEPTION 'a signing key stays as it is' USING ERRCODE = 'insufficient_privilege';
  END IF;
  RETURN NEW;
END
$$;

CREATE TRIGGER signing_key_stays BEFORE UPDATE OR DELETE ON crm.signing_key
  FOR EACH ROW EXECUTE FUNCTION crm.signing_key_stays();

CREATE TRIGGER signing_key_never_emptied BEFORE TRUNCATE ON crm.signing_key
  FOR EACH STATEMENT EXECUTE FUNCTION crm.signing_key_stays();

-- A name the ledger goes by. A restore that lost signed leaves cannot go on under the old one.
CREATE TABLE crm.ledger_origin (
  business_id uuid NOT NULL REFERENCES crm.business (business_id),
  number      integer NOT NULL CHECK (number > 0),
  -- As in its checkpoints: host and path, without scheme.
  origin      text NOT NULL CHECK (length(origin) BETWEEN 1 AND 300),
  -- Leaves below were sealed under earlier origins, and are kept in place.
  begins_at   bigint NOT NULL CHECK (begins_at >= 0),
  -- The last signed head of the origin before, as the journal had it; empty for the first.
  predecessor text NOT NULL DEFAULT '',
  -- What its first leaf says, for everybody to read; none for the first origin.
  opening     bytea,
  entry_id    uuid,
  opened_at   timestamptz NOT NULL,
  PRIMARY KEY (business_id, number),
  CONSTRAINT ledger_origin_one_per_name UNIQUE (business_id, origin),
  CHECK ((opening IS NULL) = (entry_id IS NULL)),
  CHECK ((number = 1) = (predecessor = ''))
);

SELECT crm.place('crm.ledger_origin');

SELECT crm.keep_apart('crm.ledger_origin');

CREATE TRIGGER ledger_origin_append_only BEFORE UPDATE OR DELETE ON crm.ledger_origin
  FOR EACH ROW EXECUTE FUNCTION crm.append_only();

CREATE TRIGGER ledger_origin_never_emptied BEFORE TRUNCATE ON crm.ledger_origin
  FOR EACH STATEMENT EXECUTE FUNCTION crm.append_only();

GRANT SELECT, INSERT ON crm.ledger_origin TO crm_app;

-- How far the ledger is sealed. Whoever holds this row is the one sequencer of the business.
CREATE TABLE crm.ledger_head (
  business_id   uuid NOT NULL,
  origin_number integer NOT NULL,
  size          bigint NOT NULL CHECK (size >= 0),
  root          bytea NOT NULL CHECK (length(root) = 32),
  -- The size of the newest signed head of this origin: what is above waits to be signed.
  signed_size   bigint NOT NULL DEFAULT 0,
  moved_at      timestamptz NOT NULL,
  -- Why nothing can be sealed since when; looked at anew with every try.
  stopped_why   text CHECK (stopped_why IN (
    'restored',      -- the database is not an extension of what was signed last
    'journal_lost',  -- the journal knows no head of a ledger that has signed some
    'journal_away',  -- the journal's directory cannot be read or written
    'key_wrong',     -- the signing key cannot be decrypted with CRM_STORAGE_KEYS
    'damaged')),     -- the stored tree does not come to its own root
  stopped_at    timestamptz,
  -- The size of the head that was last written to the operator's directory of anchors.
  anchored_size bigint NOT NULL DEFAULT 0,
  anchored_at   timestamptz,
  PRIMARY KEY (business_id),
  FOREIGN KEY (business_id, origin_number) REFERENCES crm.ledger_origin (business_id, number),
  CHECK ((stopped_why IS NULL) = (stopped_at IS NULL))
);

SELECT crm.place('crm.ledger_head');

SELECT crm.keep_apart('crm.ledger_head');

CREATE INDEX ledger_head_unsigned ON crm.ledger_head (business_id) WHERE size > signed_size;

GRANT SELECT, INSERT, UPDATE ON crm.ledger_head TO crm_app;

CREATE FUNCTION crm.ledger_only_grows() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
  IF NEW.size < OLD.size OR NEW.origin_number < OLD.origin_number
     OR (NEW.size = OLD.size AND NEW.root <> OLD.root) THEN
    RAISE EXCEPTION 'a ledger only grows' USING ERRCODE = 'insufficient_privilege';
  END IF;
  RETURN NEW;
END
$$;

CREATE TRIGGER ledger_head_only_grows BEFORE UPDATE ON crm.ledger_head
  FOR EACH ROW EXECUTE FUNCTION crm.ledger_only_grows();

-- What waits to be sealed. A row is there from the commit of its event until it has a leaf, so
-- that nothing depends on the order in which transactions commit.
CREATE TABLE crm.ledger_unsealed (
  business_id uuid NOT NULL REFERENCES crm.business (business_id),
  entry_id    uuid NOT NULL,
  commitment  bytea NOT NULL CHECK (length(commitment) = 32),
  entered_at  timestamptz NOT NULL,
  PRIMARY KEY (business_id, entry_id)
);

SELECT crm.place('crm.ledger_unsealed');

SELECT crm.keep_apart('crm.ledger_unsealed');

GRANT SELECT, INSERT, DELETE ON crm.ledger_unsealed TO crm_app;

-- Which entry is which leaf. Its hash stands in the tile of level 0.
CREATE TABLE crm.ledger_leaf (
  business_id uuid NOT NULL REFERENCES crm.business (business_id),
  leaf_index  bigint NOT NULL CHECK (leaf_index >= 0),
  entry_id    uuid NOT NULL,
  PRIMARY KEY (business_id, leaf_index),
  CONSTRAINT ledger_leaf_once UNIQUE (business_id, entry_id)
);

SELECT crm.place('crm.ledger_leaf');

SELECT crm.keep_apart('crm.ledger_leaf');

CREATE TRIGGER ledger_leaf_append_only BEFORE UPDATE OR DELETE ON crm.ledger_leaf
  FOR EACH ROW EXECUTE FUNCTION crm.append_only();

CREATE TRIGGER ledger_leaf_never_emptied BEFORE TRUNCATE ON crm.ledger_leaf
  FOR EACH STATEMENT EXECUTE FUNCTION crm.append_only();

GRANT SELECT, INSERT ON crm.ledger_leaf TO crm_app;

-- Up to 256 neighbouring hashes of one level (C2SP tlog-tiles); only the last of a level grows.
CREATE TABLE crm.ledger_tile (
  business_id uuid NOT NULL REFERENCES crm.business (business_id),
  level       smallint NOT NULL CHECK (level BETWEEN 0 AND 7),
  number      bigint NOT NULL CHECK (number >= 0),
  hashes      bytea NOT NULL CHECK (length(hashes) BETWEEN 32 AND 8192 AND length(hashes) % 32 = 0),
  PRIMARY KEY (business_id, level, number)
);

-- Hashes do not compress; trying costs more than writing them.
ALTER TABLE crm.ledger_tile ALTER COLUMN hashes SET STORAGE EXTERNAL;

SELECT crm.place('crm.ledger_tile');

SELECT crm.keep_apart('crm.ledger_tile');

GRANT SELECT, INSERT, UPDATE (hashes) ON crm.ledger_tile TO crm_app;

CREATE FUNCTION crm.tile_only_grows() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
  IF TG_OP <> 'UPDATE' OR substring(NEW.hashes FROM 1 FOR length(OLD.hashes)) <> OLD.hashes THEN
    RAISE EXCEPTION 'a tile only grows' USING ERRCODE = 'insufficient_privilege';
  END IF;
  RETURN NEW;
END
$$;

CREATE TRIGGER ledger_tile_only_grows BEFORE UPDATE OR DELETE ON crm.ledger_tile
  FOR EACH ROW EXECUTE FUNCTION crm.tile_only_grows();

CREATE TRIGGER ledger_tile_never_emptied BEFORE TRUNCATE ON crm.ledger_tile
  FOR EACH STATEMENT EXECUTE FUNCTION crm.tile_only_grows();

-- Signed heads (C2SP tlog-checkpoint). The key admits one per origin and size: no two that differ.
CREATE TABLE crm.ledger_checkpoint (
  business_id   uuid NOT NULL,
  origin_number integer NOT NULL,
  size          bigint NOT NULL CHECK (size > 0),
  root          bytea NOT NULL CHECK (length(root) = 32),
  -- The signed note, as published.
  note          text NOT NULL,
  key_number    integer NOT NULL,
  signed_at     timestamptz NOT NULL,
  PRIMARY KEY (business_id, origin_number, size),
  FOREIGN KEY (business_id, origin_number) REFERENCES crm.ledger_origin (business_id, number)
);

SELECT crm.place('crm.ledger_checkpoint');

SELECT crm.keep_apart('crm.ledger_checkpoint');

CREATE TRIGGER ledger_checkpoint_append_only BEFORE UPDATE OR DELETE ON crm.ledger_checkpoint
  FOR EACH ROW EXECUTE FUNCTION crm.append_only();

CREATE TRIGGER ledger_checkpoint_never_emptied BEFORE TRUNCATE ON crm.ledger_checkpoint
  FOR EACH STATEMENT EXECUTE FUNCTION crm.append_only();

GRANT SELECT, INSERT ON crm.ledger_checkpoint TO crm_app;

-- What the monitor found. A finding stays until an operator says that it was looked into.
CREATE TABLE crm.ledger_alarm (
  business_id uuid NOT NULL REFERENCES crm.business (business_id),
  alarm_id    uuid NOT NULL,
  kind        text NOT NULL CHECK (kind ~ '^[a-z_]+$'),
  -- What it is about, precisely: `leaf 48306`, `tile 1/000`, `event 0190…`.
  subject     text NOT NULL CHECK (length(subject) BETWEEN 1 AND 300),
  detail      text NOT NULL CHECK (length(detail) <= 1000),
  found_at    timestamptz NOT NULL,
  seen_at     timestamptz NOT NULL,
  settled_at  timestamptz,
  settled_why text NOT NULL DEFAULT '' CHECK (length(settled_why) <= 500),
  PRIMARY KEY (business_id, alarm_id),
  -- Found again, it is the same alarm.
  CONSTRAINT ledger_alarm_once UNIQUE (business_id, kind, subject)
);

SELECT crm.place('crm.ledger_alarm');

SELECT crm.keep_apart('crm.ledger_alarm');

GRANT SELECT, INSERT, UPDATE (detail, seen_at, settled_at, settled_why) ON crm.ledger_alarm
  TO crm_app;

-- How far the monitor has come with deriving the tree anew.
CREATE TABLE crm.ledger_watch (
  business_id uuid NOT NULL REFERENCES crm.business (business_id),
  -- The size and root that this round is to come to.
  size        bigint NOT NULL,
  root        bytea NOT NULL,
  position    bigint NOT NULL,
  -- Where the look at entries outside the tree has come to; null while leaves are looked at.
  after       uuid,
  found       integer NOT NULL DEFAULT 0,
  started_at  timestamptz NOT NULL,
  ended_at    timestamptz,
  PRIMARY KEY (business_id)
);

SELECT crm.place('crm.ledger_watch');

SELECT crm.keep_apart('crm.ledger_watch');

GRANT SELECT, INSERT, UPDATE ON crm.ledger_watch TO crm_app;

-- The front door for statements of domains above: entries to be sealed, with the transaction that
-- makes them. plpgsql keeps its plan, so that one entry costs little.
CREATE FUNCTION crm.enter_ledger(
  _business uuid, _entries uuid[], _commitments bytea[], _now timestamptz) RETURNS integer
LANGUAGE plpgsql AS $$
BEGIN
  INSERT INTO crm.ledger_unsealed (business_id, entry_id, commitment, entered_at)
  SELECT _business, n.entry_id, n.commitment, _now
    FROM unnest(_entries, _commitments) AS n (entry_id, commitment)
  ON CONFLICT (business_id, entry_id) DO NOTHING;
  RETURN cardinality(_entries);
END
$$;

-- Above one business: whose entries wait, found by stepping along the key, however many wait; and
-- whose head waits to be signed, because a worker was killed just before.
CREATE POLICY sweep ON crm.ledger_unsealed FOR SELECT TO crm_sweep USING (true);

GRANT SELECT (business_id, entered_at) ON crm.ledger_unsealed TO crm_sweep;

CREATE POLICY sweep ON crm.ledger_head FOR SELECT TO crm_sweep USING (true);

GRANT SELECT (business_id, size, signed_size, stopped_why) ON crm.ledger_head TO crm_sweep;

CREATE POLICY sweep ON crm.ledger_alarm FOR SELECT TO crm_sweep USING (true);

GRANT SELECT (business_id, settled_at) ON crm.ledger_alarm TO crm_sweep;

CREATE POLICY sweep ON crm.ledger_watch FOR SELECT TO crm_sweep USING (true);

GRANT SELECT (business_id, ended_at) ON crm.ledger_watch TO crm_sweep;

CREATE FUNCTION crm.ledgers_due() RETURNS TABLE (business_id uuid)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog AS $$
  WITH RECURSIVE step (business_id) AS (
    (SELECT u.business_id FROM crm.ledger_unsealed u ORDER BY u.business_id LIMIT 1)
    UNION ALL
    SELECT (SELECT u.business_id FROM crm.ledger_unsealed u
             WHERE u.business_id > s.business_id ORDER BY u.business_id LIMIT 1)
      FROM step s WHERE s.business_id IS NOT NULL
  )
  SELECT s.business_id FROM step s WHERE s.business_id IS NOT NULL
  UNION
  SELECT h.business_id FROM crm.ledger_head h WHERE h.size > h.signed_size
$$;

ALTER FUNCTION crm.ledgers_due() OWNER TO crm_sweep;

REVOKE ALL ON FUNCTION crm.ledgers_due() FROM PUBLIC;

GRANT EXECUTE ON FUNCTION crm.ledgers_due() TO crm_app;

-- How every ledger is, for metrics and for `crm doctor`: sizes, what waits since when, alarms.
CREATE FUNCTION crm.ledgers_health()
RETURNS TABLE (business_id uuid, size bigint, unsealed bigint, waiting_since timestamptz,
               alarms bigint, stopped_why text, watched_at timestamptz)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog AS $$
  SELECT b.business_id, coalesce(h.size, 0), u.unsealed, u.waiting_since, a.alarms, h.stopped_why,
         w.ended_at
    FROM crm.business b
    LEFT JOIN crm.ledger_head h ON h.business_id = b.business_id
    LEFT JOIN crm.ledger_watch w ON w.business_id = b.business_id
   CROSS JOIN LATERAL (
     SELECT count(*) AS unsealed, min(q.entered_at) AS waiting_since
       FROM crm.ledger_unsealed q WHERE q.business_id = b.business_id) u
   CROSS JOIN LATERAL (
     SELECT count(*) AS alarms FROM crm.ledger_alarm l
      WHERE l.business_id = b.business_id AND l.settled_at IS NULL) a
   ORDER BY b.business_id
$$;

ALTER FUNCTION crm.ledgers_health() OWNER TO crm_sweep;

REVOKE ALL ON FUNCTION crm.ledgers_health() FROM PUBLIC;

GRANT EXECUTE ON FUNCTION crm.ledgers_health() TO crm_app;

REVOKE CREATE ON SCHEMA crm FROM crm_sweep, crm_eraser;
