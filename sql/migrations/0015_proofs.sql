-- Ways in that prove a mailbox, and what a sign-up keeps until it is confirmed.

GRANT CREATE ON SCHEMA crm TO crm_prover;

ALTER TABLE crm.signup
  -- The Message-ID of the mail that asked for a confirmation.
  ADD COLUMN message_id   text NOT NULL DEFAULT '' CHECK (length(message_id) <= 300),
  -- The form as it was shown; none for one from before forms were kept.
  ADD COLUMN form_sha256  bytea CHECK (length(form_sha256) = 32),
  -- Where the customer says she lives, and the age she says she has reached, where a form asks.
  ADD COLUMN jurisdiction text NOT NULL DEFAULT '' CHECK (jurisdiction ~ '^([A-Z]{2})?$'),
  ADD COLUMN of_age       integer CHECK (of_age BETWEEN 1 AND 99),
  -- Network address and browser, encrypted, where the business keeps them.
  ADD COLUMN network      bytea;

-- The owner sees rows while row security is not forced.
ALTER TABLE crm.portal_session NO FORCE ROW LEVEL SECURITY;

-- Who signed in by a mail can say yes in the portal; the session remembers by which. Sessions from
-- before cannot know it: such customers sign in once more.
DELETE FROM crm.portal_session;

ALTER TABLE crm.portal_session ADD COLUMN proof_id uuid NOT NULL;

ALTER TABLE crm.mailbox_proof NO FORCE ROW LEVEL SECURITY;

ALTER TABLE crm.portal_session ADD CONSTRAINT portal_session_proof
  FOREIGN KEY (business_id, proof_id, customer_id)
  REFERENCES crm.mailbox_proof (business_id, proof_id, customer_id);

ALTER TABLE crm.portal_session FORCE ROW LEVEL SECURITY;

ALTER TABLE crm.mailbox_proof FORCE ROW LEVEL SECURITY;

ALTER POLICY of_business ON crm.signup TO crm_app, crm_eraser, crm_prover;

ALTER POLICY of_business ON crm.portal_link TO crm_app, crm_eraser, crm_prover;

ALTER POLICY of_business ON crm.customer TO crm_app, crm_eraser, crm_prover;

ALTER POLICY of_business ON crm.delivery TO crm_app, crm_eraser, crm_prover;

GRANT SELECT, DELETE ON crm.signup, crm.portal_link TO crm_prover;

GRANT SELECT ON crm.customer, crm.delivery TO crm_prover;

-- A sign-up is used up by its secret: the token of the link, or the hash of the code. Returns the
-- proof, or null where it is over. The customer must be the one whose mailbox got the secret.
CREATE FUNCTION crm.prove_sign_up(
  _business uuid, _proof uuid, _customer uuid, _signup uuid, _token text, _code_hash bytea,
  _now timestamptz) RETURNS uuid
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog AS $$
DECLARE
  taken record;
BEGIN
  DELETE FROM crm.signup s
   WHERE s.business_id = _business AND s.signup_id = _signup AND s.expires_at > _now
     AND (s.token_hash = sha256(convert_to(_token, 'UTF8')) OR s.code_hash = _code_hash)
  RETURNING s.address_hash, s.requested_at INTO taken;
  IF NOT FOUND THEN
    RETURN NULL;
  END IF;
  IF NOT EXISTS (SELECT FROM crm.customer c WHERE c.business_id = _business
                   AND c.customer_id = _customer AND c.address_hash = taken.address_hash) THEN
    RAISE EXCEPTION 'the mailbox is another customer''s' USING ERRCODE = 'insufficient_privilege';
  END IF;
  INSERT INTO crm.mailbox_proof (business_id, proof_id, customer_id, way, mailed_at, proved_at)
  VALUES (_business, _proof, _customer,
          CASE WHEN _token IS NULL THEN 'confirm_code' ELSE 'confirm_link' END,
          least(taken.requested_at, _now), _now);
  RETURN _proof;
END
$$;

-- A way into the portal is used up by its secret, likewise.
CREATE FUNCTION crm.prove_sign_in(
  _business uuid, _proof uuid, _customer uuid, _token text, _code_hash bytea, _now timestamptz)
RETURNS uuid
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog AS $$
DECLARE
  mailed timestamptz;
BEGIN
  DELETE FROM crm.portal_link l
   WHERE l.business_id = _business AND l.customer_id = _customer AND l.expires_at > _now
     AND (l.token_hash = sha256(convert_to(_token, 'UTF8')) OR l.code_hash = _code_hash)
  RETURNING l.created_at INTO mailed;
  IF NOT FOUND THEN
    RETURN NULL;
  END IF;
  INSERT INTO crm.mailbox_proof (business_id, proof_id, customer_id, way, mailed_at, proved_at)
  VALUES (_business, _proof, _customer,
          CASE WHEN _token IS NULL THEN 'sign_in_code' ELSE 'sign_in_link' END,
          least(mailed, _now), _now);
  RETURN _proof;
END
$$;

-- The link of a newsletter came back: only from a customer whom that campaign was sent to, and not
-- long ago. Whoever holds the link is checked by the signature in it.
CREATE FUNCTION crm.prove_renewal(
  _business uuid, _proof uuid, _customer uuid, _campaign uuid, _since timestamptz,
  _now timestamptz) RETURNS uuid
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog AS $$
DECLARE
  mailed timestamptz;
BEGIN
  SELECT d.done_at INTO mailed
    FROM crm.delivery d
   WHERE d.business_id = _business AND d.campaign_id = _campaign AND d.customer_id = _customer
     AND d.state IN ('sent', 'uncertain') AND d.done_at > _since;
  IF NOT FOUND THEN
    RETURN NULL;
  END IF;
  INSERT INTO crm.mailbox_proof (business_id, proof_id, customer_id, way, mailed_at, proved_at)
  VALUES (_business, _proof, _customer, 'renewal_link', least(mailed, _now), _now);
  RETURN _proof;
END
$$;

ALTER FUNCTION crm.prove_sign_up(uuid, uuid, uuid, uuid, text, bytea, timestamptz)
  OWNER TO crm_prover;

REVOKE ALL ON FUNCTION crm.prove_sign_up(uuid, uuid, uuid, uuid, text, bytea, timestamptz)
  FROM PUBLIC;

GRANT EXECUTE ON FUNCTION crm.prove_sign_up(uuid, uuid, uuid, uuid, text, bytea, timestamptz)
  TO crm_app;

ALTER FUNCTION crm.prove_sign_in(uuid, uuid, uuid, text, bytea, timestamptz) OWNER TO crm_prover;

REVOKE ALL ON FUNCTION crm.prove_sign_in(uuid, uuid, uuid, text, bytea, timestamptz) FROM PUBLIC;

GRANT EXECUTE ON FUNCTION crm.prove_sign_in(uuid, uuid, uuid, text, bytea, timestamptz) TO crm_app;

ALTER FUNCTION crm.prove_renewal(uuid, uuid, uuid, uuid, timestamptz, timestamptz)
  OWNER TO crm_prover;

REVOKE ALL ON FUNCTION crm.prove_renewal(uuid, uuid, uuid, uuid, timestamptz, timestamptz)
  FROM PUBLIC;

GRANT EXECUTE ON FUNCTION crm.prove_renewal(uuid, uuid, uuid, uuid, timestamptz, timestamptz)
  TO crm_app;

REVOKE CREATE ON SCHEMA crm FROM crm_prover;
