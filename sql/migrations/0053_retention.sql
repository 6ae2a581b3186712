-- Everything has an end, in short pieces: what is deleted when, and what was. Promise 13.

GRANT CREATE ON SCHEMA crm TO crm_eraser;

-- The purpose that an attribute ends with; none where its time alone counts. The owner sees the rows
-- while the key is checked.
ALTER TABLE crm.attribute NO FORCE ROW LEVEL SECURITY;

ALTER TABLE crm.purpose NO FORCE ROW LEVEL SECURITY;

ALTER TABLE crm.attribute
  ADD COLUMN purpose_id uuid,
  ADD CONSTRAINT attribute_of_a_purpose
    FOREIGN KEY (business_id, purpose_id) REFERENCES crm.purpose (business_id, purpose_id);

ALTER TABLE crm.attribute FORCE ROW LEVEL SECURITY;

ALTER TABLE crm.purpose FORCE ROW LEVEL SECURITY;

-- One round over one kind of thing: how far it has come, what it deleted, and the longest time that
-- one of its transactions took.
CREATE TABLE crm.retention_sweep (
  business_id uuid NOT NULL REFERENCES crm.business (business_id),
  what        text NOT NULL CHECK (what ~ '^[a-z_]{1,40}$'),
  begun_at    timestamptz NOT NULL,
  -- The key after which it goes on.
  upto        uuid NOT NULL DEFAULT '00000000-0000-0000-0000-000000000000',
  pieces      integer NOT NULL DEFAULT 0 CHECK (pieces >= 0),
  deleted     bigint NOT NULL DEFAULT 0 CHECK (deleted >= 0),
  longest_ms  integer NOT NULL DEFAULT 0 CHECK (longest_ms >= 0),
  ended_at    timestamptz,
  PRIMARY KEY (business_id, what, begun_at)
);

SELECT crm.place('crm.retention_sweep');

SELECT crm.keep_apart('crm.retention_sweep');

-- One at a time; killed, the next run goes on with it.
CREATE UNIQUE INDEX retention_sweep_under_way ON crm.retention_sweep (business_id, what)
  WHERE ended_at IS NULL;

GRANT SELECT, INSERT, UPDATE, DELETE ON crm.retention_sweep TO crm_app;

-- Events are only ever added; old ones go by this function alone, and nothing younger than a year.
CREATE FUNCTION crm.end_events(
  _business uuid, _after uuid, _limit integer, _before timestamptz)
RETURNS TABLE (deleted bigint, upto uuid)
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog AS $$
  WITH piece AS MATERIALIZED (
    SELECT e.event_id, e.at FROM crm.event e
     WHERE e.business_id = _business AND e.event_id > _after
     ORDER BY e.event_id LIMIT _limit
  ), gone AS (
    DELETE FROM crm.event e USING piece p
     WHERE e.business_id = _business AND e.event_id = p.event_id
       AND p.at < least(_before, now() - interval '1 year')
    RETURNING 1
  )
  SELECT (SELECT count(*) FROM gone),
         -- They lie in the order in which they happened: where none is old, no later one is.
         CASE WHEN (SELECT count(*) FROM piece) = _limit
               AND EXISTS (SELECT FROM piece p WHERE p.at < _before)
              THEN (SELECT p.event_id FROM piece p ORDER BY p.event_id DESC LIMIT 1) END
$$;

ALTER FUNCTION crm.end_events(uuid, uuid, integer, timestamptz) OWNER TO crm_eraser;

REVOKE ALL ON FUNCTION crm.end_events(uuid, uuid, integer, timestamptz) FROM PUBLIC;

GRANT EXECUTE ON FUNCTION crm.end_events(uuid, uuid, integer, timestamptz) TO crm_app;

-- The proof of a consent that has ended goes when the time is over that its purpose declares for
-- it: records with their evidence, of that customer and purpose. What stays is the newest, which
-- the state rests on, because an opt-out stays; and the stubs, so that everybody else's proofs hold.
CREATE FUNCTION crm.end_records(
  _business uuid, _after uuid, _limit integer, _now timestamptz, _unless_declared interval)
RETURNS TABLE (deleted bigint, upto uuid)
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog AS $$
  WITH bound AS MATERIALIZED (
    SELECT (SELECT s.customer_id FROM crm.consent s
             WHERE s.business_id = _business AND s.customer_id > _after
             ORDER BY s.customer_id, s.purpose_id OFFSET _limit LIMIT 1) AS id
  ), over AS MATERIALIZED (
    SELECT s.customer_id, s.purpose_id, s.event_id
      FROM bound b
      JOIN crm.consent s
        ON s.business_id = _business AND s.customer_id > _after
       AND s.customer_id <= coalesce(b.id, 'ffffffff-ffff-ffff-ffff-ffffffffffff')
      JOIN crm.purpose_version v
        ON v.business_id = _business AND v.purpose_id = s.purpose_id
       AND v.version = s.purpose_version
      JOIN crm.customer c
        ON c.business_id = _business AND c.customer_id = s.customer_id
     WHERE s.status IN ('withdrawn', 'refused', 'revoked', 'expired', 'invalidated')
       -- Who has her record frozen may need it as a proof (Art. 18(1)(c) GDPR).
       AND c.restricted_at IS NULL
       AND s.at + coalesce(
             nullif(convert_from(v.terms, 'UTF8')::jsonb ->> 'retention', '')::interval,
             _unless_declared) <= _now
  ), gone AS (
    DELETE FROM crm.consent_record r USING over o
     WHERE r.business_id = _business AND r.customer_id = o.customer_id
       AND r.purpose_id = o.purpose_id AND r.event_id <> o.event_id
    RETURNING r.event_id
  ), network AS (
    DELETE FROM crm.consent_network n USING gone g
     WHERE n.business_id = _business AND n.event_id = g.event_id
  ), noted AS (
    INSERT INTO crm.consent_erased (business_id, event_id, erased_on)
    SELECT _business, g.event_id, _now::date FROM gone g
  )
  SELECT (SELECT count(*) FROM gone), b.id FROM bound b
$$;

ALTER FUNCTION crm.end_records(uuid, uuid, integer, timestamptz, interval) OWNER TO crm_eraser;

REVOKE ALL ON FUNCTION crm.end_records(uuid, uuid, integer, timestamptz, interval) FROM PUBLIC;

GRANT EXECUTE ON FUNCTION crm.end_records(uuid, uuid, integer, timestamptz, interval) TO crm_app;

GRANT SELECT ON crm.purpose_version TO crm_eraser;

-- That a mailbox spoke is kept as long as a decision or a session rests on it, and files about
-- decisions as long as there is one.
CREATE FUNCTION crm.end_proofs(
  _business uuid, _after uuid, _limit integer, _before timestamptz)
RETURNS TABLE (deleted bigint, upto uuid)
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog AS $$
  WITH piece AS MATERIALIZED (
    SELECT p.proof_id, p.customer_id, p.proved_at FROM crm.mailbox_proof p
     WHERE p.business_id = _business AND p.proof_id > _after
     ORDER BY p.proof_id LIMIT _limit
  ), gone AS (
    DELETE FROM crm.mailbox_proof p USING piece x
     WHERE p.business_id = _business AND p.proof_id = x.proof_id AND x.proved_at <= _before
       AND NOT EXISTS (SELECT FROM crm.consent_record r
                        WHERE r.business_id = _business AND r.customer_id = x.customer_id
                          AND r.proof_id = x.proof_id)
       AND NOT EXISTS (SELECT FROM crm.portal_session s
                        WHERE s.business_id = _business AND s.customer_id = x.customer_id
                          AND s.proof_id = x.proof_id)
    RETURNING 1
  )
  SELECT (SELECT count(*) FROM gone),
         CASE WHEN (SELECT count(*) FROM piece) = _limit
              THEN (SELECT p.proof_id FROM piece p ORDER BY p.proof_id DESC LIMIT 1) END
$$;

ALTER FUNCTION crm.end_proofs(uuid, uuid, integer, timestamptz) OWNER TO crm_eraser;

REVOKE ALL ON FUNCTION crm.end_proofs(uuid, uuid, integer, timestamptz) FROM PUBLIC;

GRANT EXECUTE ON FUNCTION crm.end_proofs(uuid, uuid, integer, timestamptz) TO crm_app;

GRANT SELECT ON crm.portal_session TO crm_eraser;

CREATE FUNCTION crm.end_files(
  _business uuid, _after uuid, _limit integer, _before timestamptz)
RETURNS TABLE (deleted bigint, upto uuid)
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog AS $$
  WITH piece AS MATERIALIZED (
    SELECT f.file_id, f.customer_id, f.added_at FROM crm.evidence_file f
     WHERE f.business_id = _business AND f.file_id > _after
     ORDER BY f.file_id LIMIT _limit
  ), gone AS (
    DELETE FROM crm.evidence_file f USING piece x
     WHERE f.business_id = _business AND f.file_id = x.file_id AND x.added_at <= _before
       AND NOT EXISTS (SELECT FROM crm.consent_record r
                        WHERE r.business_id = _business AND r.customer_id = x.customer_id
                          AND r.status NOT IN ('withdrawn', 'refused', 'revoked', 'expired',
                                               'invalidated'))
    RETURNING 1
  )
  SELECT (SELECT count(*) FROM gone),
         CASE WHEN (SELECT count(*) FROM piece) = _limit
              THEN (SELECT p.file_id FROM piece p ORDER BY p.file_id DESC LIMIT 1) END
$$;

ALTER FUNCTION crm.end_files(uuid, uuid, integer, timestamptz) OWNER TO crm_eraser;

REVOKE ALL ON FUNCTION crm.end_files(uuid, uuid, integer, timestamptz) FROM PUBLIC;

GRANT EXECUTE ON FUNCTION crm.end_files(uuid, uuid, integer, timestamptz) TO crm_app;

-- The log of a privacy request goes on the day that stands in it.
CREATE FUNCTION crm.end_requests(_business uuid, _today date, _limit integer) RETURNS bigint
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog AS $$
  WITH over AS MATERIALIZED (
    SELECT q.request_id FROM crm.privacy_request q
     WHERE q.business_id = _business AND q.keep_until <= _today
     ORDER BY q.keep_until LIMIT _limit
  ), steps AS (
    DELETE FROM crm.privacy_request_step s USING over o
     WHERE s.business_id = _business AND s.request_id = o.request_id
  ), gone AS (
    DELETE FROM crm.privacy_request q USING over o
     WHERE q.business_id = _business AND q.request_id = o.request_id
    RETURNING 1
  )
  SELECT count(*) FROM gone
$$;

ALTER FUNCTION crm.end_requests(uuid, date, integer) OWNER TO crm_eraser;

REVOKE ALL ON FUNCTION crm.end_requests(uuid, date, integer) FROM PUBLIC;

GRANT EXECUTE ON FUNCTION crm.end_requests(uuid, date, integer) TO crm_app;

REVOKE CREATE ON SCHEMA crm FROM crm_eraser;
