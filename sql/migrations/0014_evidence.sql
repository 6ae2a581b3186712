-- Consent as evidence: what a decision rests on, and what PostgreSQL refuses to take for one.
-- Promises 1, 5, 6 and 7.

GRANT CREATE ON SCHEMA crm TO crm_sweep, crm_eraser;

-- The front door of crm/events for statements of domains above: what happened, told in the same
-- statement that makes it happen.
CREATE FUNCTION crm.record_event(
  _business uuid, _event uuid, _now timestamptz, _kind text, _actor_kind text, _actor uuid,
  _actor_name text, _customer uuid, _ref uuid) RETURNS integer
LANGUAGE plpgsql AS $$
BEGIN
  INSERT INTO crm.event (business_id, event_id, at, kind, actor_kind, actor_id, actor_name,
                         customer_id, ref)
  VALUES (_business, _event, _now, _kind, _actor_kind, _actor, _actor_name, _customer, _ref);
  RETURN 1;
END
$$;

-- The owner of a mailbox acted: pressed the button that a mail led to, or typed its code. Nobody
-- inserts here; the functions of the domains that mail secrets do (crm_prover), given the secret.
CREATE TABLE crm.mailbox_proof (
  business_id uuid NOT NULL,
  proof_id    uuid NOT NULL,
  customer_id uuid NOT NULL,
  way         text NOT NULL CHECK (way IN (
    'confirm_link', 'confirm_code',  -- a sign-up
    'sign_in_link', 'sign_in_code',  -- a way into the portal
    'renewal_link',                  -- the link of a newsletter that asked
    'before')),                      -- recorded before proofs were rows of their own
  -- When the mail was asked for, or sent; and when its secret came back.
  mailed_at   timestamptz NOT NULL,
  proved_at   timestamptz NOT NULL,
  PRIMARY KEY (business_id, proof_id),
  FOREIGN KEY (business_id, customer_id) REFERENCES crm.customer (business_id, customer_id),
  -- So that a grant can only cite a proof of the same customer.
  CONSTRAINT mailbox_proof_of_customer UNIQUE (business_id, proof_id, customer_id),
  CHECK (proved_at >= mailed_at)
);

SELECT crm.place('crm.mailbox_proof');

SELECT crm.keep_apart('crm.mailbox_proof');

ALTER POLICY of_business ON crm.mailbox_proof TO crm_app, crm_eraser, crm_prover;

CREATE INDEX mailbox_proof_by_customer ON crm.mailbox_proof (business_id, customer_id);

GRANT SELECT ON crm.mailbox_proof TO crm_app;

GRANT SELECT, DELETE ON crm.mailbox_proof TO crm_eraser;

GRANT SELECT, INSERT ON crm.mailbox_proof TO crm_prover;

GRANT USAGE ON SCHEMA crm TO crm_prover;

-- A file that shows a decision taken elsewhere: a photograph of a form. Stored, encrypted, and
-- never opened or shown by us.
CREATE TABLE crm.evidence_file (
  business_id uuid NOT NULL,
  file_id     uuid NOT NULL,
  customer_id uuid NOT NULL,
  name        text NOT NULL CHECK (length(name) BETWEEN 1 AND 255),
  size        integer NOT NULL CHECK (size > 0),
  -- Of the file as it came.
  sha256      bytea NOT NULL CHECK (length(sha256) = 32),
  content     bytea NOT NULL,
  added_by    uuid,
  added_at    timestamptz NOT NULL,
  PRIMARY KEY (business_id, file_id),
  FOREIGN KEY (business_id, customer_id) REFERENCES crm.customer (business_id, customer_id)
);

-- It is encrypted: trying to compress it costs time for nothing.
ALTER TABLE crm.evidence_file ALTER COLUMN content SET STORAGE EXTERNAL;

SELECT crm.place('crm.evidence_file');

SELECT crm.keep_apart('crm.evidence_file');

CREATE INDEX evidence_file_of_customer ON crm.evidence_file (business_id, customer_id);

CREATE TRIGGER evidence_file_append_only BEFORE UPDATE OR DELETE ON crm.evidence_file
  FOR EACH ROW EXECUTE FUNCTION crm.append_only();

CREATE TRIGGER evidence_file_never_emptied BEFORE TRUNCATE ON crm.evidence_file
  FOR EACH STATEMENT EXECUTE FUNCTION crm.append_only();

GRANT SELECT, INSERT ON crm.evidence_file TO crm_app;

GRANT SELECT, DELETE ON crm.evidence_file TO crm_eraser;

-- The stub says which text it was a yes to, if it was one: what a delivery has to cite.
ALTER TABLE crm.consent_event
  ADD COLUMN warrants uuid NOT NULL DEFAULT '00000000-0000-0000-0000-000000000000';

-- What is known of events before: the owner sees and completes rows while nothing guards them.
ALTER TABLE crm.consent_event NO FORCE ROW LEVEL SECURITY;

ALTER TABLE crm.consent_record NO FORCE ROW LEVEL SECURITY;

ALTER TABLE crm.consent NO FORCE ROW LEVEL SECURITY;

ALTER TABLE crm.delivery NO FORCE ROW LEVEL SECURITY;

ALTER TABLE crm.mailbox_proof NO FORCE ROW LEVEL SECURITY;

ALTER TABLE crm.ledger_unsealed NO FORCE ROW LEVEL SECURITY;

ALTER TABLE crm.customer NO FORCE ROW LEVEL SECURITY;

ALTER TABLE crm.purpose_version NO FORCE ROW LEVEL SECURITY;

ALTER TABLE crm.notice NO FORCE ROW LEVEL SECURITY;

ALTER TABLE crm.consent_event DISABLE TRIGGER consent_event_append_only;

ALTER TABLE crm.consent_record DISABLE TRIGGER consent_record_append_only;

UPDATE crm.consent_event e SET warrants = r.notice_id
  FROM crm.consent_record r
 WHERE r.business_id = e.business_id AND r.event_id = e.event_id
   AND r.status IN ('given', 'renewed');

-- Of customers erased since, their deliveries still say it.
UPDATE crm.consent_event e SET warrants = d.notice_id
  FROM crm.delivery d
 WHERE d.business_id = e.business_id AND d.event_id = e.event_id AND d.notice_id IS NOT NULL
   AND e.warrants = '00000000-0000-0000-0000-000000000000';

ALTER TABLE crm.consent_event ADD CONSTRAINT consent_event_warrant
  UNIQUE (business_id, event_id, warrants);

INSERT INTO crm.ledger_unsealed (business_id, entry_id, commitment, entered_at)
SELECT e.business_id, e.event_id, e.commitment, clock_timestamp() FROM crm.consent_event e;

INSERT INTO crm.mailbox_proof (business_id, proof_id, customer_id, way, mailed_at, proved_at)
SELECT r.business_id, r.event_id, r.customer_id, 'before', r.at, r.at
  FROM crm.consent_record r
 WHERE r.status IN ('given', 'renewed') AND r.method IN ('double_opt_in', 'portal');

ALTER TABLE crm.consent_record
  ADD COLUMN purpose_version integer NOT NULL DEFAULT 1,
  ADD COLUMN basis           text NOT NULL DEFAULT 'consent',
  ADD COLUMN valid_until     timestamptz,
  -- What kind of evidence from elsewhere it rests on, if on any; the canonical bytes hold it all.
  ADD COLUMN evidence_kind   text,
  ADD COLUMN proof_id        uuid;

UPDATE crm.consent_record
   SET evidence_kind = evidence ->> 'kind',
       proof_id = CASE WHEN status IN ('given', 'renewed')
                        AND method IN ('double_opt_in', 'portal') THEN event_id END;

ALTER TABLE crm.consent_record
  ALTER COLUMN purpose_version DROP DEFAULT,
  ALTER COLUMN basis DROP DEFAULT,
  DROP CONSTRAINT consent_record_status_check,
  DROP CONSTRAINT consent_record_method_check,
  DROP CONSTRAINT consent_record_warrant_has_notice,
  DROP CONSTRAINT consent_record_foreign_evidence,
  DROP CONSTRAINT consent_record_own_word,
  DROP CONSTRAINT consent_record_business_id_event_id_fkey,
  DROP CONSTRAINT consent_record_business_id_purpose_id_fkey,
  DROP CONSTRAINT consent_record_business_id_notice_id_fkey,
  DROP COLUMN evidence;

-- States are those of W3C DPV 2.3 (crm.consent.states); unobjected is no consent.
ALTER TABLE crm.consent_record ADD CONSTRAINT consent_record_status_check CHECK (status IN (
  'unknown', 'requested', 'deferred', 'given', 'renewed', 'refused', 'withdrawn', 'revoked',
  'expired', 'invalidated', 'unobjected'));

ALTER TABLE crm.consent_record ADD CONSTRAINT consent_record_method_check CHECK (method IN (
  'web_form', 'double_opt_in', 'portal', 'renewal', 'one_click', 'stop_page', 'complaint', 'staff',
  'import', 'api', 'expiry', 'retirement', 'erasure'));

ALTER TABLE crm.consent_record ADD COLUMN warrants uuid NOT NULL GENERATED ALWAYS AS (
  CASE WHEN status IN ('given', 'renewed', 'unobjected') THEN notice_id
       ELSE '00000000-0000-0000-0000-000000000000' END) STORED;

-- The stub names the text that the record was a yes to, and nothing where it was none. Promise 5: a
-- yes always shows its text, or `warrants` would be null.
ALTER TABLE crm.consent_record ADD CONSTRAINT consent_record_stub
  FOREIGN KEY (business_id, event_id, warrants)
  REFERENCES crm.consent_event (business_id, event_id, warrants);

ALTER TABLE crm.consent_record ADD CONSTRAINT consent_record_version
  FOREIGN KEY (business_id, purpose_id, purpose_version, basis)
  REFERENCES crm.purpose_version (business_id, purpose_id, version, basis);

ALTER TABLE crm.consent_record ADD CONSTRAINT consent_record_notice
  FOREIGN KEY (business_id, notice_id, purpose_id, purpose_version)
  REFERENCES crm.notice (business_id, notice_id, purpose_id, purpose_version);

ALTER TABLE crm.consent_record ADD CONSTRAINT consent_record_proof
  FOREIGN KEY (business_id, proof_id, customer_id)
  REFERENCES crm.mailbox_proof (business_id, proof_id, customer_id);

-- Promise 7: a consent is the word of the customer's own mailbox, or rests on named evidence.
ALTER TABLE crm.consent_record ADD CONSTRAINT consent_record_own_word CHECK (
  status NOT IN ('given', 'renewed')
  OR (method IN ('double_opt_in', 'portal', 'renewal')
      AND actor_kind = 'customer' AND proof_id IS NOT NULL AND evidence_kind IS NULL)
  OR (method IN ('staff', 'import', 'api')
      AND actor_kind <> 'customer' AND proof_id IS NULL AND evidence_kind IS NOT NULL));

-- Nobody but the customer has a proof of her mailbox.
ALTER TABLE crm.consent_record ADD CONSTRAINT consent_record_proof_is_hers CHECK (
  proof_id IS NULL OR actor_kind = 'customer');

-- Soft opt-in is told at a sale, on its own basis, and never passes for consent or consent for it.
ALTER TABLE crm.consent_record ADD CONSTRAINT consent_record_basis CHECK (
  CASE status
    WHEN 'unobjected' THEN basis = 'soft_opt_in' AND evidence_kind = 'sale'
                           AND method IN ('staff', 'api')
    WHEN 'given' THEN basis <> 'soft_opt_in' AND evidence_kind IS DISTINCT FROM 'sale'
    WHEN 'renewed' THEN basis <> 'soft_opt_in' AND evidence_kind IS DISTINCT FROM 'sale'
    ELSE true
  END);

-- The state of a customer and purpose: one consent record in the sense of ISO/IEC TS 27560.
ALTER TABLE crm.consent
  ADD COLUMN record_id       uuid NOT NULL DEFAULT gen_random_uuid(),
  ADD COLUMN purpose_version integer NOT NULL DEFAULT 1,
  DROP CONSTRAINT consent_business_id_customer_id_fkey,
  DROP CONSTRAINT consent_business_id_purpose_id_fkey,
  DROP CONSTRAINT consent_business_id_event_id_fkey,
  DROP CONSTRAINT consent_check;

ALTER TABLE crm.consent
  ALTER COLUMN record_id DROP DEFAULT,
  ALTER COLUMN purpose_version DROP DEFAULT;

-- The record it rests on names customer, purpose and text, and is checked for each.
ALTER TABLE crm.consent ADD CONSTRAINT consent_of_record
  FOREIGN KEY (business_id, event_id) REFERENCES crm.consent_record (business_id, event_id);

ALTER TABLE crm.consent ADD CONSTRAINT consent_yes_has_notice CHECK (
  status NOT IN ('given', 'renewed', 'unobjected') OR notice_id IS NOT NULL);

-- What lapses next.
CREATE INDEX consent_ending ON crm.consent (business_id, valid_until)
  WHERE status IN ('given', 'renewed', 'unobjected') AND valid_until IS NOT NULL;

ALTER TABLE crm.consent_event ENABLE TRIGGER consent_event_append_only;

ALTER TABLE crm.consent_record ENABLE TRIGGER consent_record_append_only;

-- Promise 1: a delivery cites an event that was a yes, and the very text it was a yes to.
ALTER TABLE crm.delivery DROP CONSTRAINT delivery_business_id_event_id_fkey;

ALTER TABLE crm.delivery ADD CONSTRAINT delivery_cites_a_yes
  FOREIGN KEY (business_id, event_id, notice_id)
  REFERENCES crm.consent_event (business_id, event_id, warrants);

ALTER TABLE crm.consent_event FORCE ROW LEVEL SECURITY;

ALTER TABLE crm.consent_record FORCE ROW LEVEL SECURITY;

ALTER TABLE crm.consent FORCE ROW LEVEL SECURITY;

ALTER TABLE crm.delivery FORCE ROW LEVEL SECURITY;

ALTER TABLE crm.mailbox_proof FORCE ROW LEVEL SECURITY;

ALTER TABLE crm.ledger_unsealed FORCE ROW LEVEL SECURITY;

ALTER TABLE crm.customer FORCE ROW LEVEL SECURITY;

ALTER TABLE crm.purpose_version FORCE ROW LEVEL SECURITY;

ALTER TABLE crm.notice FORCE ROW LEVEL SECURITY;

-- Network address and browser of a decision, where the business keeps them: encrypted, in no
-- receipt, and gone when their own time is over.
CREATE TABLE crm.consent_network (
  business_id uuid NOT NULL,
  event_id    uuid NOT NULL,
  customer_id uuid NOT NULL,
  sealed      bytea NOT NULL,
  expires_at  timestamptz NOT NULL,
  PRIMARY KEY (business_id, event_id),
  FOREIGN KEY (business_id, event_id) REFERENCES crm.consent_record (business_id, event_id)
);

SELECT crm.place('crm.consent_network');

SELECT crm.keep_apart('crm.consent_network');

CREATE INDEX consent_network_of_customer ON crm.consent_network (business_id, customer_id);

CREATE INDEX consent_network_expiry ON crm.consent_network (business_id, expires_at);

GRANT SELECT, INSERT, DELETE ON crm.consent_network TO crm_app;

GRANT SELECT, DELETE ON crm.consent_network TO crm_eraser;

-- Which events had a record once: a stub without record and without this is a loss, not an erasure.
CREATE TABLE crm.consent_erased (
  business_id uuid NOT NULL,
  event_id    uuid NOT NULL,
  erased_on   date NOT NULL,
  PRIMARY KEY (business_id, event_id),
  FOREIGN KEY (business_id, event_id) REFERENCES crm.consent_event (business_id, event_id)
);

SELECT crm.place('crm.consent_erased');

SELECT crm.keep_apart('crm.consent_erased');

CREATE TRIGGER consent_erased_append_only BEFORE UPDATE OR DELETE ON crm.consent_erased
  FOR EACH ROW EXECUTE FUNCTION crm.append_only();

CREATE TRIGGER consent_erased_never_emptied BEFORE TRUNCATE ON crm.consent_erased
  FOR EACH STATEMENT EXECUTE FUNCTION crm.append_only();

GRANT SELECT ON crm.consent_erased TO crm_app;

GRANT SELECT, INSERT ON crm.consent_erased TO crm_eraser;

-- Erasure deletes the records of a customer whose row is already a tombstone, and of nobody else.
CREATE OR REPLACE FUNCTION crm.erase_consent(_business uuid, _customer uuid) RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog AS $$
DECLARE
  gone integer;
BEGIN
  IF NOT EXISTS (SELECT FROM crm.customer c WHERE c.business_id = _business
                   AND c.customer_id = _customer AND c.erased_at IS NOT NULL) THEN
    RAISE EXCEPTION 'the customer is not erased' USING ERRCODE = 'insufficient_privilege';
  END IF;
  DELETE FROM crm.consent s WHERE s.business_id = _business AND s.customer_id = _customer;
  DELETE FROM crm.consent_network n WHERE n.business_id = _business AND n.customer_id = _customer;
  DELETE FROM crm.evidence_file f WHERE f.business_id = _business AND f.customer_id = _customer;
  WITH erased AS (
    DELETE FROM crm.consent_record r WHERE r.business_id = _business AND r.customer_id = _customer
    RETURNING r.event_id
  )
  INSERT INTO crm.consent_erased (business_id, event_id, erased_on)
  SELECT _business, e.event_id, (SELECT c.erased_at::date FROM crm.customer c
                                  WHERE c.business_id = _business AND c.customer_id = _customer)
    FROM erased e;
  GET DIAGNOSTICS gone = ROW_COUNT;
  DELETE FROM crm.mailbox_proof p WHERE p.business_id = _business AND p.customer_id = _customer;
  RETURN gone;
END
$$;

-- Promise 7: only the customer's own confirmation, portal or renewal lifts an opt-out.
CREATE OR REPLACE FUNCTION crm.keep_opt_out() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
  IF OLD.status IN ('withdrawn', 'refused', 'revoked', 'expired', 'invalidated')
     AND NEW.status NOT IN ('withdrawn', 'refused', 'revoked', 'expired', 'invalidated')
     AND NEW.method NOT IN ('double_opt_in', 'portal', 'renewal') THEN
    RAISE EXCEPTION 'only the customer can consent again after %', OLD.status
      USING ERRCODE = 'insufficient_privilege';
  END IF;
  RETURN NEW;
END
$$;

DROP VIEW crm.consent_now;

-- The current states, for domains above that look before they write. A state ends with its own
-- time, or with the version of the purpose that it was a yes to, whichever is first.
CREATE VIEW crm.consent_now WITH (security_invoker = true) AS
SELECT s.business_id, s.customer_id, s.purpose_id, s.purpose_version, s.status, s.method,
       s.event_id, s.notice_id, s.at, least(s.valid_until, v.ends_at) AS ends_at
  FROM crm.consent s
  JOIN crm.purpose_version v
    ON v.business_id = s.business_id
   AND v.purpose_id = s.purpose_id
   AND v.version = s.purpose_version;

GRANT SELECT ON crm.consent_now TO crm_app;

-- Whoever says yes in her own words is mailed again; renewing is one more way of saying it.
DROP TRIGGER consent_lifts ON crm.consent;

CREATE TRIGGER consent_lifts AFTER INSERT OR UPDATE ON crm.consent
  FOR EACH ROW WHEN (
    NEW.status IN ('given', 'renewed') AND NEW.method IN ('double_opt_in', 'portal', 'renewal'))
  EXECUTE FUNCTION crm.consent_lifts();

-- Who may not be mailed though nothing is known of a consent: for the domain below that looks
-- before it writes one.
CREATE VIEW crm.silenced WITH (security_invoker = true) AS
SELECT u.business_id, u.address_hash FROM crm.suppression u;

GRANT SELECT ON crm.silenced TO crm_app;

-- Promise 7, once more: after an erasure, a complaint or a bounce, nobody says yes for a customer.
CREATE FUNCTION crm.keep_silence() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
  IF EXISTS (SELECT FROM crm.customer c
               JOIN crm.suppression u
                 ON u.business_id = NEW.business_id AND u.address_hash = c.address_hash
              WHERE c.business_id = NEW.business_id AND c.customer_id = NEW.customer_id) THEN
    RAISE EXCEPTION 'only the customer can consent while her address is suppressed'
      USING ERRCODE = 'insufficient_privilege';
  END IF;
  RETURN NEW;
END
$$;

CREATE TRIGGER consent_record_keep_silence BEFORE INSERT ON crm.consent_record
  FOR EACH ROW WHEN (
    NEW.status IN ('given', 'renewed', 'unobjected') AND NEW.method IN ('api', 'staff'))
  EXECUTE FUNCTION crm.keep_silence();

-- What has ended excludes; a soft opt-in that stands does not.
DROP TRIGGER consent_excludes ON crm.consent;

CREATE TRIGGER consent_excludes AFTER INSERT OR UPDATE ON crm.consent
  FOR EACH ROW WHEN (NEW.status NOT IN ('given', 'renewed', 'unobjected'))
  EXECUTE FUNCTION crm.consent_excludes();

-- Why a customer may not be mailed for a purpose, or null if she may. The one rule, used by the
-- review, when deliveries are written, and in the claiming statement.
DROP FUNCTION crm.exclusion(text, timestamptz, text, timestamptz, timestamptz, timestamptz);

CREATE FUNCTION crm.exclusion(
  _status text, _ends_at timestamptz, _suppressed text, _restricted_at timestamptz,
  _erased_at timestamptz, _now timestamptz) RETURNS text
LANGUAGE sql IMMUTABLE AS $$
  SELECT CASE
    WHEN _erased_at IS NOT NULL THEN 'erased'
    WHEN _status = 'withdrawn' THEN 'withdrawn'
    WHEN _status = 'refused' THEN 'refused'
    WHEN _status = 'expired' OR _ends_at <= _now THEN 'expired'
    WHEN _restricted_at IS NOT NULL THEN 'frozen'
    WHEN _suppressed IS NOT NULL THEN 'suppressed'
    WHEN _status IS NULL OR _status NOT IN ('given', 'renewed', 'unobjected') THEN 'no_consent'
  END
$$;

REVOKE CREATE ON SCHEMA crm FROM crm_sweep, crm_eraser;
