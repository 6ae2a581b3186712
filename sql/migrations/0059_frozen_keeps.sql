-- Who has her record frozen keeps what is known of her: it may be wanted as evidence (Art. 18 GDPR).
-- And how the sweep gets on, business by business, for whoever watches.

GRANT CREATE ON SCHEMA crm TO crm_eraser, crm_sweep;

-- A frozen record is rare: whoever deletes by time asks this little index.
CREATE INDEX customer_frozen ON crm.customer (business_id, customer_id)
  WHERE restricted_at IS NOT NULL;

CREATE INDEX customer_frozen_address ON crm.customer (business_id, address_hash)
  WHERE restricted_at IS NOT NULL;

-- The fingerprints of addresses that whoever is frozen has, or had.
CREATE VIEW crm.frozen_address WITH (security_invoker = true) AS
SELECT c.business_id, c.address_hash FROM crm.customer c WHERE c.restricted_at IS NOT NULL
UNION ALL
SELECT f.business_id, f.address_hash
  FROM crm.customer c
  JOIN crm.former_address f ON f.business_id = c.business_id AND f.customer_id = c.customer_id
 WHERE c.restricted_at IS NOT NULL;

GRANT SELECT ON crm.frozen_address TO crm_app;

CREATE OR REPLACE FUNCTION crm.end_events(
  _business uuid, _after uuid, _limit integer, _before timestamptz)
RETURNS TABLE (deleted bigint, upto uuid)
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog AS $$
  WITH piece AS MATERIALIZED (
    SELECT e.event_id, e.customer_id, e.at FROM crm.event e
     WHERE e.business_id = _business AND e.event_id > _after
     ORDER BY e.event_id LIMIT _limit
  ), gone AS (
    DELETE FROM crm.event e
     WHERE e.business_id = _business
       AND e.event_id = ANY (ARRAY(
             SELECT p.event_id FROM piece p
              WHERE p.at < least(_before, now() - interval '1 year')
                AND NOT EXISTS (SELECT FROM crm.customer c
                                WHERE c.business_id = _business
                                  AND c.customer_id = p.customer_id
                                  AND c.restricted_at IS NOT NULL)))
    RETURNING 1
  )
  SELECT (SELECT count(*) FROM gone),
         -- They lie in the order in which they happened: where none is old, no later one is.
         CASE WHEN (SELECT count(*) FROM piece) = _limit
               AND EXISTS (SELECT FROM piece p WHERE p.at < _before)
              THEN (SELECT p.event_id FROM piece p ORDER BY p.event_id DESC LIMIT 1) END
$$;

CREATE OR REPLACE FUNCTION crm.end_proofs(
  _business uuid, _after uuid, _limit integer, _before timestamptz)
RETURNS TABLE (deleted bigint, upto uuid)
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog AS $$
  WITH piece AS MATERIALIZED (
    SELECT p.proof_id, p.customer_id, p.proved_at FROM crm.mailbox_proof p
     WHERE p.business_id = _business AND p.proof_id > _after
     ORDER BY p.proof_id LIMIT _limit
  ), gone AS (
    DELETE FROM crm.mailbox_proof x
     WHERE x.business_id = _business
       AND x.proof_id = ANY (ARRAY(
             SELECT p.proof_id FROM piece p
              WHERE p.proved_at <= _before
                AND NOT EXISTS (SELECT FROM crm.customer c
                                WHERE c.business_id = _business
                                  AND c.customer_id = p.customer_id
                                  AND c.restricted_at IS NOT NULL)))
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

CREATE OR REPLACE FUNCTION crm.end_files(
  _business uuid, _after uuid, _limit integer, _before timestamptz)
RETURNS TABLE (deleted bigint, upto uuid)
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog AS $$
  WITH piece AS MATERIALIZED (
    SELECT f.file_id, f.customer_id, f.added_at FROM crm.evidence_file f
     WHERE f.business_id = _business AND f.file_id > _after
     ORDER BY f.file_id LIMIT _limit
  ), gone AS (
    DELETE FROM crm.evidence_file x
     WHERE x.business_id = _business
       AND x.file_id = ANY (ARRAY(
             SELECT p.file_id FROM piece p
              WHERE p.added_at <= _before
                AND NOT EXISTS (SELECT FROM crm.customer c
                                WHERE c.business_id = _business
                                  AND c.customer_id = p.customer_id
                                  AND c.restricted_at IS NOT NULL)))
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

CREATE OR REPLACE FUNCTION crm.end_requests(_business uuid, _today date, _limit integer)
RETURNS bigint
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog AS $$
  WITH over AS MATERIALIZED (
    SELECT q.request_id FROM crm.privacy_request q
     WHERE q.business_id = _business AND q.keep_until <= _today
       AND NOT EXISTS (SELECT FROM crm.customer c
                        WHERE c.business_id = _business AND c.customer_id = q.customer_id
                          AND c.restricted_at IS NOT NULL)
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

CREATE OR REPLACE FUNCTION crm.end_kept_proofs(
  _business uuid, _after uuid, _limit integer, _today date)
RETURNS TABLE (deleted bigint, upto uuid)
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog AS $$
  WITH piece AS MATERIALIZED (
    SELECT k.event_id, k.address_hash, k.keep_until FROM crm.kept_proof k
     WHERE k.business_id = _business AND k.event_id > _after
     ORDER BY k.event_id LIMIT _limit
  ), gone AS (
    DELETE FROM crm.kept_proof k
     WHERE k.business_id = _business
       AND k.event_id = ANY (ARRAY(
             SELECT p.event_id FROM piece p
              WHERE p.keep_until <= _today
                AND NOT EXISTS (SELECT FROM crm.customer c
                                 WHERE c.business_id = _business
                                   AND c.address_hash = p.address_hash
                                   AND c.restricted_at IS NOT NULL)))
    RETURNING 1
  )
  SELECT (SELECT count(*) FROM gone),
         CASE WHEN (SELECT count(*) FROM piece) = _limit
              THEN (SELECT p.event_id FROM piece p ORDER BY p.event_id DESC LIMIT 1) END
$$;

-- When each kind of thing was last swept to the end, and if never since when it should have been.
CREATE POLICY sweep ON crm.retention_sweep FOR SELECT TO crm_sweep USING (true);

GRANT SELECT (created_at) ON crm.business TO crm_sweep;

GRANT SELECT (business_id, what, begun_at, ended_at) ON crm.retention_sweep TO crm_sweep;

CREATE FUNCTION crm.retention_rounds(_whats text[])
RETURNS TABLE (business_id uuid, what text, since timestamptz)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog AS $$
  SELECT b.business_id, w.what, coalesce(max(s.ended_at), min(s.begun_at), b.created_at)
    FROM crm.business b
   CROSS JOIN unnest(_whats) AS w (what)
    LEFT JOIN crm.retention_sweep s ON s.business_id = b.business_id AND s.what = w.what
   GROUP BY b.business_id, b.created_at, w.what
$$;

ALTER FUNCTION crm.retention_rounds(text[]) OWNER TO crm_sweep;

REVOKE ALL ON FUNCTION crm.retention_rounds(text[]) FROM PUBLIC;

GRANT EXECUTE ON FUNCTION crm.retention_rounds(text[]) TO crm_app;

REVOKE CREATE ON SCHEMA crm FROM crm_eraser, crm_sweep;
