-- Every statement of crm/web. Owns: idempotency_key.

-- name: claim_answer
-- Whether this request is the only one under its key until its transaction ends, and the answer
-- given under that key before, if it is still kept. The function says why it is one.
SELECT mine, fingerprint, coalesce(status, 0) AS status, coalesce(body, '') AS body,
       coalesce(content_type, '') AS content_type
  FROM crm.claim_answer(:business_id, :scope, :key, :now);

-- name: keep_idempotency_key
-- Keep an answer for its repetition; an expired one under the same key gives way.
INSERT INTO idempotency_key
       (business_id, scope, key, fingerprint, status, body, content_type, created_at, expires_at)
VALUES (:business_id, :scope, :key, :fingerprint, :status, :body, :content_type, :now, :expires_at)
    ON CONFLICT (business_id, scope, key) DO UPDATE
   SET fingerprint = excluded.fingerprint,
       status = excluded.status,
       body = excluded.body,
       content_type = excluded.content_type,
       created_at = excluded.created_at,
       expires_at = excluded.expires_at;

-- name: forget_idempotency_keys
-- Deletes answers whose time is over, some at a time.
DELETE FROM crm.idempotency_key k
 WHERE k.business_id = :business_id
   AND (k.scope, k.key) IN (
     SELECT o.scope, o.key
       FROM crm.idempotency_key o
      WHERE o.business_id = :business_id
        AND o.expires_at <= :now
      ORDER BY o.expires_at
      LIMIT :limit
        FOR UPDATE SKIP LOCKED);
