-- Answers kept for a while, so that a repeated request with the same key is not done twice.

CREATE TABLE crm.idempotency_key (
  business_id  uuid NOT NULL REFERENCES crm.business (business_id),
  scope        text NOT NULL,
  key          text NOT NULL CHECK (length(key) BETWEEN 1 AND 255),
  fingerprint  bytea NOT NULL,
  status       integer,
  body         bytea,
  content_type text,
  created_at   timestamptz NOT NULL,
  expires_at   timestamptz NOT NULL,
  PRIMARY KEY (business_id, scope, key),
  CHECK ((status IS NULL) = (body IS NULL))
);

SELECT crm.place('crm.idempotency_key');

SELECT crm.keep_apart('crm.idempotency_key');

CREATE INDEX idempotency_key_expiry ON crm.idempotency_key (business_id, expires_at);

GRANT SELECT, INSERT, UPDATE, DELETE ON crm.idempotency_key TO crm_app;
