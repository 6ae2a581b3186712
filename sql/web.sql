-- Every statement of crm/web. Owns: idempotency_key.

-- name: try_idempotency_key
-- Whether this request is the only one under its key now; held until the transaction ends.
SELECT pg_try_advisory_xact_lock(hashtextextended(:business_id::uuid::text || :lock::text, 0));

-- name: idempotency_key
-- The answer given under this key before, if it is still kept.
SELECT fingerprint, status, body, content_type
  FROM idempotency_key
 WHERE business_id = :business_id
   AND scope = :scope
   AND key = :key
   AND status IS NOT NULL
   AND expires_at > :now;

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
-- Delete the answers whose time is over.
DELETE FROM idempotency_key
 WHERE business_id = :business_id
   AND expires_at <= :now;
