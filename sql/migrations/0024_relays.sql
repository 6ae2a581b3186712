-- Several relays for a business, how fast each and each recipient domain may go, and what waits why.

CREATE TABLE crm.relay (
  business_id uuid NOT NULL REFERENCES crm.business (business_id),
  relay_id    uuid NOT NULL,
  name        text NOT NULL CHECK (length(name) BETWEEN 1 AND 100),
  host        text NOT NULL CHECK (length(host) BETWEEN 1 AND 253),
  port        integer NOT NULL CHECK (port BETWEEN 1 AND 65535),
  tls         text NOT NULL CHECK (tls IN ('none', 'starttls', 'implicit')),
  username    text NOT NULL DEFAULT '' CHECK (length(username) <= 200),
  -- Encrypted under a key of CRM_STORAGE_KEYS; null where it asks for none.
  password    bytea,
  -- What we call ourselves in EHLO; empty takes the installation's name.
  hello       text NOT NULL DEFAULT '' CHECK (length(hello) <= 253),
  -- Its share of the mail; 0 takes mail only while no other can.
  weight      integer NOT NULL CHECK (weight BETWEEN 0 AND 100),
  connections integer NOT NULL CHECK (connections BETWEEN 1 AND 200),
  -- Campaign mails a second, over all workers; 0 is as fast as it takes them.
  rate        integer NOT NULL DEFAULT 0 CHECK (rate >= 0),
  -- Campaign mails a day in the business's time zone; 0 is no cap.
  daily_cap   integer NOT NULL DEFAULT 0 CHECK (daily_cap >= 0),
  -- Caps of the first days, one after the other; after the last one daily_cap holds.
  warm_up     integer[] NOT NULL DEFAULT '{}' CHECK (cardinality(warm_up) <= 90),
  warm_up_on  date,
  active      boolean NOT NULL DEFAULT true,
  -- Why it could not be reached when it was tried last.
  trouble     text CHECK (length(trouble) <= 300),
  trouble_at  timestamptz,
  created_at  timestamptz NOT NULL,
  changed_at  timestamptz NOT NULL,
  PRIMARY KEY (business_id, relay_id),
  CONSTRAINT relay_without_tls_is_local CHECK (
    tls <> 'none' OR host IN ('127.0.0.1', '::1', 'localhost')),
  CONSTRAINT relay_warm_up_began CHECK (cardinality(warm_up) = 0 OR warm_up_on IS NOT NULL)
);

SELECT crm.place('crm.relay');

SELECT crm.keep_apart('crm.relay');

GRANT SELECT, INSERT, UPDATE, DELETE ON crm.relay TO crm_app;

-- What all workers together handed to a relay that has a rate or a cap.
CREATE TABLE crm.relay_use (
  business_id uuid NOT NULL,
  relay_id    uuid NOT NULL,
  day         date NOT NULL,
  taken       integer NOT NULL DEFAULT 0 CHECK (taken >= 0),
  -- The instant up to which its rate is spoken for.
  next_at     timestamptz,
  PRIMARY KEY (business_id, relay_id),
  FOREIGN KEY (business_id, relay_id) REFERENCES crm.relay (business_id, relay_id)
);

SELECT crm.place('crm.relay_use');

SELECT crm.keep_apart('crm.relay_use');

GRANT SELECT, INSERT, UPDATE, DELETE ON crm.relay_use TO crm_app;

-- A recipient domain that goes slower than the rest: because staff say so, or because its servers
-- did. A domain without a row goes as fast as the relay takes it.
CREATE TABLE crm.domain_pace (
  business_id uuid NOT NULL REFERENCES crm.business (business_id),
  domain      text NOT NULL CHECK (length(domain) BETWEEN 1 AND 253 AND domain = lower(domain)),
  -- Set by staff: mails a second over all workers, and connections at once for each worker.
  limit_rate  double precision CHECK (limit_rate > 0),
  limit_connections integer CHECK (limit_connections > 0),
  -- Learned: halved by each refusal that asks for it, raised again while it goes well.
  rate        double precision CHECK (rate > 0),
  strikes     integer NOT NULL DEFAULT 0 CHECK (strikes >= 0),
  held_until  timestamptz,
  reason      text NOT NULL DEFAULT '' CHECK (length(reason) <= 300),
  -- The instant up to which its rate is spoken for, and the end of the line of what was put off.
  next_at     timestamptz,
  line_at     timestamptz,
  changed_at  timestamptz NOT NULL,
  PRIMARY KEY (business_id, domain)
);

SELECT crm.place('crm.domain_pace');

SELECT crm.keep_apart('crm.domain_pace');

GRANT SELECT, INSERT, UPDATE, DELETE ON crm.domain_pace TO crm_app;

-- Why a delivery waits for its next try, in one word, and for what.
ALTER TABLE crm.retry ADD COLUMN waits_for text NOT NULL DEFAULT ''
  CHECK (length(waits_for) <= 300);

-- Why a whole range waits; refusals that count against the campaign, and those for reasons of
-- policy in a row.
ALTER TABLE crm.lease
  ADD COLUMN waits_for text NOT NULL DEFAULT '' CHECK (length(waits_for) <= 300),
  ADD COLUMN hard integer NOT NULL DEFAULT 0 CHECK (hard >= 0),
  ADD COLUMN complaints integer NOT NULL DEFAULT 0 CHECK (complaints >= 0),
  ADD COLUMN blocked integer NOT NULL DEFAULT 0 CHECK (blocked >= 0);

-- A campaign's own expiry in hours after its start (null: the installation's); why it paused by
-- itself; and what staff looked past when they let it go on: the counts from which it is judged.
ALTER TABLE crm.campaign
  ADD COLUMN expires_hours integer CHECK (expires_hours BETWEEN 1 AND 720),
  ADD COLUMN paused_why text NOT NULL DEFAULT '' CHECK (length(paused_why) <= 300),
  ADD COLUMN passed_sent bigint NOT NULL DEFAULT 0,
  ADD COLUMN passed_hard bigint NOT NULL DEFAULT 0,
  ADD COLUMN passed_complaints bigint NOT NULL DEFAULT 0;
