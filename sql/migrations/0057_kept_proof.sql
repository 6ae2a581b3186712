-- What is kept of an erased customer's consents as a proof, until the end that each purpose
-- declares for it. Promise 10.

GRANT CREATE ON SCHEMA crm TO crm_eraser;

-- What one customer allowed per purpose, newest yes and how it ended, and how long its proof is
-- kept after that; the end is null while the yes stands.
CREATE VIEW crm.consent_proof WITH (security_invoker = true) AS
SELECT s.business_id, s.customer_id, s.purpose_id, s.purpose_version,
       y.event_id, y.notice_id, y.status, y.method, y.at AS given_at,
       s.event_id AS end_event_id, s.status AS end_status, s.method AS end_method,
       CASE WHEN s.event_id <> y.event_id THEN s.at END AS ended_at,
       nullif(convert_from(v.terms, 'UTF8')::jsonb ->> 'retention', '')::interval AS declared
  FROM crm.consent s
  JOIN crm.purpose_version v
    ON v.business_id = s.business_id AND v.purpose_id = s.purpose_id
   AND v.version = s.purpose_version
  JOIN LATERAL (
    SELECT r.event_id, r.notice_id, r.status, r.method, r.at
      FROM crm.consent_record r
     WHERE r.business_id = s.business_id AND r.customer_id = s.customer_id
       AND r.purpose_id = s.purpose_id
       AND r.status IN ('given', 'renewed', 'unobjected')
     ORDER BY r.recorded_at DESC, r.event_id DESC
     LIMIT 1) y ON true;

GRANT SELECT ON crm.consent_proof TO crm_app;

CREATE TABLE crm.kept_proof (
  business_id     uuid NOT NULL,
  -- The decision: its stub is in the ledger, and whoever kept the receipt can show it to be this.
  event_id        uuid NOT NULL,
  -- Keyed hash of the address; none where she had it deleted too: then only her receipt finds it.
  address_hash    bytea CHECK (length(address_hash) = 16),
  purpose_id      uuid NOT NULL,
  purpose_version integer NOT NULL,
  -- The text she saw.
  notice_id       uuid,
  status          text NOT NULL CHECK (status IN ('given', 'renewed', 'unobjected')),
  method          text NOT NULL,
  given_at        timestamptz NOT NULL,
  end_event_id    uuid NOT NULL,
  end_status      text NOT NULL CHECK (end_status IN (
    'withdrawn', 'refused', 'revoked', 'expired', 'invalidated')),
  end_method      text NOT NULL,
  ended_at        timestamptz NOT NULL,
  -- On this day it goes.
  keep_until      date NOT NULL,
  PRIMARY KEY (business_id, event_id),
  FOREIGN KEY (business_id, event_id) REFERENCES crm.consent_event (business_id, event_id),
  FOREIGN KEY (business_id, end_event_id) REFERENCES crm.consent_event (business_id, event_id),
  FOREIGN KEY (business_id, purpose_id, purpose_version)
    REFERENCES crm.purpose_version (business_id, purpose_id, version),
  FOREIGN KEY (business_id, notice_id) REFERENCES crm.notice (business_id, notice_id)
);

SELECT crm.place('crm.kept_proof');

SELECT crm.keep_apart('crm.kept_proof');

CREATE INDEX kept_proof_of_address ON crm.kept_proof (business_id, address_hash);

CREATE INDEX kept_proof_of_end ON crm.kept_proof (business_id, end_event_id);

-- Nothing of it is changed but that it is nobody's any more.
GRANT SELECT, INSERT, UPDATE (address_hash) ON crm.kept_proof TO crm_app;

GRANT SELECT, DELETE ON crm.kept_proof TO crm_eraser;

CREATE FUNCTION crm.nobodys() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
  IF NEW.address_hash IS NOT NULL THEN
    RAISE EXCEPTION 'a kept proof is never of another address'
      USING ERRCODE = 'insufficient_privilege';
  END IF;
  RETURN NEW;
END
$$;

CREATE TRIGGER kept_proof_nobodys BEFORE UPDATE ON crm.kept_proof
  FOR EACH ROW EXECUTE FUNCTION crm.nobodys();

-- A kept proof goes on the day that stands in it, through this function alone.
CREATE FUNCTION crm.end_kept_proofs(_business uuid, _after uuid, _limit integer, _today date)
RETURNS TABLE (deleted bigint, upto uuid)
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog AS $$
  WITH piece AS MATERIALIZED (
    SELECT k.event_id FROM crm.kept_proof k
     WHERE k.business_id = _business AND k.event_id > _after
     ORDER BY k.event_id LIMIT _limit
  ), gone AS (
    DELETE FROM crm.kept_proof k USING piece p
     WHERE k.business_id = _business AND k.event_id = p.event_id AND k.keep_until <= _today
    RETURNING 1
  )
  SELECT (SELECT count(*) FROM gone),
         CASE WHEN (SELECT count(*) FROM piece) = _limit
              THEN (SELECT p.event_id FROM piece p ORDER BY p.event_id DESC LIMIT 1) END
$$;

ALTER FUNCTION crm.end_kept_proofs(uuid, uuid, integer, date) OWNER TO crm_eraser;

REVOKE ALL ON FUNCTION crm.end_kept_proofs(uuid, uuid, integer, date) FROM PUBLIC;

GRANT EXECUTE ON FUNCTION crm.end_kept_proofs(uuid, uuid, integer, date) TO crm_app;

-- How many proofs an erasure kept, and when the last of them goes.
ALTER TABLE crm.erasure
  ADD COLUMN proofs integer NOT NULL DEFAULT 0 CHECK (proofs >= 0),
  ADD COLUMN proofs_until date,
  ADD CONSTRAINT erasure_proofs_end CHECK ((proofs > 0) = (proofs_until IS NOT NULL));

REVOKE CREATE ON SCHEMA crm FROM crm_eraser;
