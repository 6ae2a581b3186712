-- A key of idempotency is claimed and its answer looked up in one round trip.

-- Whether the transaction is the only one under this key until it ends, and what was answered
-- before. VOLATILE is what makes it safe: the query in it takes a snapshot of its own, after the
-- lock. In a plain statement, or in a STABLE function, the snapshot would be from before: the
-- holder of the lock could commit its answer in between, and the work would be done twice.
-- A lock is let go only when what its holder did is visible to every later snapshot.
CREATE FUNCTION crm.claim_answer(_business uuid, _scope text, _key text, _now timestamptz)
RETURNS TABLE (mine boolean, fingerprint bytea, status integer, body bytea, content_type text)
LANGUAGE plpgsql VOLATILE AS $$
BEGIN
  mine := pg_try_advisory_xact_lock(
    hashtextextended(_business::text || ' ' || _scope || ' ' || _key, 0));
  IF mine THEN
    SELECT k.fingerprint, k.status, k.body, k.content_type
      INTO claim_answer.fingerprint, claim_answer.status, claim_answer.body,
           claim_answer.content_type
      FROM crm.idempotency_key k
     WHERE k.business_id = _business
       AND k.scope = _scope
       AND k.key = _key
       AND k.status IS NOT NULL
       AND k.expires_at > _now;
  END IF;
  RETURN NEXT;
END
$$;

REVOKE ALL ON FUNCTION crm.claim_answer(uuid, text, text, timestamptz) FROM PUBLIC;

GRANT EXECUTE ON FUNCTION crm.claim_answer(uuid, text, text, timestamptz) TO crm_app;
