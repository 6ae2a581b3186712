-- A deletion that a customer can call off for some days; until then nothing of hers is used.

CREATE TABLE crm.erasure_wish (
  business_id    uuid NOT NULL,
  customer_id    uuid NOT NULL,
  asked_at       timestamptz NOT NULL,
  due_at         timestamptz NOT NULL,
  fingerprint    text NOT NULL CHECK (fingerprint IN ('keep', 'drop')),
  -- Her record was frozen before, and stays so where she calls it off.
  was_frozen     boolean NOT NULL,
  -- Of the link in the mail that calls it off.
  call_off_hash  bytea NOT NULL CHECK (length(call_off_hash) = 32),
  PRIMARY KEY (business_id, customer_id),
  CONSTRAINT erasure_wish_one_per_token UNIQUE (business_id, call_off_hash),
  FOREIGN KEY (business_id, customer_id) REFERENCES crm.customer (business_id, customer_id),
  CHECK (due_at > asked_at)
);

SELECT crm.place('crm.erasure_wish');

SELECT crm.keep_apart('crm.erasure_wish');

CREATE INDEX erasure_wish_due ON crm.erasure_wish (business_id, due_at);

-- UPDATE only to hold a row; nothing of it ever changes.
GRANT SELECT, INSERT, UPDATE (due_at), DELETE ON crm.erasure_wish TO crm_app;
