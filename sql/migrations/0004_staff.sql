-- Who works here, and which programs call.

CREATE TABLE crm.member (
  business_id   uuid NOT NULL REFERENCES crm.business (business_id),
  member_id     uuid NOT NULL,
  address       text NOT NULL,
  folded        text NOT NULL,
  name          text NOT NULL CHECK (length(name) BETWEEN 1 AND 200),
  -- What each may do is a table in crm/staff/model.py.
  role          text NOT NULL CHECK (role IN ('owner', 'editor', 'care', 'viewer')),
  password_hash text NOT NULL,
  created_at    timestamptz NOT NULL,
  disabled_at   timestamptz,
  PRIMARY KEY (business_id, member_id),
  CONSTRAINT member_one_per_address UNIQUE (business_id, folded)
);

SELECT crm.place('crm.member');

SELECT crm.keep_apart('crm.member');

GRANT SELECT, INSERT, UPDATE ON crm.member TO crm_app;

CREATE TABLE crm.session (
  business_id uuid NOT NULL,
  token_hash  bytea NOT NULL,
  member_id   uuid NOT NULL,
  created_at  timestamptz NOT NULL,
  seen_at     timestamptz NOT NULL,
  expires_at  timestamptz NOT NULL,
  PRIMARY KEY (business_id, token_hash),
  FOREIGN KEY (business_id, member_id) REFERENCES crm.member (business_id, member_id)
);

SELECT crm.place('crm.session');

SELECT crm.keep_apart('crm.session');

CREATE INDEX session_of_member ON crm.session (business_id, member_id);

GRANT SELECT, INSERT, UPDATE, DELETE ON crm.session TO crm_app;

-- Why a member opens a customer's record, said before it is opened; ends soon.
CREATE TABLE crm.look_reason (
  business_id uuid NOT NULL,
  member_id   uuid NOT NULL,
  customer_id uuid NOT NULL,
  reason      text NOT NULL CHECK (length(reason) BETWEEN 3 AND 500),
  expires_at  timestamptz NOT NULL,
  PRIMARY KEY (business_id, member_id, customer_id),
  FOREIGN KEY (business_id, member_id) REFERENCES crm.member (business_id, member_id)
);

SELECT crm.place('crm.look_reason');

SELECT crm.keep_apart('crm.look_reason');

GRANT SELECT, INSERT, UPDATE, DELETE ON crm.look_reason TO crm_app;

CREATE TABLE crm.api_key (
  business_id  uuid NOT NULL REFERENCES crm.business (business_id),
  key_id       uuid NOT NULL,
  name         text NOT NULL CHECK (length(name) BETWEEN 1 AND 200),
  secret_hash  bytea NOT NULL CHECK (length(secret_hash) = 32),
  scopes       text[] NOT NULL,
  -- Why this program looks at customers; shown to each customer it looks at.
  reason       text NOT NULL CHECK (length(reason) BETWEEN 3 AND 500),
  created_by   uuid,
  created_at   timestamptz NOT NULL,
  last_used_at timestamptz,
  revoked_at   timestamptz,
  PRIMARY KEY (business_id, key_id)
);

SELECT crm.place('crm.api_key');

SELECT crm.keep_apart('crm.api_key');

GRANT SELECT, INSERT, UPDATE ON crm.api_key TO crm_app;

-- Wrong passwords and codes, counted per subject and window; committed before the check.
CREATE TABLE crm.attempt (
  business_id  uuid NOT NULL REFERENCES crm.business (business_id),
  kind         text NOT NULL,
  subject      bytea NOT NULL,
  window_start timestamptz NOT NULL,
  count        integer NOT NULL CHECK (count > 0),
  PRIMARY KEY (business_id, kind, subject, window_start)
);

SELECT crm.place('crm.attempt');

SELECT crm.keep_apart('crm.attempt');

GRANT SELECT, INSERT, UPDATE, DELETE ON crm.attempt TO crm_app;
