-- One message to one address, and the addresses that must not be mailed.

-- A mail that is not a campaign. Sent at least once; its Message-ID stays the same.
CREATE TABLE crm.service_message (
  business_id uuid NOT NULL REFERENCES crm.business (business_id),
  message_id  uuid NOT NULL,
  kind        text NOT NULL CHECK (kind IN ('confirmation', 'sign_in', 'test', 'notice')),
  -- A confirmation the owner of the address asked for passes even a suppression of scope `all`.
  passes      text NOT NULL CHECK (passes IN ('nothing', 'marketing', 'all')),
  customer_id uuid,
  address_hash bytea NOT NULL CHECK (length(address_hash) = 16),
  -- Address and text are emptied when the message has gone or failed.
  address     text,
  content     bytea,
  state       text NOT NULL DEFAULT 'waiting' CHECK (state IN (
    'waiting',   -- due at next_at
    'sending',   -- claimed until lease_until; claimed again after that
    'sent', 'failed')),
  attempt     integer NOT NULL DEFAULT 0,
  next_at     timestamptz NOT NULL,
  lease_until timestamptz,
  code        integer,
  reply       text CHECK (length(reply) <= 300),
  created_at  timestamptz NOT NULL,
  done_at     timestamptz,
  PRIMARY KEY (business_id, message_id),
  CHECK ((state IN ('sent', 'failed')) = (done_at IS NOT NULL)),
  CHECK ((state IN ('sent', 'failed')) = (address IS NULL AND content IS NULL)),
  CHECK ((state = 'sending') = (lease_until IS NOT NULL))
);

SELECT crm.place('crm.service_message');

SELECT crm.keep_apart('crm.service_message');

CREATE INDEX service_message_due ON crm.service_message (business_id, next_at)
  WHERE done_at IS NULL;

CREATE INDEX service_message_of_customer ON crm.service_message (business_id, customer_id)
  WHERE customer_id IS NOT NULL;

-- Against floods: what an address was sent lately.
CREATE INDEX service_message_to ON crm.service_message (business_id, address_hash, created_at);

GRANT SELECT, INSERT, UPDATE, DELETE ON crm.service_message TO crm_app;

-- An address that must not be mailed, as a keyed fingerprint with its scope.
CREATE TABLE crm.suppression (
  business_id  uuid NOT NULL REFERENCES crm.business (business_id),
  address_hash bytea NOT NULL CHECK (length(address_hash) = 16),
  scope        text NOT NULL CHECK (scope IN (
    'marketing',   -- service messages still pass
    'all')),       -- only a confirmation that the owner of the address asked for passes
  reason       text NOT NULL CHECK (reason IN (
    'left', 'erased', 'bounced', 'complained', 'staff', 'imported')),
  at           timestamptz NOT NULL,
  PRIMARY KEY (business_id, address_hash)
);

SELECT crm.place('crm.suppression');

SELECT crm.keep_apart('crm.suppression');

GRANT SELECT, INSERT, UPDATE, DELETE ON crm.suppression TO crm_app;

-- Whoever says yes in her own words, from her mailbox or signed in by it, is mailed again: one of
-- the few triggers that write, because consent lies below and must reach here at once.
CREATE FUNCTION crm.consent_lifts() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
  DELETE FROM crm.suppression u
   USING crm.customer c
   WHERE u.business_id = NEW.business_id
     AND c.business_id = NEW.business_id
     AND c.customer_id = NEW.customer_id
     AND u.address_hash = c.address_hash;
  RETURN NULL;
END
$$;

CREATE TRIGGER consent_lifts AFTER INSERT OR UPDATE ON crm.consent
  FOR EACH ROW WHEN (
    NEW.status IN ('given', 'renewed') AND NEW.method IN ('double_opt_in', 'portal'))
  EXECUTE FUNCTION crm.consent_lifts();

CREATE POLICY sweep ON crm.service_message FOR SELECT TO crm_sweep USING (true);

GRANT SELECT (business_id, next_at, done_at) ON crm.service_message TO crm_sweep;

CREATE FUNCTION crm.businesses_with_letters(_now timestamptz) RETURNS TABLE (business_id uuid)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog AS $$
  SELECT DISTINCT m.business_id FROM crm.service_message m
   WHERE m.done_at IS NULL AND m.next_at <= _now
$$;

ALTER FUNCTION crm.businesses_with_letters(timestamptz) OWNER TO crm_sweep;

REVOKE ALL ON FUNCTION crm.businesses_with_letters(timestamptz) FROM PUBLIC;

GRANT EXECUTE ON FUNCTION crm.businesses_with_letters(timestamptz) TO crm_app;
