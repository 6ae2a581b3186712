-- What each customer allows, and the proof of it.

CREATE TABLE crm.purpose (
  business_id   uuid NOT NULL REFERENCES crm.business (business_id),
  purpose_id    uuid NOT NULL,
  -- Short number for links, unique in the business.
  code          integer NOT NULL CHECK (code > 0),
  slug          text NOT NULL CHECK (slug ~ '^[a-z0-9]+(-[a-z0-9]+)*$' AND length(slug) <= 63),
  name          text NOT NULL CHECK (length(name) BETWEEN 1 AND 200),
  description   text NOT NULL DEFAULT '' CHECK (length(description) <= 1000),
  channel       text NOT NULL CHECK (channel IN ('email', 'none')),
  double_opt_in boolean NOT NULL DEFAULT true,
  created_at    timestamptz NOT NULL,
  retired_at    timestamptz,
  PRIMARY KEY (business_id, purpose_id),
  CONSTRAINT purpose_one_per_slug UNIQUE (business_id, slug),
  CONSTRAINT purpose_one_per_code UNIQUE (business_id, code)
);

SELECT crm.place('crm.purpose');

SELECT crm.keep_apart('crm.purpose');

GRANT SELECT, INSERT, UPDATE ON crm.purpose TO crm_app;

-- The exact text shown when asking; never changed, only followed by a higher version.
CREATE TABLE crm.notice (
  business_id   uuid NOT NULL,
  notice_id     uuid NOT NULL,
  purpose_id    uuid NOT NULL,
  version       integer NOT NULL CHECK (version > 0),
  locale        text NOT NULL CHECK (length(locale) BETWEEN 2 AND 35),
  text          text NOT NULL CHECK (length(text) BETWEEN 10 AND 5000),
  -- The wording of the control the customer pressed or ticked.
  control_label text NOT NULL CHECK (length(control_label) BETWEEN 1 AND 300),
  -- SHA-256 of the UTF-8 text and, after a line feed, the control's label.
  sha256        bytea NOT NULL CHECK (length(sha256) = 32),
  -- Which evidence collected elsewhere this version accepts (promise 7).
  accepts       text[] NOT NULL DEFAULT '{}' CHECK (
    accepts <@ ARRAY['former_double_opt_in', 'former_single_opt_in', 'signed_form']),
  published_at  timestamptz NOT NULL,
  PRIMARY KEY (business_id, notice_id),
  CONSTRAINT notice_one_per_version UNIQUE (business_id, purpose_id, version, locale),
  FOREIGN KEY (business_id, purpose_id) REFERENCES crm.purpose (business_id, purpose_id)
);

SELECT crm.place('crm.notice');

SELECT crm.keep_apart('crm.notice');

CREATE TRIGGER notice_append_only BEFORE UPDATE OR DELETE ON crm.notice
  FOR EACH ROW EXECUTE FUNCTION crm.append_only();

CREATE TRIGGER notice_never_emptied BEFORE TRUNCATE ON crm.notice
  FOR EACH STATEMENT EXECUTE FUNCTION crm.append_only();

GRANT SELECT, INSERT ON crm.notice TO crm_app;

-- The permanent stub of an event: nobody's data, kept for ever. The commitment is
-- SHA-256("firsthand/consent/v1" || salt || canonical bytes); salt and bytes are in the record.
CREATE TABLE crm.consent_event (
  business_id uuid NOT NULL REFERENCES crm.business (business_id),
  event_id    uuid NOT NULL,
  commitment  bytea NOT NULL CHECK (length(commitment) = 32),
  PRIMARY KEY (business_id, event_id)
);

SELECT crm.place('crm.consent_event');

SELECT crm.keep_apart('crm.consent_event');

CREATE TRIGGER consent_event_append_only BEFORE UPDATE OR DELETE ON crm.consent_event
  FOR EACH ROW EXECUTE FUNCTION crm.append_only();

CREATE TRIGGER consent_event_never_emptied BEFORE TRUNCATE ON crm.consent_event
  FOR EACH STATEMENT EXECUTE FUNCTION crm.append_only();

GRANT SELECT, INSERT ON crm.consent_event TO crm_app;

-- What the stub stands for. Only the eraser deletes it, with the customer.
CREATE TABLE crm.consent_record (
  business_id uuid NOT NULL,
  event_id    uuid NOT NULL,
  customer_id uuid NOT NULL,
  purpose_id  uuid NOT NULL,
  -- The version shown; none where nothing was shown (a withdrawal by link, an import).
  notice_id   uuid,
  status      text NOT NULL CHECK (status IN (
    'unknown',      -- kept without accepted evidence: not mailable (dpv:ConsentUnknown)
    'requested',    -- asked by a form, not confirmed
    'given',        -- a warrant
    'refused',      -- asked, and said no
    'withdrawn',    -- by the customer; only the customer's own mailbox or portal gives again
    'expired', 'invalidated',
    'renewed')),    -- a warrant
  method      text NOT NULL CHECK (method IN (
    'web_form', 'double_opt_in', 'portal', 'one_click', 'stop_page', 'staff', 'import', 'api',
    'complaint', 'expiry', 'erasure')),
  actor_kind  text NOT NULL CHECK (actor_kind IN ('customer', 'member', 'key', 'system')),
  actor_id    uuid,
  at          timestamptz NOT NULL,
  recorded_at timestamptz NOT NULL,
  evidence    jsonb NOT NULL DEFAULT '{}',
  salt        bytea NOT NULL CHECK (length(salt) = 32),
  -- RFC 8785 bytes of the whole record; hashed as stored, never serialised again.
  canonical   bytea NOT NULL,
  PRIMARY KEY (business_id, event_id),
  FOREIGN KEY (business_id, event_id) REFERENCES crm.consent_event (business_id, event_id),
  FOREIGN KEY (business_id, customer_id) REFERENCES crm.customer (business_id, customer_id),
  FOREIGN KEY (business_id, purpose_id) REFERENCES crm.purpose (business_id, purpose_id),
  FOREIGN KEY (business_id, notice_id) REFERENCES crm.notice (business_id, notice_id),
  -- Promise 5: a warrant always shows its text.
  CONSTRAINT consent_record_warrant_has_notice CHECK (
    status NOT IN ('given', 'renewed') OR notice_id IS NOT NULL),
  -- Promise 7: staff, keys and imports name the evidence they rely on.
  CONSTRAINT consent_record_foreign_evidence CHECK (
    status NOT IN ('given', 'renewed') OR method IN ('double_opt_in', 'portal')
    OR (method IN ('staff', 'import', 'api') AND evidence ? 'kind')),
  CONSTRAINT consent_record_own_word CHECK (
    status NOT IN ('given', 'renewed') OR method NOT IN ('double_opt_in', 'portal')
    OR actor_kind = 'customer')
);

SELECT crm.place('crm.consent_record');

SELECT crm.keep_apart('crm.consent_record');

CREATE INDEX consent_record_of_customer ON crm.consent_record (business_id, customer_id, event_id);

CREATE TRIGGER consent_record_append_only BEFORE UPDATE OR DELETE ON crm.consent_record
  FOR EACH ROW EXECUTE FUNCTION crm.append_only();

CREATE TRIGGER consent_record_never_emptied BEFORE TRUNCATE ON crm.consent_record
  FOR EACH STATEMENT EXECUTE FUNCTION crm.append_only();

GRANT SELECT, INSERT ON crm.consent_record TO crm_app;

GRANT SELECT, DELETE ON crm.consent_record TO crm_eraser;

-- The current state per customer and purpose: a fold of the events, written with each event.
CREATE TABLE crm.consent (
  business_id uuid NOT NULL,
  customer_id uuid NOT NULL,
  purpose_id  uuid NOT NULL,
  status      text NOT NULL,
  method      text NOT NULL,
  event_id    uuid NOT NULL,
  -- The text the state rests on; kept when a later event shows none.
  notice_id   uuid,
  at          timestamptz NOT NULL,
  valid_until timestamptz,
  PRIMARY KEY (business_id, customer_id, purpose_id),
  FOREIGN KEY (business_id, customer_id) REFERENCES crm.customer (business_id, customer_id),
  FOREIGN KEY (business_id, purpose_id) REFERENCES crm.purpose (business_id, purpose_id),
  FOREIGN KEY (business_id, event_id) REFERENCES crm.consent_event (business_id, event_id),
  FOREIGN KEY (business_id, notice_id) REFERENCES crm.notice (business_id, notice_id),
  CHECK (status NOT IN ('given', 'renewed') OR notice_id IS NOT NULL)
);

SELECT crm.place('crm.consent');

SELECT crm.keep_apart('crm.consent');

-- The audience of a purpose, in the order in which deliveries are written and claimed.
CREATE INDEX consent_audience ON crm.consent (business_id, purpose_id, customer_id);

-- Promise 7: only the customer's own confirmation or portal lifts an opt-out.
CREATE FUNCTION crm.keep_opt_out() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
  IF OLD.status IN ('withdrawn', 'refused', 'expired', 'invalidated')
     AND NEW.status NOT IN ('withdrawn', 'refused', 'expired', 'invalidated')
     AND NEW.method NOT IN ('double_opt_in', 'portal') THEN
    RAISE EXCEPTION 'only the customer can consent again after %', OLD.status
      USING ERRCODE = 'insufficient_privilege';
  END IF;
  RETURN NEW;
END
$$;

CREATE TRIGGER consent_keep_opt_out BEFORE UPDATE ON crm.consent
  FOR EACH ROW EXECUTE FUNCTION crm.keep_opt_out();

GRANT SELECT, INSERT, UPDATE ON crm.consent TO crm_app;

GRANT SELECT, DELETE ON crm.consent TO crm_eraser;

-- The current states, for domains above that look before they write.
CREATE VIEW crm.consent_now WITH (security_invoker = true) AS
SELECT s.business_id, s.customer_id, s.purpose_id, s.status, s.method, s.event_id, s.notice_id,
       s.at, s.valid_until
  FROM crm.consent s;

GRANT SELECT ON crm.consent_now TO crm_app;

-- Erasure deletes the records of a customer whose row is already a tombstone, and of nobody else.
CREATE FUNCTION crm.erase_consent(_business uuid, _customer uuid) RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog AS $$
DECLARE
  gone integer;
BEGIN
  IF NOT EXISTS (SELECT FROM crm.customer c WHERE c.business_id = _business
                   AND c.customer_id = _customer AND c.erased_at IS NOT NULL) THEN
    RAISE EXCEPTION 'the customer is not erased' USING ERRCODE = 'insufficient_privilege';
  END IF;
  DELETE FROM crm.consent s WHERE s.business_id = _business AND s.customer_id = _customer;
  DELETE FROM crm.consent_record r WHERE r.business_id = _business AND r.customer_id = _customer;
  GET DIAGNOSTICS gone = ROW_COUNT;
  RETURN gone;
END
$$;

ALTER FUNCTION crm.erase_consent(uuid, uuid) OWNER TO crm_eraser;

REVOKE ALL ON FUNCTION crm.erase_consent(uuid, uuid) FROM PUBLIC;

GRANT EXECUTE ON FUNCTION crm.erase_consent(uuid, uuid) TO crm_app;

CREATE FUNCTION crm.erase_events(_business uuid, _customer uuid) RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog AS $$
DECLARE
  gone integer;
BEGIN
  IF NOT EXISTS (SELECT FROM crm.customer c WHERE c.business_id = _business
                   AND c.customer_id = _customer AND c.erased_at IS NOT NULL) THEN
    RAISE EXCEPTION 'the customer is not erased' USING ERRCODE = 'insufficient_privilege';
  END IF;
  DELETE FROM crm.event e WHERE e.business_id = _business AND e.customer_id = _customer;
  GET DIAGNOSTICS gone = ROW_COUNT;
  RETURN gone;
END
$$;

ALTER FUNCTION crm.erase_events(uuid, uuid) OWNER TO crm_eraser;

REVOKE ALL ON FUNCTION crm.erase_events(uuid, uuid) FROM PUBLIC;

GRANT EXECUTE ON FUNCTION crm.erase_events(uuid, uuid) TO crm_app;
