-- Every statement of crm/webhooks. Owns: endpoint, endpoint_secret, post, post_try.

-- name: add_endpoint
-- Somewhere to tell events to, from the next one on.
INSERT INTO crm.endpoint (business_id, endpoint_id, name, url, kinds, acknowledges, state, position,
                          made_by_kind, made_by, created_at, changed_at)
SELECT h.business_id, :endpoint_id, :name, :url, :kinds::text[], :acknowledges, 'on', h.number,
       :made_by_kind, :made_by, :now::timestamptz, :now
  FROM crm.feed_head h
 WHERE h.business_id = :business_id
RETURNING endpoint_id;

-- name: add_secret
-- The next secret of an endpoint: what it signs with from now on.
INSERT INTO crm.endpoint_secret (business_id, endpoint_id, number, sealed, made_at)
SELECT e.business_id, e.endpoint_id,
       coalesce((SELECT max(s.number) FROM crm.endpoint_secret s
                  WHERE s.business_id = :business_id AND s.endpoint_id = :endpoint_id), 0) + 1,
       :sealed, :now
  FROM crm.endpoint e
 WHERE e.business_id = :business_id
   AND e.endpoint_id = :endpoint_id
   AND e.state <> 'removed'
RETURNING number;

-- name: replace_secrets_alone
-- One at a time replaces a secret of an endpoint; whoever clears it or tells it is not waited for.
SELECT pg_advisory_xact_lock(
  hashtextextended('crm.endpoint_secret ' || :endpoint_id::uuid::text, 0));

-- name: end_secret
-- The present secret of an endpoint is good for a while yet.
UPDATE crm.endpoint_secret s
   SET ends_at = :ends_at
 WHERE s.business_id = :business_id
   AND s.endpoint_id = :endpoint_id
   AND s.ends_at IS NULL;

-- name: drop_secrets
-- Secrets of an endpoint whose time is over; all of one that is removed.
DELETE FROM crm.endpoint_secret s
 WHERE s.business_id = :business_id
   AND s.endpoint_id = :endpoint_id
   AND (s.ends_at <= :now
        OR EXISTS (SELECT FROM crm.endpoint e
                    WHERE e.business_id = :business_id
                      AND e.endpoint_id = :endpoint_id
                      AND e.state = 'removed'));

-- name: live_secrets
-- What an endpoint's posts are signed with, the present secret first.
SELECT s.sealed
  FROM crm.endpoint_secret s
 WHERE s.business_id = :business_id
   AND s.endpoint_id = :endpoint_id
   AND (s.ends_at IS NULL OR s.ends_at > :now)
 ORDER BY s.number DESC;

-- name: endpoints
-- Where events are told to, with how it goes there and who made it; what was removed is left out.
-- Taken or not, what is not acknowledged counts from when it first went out; of old posts only when
-- they were told is known (CASE, as the index has it).
SELECT e.endpoint_id AS id, e.name, e.url, e.kinds, e.acknowledges, e.state, e.off_why, e.off_at,
       e.failures, e.rest_until, e.succeeded_at, e.version, e.created_at, e.changed_at,
       (SELECT count(*) FROM (
          SELECT FROM crm.post p
           WHERE p.business_id = :business_id AND p.endpoint_id = e.endpoint_id
             AND p.state = 'waiting' LIMIT :most) w) AS waiting,
       (SELECT count(*) FROM (
          SELECT FROM crm.post p
           WHERE p.business_id = :business_id AND p.endpoint_id = e.endpoint_id
             AND p.asks AND p.acknowledged_at IS NULL
             AND CASE WHEN p.out_at IS NULL THEN p.told_at ELSE p.out_at END <= :late
           LIMIT :most) u) AS unacknowledged,
       (SELECT s.ends_at FROM crm.endpoint_secret s
         WHERE s.business_id = :business_id AND s.endpoint_id = e.endpoint_id AND s.ends_at > :now
         ORDER BY s.number DESC LIMIT 1) AS former_secret_ends_at,
       CASE WHEN e.made_by_kind IS NOT NULL THEN jsonb_build_object(
         'kind', e.made_by_kind, 'id', e.made_by, 'name', coalesce(k.name, m.name, ''),
         'ended_at', coalesce(k.revoked_at, CASE WHEN k.expires_at <= :now THEN k.expires_at END,
                              m.disabled_at)) END AS created_by
  FROM crm.endpoint e
  LEFT JOIN crm.api_key k ON k.business_id = :business_id AND k.key_id = e.made_by
  LEFT JOIN crm.member m ON m.business_id = :business_id AND m.member_id = e.made_by
 WHERE e.business_id = :business_id
   AND e.state <> 'removed'
   AND (:endpoint_id::uuid IS NULL OR e.endpoint_id = :endpoint_id)
 ORDER BY e.endpoint_id;

-- name: known_endpoint
-- That an endpoint is there, and what it is called: without counting what waits for it.
SELECT e.name, e.state, e.beginning
  FROM crm.endpoint e
 WHERE e.business_id = :business_id
   AND e.endpoint_id = :endpoint_id
   AND e.state <> 'removed';

-- name: hold_known
-- As `known_endpoint`, and nobody else changes it meanwhile: whoever waited sees what was changed.
SELECT e.name, e.state, e.beginning
  FROM crm.endpoint e
 WHERE e.business_id = :business_id
   AND e.endpoint_id = :endpoint_id
   AND e.state <> 'removed'
   FOR NO KEY UPDATE;

-- name: count_endpoints
-- To how many events are told.
SELECT count(*) FROM crm.endpoint e WHERE e.business_id = :business_id AND e.state <> 'removed';

-- name: change_endpoint
-- What an owner or a program says of it anew; only where it is the version that was looked at.
-- Where a kind is wanted no more, what waits of it is to be cleared away.
UPDATE crm.endpoint e
   SET name = :name, url = :url, kinds = :kinds::text[], acknowledges = :acknowledges,
       version = e.version + 1, changed_at = :now,
       clearing = CASE WHEN :kinds::text[] = '{}' THEN NULL
                       WHEN e.kinds <> '{}' AND e.kinds <@ :kinds::text[] THEN e.clearing
                       ELSE 0 END,
       next_at = CASE WHEN e.state = 'on' AND (e.url <> :url OR e.clearing IS NOT NULL)
                      THEN greatest(:now::timestamptz,
                                    CASE WHEN e.url = :url THEN e.rest_until END)
                      ELSE e.next_at END,
       -- Somewhere else it may go better: it begins anew, as one that is switched on.
       beginning = CASE WHEN e.url = :url THEN e.beginning ELSE e.beginning + 1 END,
       failures = CASE WHEN e.url = :url THEN e.failures ELSE 0 END,
       rest_until = CASE WHEN e.url = :url THEN e.rest_until END
 WHERE e.business_id = :business_id
   AND e.endpoint_id = :endpoint_id
   AND e.state <> 'removed'
   AND (:expected::integer IS NULL OR e.version = :expected)
RETURNING endpoint_id;

-- name: switch_endpoint_off
-- Nothing goes there from now on; which worker was at it has lost it.
UPDATE crm.endpoint e
   SET state = 'off', off_why = :off_why, off_at = :now, next_at = NULL, leased_until = NULL,
       epoch = e.epoch + 1, version = e.version + 1, changed_at = :now
 WHERE e.business_id = :business_id
   AND e.endpoint_id = :endpoint_id
   AND e.state = 'on'
RETURNING name;

-- name: switch_endpoint_on
-- It begins anew with what has waited: all of it is due, and has its whole schedule before it.
UPDATE crm.endpoint e
   SET state = 'on', off_why = NULL, off_at = NULL, next_at = :now, failures = 0,
       rest_until = NULL, beginning = e.beginning + 1, version = e.version + 1, changed_at = :now
 WHERE e.business_id = :business_id
   AND e.endpoint_id = :endpoint_id
   AND e.state = 'off'
RETURNING name;

-- name: remove_endpoint
-- What is left is the name of whom withdrawals were told to; its posts are to be cleared away.
UPDATE crm.endpoint e
   SET state = 'removed', off_why = NULL, off_at = NULL, url = '', next_at = NULL, clearing = 0,
       leased_until = NULL, epoch = e.epoch + 1, version = e.version + 1, changed_at = :now
 WHERE e.business_id = :business_id
   AND e.endpoint_id = :endpoint_id
   AND e.state <> 'removed'
RETURNING name;

-- name: hold_clearing
-- What is to be cleared away of an endpoint, and where to go on: nothing of it changes meanwhile,
-- and what is only added for it waits for nothing.
SELECT e.state, e.kinds, e.clearing AS after
  FROM crm.endpoint e
 WHERE e.business_id = :business_id
   AND e.endpoint_id = :endpoint_id
   AND e.clearing IS NOT NULL
   FOR NO KEY UPDATE;

-- name: drop_posts
-- What goes nowhere any more, of the next posts, and whether there may be posts behind them; that
-- something was told stays, where it is a proof. The range is said throughout, so that by it few
-- are read.
WITH looked AS MATERIALIZED (
  SELECT count(*) AS posts, max(o.number) AS upto
    FROM (SELECT p.number
            FROM crm.post p
           WHERE p.business_id = :business_id
             AND p.endpoint_id = :endpoint_id
             AND p.number > :after
           ORDER BY p.number
           LIMIT :limit) o
), piece AS MATERIALIZED (
  SELECT p.number
    FROM crm.post p
   WHERE p.business_id = :business_id
     AND p.endpoint_id = :endpoint_id
     AND p.number > :after
     AND p.number <= (SELECT l.upto FROM looked l)
     AND (p.told_at IS NULL OR NOT p.kind = ANY (:proofs::text[]))
   ORDER BY p.number
     FOR UPDATE
), gone AS (
  DELETE FROM crm.post p
   WHERE p.business_id = :business_id
     AND p.endpoint_id = :endpoint_id
     AND p.number > :after
     AND p.number <= (SELECT max(o.number) FROM piece o)
     AND (p.told_at IS NULL OR NOT p.kind = ANY (:proofs::text[]))
  RETURNING p.number
), tries AS (
  DELETE FROM crm.post_try t
   WHERE t.business_id = :business_id
     AND t.endpoint_id = :endpoint_id
     AND t.number = ANY (ARRAY(SELECT g.number FROM gone g))
)
UPDATE crm.endpoint e
   SET clearing = CASE WHEN l.posts = :limit THEN l.upto END
  FROM looked l
 WHERE e.business_id = :business_id
   AND e.endpoint_id = :endpoint_id
RETURNING e.clearing IS NOT NULL;

-- name: drop_unwanted
-- Kinds that an endpoint wants no more, of the next posts that wait, and whether there may be some
-- behind them; what was told, and is to be once more, stays as it was. A test is wanted always.
-- After the last piece it is seen at once what waited behind them.
WITH looked AS MATERIALIZED (
  SELECT count(*) AS posts, max(o.number) AS upto
    FROM (SELECT p.number
            FROM crm.post p
           WHERE p.business_id = :business_id
             AND p.endpoint_id = :endpoint_id
             AND p.state = 'waiting'
             AND p.number > :after
             AND :kinds::text[] <> '{}'
           ORDER BY p.number
           LIMIT :limit) o
), piece AS MATERIALIZED (
  SELECT p.number
    FROM crm.post p
   WHERE p.business_id = :business_id
     AND p.endpoint_id = :endpoint_id
     AND p.state = 'waiting'
     AND p.number > :after
     AND p.number <= (SELECT l.upto FROM looked l)
     AND NOT p.kind = ANY (:kinds::text[] || ARRAY['webhook.tested'])
   ORDER BY p.number
     FOR UPDATE
), kept AS (
  UPDATE crm.post p
     SET state = 'told', next_at = NULL
   WHERE p.business_id = :business_id
     AND p.endpoint_id = :endpoint_id
     AND p.state = 'waiting'
     AND p.number > :after
     AND p.number <= (SELECT max(o.number) FROM piece o)
     AND NOT p.kind = ANY (:kinds::text[] || ARRAY['webhook.tested'])
     AND p.told_at IS NOT NULL
), gone AS (
  DELETE FROM crm.post p
   WHERE p.business_id = :business_id
     AND p.endpoint_id = :endpoint_id
     AND p.state = 'waiting'
     AND p.number > :after
     AND p.number <= (SELECT max(o.number) FROM piece o)
     AND NOT p.kind = ANY (:kinds::text[] || ARRAY['webhook.tested'])
     AND p.told_at IS NULL
  RETURNING p.number
), tries AS (
  DELETE FROM crm.post_try t
   WHERE t.business_id = :business_id
     AND t.endpoint_id = :endpoint_id
     AND t.number = ANY (ARRAY(SELECT g.number FROM gone g))
)
UPDATE crm.endpoint e
   SET clearing = CASE WHEN l.posts = :limit THEN l.upto END,
       next_at = CASE WHEN e.state = 'on' AND l.posts < :limit
                      THEN greatest(:now::timestamptz, e.rest_until)
                      ELSE e.next_at END
  FROM looked l
 WHERE e.business_id = :business_id
   AND e.endpoint_id = :endpoint_id
RETURNING e.clearing IS NOT NULL;

-- name: wake_endpoints
-- There is something new in the stream, for each that is not resting.
UPDATE crm.endpoint e
   SET next_at = greatest(:now::timestamptz, e.rest_until)
 WHERE e.business_id = :business_id
   AND e.state = 'on'
   AND (e.next_at IS NULL OR e.next_at > greatest(:now::timestamptz, e.rest_until))
   AND e.position < (SELECT h.number FROM crm.feed_head h WHERE h.business_id = :business_id);

-- name: lease_endpoint
-- Takes an endpoint that nobody works on and that has something to do; of one that is being cleared
-- the last piece says when.
UPDATE crm.endpoint e
   SET epoch = e.epoch + 1, leased_until = :leased_until
 WHERE e.business_id = :business_id
   AND e.endpoint_id = :endpoint_id
   AND e.next_at <= :now
   AND e.clearing IS NULL
   AND (e.leased_until IS NULL OR e.leased_until <= :now)
RETURNING epoch;

-- name: hold_endpoint
-- Goes on with an endpoint, if it is still this worker's: nothing of it changes meanwhile.
UPDATE crm.endpoint e
   SET leased_until = :leased_until
 WHERE e.business_id = :business_id
   AND e.endpoint_id = :endpoint_id
   AND e.epoch = :epoch
   AND e.state = 'on'
RETURNING name, url, failures, succeeded_at, rest_until, beginning,
          clearing IS NOT NULL AS is_clearing;

-- name: fan_out
-- Posts for the next events of the stream, of the kinds that the endpoint wants; a test is for the
-- one that is tested. Where the stream is gone through once more they are told once more.
WITH piece AS MATERIALIZED (
  SELECT f.number, v.event_id, v.customer_id, v.kind, v.ref
    FROM crm.feed f
    JOIN crm.event v ON v.business_id = :business_id AND v.event_id = f.event_id
   WHERE f.business_id = :business_id
     AND f.number > (SELECT e.position FROM crm.endpoint e
                      WHERE e.business_id = :business_id AND e.endpoint_id = :endpoint_id)
   ORDER BY f.number
   LIMIT :limit
), made AS (
  INSERT INTO crm.post (business_id, endpoint_id, number, event_id, customer_id, kind, state,
                        next_at, asks)
  SELECT e.business_id, e.endpoint_id, p.number, p.event_id, p.customer_id, p.kind, 'waiting',
         :now::timestamptz, e.acknowledges AND p.kind = ANY (:proofs::text[])
    FROM piece p
    JOIN crm.endpoint e
      ON e.business_id = :business_id AND e.endpoint_id = :endpoint_id
     AND CASE WHEN p.kind = 'webhook.tested' THEN p.ref = e.endpoint_id
              ELSE e.kinds = '{}' OR p.kind = ANY (e.kinds) END
  ON CONFLICT (business_id, endpoint_id, number) DO UPDATE
    SET state = 'waiting', attempts = 0, begun_at = NULL, next_at = excluded.next_at,
        asks = excluded.asks
  RETURNING 1
)
UPDATE crm.endpoint e
   SET position = coalesce(
         (SELECT max(p.number) FROM piece p),
         (SELECT h.number FROM crm.feed_head h WHERE h.business_id = :business_id), e.position)
 WHERE e.business_id = :business_id
   AND e.endpoint_id = :endpoint_id
RETURNING (SELECT count(*) FROM piece);

-- name: due_posts
-- What can go now: of each customer the first that waits, and whatever is about none. What was tried
-- before the endpoint began anew counts as never tried. Where the stream is gone through once more,
-- what lies ahead waits until it is come to: what was told before it is made again first. That two
-- records were merged also waits for what is about the one that went: its consents end before.
SELECT p.number, p.event_id, p.kind, v.at, v.customer_id, v.ref, p.asks,
       :beginning::integer AS beginning,
       CASE WHEN p.beginning = :beginning THEN p.attempts ELSE 0 END AS attempts,
       CASE WHEN p.beginning = :beginning THEN p.begun_at END AS begun_at
  FROM crm.post p
  JOIN crm.event v ON v.business_id = :business_id AND v.event_id = p.event_id
 WHERE p.business_id = :business_id
   AND p.endpoint_id = :endpoint_id
   AND p.state = 'waiting'
   AND p.number <= (SELECT e.position FROM crm.endpoint e
                     WHERE e.business_id = :business_id AND e.endpoint_id = :endpoint_id)
   AND (p.next_at <= :now OR p.beginning < :beginning)
   -- Each by her key, also where nothing is known yet of how many wait.
   AND NOT EXISTS (SELECT FROM crm.post q
                    WHERE q.business_id = :business_id
                      AND q.endpoint_id = :endpoint_id
                      AND q.customer_id = p.customer_id
                      AND q.state = 'waiting'
                      AND q.number < p.number
                   OFFSET 0)
   AND (p.kind <> 'customer.merged'
        OR NOT EXISTS (SELECT FROM crm.post q
                        WHERE q.business_id = :business_id
                          AND q.endpoint_id = :endpoint_id
                          AND q.customer_id = v.ref
                          AND q.state = 'waiting'
                          AND q.number < p.number
                       OFFSET 0))
 ORDER BY p.number
 LIMIT :limit;

-- name: mark_out
-- That some posts go out now, before they do: only what was out can be acknowledged.
UPDATE crm.post p
   SET out_at = :now::timestamptz
 WHERE p.business_id = :business_id
   AND p.endpoint_id = :endpoint_id
   AND p.number = ANY (:numbers::bigint[])
   AND p.asks
   AND p.out_at IS NULL;

-- name: record_posts
-- What became of some posts, which are held in the order of their key first: as by whoever forgets a
-- customer. A try that came to nothing counts once, also where it is written twice.
WITH held AS MATERIALIZED (
  SELECT p.number
    FROM crm.post p
   WHERE p.business_id = :business_id
     AND p.endpoint_id = :endpoint_id
     AND p.number = ANY (:numbers::bigint[])
   ORDER BY p.number
     FOR UPDATE
)
UPDATE crm.post p
   SET state = r.state,
       attempts = CASE WHEN p.beginning = :beginning THEN p.attempts ELSE 0 END + 1,
       begun_at = coalesce(CASE WHEN p.beginning = :beginning THEN p.begun_at END,
                           :now::timestamptz),
       beginning = :beginning,
       next_at = r.next_at,
       told_at = CASE WHEN r.state = 'told' THEN coalesce(p.told_at, :now::timestamptz)
                      ELSE p.told_at END,
       done_at = CASE WHEN r.state <> 'waiting' THEN :now::timestamptz END,
       acknowledged_at = CASE WHEN r.acknowledged AND p.asks
                              THEN coalesce(p.acknowledged_at, :now::timestamptz)
                              ELSE p.acknowledged_at END,
       acknowledged_by = CASE WHEN r.acknowledged AND p.asks
                              THEN coalesce(p.acknowledged_by, 'answer')
                              ELSE p.acknowledged_by END
  FROM unnest(:numbers::bigint[], :attempts::integer[], :states::text[], :next_ats::timestamptz[],
              :acknowledged::boolean[]) AS r (number, attempts, state, next_at, acknowledged)
  JOIN held h USING (number)
 WHERE p.business_id = :business_id
   AND p.endpoint_id = :endpoint_id
   AND p.number = r.number
   AND p.state = 'waiting'
   AND (r.state = 'told'
        OR r.attempts = CASE WHEN p.beginning = :beginning THEN p.attempts ELSE 0 END);

-- name: record_tries
-- That some posts went out, and what came back; of one that was forgotten meanwhile nothing.
INSERT INTO crm.post_try (business_id, endpoint_id, try_id, number, at, status, trouble, millis)
SELECT p.business_id, p.endpoint_id, r.try_id, p.number, :now, r.status, r.trouble, r.millis
  FROM unnest(:try_ids::uuid[], :numbers::bigint[], :statuses::integer[], :troubles::text[],
              :millis::integer[]) AS r (try_id, number, status, trouble, millis)
  JOIN crm.post p
    ON p.business_id = :business_id AND p.endpoint_id = :endpoint_id AND p.number = r.number
ON CONFLICT (business_id, endpoint_id, try_id) DO NOTHING;

-- name: note_endpoint
-- How an endpoint answers of late.
UPDATE crm.endpoint e
   SET failures = :failures, rest_until = :rest_until, succeeded_at = :succeeded_at
 WHERE e.business_id = :business_id
   AND e.endpoint_id = :endpoint_id;

-- name: settle_endpoint
-- Lets go of an endpoint until there is something to do for it again.
UPDATE crm.endpoint e
   SET leased_until = NULL,
       next_at = CASE
         -- Once all is cleared, it is looked at anew.
         WHEN e.clearing IS NOT NULL THEN e.next_at
         WHEN e.position < (SELECT h.number FROM crm.feed_head h
                             WHERE h.business_id = :business_id)
           THEN greatest(:now::timestamptz, e.rest_until)
         ELSE (SELECT greatest(min(f.next_at), e.rest_until)
                 FROM (SELECT DISTINCT ON (coalesce(p.customer_id, p.event_id))
                              p.number, p.event_id, p.kind,
                              CASE WHEN p.beginning = e.beginning THEN p.next_at
                                   ELSE least(p.next_at, :now) END AS next_at
                         FROM crm.post p
                        WHERE p.business_id = :business_id
                          AND p.endpoint_id = :endpoint_id
                          AND p.state = 'waiting'
                        ORDER BY coalesce(p.customer_id, p.event_id), p.number) f
                -- What a merge waits for is among them, and is due before it.
                WHERE f.kind <> 'customer.merged'
                   OR NOT EXISTS (SELECT FROM crm.post q
                                   WHERE q.business_id = :business_id
                                     AND q.endpoint_id = :endpoint_id
                                     AND q.customer_id = (
                                           SELECT v.ref FROM crm.event v
                                            WHERE v.business_id = :business_id
                                              AND v.event_id = f.event_id)
                                     AND q.state = 'waiting'
                                     AND q.number < f.number
                                  OFFSET 0)
               HAVING count(*) > 0)
       END
 WHERE e.business_id = :business_id
   AND e.endpoint_id = :endpoint_id
   AND e.epoch = :epoch
   AND e.state = 'on';

-- name: replay_since
-- Goes back in the stream; what is there is told once more.
UPDATE crm.endpoint e
   SET position = least(e.position, :position),
       next_at = CASE WHEN e.state = 'on' THEN greatest(:now::timestamptz, e.rest_until) END
 WHERE e.business_id = :business_id
   AND e.endpoint_id = :endpoint_id
   AND e.state <> 'removed'
RETURNING endpoint_id;

-- name: replay_one
-- One event once more, also where what became of it is long forgotten.
INSERT INTO crm.post (business_id, endpoint_id, number, event_id, customer_id, kind, state, next_at,
                      asks)
SELECT e.business_id, e.endpoint_id, f.number, v.event_id, v.customer_id, v.kind, 'waiting',
       :now::timestamptz, e.acknowledges AND v.kind = ANY (:proofs::text[])
  FROM crm.endpoint e
  JOIN crm.feed f ON f.business_id = :business_id AND f.event_id = :event_id
  JOIN crm.event v ON v.business_id = :business_id AND v.event_id = f.event_id
 WHERE e.business_id = :business_id
   AND e.endpoint_id = :endpoint_id
   AND e.state <> 'removed'
   AND (e.kinds = '{}' OR v.kind = ANY (e.kinds))
   AND v.kind <> 'webhook.tested'
ON CONFLICT (business_id, endpoint_id, number) DO UPDATE
  SET state = 'waiting', attempts = 0, begun_at = NULL, next_at = excluded.next_at
RETURNING number;

-- name: wake_endpoint
-- There is something to do now, unless it is off; held before its posts are, also then.
UPDATE crm.endpoint e
   SET next_at = CASE WHEN e.state = 'on' THEN greatest(:now::timestamptz, e.rest_until) END
 WHERE e.business_id = :business_id
   AND e.endpoint_id = :endpoint_id
   AND e.state <> 'removed';

-- name: acknowledge
-- Whoever was told says that it was heeded; once is enough. It may do so before its answer is on
-- record, or where that was lost, so of each post that went out; of one that only waits it cannot
-- know, whoever names it.
UPDATE crm.post p
   SET told_at = coalesce(p.told_at, :now::timestamptz),
       acknowledged_at = coalesce(p.acknowledged_at, :now::timestamptz),
       acknowledged_by = coalesce(p.acknowledged_by, 'key')
 WHERE p.business_id = :business_id
   AND p.endpoint_id = :endpoint_id
   AND p.event_id = :event_id
   AND p.asks
   AND (p.told_at IS NOT NULL OR p.out_at IS NOT NULL)
RETURNING p.acknowledged_at;

-- name: posts
-- What was told to an endpoint or waits for it, the newest first, by pages.
SELECT p.number, p.event_id, p.kind, p.state,
       CASE WHEN p.state = 'waiting' AND p.beginning < :beginning THEN 0
            ELSE p.attempts END AS attempts,
       CASE WHEN p.state = 'waiting' AND p.beginning < :beginning THEN least(p.next_at, :now)
            ELSE p.next_at END AS next_at,
       p.told_at, p.done_at, p.asks, p.acknowledged_at, p.acknowledged_by
  FROM crm.post p
 WHERE p.business_id = :business_id
   AND p.endpoint_id = :endpoint_id
   AND p.number < :before_number
   AND (:state::text = '' OR p.state = :state)
 ORDER BY p.number DESC
 LIMIT :limit;

-- name: tries
-- What went out to an endpoint and what came back, the newest first, by pages.
SELECT t.try_id AS id, p.event_id, p.kind, t.at, t.status, t.trouble, t.millis
  FROM crm.post_try t
  JOIN crm.post p
    ON p.business_id = :business_id AND p.endpoint_id = t.endpoint_id AND p.number = t.number
 WHERE t.business_id = :business_id
   AND t.endpoint_id = :endpoint_id
   AND t.try_id < :before
 ORDER BY t.try_id DESC
 LIMIT :limit;

-- name: told_of_customer
-- Whom a customer's withdrawals were told to, and when, the newest first; nothing of what goes
-- nowhere any more, and is not yet cleared away.
SELECT p.event_id, p.kind, v.at, v.ref, e.name AS recipient, p.state, p.told_at, p.asks,
       p.acknowledged_at, p.acknowledged_by
  FROM crm.post p
  JOIN crm.endpoint e ON e.business_id = :business_id AND e.endpoint_id = p.endpoint_id
  JOIN crm.event v ON v.business_id = :business_id AND v.event_id = p.event_id
 WHERE p.business_id = :business_id
   AND p.customer_id = ANY (crm.records_of(:business_id, :customer_id))
   AND p.kind = ANY (:proofs::text[])
   AND (p.told_at IS NOT NULL
        OR (e.state <> 'removed'
            AND (p.state <> 'waiting' OR e.kinds = '{}' OR p.kind = ANY (e.kinds))))
 ORDER BY p.number DESC, p.endpoint_id
 LIMIT :limit;

-- name: posts_of_customer
-- Everything about a customer that was told to somebody or is to be, oldest first, for her copy.
SELECT p.event_id, p.kind, e.name AS recipient, p.endpoint_id, p.number, p.state, p.asks, p.told_at,
       p.done_at, p.acknowledged_at, p.acknowledged_by
  FROM crm.post p
  JOIN crm.endpoint e ON e.business_id = :business_id AND e.endpoint_id = p.endpoint_id
 WHERE p.business_id = :business_id
   AND p.customer_id = ANY (crm.records_of(:business_id, :customer_id))
 ORDER BY p.number, p.endpoint_id;

-- name: hold_posts_of
-- Holds everything about a customer that was told or is to be, under whichever of her records: a worker
-- that records some of it is waited for, so that what is deleted next finds its tries. Record by record
-- the two could wait for each other.
SELECT p.number
  FROM crm.post p
 WHERE p.business_id = :business_id
   AND p.customer_id = ANY (crm.records_of(:business_id, :customer_id))
 ORDER BY p.endpoint_id, p.number
   FOR UPDATE;

-- name: forget_posts
-- Of an erased customer nothing goes any more; that she was erased is told without this.
WITH gone AS (
  DELETE FROM crm.post p
   WHERE p.business_id = :business_id
     AND p.customer_id = :customer_id
  RETURNING p.endpoint_id, p.number
), tries AS (
  DELETE FROM crm.post_try t USING gone g
   WHERE t.business_id = :business_id
     AND t.endpoint_id = g.endpoint_id
     AND t.number = g.number
)
SELECT count(*) FROM gone;

-- name: lapse_posts
-- Deletes what was told or given up long ago, among some; a withdrawal that was told is a proof, and
-- goes with its event. So does one that was sent and never acknowledged: somebody is to ask.
WITH piece AS MATERIALIZED (
  SELECT p.endpoint_id, p.number, p.event_id, p.kind, p.done_at, p.told_at, p.out_at
    FROM crm.post p
   WHERE p.business_id = :business_id AND p.event_id > :after
   ORDER BY p.event_id FETCH FIRST (:limit) ROWS WITH TIES
), gone AS (
  DELETE FROM crm.post p USING piece o
   WHERE p.business_id = :business_id
     AND p.event_id = ANY (ARRAY(SELECT o.event_id FROM piece o))
     AND p.endpoint_id = o.endpoint_id
     AND p.event_id = o.event_id
     AND p.state <> 'waiting'
     AND o.done_at < :over_before
     AND (coalesce(o.told_at, o.out_at) IS NULL OR NOT o.kind = ANY (:proofs::text[]))
  RETURNING p.endpoint_id, p.number
), tries AS (
  DELETE FROM crm.post_try t USING gone g
   WHERE t.business_id = :business_id
     AND t.endpoint_id = g.endpoint_id
     AND t.number = g.number
)
SELECT (SELECT count(*) FROM gone) AS deleted,
       CASE WHEN (SELECT count(*) FROM piece) >= :limit
            THEN (SELECT o.event_id FROM piece o ORDER BY o.event_id DESC LIMIT 1) END AS upto;
