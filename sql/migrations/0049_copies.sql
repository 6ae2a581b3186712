-- Copies of everything: asked for, built by a job, kept for three days, encrypted.

CREATE TABLE crm.copy (
  business_id uuid NOT NULL,
  copy_id     uuid NOT NULL,
  customer_id uuid NOT NULL,
  -- Whose it is to take: she herself, one member of staff, or one program.
  actor_kind  text NOT NULL CHECK (actor_kind IN ('customer', 'member', 'key')),
  actor_id    uuid NOT NULL,
  actor_name  text NOT NULL,
  reason      text NOT NULL CHECK (actor_kind = 'customer' OR reason <> ''),
  -- Whether she gets a letter once it is ready.
  tells       boolean NOT NULL,
  state       text NOT NULL CHECK (state IN ('waiting', 'building', 'ready', 'over', 'failed')),
  asked_at    timestamptz NOT NULL,
  -- Counts the tries; a worker that was only slow writes nothing under an older one.
  epoch       integer NOT NULL DEFAULT 0 CHECK (epoch >= 0),
  lease_until timestamptz,
  done        bigint NOT NULL DEFAULT 0 CHECK (done >= 0),
  total       bigint NOT NULL DEFAULT 0 CHECK (total >= 0),
  parts       integer,
  size        bigint,
  ready_at    timestamptz,
  ends_at     timestamptz,
  PRIMARY KEY (business_id, copy_id),
  FOREIGN KEY (business_id, customer_id) REFERENCES crm.customer (business_id, customer_id),
  CONSTRAINT copy_is_built_by_somebody CHECK ((state = 'building') = (lease_until IS NOT NULL)),
  CONSTRAINT copy_has_an_end CHECK (
    CASE WHEN state IN ('ready', 'over') THEN num_nulls(parts, size, ready_at, ends_at) = 0
         ELSE num_nonnulls(parts, size, ready_at, ends_at) = 0 END)
);

SELECT crm.place('crm.copy');

SELECT crm.keep_apart('crm.copy');

-- Asked for twice by the same, it is the same one.
CREATE UNIQUE INDEX copy_once ON crm.copy (business_id, customer_id, actor_kind, actor_id)
  WHERE state IN ('waiting', 'building', 'ready');

-- What is to be built, ended or forgotten.
CREATE INDEX copy_by_state ON crm.copy (business_id, state, asked_at);

CREATE INDEX copy_of_customer ON crm.copy (business_id, customer_id);

GRANT SELECT, INSERT, UPDATE, DELETE ON crm.copy TO crm_app;

-- The file, cut into parts that are encrypted one by one.
CREATE TABLE crm.copy_part (
  business_id uuid NOT NULL,
  copy_id     uuid NOT NULL,
  number      integer NOT NULL CHECK (number >= 0),
  customer_id uuid NOT NULL,
  content     bytea NOT NULL,
  PRIMARY KEY (business_id, copy_id, number),
  FOREIGN KEY (business_id, copy_id) REFERENCES crm.copy (business_id, copy_id)
);

-- Nothing encrypted gets any smaller.
ALTER TABLE crm.copy_part ALTER COLUMN content SET STORAGE EXTERNAL;

SELECT crm.place('crm.copy_part');

SELECT crm.keep_apart('crm.copy_part');

CREATE INDEX copy_part_of_customer ON crm.copy_part (business_id, customer_id);

GRANT SELECT, INSERT, DELETE ON crm.copy_part TO crm_app;
