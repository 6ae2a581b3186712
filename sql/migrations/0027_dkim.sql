-- Which domains mail is sent from: our keys for each, and what its DNS said when it was last asked.

CREATE TABLE crm.sending_domain (
  business_id    uuid NOT NULL REFERENCES crm.business (business_id),
  -- In ASCII, as on the wire (RFC 5890 §2.3.2.1).
  domain         text NOT NULL CHECK (
    length(domain) <= 253
    AND domain ~ '^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?(\.[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)*$'),
  added_at       timestamptz NOT NULL,
  -- The last look at its DNS, and what was wrong: severity, subject, sentence, record to publish.
  checked_at     timestamptz,
  findings       jsonb NOT NULL DEFAULT '[]' CHECK (jsonb_typeof(findings) = 'array'),
  -- Who said that the relay signs for it, by name; then we do not, and its DNS is the relay's.
  relay_signs_by text NOT NULL DEFAULT '' CHECK (length(relay_signs_by) <= 200),
  relay_signs_at timestamptz,
  PRIMARY KEY (business_id, domain),
  CHECK ((relay_signs_by = '') = (relay_signs_at IS NULL))
);

SELECT crm.place('crm.sending_domain');

SELECT crm.keep_apart('crm.sending_domain');

GRANT SELECT, INSERT, UPDATE (checked_at, findings, relay_signs_by, relay_signs_at)
  ON crm.sending_domain TO crm_app;

CREATE TABLE crm.dkim_key (
  business_id uuid NOT NULL REFERENCES crm.business (business_id),
  domain      text NOT NULL,
  selector    text NOT NULL CHECK (selector ~ '^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$'),
  algorithm   text NOT NULL CHECK (algorithm IN ('rsa', 'ed25519')),
  -- What DNS has to say while the key counts (RFC 6376 §3.6.1).
  published   text NOT NULL CHECK (published LIKE 'v=DKIM1; %'),
  -- PKCS #8, encrypted under a key of CRM_STORAGE_KEYS; deleted once it signs no more.
  private     bytea,
  state       text NOT NULL DEFAULT 'waiting' CHECK (state IN (
    'waiting',   -- for its record to be seen in DNS
    'signing',
    'retiring',  -- signs no more; its record stays, for mail that is still on its way
    'retired')), -- its record is to be emptied
  made_at     timestamptz NOT NULL,
  signing_at  timestamptz,
  retiring_at timestamptz,
  retired_at  timestamptz,
  PRIMARY KEY (business_id, domain, selector),
  FOREIGN KEY (business_id, domain) REFERENCES crm.sending_domain (business_id, domain),
  CHECK ((state IN ('waiting', 'signing')) = (private IS NOT NULL)),
  CHECK ((state = 'waiting') = (signing_at IS NULL)),
  CHECK ((state IN ('retiring', 'retired')) = (retiring_at IS NOT NULL)),
  CHECK ((state = 'retired') = (retired_at IS NOT NULL))
);

SELECT crm.place('crm.dkim_key');

SELECT crm.keep_apart('crm.dkim_key');

-- A pair signs, and a pair waits to take its place.
CREATE UNIQUE INDEX dkim_key_one_of_each ON crm.dkim_key (business_id, domain, algorithm, state)
  WHERE state IN ('waiting', 'signing');

GRANT SELECT, INSERT, UPDATE (private, state, signing_at, retiring_at, retired_at)
  ON crm.dkim_key TO crm_app;
