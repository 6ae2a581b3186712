-- Whom we know, what we hold about them, and why.

CREATE TABLE crm.customer (
  business_id   uuid NOT NULL REFERENCES crm.business (business_id),
  customer_id   uuid NOT NULL,
  address       text,
  -- For comparison only; the address as given is what mail goes to.
  folded        text COLLATE "C",
  -- Keyed fingerprint of the folded address: joins suppressions, and is all a link carries.
  address_hash  bytea CHECK (length(address_hash) = 16),
  name          text NOT NULL DEFAULT '' CHECK (length(name) <= 200),
  locale        text NOT NULL DEFAULT '' CHECK (length(locale) <= 35),
  external_id   text CHECK (length(external_id) BETWEEN 1 AND 200),
  -- Where it came from: sign_up, import, api, staff.
  source        text NOT NULL CHECK (source IN ('sign_up', 'import', 'api', 'staff')),
  import_id     uuid,
  version       integer NOT NULL DEFAULT 1,
  created_at    timestamptz NOT NULL,
  changed_at    timestamptz NOT NULL,
  -- Art. 18 GDPR: kept, and used for nothing.
  restricted_at timestamptz,
  -- Erased: an empty tombstone, so that deliveries keep their state and sums hold.
  erased_at     timestamptz,
  PRIMARY KEY (business_id, customer_id),
  CONSTRAINT customer_one_per_address UNIQUE (business_id, folded),
  CONSTRAINT customer_one_per_external_id UNIQUE (business_id, external_id),
  CONSTRAINT customer_living_or_empty CHECK (
    CASE WHEN erased_at IS NULL
      THEN address IS NOT NULL AND folded IS NOT NULL AND address_hash IS NOT NULL
      ELSE address IS NULL AND folded IS NULL AND address_hash IS NULL
           AND name = '' AND locale = '' AND external_id IS NULL
    END)
);

SELECT crm.place('crm.customer');

SELECT crm.keep_apart('crm.customer');

-- A link names its customer by the fingerprint; so does a suppression.
CREATE INDEX customer_by_address_hash ON crm.customer (business_id, address_hash);

CREATE INDEX customer_by_age ON crm.customer (business_id, created_at, customer_id);

GRANT SELECT, INSERT, UPDATE ON crm.customer TO crm_app;

GRANT SELECT ON crm.customer TO crm_eraser;

-- Promise 13: no field without type, purpose and retention.
CREATE TABLE crm.attribute (
  business_id uuid NOT NULL REFERENCES crm.business (business_id),
  name        text NOT NULL CHECK (name ~ '^[a-z][a-z0-9_]{0,62}$'),
  label       text NOT NULL CHECK (length(label) BETWEEN 1 AND 200),
  type        text NOT NULL CHECK (type IN ('text', 'number', 'date', 'boolean')),
  -- What it is for, in a sentence the customer reads.
  purpose     text NOT NULL CHECK (length(purpose) BETWEEN 3 AND 500),
  -- How long it is kept after it was last set: an ISO 8601 duration such as P24M.
  retention   text NOT NULL CHECK (retention ~ '^P([0-9]+Y)?([0-9]+M)?([0-9]+D)?$' AND retention <> 'P'),
  declared_at timestamptz NOT NULL,
  PRIMARY KEY (business_id, name)
);

SELECT crm.place('crm.attribute');

SELECT crm.keep_apart('crm.attribute');

GRANT SELECT, INSERT, UPDATE, DELETE ON crm.attribute TO crm_app;

CREATE TABLE crm.attribute_value (
  business_id uuid NOT NULL,
  customer_id uuid NOT NULL,
  name        text NOT NULL,
  -- The value written out, whatever its type; the typed columns are for selecting by.
  text_value  text NOT NULL CHECK (length(text_value) <= 2000),
  number      numeric,
  date        date,
  boolean     boolean,
  set_at      timestamptz NOT NULL,
  PRIMARY KEY (business_id, customer_id, name),
  FOREIGN KEY (business_id, customer_id) REFERENCES crm.customer (business_id, customer_id),
  FOREIGN KEY (business_id, name) REFERENCES crm.attribute (business_id, name)
);

SELECT crm.place('crm.attribute_value');

SELECT crm.keep_apart('crm.attribute_value');

GRANT SELECT, INSERT, UPDATE, DELETE ON crm.attribute_value TO crm_app;

CREATE TABLE crm.interaction_kind (
  business_id uuid NOT NULL REFERENCES crm.business (business_id),
  name        text NOT NULL CHECK (name ~ '^[a-z][a-z0-9_]{0,62}$'),
  label       text NOT NULL CHECK (length(label) BETWEEN 1 AND 200),
  purpose     text NOT NULL CHECK (length(purpose) BETWEEN 3 AND 500),
  retention   text NOT NULL CHECK (retention ~ '^P([0-9]+Y)?([0-9]+M)?([0-9]+D)?$' AND retention <> 'P'),
  declared_at timestamptz NOT NULL,
  PRIMARY KEY (business_id, name)
);

SELECT crm.place('crm.interaction_kind');

SELECT crm.keep_apart('crm.interaction_kind');

GRANT SELECT, INSERT, UPDATE, DELETE ON crm.interaction_kind TO crm_app;

CREATE TABLE crm.interaction (
  business_id    uuid NOT NULL,
  interaction_id uuid NOT NULL,
  customer_id    uuid NOT NULL,
  kind           text NOT NULL,
  at             timestamptz NOT NULL,
  title          text NOT NULL CHECK (length(title) BETWEEN 1 AND 300),
  detail         text NOT NULL DEFAULT '' CHECK (length(detail) <= 10000),
  amount         numeric,
  currency       text CHECK (currency ~ '^[A-Z]{3}$'),
  actor_kind     text NOT NULL CHECK (actor_kind IN ('customer', 'member', 'key', 'system')),
  actor_name     text NOT NULL DEFAULT '',
  recorded_at    timestamptz NOT NULL,
  PRIMARY KEY (business_id, interaction_id),
  FOREIGN KEY (business_id, customer_id) REFERENCES crm.customer (business_id, customer_id),
  FOREIGN KEY (business_id, kind) REFERENCES crm.interaction_kind (business_id, name),
  CHECK ((amount IS NULL) = (currency IS NULL))
);

SELECT crm.place('crm.interaction');

SELECT crm.keep_apart('crm.interaction');

CREATE INDEX interaction_of_customer ON crm.interaction (business_id, customer_id, at);

GRANT SELECT, INSERT, UPDATE, DELETE ON crm.interaction TO crm_app;
