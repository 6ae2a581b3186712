-- How a customer gets in and out: sign-ups not yet confirmed, mailed links, portal sessions.

-- Not a customer: forgotten when it is confirmed or expires.
CREATE TABLE crm.signup (
  business_id  uuid NOT NULL REFERENCES crm.business (business_id),
  signup_id    uuid NOT NULL,
  address      text NOT NULL,
  folded       text NOT NULL,
  address_hash bytea NOT NULL CHECK (length(address_hash) = 16),
  name         text NOT NULL DEFAULT '' CHECK (length(name) <= 200),
  locale       text NOT NULL,
  -- The notices whose boxes were ticked: [{"purpose_id": …, "notice_id": …}]
  choices      jsonb NOT NULL,
  -- The page without query it came from; empty for our own form.
  page         text NOT NULL DEFAULT '' CHECK (length(page) <= 500),
  token_hash   bytea NOT NULL CHECK (length(token_hash) = 32),
  code_hash    bytea NOT NULL CHECK (length(code_hash) = 32),
  requested_at timestamptz NOT NULL,
  expires_at   timestamptz NOT NULL,
  PRIMARY KEY (business_id, signup_id),
  -- The newest replaces the older one.
  CONSTRAINT signup_one_per_address UNIQUE (business_id, folded),
  CONSTRAINT signup_one_per_token UNIQUE (business_id, token_hash)
);

SELECT crm.place('crm.signup');

SELECT crm.keep_apart('crm.signup');

CREATE INDEX signup_expiry ON crm.signup (business_id, expires_at);

GRANT SELECT, INSERT, UPDATE, DELETE ON crm.signup TO crm_app;

-- A mailed way into the portal, used once.
CREATE TABLE crm.portal_link (
  business_id  uuid NOT NULL,
  customer_id  uuid NOT NULL,
  token_hash   bytea NOT NULL CHECK (length(token_hash) = 32),
  code_hash    bytea NOT NULL CHECK (length(code_hash) = 32),
  -- The browser that asked: a link opened elsewhere needs the typed code.
  browser_hash bytea CHECK (length(browser_hash) = 32),
  created_at   timestamptz NOT NULL,
  expires_at   timestamptz NOT NULL,
  -- The newest replaces the older one.
  PRIMARY KEY (business_id, customer_id),
  CONSTRAINT portal_link_one_per_token UNIQUE (business_id, token_hash),
  FOREIGN KEY (business_id, customer_id) REFERENCES crm.customer (business_id, customer_id)
);

SELECT crm.place('crm.portal_link');

SELECT crm.keep_apart('crm.portal_link');

GRANT SELECT, INSERT, UPDATE, DELETE ON crm.portal_link TO crm_app;

CREATE TABLE crm.portal_session (
  business_id uuid NOT NULL,
  token_hash  bytea NOT NULL CHECK (length(token_hash) = 32),
  customer_id uuid NOT NULL,
  created_at  timestamptz NOT NULL,
  seen_at     timestamptz NOT NULL,
  expires_at  timestamptz NOT NULL,
  PRIMARY KEY (business_id, token_hash),
  FOREIGN KEY (business_id, customer_id) REFERENCES crm.customer (business_id, customer_id)
);

SELECT crm.place('crm.portal_session');

SELECT crm.keep_apart('crm.portal_session');

CREATE INDEX portal_session_of_customer ON crm.portal_session (business_id, customer_id);

GRANT SELECT, INSERT, UPDATE, DELETE ON crm.portal_session TO crm_app;
