-- What comes back: bounces, complaints, wishes to leave and replies, and where they are heard.

-- What a relay says later of a mail that it had taken: a field of `sent`, and no state (promise 3).
ALTER TABLE crm.delivery
  ADD COLUMN bounced_at timestamptz,
  ADD COLUMN bounce_class text CHECK (bounce_class IN (
    'hard', 'soft', 'policy', 'content', 'protocol', 'unknown')),
  ADD COLUMN bounce_code text CHECK (length(bounce_code) <= 20),
  ADD COLUMN complained_at timestamptz,
  ADD CONSTRAINT delivery_bounce CHECK (
    (bounced_at IS NULL) = (bounce_class IS NULL) AND (bounced_at IS NULL) = (bounce_code IS NULL));

-- A reply by mail names itself and what it answers (RFC 5322 §3.6.4); empty for all else.
ALTER TABLE crm.interaction
  ADD COLUMN message_id text NOT NULL DEFAULT '' CHECK (length(message_id) <= 998),
  ADD COLUMN in_reply_to text NOT NULL DEFAULT '' CHECK (length(in_reply_to) <= 998),
  ADD COLUMN refs text NOT NULL DEFAULT '' CHECK (length(refs) <= 10000),
  DROP CONSTRAINT interaction_detail_check,
  -- What people type is bounded by the API; a letter may be long.
  ADD CONSTRAINT interaction_detail_check CHECK (length(detail) <= 100000);

-- One reply is kept once, whichever ways it comes in by.
CREATE UNIQUE INDEX interaction_of_mail ON crm.interaction (business_id, customer_id, message_id)
  WHERE message_id <> '';

-- A report that had its effect: its digest, so that it has it once, and what it was. Nothing of it.
CREATE TABLE crm.inbound_report (
  business_id uuid NOT NULL REFERENCES crm.business (business_id),
  digest      bytea NOT NULL CHECK (length(digest) = 32),
  via         text NOT NULL CHECK (via IN ('listener', 'mailbox', 'ses', 'postmark')),
  kind        text NOT NULL CHECK (kind ~ '^[a-z_]{1,30}$'),
  code        text NOT NULL DEFAULT '' CHECK (length(code) <= 20),
  at          timestamptz NOT NULL,
  PRIMARY KEY (business_id, digest)
);

SELECT crm.place('crm.inbound_report');

SELECT crm.keep_apart('crm.inbound_report');

CREATE INDEX inbound_report_by_age ON crm.inbound_report (business_id, at);

GRANT SELECT, INSERT, DELETE ON crm.inbound_report TO crm_app;

-- How much of each kind came each day; what proved nothing leaves no other trace.
CREATE TABLE crm.inbound_count (
  business_id uuid NOT NULL REFERENCES crm.business (business_id),
  day         date NOT NULL,
  via         text NOT NULL CHECK (via IN ('listener', 'mailbox', 'ses', 'postmark')),
  kind        text NOT NULL CHECK (kind ~ '^[a-z_]{1,30}$'),
  reports     bigint NOT NULL CHECK (reports > 0),
  last_at     timestamptz NOT NULL,
  PRIMARY KEY (business_id, day, via, kind)
);

SELECT crm.place('crm.inbound_count');

SELECT crm.keep_apart('crm.inbound_count');

GRANT SELECT, INSERT, UPDATE ON crm.inbound_count TO crm_app;

-- The same per campaign.
CREATE TABLE crm.campaign_return (
  business_id uuid NOT NULL,
  campaign_id uuid NOT NULL,
  kind        text NOT NULL CHECK (kind ~ '^[a-z_]{1,30}$'),
  reports     bigint NOT NULL CHECK (reports > 0),
  PRIMARY KEY (business_id, campaign_id, kind),
  FOREIGN KEY (business_id, campaign_id) REFERENCES crm.campaign (business_id, campaign_id)
);

SELECT crm.place('crm.campaign_return');

SELECT crm.keep_apart('crm.campaign_return');

GRANT SELECT, INSERT, UPDATE ON crm.campaign_return TO crm_app;

-- Addresses whose mailbox could not take mail for a while: a row goes when one arrives again.
CREATE TABLE crm.soft_bounce (
  business_id  uuid NOT NULL REFERENCES crm.business (business_id),
  address_hash bytea NOT NULL CHECK (length(address_hash) = 16),
  bounces      integer NOT NULL CHECK (bounces > 0),
  first_at     timestamptz NOT NULL,
  last_at      timestamptz NOT NULL,
  PRIMARY KEY (business_id, address_hash)
);

SELECT crm.place('crm.soft_bounce');

SELECT crm.keep_apart('crm.soft_bounce');

GRANT SELECT, INSERT, UPDATE, DELETE ON crm.soft_bounce TO crm_app;

-- Where replies and reports can be fetched by IMAP; one per business.
CREATE TABLE crm.mailbox (
  business_id uuid PRIMARY KEY REFERENCES crm.business (business_id),
  host        text NOT NULL CHECK (length(host) BETWEEN 1 AND 253),
  port        integer NOT NULL CHECK (port BETWEEN 1 AND 65535),
  tls         text NOT NULL CHECK (tls IN ('implicit', 'starttls', 'none')),
  username    text NOT NULL CHECK (length(username) BETWEEN 1 AND 254),
  -- Encrypted with a storage key.
  password    bytea NOT NULL,
  folder      text NOT NULL CHECK (length(folder) BETWEEN 1 AND 200),
  -- Where mail of people is put once it was read; reports are deleted.
  kept_in     text NOT NULL CHECK (length(kept_in) BETWEEN 1 AND 200),
  next_at     timestamptz NOT NULL,
  checked_at  timestamptz,
  trouble     text NOT NULL DEFAULT '' CHECK (length(trouble) <= 300),
  changed_at  timestamptz NOT NULL
);

SELECT crm.place('crm.mailbox');

SELECT crm.keep_apart('crm.mailbox');

GRANT SELECT, INSERT, UPDATE, DELETE ON crm.mailbox TO crm_app;

-- An address of ours that a provider posts reports to; the secret in it is kept as its SHA-256.
CREATE TABLE crm.webhook (
  business_id uuid NOT NULL REFERENCES crm.business (business_id),
  provider    text NOT NULL CHECK (provider IN ('ses', 'postmark')),
  secret_hash bytea NOT NULL CHECK (length(secret_hash) = 32),
  -- Amazon SNS: the one topic that is believed; a signature alone is that of any customer of Amazon.
  topic       text NOT NULL DEFAULT '' CHECK (length(topic) <= 300),
  made_at     timestamptz NOT NULL,
  heard_at    timestamptz,
  trouble     text NOT NULL DEFAULT '' CHECK (length(trouble) <= 300),
  PRIMARY KEY (business_id, provider),
  CHECK ((provider = 'ses') = (topic <> ''))
);

SELECT crm.place('crm.webhook');

SELECT crm.keep_apart('crm.webhook');

GRANT SELECT, INSERT, UPDATE, DELETE ON crm.webhook TO crm_app;

-- Above one business: whose domain a mail comes back to, whose mailbox is looked into, and counts.
GRANT SELECT (return_domain) ON crm.business TO crm_sweep;

CREATE INDEX business_by_return_domain ON crm.business (return_domain) WHERE return_domain <> '';

GRANT CREATE ON SCHEMA crm TO crm_sweep;

CREATE FUNCTION crm.businesses_of_return_domain(_domain text) RETURNS TABLE (business_id uuid)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog AS $$
  SELECT b.business_id FROM crm.business b
   WHERE b.return_domain = lower(_domain) AND b.return_domain <> ''
   ORDER BY b.business_id LIMIT 100
$$;

ALTER FUNCTION crm.businesses_of_return_domain(text) OWNER TO crm_sweep;

REVOKE ALL ON FUNCTION crm.businesses_of_return_domain(text) FROM PUBLIC;

GRANT EXECUTE ON FUNCTION crm.businesses_of_return_domain(text) TO crm_app;

CREATE POLICY sweep ON crm.mailbox FOR SELECT TO crm_sweep USING (true);

GRANT SELECT (business_id, next_at) ON crm.mailbox TO crm_sweep;

CREATE FUNCTION crm.mailboxes_due(_now timestamptz) RETURNS TABLE (business_id uuid)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog AS $$
  SELECT m.business_id FROM crm.mailbox m WHERE m.next_at <= _now ORDER BY m.next_at
$$;

ALTER FUNCTION crm.mailboxes_due(timestamptz) OWNER TO crm_sweep;

REVOKE ALL ON FUNCTION crm.mailboxes_due(timestamptz) FROM PUBLIC;

GRANT EXECUTE ON FUNCTION crm.mailboxes_due(timestamptz) TO crm_app;

CREATE POLICY sweep ON crm.inbound_count FOR SELECT TO crm_sweep USING (true);

GRANT SELECT (business_id, via, kind, reports, last_at) ON crm.inbound_count TO crm_sweep;

CREATE FUNCTION crm.inbound_counts()
RETURNS TABLE (business_id uuid, via text, kind text, reports bigint)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog AS $$
  SELECT c.business_id, c.via, c.kind, sum(c.reports)::bigint FROM crm.inbound_count c
   GROUP BY c.business_id, c.via, c.kind ORDER BY 1, 2, 3
$$;

ALTER FUNCTION crm.inbound_counts() OWNER TO crm_sweep;

REVOKE ALL ON FUNCTION crm.inbound_counts() FROM PUBLIC;

GRANT EXECUTE ON FUNCTION crm.inbound_counts() TO crm_app;

REVOKE CREATE ON SCHEMA crm FROM crm_sweep;
