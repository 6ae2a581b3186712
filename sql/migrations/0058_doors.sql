-- Strangers who type her address keep her out of nothing: ways in and sign-ups stand beside one
-- another, and letters that anybody can cause are of a kind of their own.

GRANT CREATE ON SCHEMA crm TO crm_prover;

-- What anybody can have mailed to an address by typing it on a public page.
ALTER TABLE crm.service_message DROP CONSTRAINT service_message_kind_check;

ALTER TABLE crm.service_message ADD CONSTRAINT service_message_kind_check
  CHECK (kind IN ('confirmation', 'sign_in', 'test', 'notice', 'receipt', 'canary', 'asked'));

-- One way in for each browser that asked; within a browser the newest replaces the older one. Those
-- from before lasted ten minutes.
TRUNCATE crm.portal_link;

ALTER TABLE crm.portal_link DROP CONSTRAINT portal_link_pkey;

ALTER TABLE crm.portal_link ALTER COLUMN browser_hash SET NOT NULL;

ALTER TABLE crm.portal_link ADD PRIMARY KEY (business_id, customer_id, browser_hash);

-- A link that is pressed twice by one browser at once opens the session that the first press opened.
ALTER TABLE crm.portal_session ADD COLUMN link_hash bytea CHECK (length(link_hash) = 32);

ALTER TABLE crm.portal_session ADD COLUMN browser_hash bytea CHECK (length(browser_hash) = 32);

-- Two sign-ups of one address wait beside one another: neither voids the other.
ALTER TABLE crm.signup DROP CONSTRAINT signup_one_per_address;

CREATE INDEX signup_of_address ON crm.signup (business_id, folded);

CREATE INDEX signup_by_hash ON crm.signup (business_id, address_hash);

-- The service only ever takes a former address out; so that is all it may do.
REVOKE UPDATE (address, folded, undo_hash, undo_until) ON crm.former_address FROM crm_app;

-- Former addresses that cannot be put back any more: their fingerprints stay. Returns how many.
CREATE FUNCTION crm.close_undos(_business uuid, _now timestamptz) RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog AS $$
DECLARE
  closed bigint;
BEGIN
  UPDATE crm.former_address f
     SET address = NULL, folded = NULL, undo_hash = NULL, undo_until = NULL
   WHERE f.business_id = _business AND f.undo_until <= _now;
  GET DIAGNOSTICS closed = ROW_COUNT;
  RETURN closed;
END
$$;

ALTER FUNCTION crm.close_undos(uuid, timestamptz) OWNER TO crm_prover;

REVOKE ALL ON FUNCTION crm.close_undos(uuid, timestamptz) FROM PUBLIC;

GRANT EXECUTE ON FUNCTION crm.close_undos(uuid, timestamptz) TO crm_app;

REVOKE CREATE ON SCHEMA crm FROM crm_prover;
