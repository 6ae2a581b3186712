-- The certificate of an erasure: what was deleted, store by store, and what stays. It names nobody.
-- Promise 10.

CREATE TABLE crm.erasure (
  business_id uuid NOT NULL,
  -- Of the empty tombstone.
  customer_id uuid NOT NULL,
  erased_at   timestamptz NOT NULL,
  -- Who had it done: she, staff, a program, or the service.
  actor_kind  text NOT NULL CHECK (actor_kind IN ('customer', 'member', 'key', 'system')),
  -- Whether the fingerprint of her address was kept.
  fingerprint text NOT NULL CHECK (fingerprint IN ('keep', 'drop')),
  -- How many rows went, by table: {"interaction": 3, …}
  gone        jsonb NOT NULL,
  -- How many deliveries stay as a count.
  deliveries  integer NOT NULL CHECK (deliveries >= 0),
  expires_at  timestamptz NOT NULL,
  PRIMARY KEY (business_id, customer_id),
  FOREIGN KEY (business_id, customer_id) REFERENCES crm.customer (business_id, customer_id)
);

SELECT crm.place('crm.erasure');

SELECT crm.keep_apart('crm.erasure');

CREATE INDEX erasure_expiry ON crm.erasure (business_id, expires_at);

GRANT SELECT, INSERT, UPDATE, DELETE ON crm.erasure TO crm_app;

GRANT CREATE ON SCHEMA crm TO crm_eraser;

-- It says what it deleted.
DROP FUNCTION crm.erase_consent(uuid, uuid);

CREATE FUNCTION crm.erase_consent(_business uuid, _customer uuid)
RETURNS TABLE (store text, gone integer)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog AS $$
BEGIN
  IF NOT EXISTS (SELECT FROM crm.customer c WHERE c.business_id = _business
                   AND c.customer_id = _customer AND c.erased_at IS NOT NULL) THEN
    RAISE EXCEPTION 'the customer is not erased' USING ERRCODE = 'insufficient_privilege';
  END IF;
  store := 'consent';
  DELETE FROM crm.consent s WHERE s.business_id = _business AND s.customer_id = _customer;
  GET DIAGNOSTICS gone = ROW_COUNT;
  RETURN NEXT;
  store := 'consent_network';
  DELETE FROM crm.consent_network n WHERE n.business_id = _business AND n.customer_id = _customer;
  GET DIAGNOSTICS gone = ROW_COUNT;
  RETURN NEXT;
  store := 'evidence_file';
  DELETE FROM crm.evidence_file f WHERE f.business_id = _business AND f.customer_id = _customer;
  GET DIAGNOSTICS gone = ROW_COUNT;
  RETURN NEXT;
  store := 'consent_record';
  WITH erased AS (
    DELETE FROM crm.consent_record r WHERE r.business_id = _business AND r.customer_id = _customer
    RETURNING r.event_id
  )
  INSERT INTO crm.consent_erased (business_id, event_id, erased_on)
  SELECT _business, e.event_id, (SELECT c.erased_at::date FROM crm.customer c
                                  WHERE c.business_id = _business AND c.customer_id = _customer)
    FROM erased e;
  GET DIAGNOSTICS gone = ROW_COUNT;
  RETURN NEXT;
  store := 'mailbox_proof';
  DELETE FROM crm.mailbox_proof p WHERE p.business_id = _business AND p.customer_id = _customer;
  GET DIAGNOSTICS gone = ROW_COUNT;
  RETURN NEXT;
END
$$;

ALTER FUNCTION crm.erase_consent(uuid, uuid) OWNER TO crm_eraser;

REVOKE ALL ON FUNCTION crm.erase_consent(uuid, uuid) FROM PUBLIC;

GRANT EXECUTE ON FUNCTION crm.erase_consent(uuid, uuid) TO crm_app;

REVOKE CREATE ON SCHEMA crm FROM crm_eraser;
