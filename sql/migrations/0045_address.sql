-- Her address changes when the new mailbox has answered, and for a while the old one can undo it.
-- Promises 7 and 8.

GRANT CREATE ON SCHEMA crm TO crm_prover;

-- A change that she asked for and the new mailbox has not confirmed.
CREATE TABLE crm.address_change (
  business_id  uuid NOT NULL,
  customer_id  uuid NOT NULL,
  address      text NOT NULL,
  folded       text COLLATE "C" NOT NULL,
  address_hash bytea NOT NULL CHECK (length(address_hash) = 16),
  -- The Message-ID of the mail that asked the new mailbox.
  message_id   text NOT NULL CHECK (length(message_id) <= 300),
  token_hash   bytea NOT NULL CHECK (length(token_hash) = 32),
  code_hash    bytea NOT NULL CHECK (length(code_hash) = 32),
  requested_at timestamptz NOT NULL,
  expires_at   timestamptz NOT NULL,
  -- The newest replaces the older one.
  PRIMARY KEY (business_id, customer_id),
  CONSTRAINT address_change_one_per_token UNIQUE (business_id, token_hash),
  FOREIGN KEY (business_id, customer_id) REFERENCES crm.customer (business_id, customer_id)
);

SELECT crm.place('crm.address_change');

SELECT crm.keep_apart('crm.address_change');

ALTER POLICY of_business ON crm.address_change TO crm_app, crm_prover;

GRANT SELECT, INSERT, UPDATE, DELETE ON crm.address_change TO crm_app;

GRANT SELECT, DELETE ON crm.address_change TO crm_prover;

-- An address that was hers. Its fingerprint stays with her record, so that links in mails to it
-- still stop what she gets; the address itself only while it can be put back.
CREATE TABLE crm.former_address (
  business_id  uuid NOT NULL,
  customer_id  uuid NOT NULL,
  address_hash bytea NOT NULL CHECK (length(address_hash) = 16),
  address      text,
  folded       text COLLATE "C",
  changed_at   timestamptz NOT NULL,
  undo_hash    bytea CHECK (length(undo_hash) = 32),
  undo_until   timestamptz,
  PRIMARY KEY (business_id, customer_id, address_hash),
  CONSTRAINT former_address_one_per_token UNIQUE (business_id, undo_hash),
  FOREIGN KEY (business_id, customer_id) REFERENCES crm.customer (business_id, customer_id),
  CONSTRAINT former_address_while_undoable CHECK (
    (address IS NULL) = (undo_hash IS NULL) AND (folded IS NULL) = (undo_hash IS NULL)
    AND (undo_until IS NULL) = (undo_hash IS NULL))
);

SELECT crm.place('crm.former_address');

SELECT crm.keep_apart('crm.former_address');

ALTER POLICY of_business ON crm.former_address TO crm_app, crm_prover;

CREATE INDEX former_address_by_hash ON crm.former_address (business_id, address_hash);

-- Nobody inserts here but the functions below.
GRANT SELECT, DELETE ON crm.former_address TO crm_app;

GRANT UPDATE (address, folded, undo_hash, undo_until) ON crm.former_address TO crm_app;

GRANT SELECT, INSERT, UPDATE ON crm.former_address TO crm_prover;

GRANT UPDATE (address, folded, address_hash, version, changed_at) ON crm.customer TO crm_prover;

-- Staff, programs and imports have no way to point a record at another mailbox: consent was given
-- for this one. An erasure empties it.
CREATE FUNCTION crm.keep_address() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
  IF current_user <> 'crm_prover' THEN
    RAISE EXCEPTION 'an address changes only when the new mailbox has answered'
      USING ERRCODE = 'insufficient_privilege';
  END IF;
  RETURN NEW;
END
$$;

CREATE TRIGGER customer_keep_address BEFORE UPDATE ON crm.customer
  FOR EACH ROW WHEN (
    NEW.erased_at IS NULL
    AND (NEW.address, NEW.folded, NEW.address_hash)
        IS DISTINCT FROM (OLD.address, OLD.folded, OLD.address_hash))
  EXECUTE FUNCTION crm.keep_address();

ALTER TABLE crm.mailbox_proof DROP CONSTRAINT mailbox_proof_way_check;

ALTER TABLE crm.mailbox_proof ADD CONSTRAINT mailbox_proof_way_check CHECK (way IN (
  'confirm_link', 'confirm_code', 'sign_in_link', 'sign_in_code', 'renewal_link', 'before',
  'address_link', 'address_code'));

-- What a yes for another mailbox ends by.
ALTER TABLE crm.consent_record DROP CONSTRAINT consent_record_method_check;

ALTER TABLE crm.consent_record ADD CONSTRAINT consent_record_method_check CHECK (method IN (
  'web_form', 'double_opt_in', 'portal', 'renewal', 'one_click', 'stop_page', 'complaint', 'staff',
  'import', 'api', 'expiry', 'retirement', 'erasure', 'new_address'));

-- No list brings newsletters back to an address that she has left.
ALTER TABLE crm.suppression DROP CONSTRAINT suppression_reason_check;

ALTER TABLE crm.suppression ADD CONSTRAINT suppression_reason_check CHECK (reason IN (
  'left', 'erased', 'bounced', 'complained', 'staff', 'imported', 'objected', 'moved'));

-- The new mailbox has answered: the change is used up by its secret, and the address is hers.
-- Returns the proof, or null where the change is over. A unique violation says that somebody else
-- has that address by now.
CREATE FUNCTION crm.prove_new_address(
  _business uuid, _proof uuid, _customer uuid, _token text, _code_hash bytea, _undo_hash bytea,
  _undo_until timestamptz, _now timestamptz) RETURNS uuid
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog AS $$
DECLARE
  old record;
  asked record;
BEGIN
  SELECT c.address, c.folded, c.address_hash INTO old FROM crm.customer c
   WHERE c.business_id = _business AND c.customer_id = _customer AND c.erased_at IS NULL
     FOR UPDATE;
  DELETE FROM crm.address_change a
   WHERE a.business_id = _business AND a.customer_id = _customer AND a.expires_at > _now
     AND (a.token_hash = sha256(convert_to(_token, 'UTF8')) OR a.code_hash = _code_hash)
  RETURNING a.address, a.folded, a.address_hash, a.requested_at INTO asked;
  IF NOT FOUND OR old.address IS NULL THEN
    RETURN NULL;
  END IF;
  INSERT INTO crm.former_address AS f (business_id, customer_id, address_hash, address, folded,
                                       changed_at, undo_hash, undo_until)
  VALUES (_business, _customer, old.address_hash, old.address, old.folded, _now, _undo_hash,
          _undo_until)
  ON CONFLICT (business_id, customer_id, address_hash) DO UPDATE
     SET address = excluded.address, folded = excluded.folded, changed_at = excluded.changed_at,
         undo_hash = excluded.undo_hash, undo_until = excluded.undo_until;
  UPDATE crm.customer c
     SET address = asked.address, folded = asked.folded, address_hash = asked.address_hash,
         version = c.version + 1, changed_at = _now
   WHERE c.business_id = _business AND c.customer_id = _customer;
  INSERT INTO crm.mailbox_proof (business_id, proof_id, customer_id, way, mailed_at, proved_at)
  VALUES (_business, _proof, _customer,
          CASE WHEN _token IS NULL THEN 'address_code' ELSE 'address_link' END,
          least(asked.requested_at, _now), _now);
  RETURN _proof;
END
$$;

-- The old mailbox undoes it: its address is hers again, and whatever was changed since can be
-- undone no more. Returns whose it was, or null where the link is over.
CREATE FUNCTION crm.undo_new_address(_business uuid, _token text, _now timestamptz) RETURNS uuid
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog AS $$
DECLARE
  hers uuid;
  left_one record;
  back record;
BEGIN
  SELECT f.customer_id INTO hers FROM crm.former_address f
   WHERE f.business_id = _business AND f.undo_hash = sha256(convert_to(_token, 'UTF8'));
  -- The customer first, as everybody locks.
  SELECT c.address_hash INTO left_one FROM crm.customer c
   WHERE c.business_id = _business AND c.customer_id = hers AND c.erased_at IS NULL
     FOR UPDATE;
  SELECT f.address, f.folded, f.address_hash, f.changed_at INTO back FROM crm.former_address f
   WHERE f.business_id = _business AND f.customer_id = hers AND f.undo_until > _now
     AND f.undo_hash = sha256(convert_to(_token, 'UTF8'))
     FOR UPDATE;
  IF back.address IS NULL OR left_one.address_hash IS NULL THEN
    RETURN NULL;
  END IF;
  UPDATE crm.former_address f
     SET address = NULL, folded = NULL, undo_hash = NULL, undo_until = NULL
   WHERE f.business_id = _business AND f.customer_id = hers AND f.changed_at >= back.changed_at;
  IF left_one.address_hash <> back.address_hash THEN
    INSERT INTO crm.former_address (business_id, customer_id, address_hash, changed_at)
    VALUES (_business, hers, left_one.address_hash, _now)
    ON CONFLICT (business_id, customer_id, address_hash) DO UPDATE
       SET address = NULL, folded = NULL, changed_at = _now, undo_hash = NULL, undo_until = NULL;
  END IF;
  UPDATE crm.customer c
     SET address = back.address, folded = back.folded, address_hash = back.address_hash,
         version = c.version + 1, changed_at = _now
   WHERE c.business_id = _business AND c.customer_id = hers;
  RETURN hers;
END
$$;

ALTER FUNCTION crm.prove_new_address(uuid, uuid, uuid, text, bytea, bytea, timestamptz, timestamptz)
  OWNER TO crm_prover;

REVOKE ALL ON FUNCTION
  crm.prove_new_address(uuid, uuid, uuid, text, bytea, bytea, timestamptz, timestamptz)
  FROM PUBLIC;

GRANT EXECUTE ON FUNCTION
  crm.prove_new_address(uuid, uuid, uuid, text, bytea, bytea, timestamptz, timestamptz)
  TO crm_app;

ALTER FUNCTION crm.undo_new_address(uuid, text, timestamptz) OWNER TO crm_prover;

REVOKE ALL ON FUNCTION crm.undo_new_address(uuid, text, timestamptz) FROM PUBLIC;

GRANT EXECUTE ON FUNCTION crm.undo_new_address(uuid, text, timestamptz) TO crm_app;

REVOKE CREATE ON SCHEMA crm FROM crm_prover;
