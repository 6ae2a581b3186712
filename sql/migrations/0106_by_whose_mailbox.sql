-- A link proves a mailbox only while that mailbox is hers.

GRANT CREATE ON SCHEMA crm TO crm_prover;

-- The owner sees rows while row security is not forced.
ALTER TABLE crm.privacy_request NO FORCE ROW LEVEL SECURITY;

ALTER TABLE crm.customer NO FORCE ROW LEVEL SECURITY;

ALTER TABLE crm.former_address NO FORCE ROW LEVEL SECURITY;

-- The address that the link was mailed to. One without finds nothing.
ALTER TABLE crm.privacy_request
  ADD COLUMN mailed_hash bytea CHECK (length(mailed_hash) = 16),
  ADD CONSTRAINT privacy_request_mailed CHECK (mailed_hash IS NULL OR link_hash IS NOT NULL);

-- Links on their way were mailed to the address that she has, unless it changed within their time.
UPDATE crm.privacy_request r
   SET mailed_hash = c.address_hash
  FROM crm.customer c
 WHERE r.link_hash IS NOT NULL
   AND c.business_id = r.business_id
   AND c.customer_id = r.customer_id
   AND c.merged_into IS NULL
   AND NOT EXISTS (SELECT FROM crm.former_address f
                    WHERE f.business_id = r.business_id
                      AND f.customer_id = r.customer_id
                      AND f.changed_at > r.link_expires_at - interval '7 days');

UPDATE crm.privacy_request r
   SET mailed_hash = r.address_hash
 WHERE r.link_hash IS NOT NULL
   AND r.customer_id IS NULL;

ALTER TABLE crm.former_address FORCE ROW LEVEL SECURITY;

ALTER TABLE crm.customer FORCE ROW LEVEL SECURITY;

ALTER TABLE crm.privacy_request FORCE ROW LEVEL SECURITY;

-- Where an address is put back, it is not known any more who asks: such a request waits again.
CREATE OR REPLACE FUNCTION crm.keep_request() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
  IF NEW.state <> OLD.state AND NOT (CASE OLD.state
       WHEN 'received' THEN true
       WHEN 'identity' THEN NEW.state <> 'received'
       WHEN 'in_progress' THEN NEW.state IN ('extended', 'done', 'refused', 'moot')
                            OR NEW.state = 'received' AND NEW.proved_at IS NULL
       WHEN 'extended' THEN NEW.state IN ('done', 'refused', 'moot')
       ELSE false END) THEN
    RAISE EXCEPTION 'a request does not go from % to %', OLD.state, NEW.state
      USING ERRCODE = 'check_violation', CONSTRAINT = 'privacy_request_state';
  END IF;
  IF (NEW.kind, NEW.way, NEW.received_on, NEW.created_at)
       IS DISTINCT FROM (OLD.kind, OLD.way, OLD.received_on, OLD.created_at)
     OR OLD.extended_on IS NOT NULL AND NEW.extended_on IS DISTINCT FROM OLD.extended_on
     OR OLD.closed_at IS NOT NULL AND NEW.extended_on IS DISTINCT FROM OLD.extended_on THEN
    RAISE EXCEPTION 'what was asked, and its clock, stay as they are'
      USING ERRCODE = 'check_violation', CONSTRAINT = 'privacy_request_stays';
  END IF;
  RETURN NEW;
END
$$;

ALTER TABLE crm.privacy_request_step
  DROP CONSTRAINT privacy_request_step_what_check,
  ADD CONSTRAINT privacy_request_step_what_check CHECK (what IN (
    'received', 'link_sent', 'proved', 'vouched', 'unproved', 'taken', 'extended', 'reminded',
    'answered', 'refused', 'settled', 'erased'));

-- The address that a way in was mailed to. Those from before lasted ten minutes.
TRUNCATE crm.portal_link;

ALTER TABLE crm.portal_link
  ADD COLUMN address_hash bytea NOT NULL CHECK (length(address_hash) = 16);

-- A way into the portal is used up by its secret, while the address that it was mailed to is hers.
-- Whoever changes or puts back an address waits for whoever comes in, or the other way round.
CREATE OR REPLACE FUNCTION crm.prove_sign_in(
  _business uuid, _proof uuid, _customer uuid, _token text, _code_hash bytea, _now timestamptz)
RETURNS uuid
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog AS $$
DECLARE
  hers bytea;
  mailed timestamptz;
BEGIN
  SELECT c.address_hash INTO hers FROM crm.customer c
   WHERE c.business_id = _business AND c.customer_id = _customer AND c.erased_at IS NULL
     FOR KEY SHARE;
  DELETE FROM crm.portal_link l
   WHERE l.business_id = _business AND l.customer_id = _customer AND l.expires_at > _now
     AND l.address_hash = hers
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

REVOKE CREATE ON SCHEMA crm FROM crm_prover;
