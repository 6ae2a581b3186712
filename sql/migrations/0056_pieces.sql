-- A piece of a sweep costs what it is, however large the table: it is read once from where the last
-- one ended, and what goes is found by an array of keys. A join with the piece had no estimate that
-- a plan could rest on, and read the whole table for every piece.

CREATE OR REPLACE FUNCTION crm.end_events(
  _business uuid, _after uuid, _limit integer, _before timestamptz)
RETURNS TABLE (deleted bigint, upto uuid)
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog AS $$
  WITH piece AS MATERIALIZED (
    SELECT e.event_id, e.at FROM crm.event e
     WHERE e.business_id = _business AND e.event_id > _after
     ORDER BY e.event_id LIMIT _limit
  ), gone AS (
    DELETE FROM crm.event e
     WHERE e.business_id = _business
       AND e.event_id = ANY (ARRAY(
             SELECT p.event_id FROM piece p
              WHERE p.at < least(_before, now() - interval '1 year')))
    RETURNING 1
  )
  SELECT (SELECT count(*) FROM gone),
         -- They lie in the order in which they happened: where none is old, no later one is.
         CASE WHEN (SELECT count(*) FROM piece) = _limit
               AND EXISTS (SELECT FROM piece p WHERE p.at < _before)
              THEN (SELECT p.event_id FROM piece p ORDER BY p.event_id DESC LIMIT 1) END
$$;

CREATE OR REPLACE FUNCTION crm.end_records(
  _business uuid, _after uuid, _limit integer, _now timestamptz, _unless_declared interval)
RETURNS TABLE (deleted bigint, upto uuid)
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog AS $$
  WITH piece AS MATERIALIZED (
    SELECT s.customer_id, s.purpose_id, s.purpose_version, s.event_id, s.status, s.at
      FROM crm.consent s
     WHERE s.business_id = _business AND s.customer_id > _after
     ORDER BY s.customer_id FETCH FIRST (_limit) ROWS WITH TIES
  ), ended AS MATERIALIZED (
    SELECT s.customer_id, s.purpose_id, s.event_id
      FROM piece s
      JOIN crm.purpose_version v
        ON v.business_id = _business AND v.purpose_id = s.purpose_id
       AND v.version = s.purpose_version
     WHERE s.status IN ('withdrawn', 'refused', 'revoked', 'expired', 'invalidated')
       AND s.at + coalesce(
             nullif(convert_from(v.terms, 'UTF8')::jsonb ->> 'retention', '')::interval,
             _unless_declared) <= _now
  ), over AS MATERIALIZED (
    SELECT e.customer_id, e.purpose_id, e.event_id
      FROM ended e
      JOIN crm.customer c ON c.business_id = _business AND c.customer_id = e.customer_id
     WHERE c.customer_id = ANY (ARRAY(SELECT e.customer_id FROM ended e))
       -- Who has her record frozen may need it as a proof (Art. 18(1)(c) GDPR).
       AND c.restricted_at IS NULL
  ), gone AS (
    DELETE FROM crm.consent_record r USING over o
     WHERE r.business_id = _business
       AND r.customer_id = ANY (ARRAY(SELECT o.customer_id FROM over o))
       AND r.customer_id = o.customer_id
       AND r.purpose_id = o.purpose_id AND r.event_id <> o.event_id
    RETURNING r.event_id
  ), network AS (
    DELETE FROM crm.consent_network n
     WHERE n.business_id = _business AND n.event_id = ANY (ARRAY(SELECT g.event_id FROM gone g))
  ), noted AS (
    INSERT INTO crm.consent_erased (business_id, event_id, erased_on)
    SELECT _business, g.event_id, _now::date FROM gone g
  )
  SELECT (SELECT count(*) FROM gone),
         CASE WHEN (SELECT count(*) FROM piece) >= _limit
              THEN (SELECT p.customer_id FROM piece p ORDER BY p.customer_id DESC LIMIT 1) END
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
       AND x.proof_id = ANY (ARRAY(SELECT p.proof_id FROM piece p WHERE p.proved_at <= _before))
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
       AND x.file_id = ANY (ARRAY(SELECT p.file_id FROM piece p WHERE p.added_at <= _before))
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
