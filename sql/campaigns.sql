-- Every statement of crm/campaigns. Owns: campaign, delivery, lease, retry, value_check, verdict,
-- canary, domain_trouble, poll_count, campaign_image, digest, digest_plan, digest_choice.

-- name: add_campaign
-- A new draft.
INSERT INTO crm.campaign (business_id, campaign_id, purpose_id, subject, preheader, source, format,
                          question, answers, public, segment_id, created_by, created_at, changed_at)
VALUES (:business_id, :campaign_id, :purpose_id, :subject, :preheader, :source, :format,
        :question, :answers, :public, :segment_id, :created_by, :now, :now)
RETURNING campaign_id AS id, purpose_id, subject, preheader, source, format, question, answers, public,
          segment_id, segment_kept, state, version,
          created_by, approved_by, created_at, changed_at, scheduled_at, local_at, held_why, started_at,
          ended_at;

-- name: campaign
-- One campaign.
SELECT campaign_id AS id, purpose_id, subject, preheader, source, format, question, answers, public,
          segment_id, segment_kept, state, version,
       created_by, approved_by, created_at, changed_at, scheduled_at, local_at, held_why, started_at,
       ended_at
  FROM crm.campaign
 WHERE business_id = :business_id
   AND campaign_id = :campaign_id;

-- name: campaigns_before
-- Campaigns by pages, newest first, each with its counts and without its text.
SELECT c.campaign_id AS id, c.purpose_id, p.name AS purpose, c.subject, c.state, c.version,
       coalesce(m.name, '') AS written_by, c.created_at, c.changed_at, c.scheduled_at,
       c.started_at, c.ended_at, n.waiting, n.sending, n.sent, n.failed, n.excluded, n.uncertain,
       EXISTS (SELECT FROM crm.digest g
                WHERE g.business_id = :business_id AND g.campaign_id = c.campaign_id) AS digest
  FROM crm.campaign c
  JOIN crm.purpose p ON p.business_id = :business_id AND p.purpose_id = c.purpose_id
  LEFT JOIN crm.member m ON m.business_id = :business_id AND m.member_id = c.created_by
 CROSS JOIN LATERAL (
   SELECT coalesce(sum(l.waiting), 0)::bigint AS waiting,
          coalesce(sum(l.sending), 0)::bigint AS sending,
          coalesce(sum(l.sent), 0)::bigint AS sent,
          coalesce(sum(l.failed), 0)::bigint AS failed,
          coalesce(sum(l.excluded), 0)::bigint AS excluded,
          coalesce(sum(l.uncertain), 0)::bigint AS uncertain
     FROM crm.lease l
    WHERE l.business_id = :business_id AND l.campaign_id = c.campaign_id) n
 WHERE c.business_id = :business_id
   AND c.campaign_id < :before
   AND c.state = ANY (:states::text[])
 ORDER BY c.campaign_id DESC
 LIMIT :limit;

-- name: campaigns_by_state
-- How many campaigns are in each state.
SELECT state, count(*) AS campaigns
  FROM crm.campaign
 WHERE business_id = :business_id
 GROUP BY state;

-- name: change_campaign
-- The text of a draft, if it is still the version that was read.
UPDATE crm.campaign
   SET purpose_id = :purpose_id, subject = :subject, preheader = :preheader, source = :source,
       format = :format, question = :question, answers = :answers, public = :public,
       segment_id = :segment_id, version = version + 1, changed_at = :now
 WHERE business_id = :business_id
   AND campaign_id = :campaign_id
   AND version = :version
   AND state = 'draft'
RETURNING campaign_id AS id, purpose_id, subject, preheader, source, format, question, answers, public,
          segment_id, segment_kept, state, version,
          created_by, approved_by, created_at, changed_at, scheduled_at, local_at, held_why, started_at,
          ended_at;

-- name: next_version
-- A draft whose pictures changed is another one than was reviewed.
UPDATE crm.campaign
   SET version = version + 1, changed_at = :now
 WHERE business_id = :business_id
   AND campaign_id = :campaign_id
   AND state = 'draft';

-- name: hold_campaign
-- Nobody else changes a campaign or moves it to another state before this transaction ends.
SELECT campaign_id
  FROM crm.campaign
 WHERE business_id = :business_id
   AND campaign_id = :campaign_id
   FOR NO KEY UPDATE;

-- name: move_campaign
-- From one state to another; no row if another was first. A draft again is approved by nobody. At
-- its start it keeps its segment as that is now. Planned or started, it goes by the clocks that are
-- given, or by none.
UPDATE crm.campaign
   SET state = :state, changed_at = :now,
       approved_by = CASE WHEN :state::text <> 'draft' THEN coalesce(:approved_by, approved_by) END,
       scheduled_at = CASE WHEN :state::text <> 'draft'
                           THEN coalesce(:scheduled_at, scheduled_at) END,
       local_at = CASE WHEN :state::text IN ('scheduled', 'starting') THEN :local_at
                       WHEN :state::text <> 'draft' THEN local_at END,
       started_at = CASE WHEN :state::text = 'starting' THEN :now ELSE started_at END,
       segment_kept = CASE WHEN :state::text = 'starting' THEN (
         SELECT jsonb_build_object('id', g.segment_id, 'name', g.name, 'rule', g.rule)
           FROM crm.segment g
          WHERE g.business_id = :business_id AND g.segment_id = campaign.segment_id)
         ELSE segment_kept END,
       segment_id = CASE WHEN :state::text NOT IN ('starting', 'cancelled') THEN segment_id END,
       held_why = CASE WHEN :state::text = 'held' THEN 'overdue' END,
       ended_at = CASE WHEN :state::text IN ('done', 'cancelled') THEN :now ELSE ended_at END
 WHERE business_id = :business_id
   AND campaign_id = :campaign_id
   AND state = ANY (:from_states::text[])
RETURNING campaign_id AS id, purpose_id, subject, preheader, source, format, question, answers, public,
          segment_id, segment_kept, state, version,
          created_by, approved_by, created_at, changed_at, scheduled_at, local_at, held_why, started_at,
          ended_at;

-- name: audience_by_reason
-- How many of a purpose's customers would get a campaign now (no reason), and why others not; of
-- those who get it, whom it asks whether their consent goes on. How many there are of each state is
-- tallied. Read are those that end soon, or whose whole version does, and those that another reason
-- moves: what has ended, whom a suppression sets apart, and from there whom a restriction does; few
-- of them in the order of the key, so that neighbours are found on the same page.
WITH version AS MATERIALIZED (
  SELECT v.version, v.ends_at, v.stale_at,
         v.ends_at IS NULL OR v.ends_at > :now AS holds,
         v.stale_at IS NOT NULL OR v.ends_at <= :now::timestamptz + interval '60 days' AS asks
    FROM crm.purpose_version v
   WHERE v.business_id = :business_id
     AND v.purpose_id = :purpose_id
), tallied AS (
  SELECT t.purpose_version AS version, t.status, sum(t.customers) AS customers
    FROM crm.consent_tally t
   WHERE t.business_id = :business_id
     AND t.purpose_id = :purpose_id
   GROUP BY t.purpose_version, t.status
), ended AS (
  SELECT g.version, g.status, g.customers,
         CASE WHEN g.status IN ('withdrawn', 'refused', 'expired') THEN 0
              WHEN v.ends_at <= :now THEN g.customers
              ELSE (
                SELECT count(*) FROM crm.consent s
                 WHERE s.business_id = :business_id AND s.purpose_id = :purpose_id
                   AND s.purpose_version = g.version AND s.status = g.status
                   AND s.valid_until <= :now) END AS over
    FROM tallied g
    JOIN version v ON v.version = g.version
), asking AS (
  SELECT count(*) AS customers
    FROM version v
   CROSS JOIN LATERAL (
     SELECT s.at, s.valid_until FROM crm.consent s
      WHERE v.holds AND v.asks
        AND s.business_id = :business_id AND s.purpose_id = :purpose_id
        AND s.purpose_version = v.version AND s.status IN ('given', 'renewed')
     UNION ALL
     SELECT s.at, s.valid_until FROM crm.consent s
      WHERE v.holds AND NOT coalesce(v.asks, false)
        AND s.business_id = :business_id AND s.purpose_id = :purpose_id
        AND s.purpose_version = v.version AND s.status IN ('given', 'renewed')
        AND s.valid_until > :now AND s.valid_until <= :now::timestamptz + interval '60 days') s
   WHERE crm.asked_again(s.at, least(s.valid_until, v.ends_at), v.stale_at, :now)
), apart AS MATERIALIZED (
  SELECT c.customer_id, NULL AS scope_before, u.scope, NULL::timestamptz AS restricted_at,
         NULL::timestamptz AS erased_at
    FROM crm.suppression u
    JOIN crm.customer c ON c.business_id = :business_id AND c.address_hash = u.address_hash
   WHERE u.business_id = :business_id
  UNION ALL
  SELECT c.customer_id, u.scope, u.scope, c.restricted_at, c.erased_at
    FROM crm.customer c
    LEFT JOIN crm.suppression u
      ON u.business_id = :business_id AND u.address_hash = c.address_hash
   WHERE c.business_id = :business_id
     AND c.restricted_at IS NOT NULL
  UNION ALL
  -- Of whoever was erased no consent is left, but of a record that was merged into another.
  SELECT c.customer_id, NULL, NULL, NULL, c.erased_at
    FROM crm.customer c
   WHERE c.business_id = :business_id
     AND c.merged_into IS NOT NULL
     AND c.restricted_at IS NULL
   ORDER BY 1
), moved AS MATERIALIZED (
  SELECT s.was, s.reason, count(*) AS customers, count(*) FILTER (WHERE s.asked) AS asked
    FROM (
      SELECT crm.exclusion(s.status, least(s.valid_until, v.ends_at), a.scope_before, NULL, NULL,
                           :now) AS was,
             crm.exclusion(s.status, least(s.valid_until, v.ends_at), a.scope, a.restricted_at,
                           a.erased_at, :now) AS reason,
             s.status IN ('given', 'renewed')
               AND crm.asked_again(s.at, least(s.valid_until, v.ends_at), v.stale_at, :now) AS asked
        FROM apart a
        JOIN crm.consent s
          ON s.business_id = :business_id
         AND s.purpose_id = :purpose_id
         AND s.customer_id = a.customer_id
        JOIN version v ON v.version = s.purpose_version) s
   GROUP BY s.was, s.reason
)
SELECT t.reason, sum(t.customers)::bigint AS customers, sum(t.asked)::bigint AS asked
  FROM (
    SELECT crm.exclusion(e.status, NULL, NULL, NULL, NULL, :now) AS reason,
           e.customers - e.over AS customers, 0 AS asked
      FROM ended e
    UNION ALL
    SELECT crm.exclusion(e.status, :now, NULL, NULL, NULL, :now), e.over, 0 FROM ended e
    UNION ALL
    SELECT NULL, 0, a.customers FROM asking a
    UNION ALL
    SELECT m.was, -m.customers, CASE WHEN m.was IS NULL THEN -m.asked ELSE 0 END FROM moved m
    UNION ALL
    SELECT m.reason, m.customers, CASE WHEN m.reason IS NULL THEN m.asked ELSE 0 END FROM moved m
  ) t
 GROUP BY t.reason
HAVING sum(t.customers) > 0
 ORDER BY 2 DESC;

-- name: hold_plan_of_digest
-- Where a campaign is a digest, no other of its purpose is written before this transaction ends: how
-- far those made together are written tells which of them is a reader's.
SELECT p.purpose_id
  FROM crm.digest_plan p
  JOIN crm.digest g ON g.business_id = :business_id AND g.purpose_id = p.purpose_id
 WHERE p.business_id = :business_id
   AND g.campaign_id = :campaign_id
   FOR UPDATE OF p;

-- name: share_digest_plan
-- The digest of a campaign's purpose is not stopped before this transaction ends: whom the campaign
-- leaves out for it is then seen by whoever stops it.
SELECT p.purpose_id
  FROM crm.digest_plan p
  JOIN crm.campaign c ON c.business_id = :business_id AND c.purpose_id = p.purpose_id
 WHERE p.business_id = :business_id
   AND c.campaign_id = :campaign_id
   FOR SHARE OF p;

-- name: campaign_to_fill
-- A campaign whose deliveries are being written, held against a second writer; none if one is
-- at it already, or it has been cancelled.
SELECT c.purpose_id, c.filled_to, c.filled_by, c.segment_kept, c.started_at,
       g.campaign_id IS NOT NULL AS digest,
       -- Whoever chose the digest gets no single issue where there is one.
       g.campaign_id IS NULL AND EXISTS (
         SELECT FROM crm.digest_plan p
          WHERE p.business_id = :business_id AND p.purpose_id = c.purpose_id
            AND p.offered) AS offers_digest
  FROM crm.campaign c
  LEFT JOIN crm.digest g ON g.business_id = :business_id AND g.campaign_id = c.campaign_id
 WHERE c.business_id = :business_id
   AND c.campaign_id = :campaign_id
   AND c.state = 'starting'
   FOR UPDATE OF c SKIP LOCKED;

-- name: customers_to_fill
-- Whom the next piece of a campaign looks at: of those its segment chooses.
SELECT s.customer_id
  FROM crm.consent_now s
 WHERE s.business_id = :business_id
   AND s.purpose_id = :purpose_id
   AND s.customer_id > :after
 ORDER BY s.customer_id
 LIMIT :size;

-- name: write_deliveries
-- The next piece of the audience, in the order of the key: each customer waits or is excluded
-- with the reason; whoever is not among those whom a segment chose is not of the audience. Where one
-- was asked, the piece ends with the last customer it was asked about, who may be gone by now. Says
-- how many, and the last customer looked at.
WITH piece AS MATERIALIZED (
  SELECT s.customer_id, s.status, s.ends_at, s.event_id, s.notice_id
    FROM crm.consent_now s
   WHERE s.business_id = :business_id
     AND s.purpose_id = :purpose_id
     AND s.customer_id > :after
     AND (:upto::uuid IS NULL OR s.customer_id <= :upto::uuid)
   ORDER BY s.customer_id
   LIMIT CASE WHEN :upto::uuid IS NULL THEN :size::bigint END
), judged AS MATERIALIZED (
  SELECT p.customer_id, p.event_id, p.notice_id,
         coalesce(
           crm.exclusion(p.status, p.ends_at, u.scope, c.restricted_at, c.erased_at, :now),
           CASE WHEN k.customer_id IS NOT NULL THEN 'digest' END) AS reason
    FROM piece p
    JOIN crm.customer c ON c.business_id = :business_id AND c.customer_id = p.customer_id
    LEFT JOIN crm.suppression u
      ON u.business_id = :business_id AND u.address_hash = c.address_hash
    LEFT JOIN crm.digest_choice k
      ON :offers_digest::boolean AND k.business_id = :business_id
     AND k.purpose_id = :purpose_id AND k.customer_id = p.customer_id AND k.left_at IS NULL
   WHERE :among::uuid[] IS NULL OR p.customer_id = ANY (:among::uuid[])
), written AS (
  INSERT INTO crm.delivery (business_id, campaign_id, customer_id, state, reason, event_id,
                            notice_id)
  SELECT :business_id, :campaign_id, j.customer_id,
         CASE WHEN j.reason IS NULL THEN 'waiting' ELSE 'excluded' END, j.reason,
         CASE WHEN j.reason IS NULL THEN j.event_id END,
         CASE WHEN j.reason IS NULL THEN j.notice_id END
    FROM judged j
  ON CONFLICT (business_id, campaign_id, customer_id) DO NOTHING
  RETURNING state, reason
)
SELECT count(*) FILTER (WHERE w.state = 'waiting')::integer AS waiting,
       count(*) FILTER (WHERE w.state = 'excluded')::integer AS excluded,
       coalesce(array_agg(w.reason) FILTER (WHERE w.reason IS NOT NULL), '{}') AS reasons,
       coalesce(:upto::uuid,
                (SELECT max(p.customer_id::text COLLATE "C")::uuid FROM piece p)) AS last
  FROM written w;

-- name: write_digest_deliveries
-- The same for a digest: of the next customers who chose one, those whom it is for.
WITH piece AS MATERIALIZED (
  SELECT k.customer_id
    FROM crm.digest_choice k
   WHERE k.business_id = :business_id
     AND k.purpose_id = :purpose_id
     AND k.customer_id > :after
   ORDER BY k.customer_id
   LIMIT :size
), judged AS MATERIALIZED (
  SELECT r.customer_id, s.event_id, s.notice_id,
         crm.exclusion(s.status, s.ends_at, u.scope, c.restricted_at, c.erased_at, :now)
           AS reason
    FROM (
      SELECT u.customer_id
        FROM crm.unmerged_readers_of_digest(:business_id, :campaign_id, :after,
               (SELECT max(p.customer_id::text COLLATE "C")::uuid FROM piece p)) u
        JOIN piece p ON p.customer_id = u.customer_id
       UNION ALL
      SELECT m.customer_id
        FROM crm.merged_readers_of_digest(:business_id, :campaign_id, :after,
               (SELECT max(p.customer_id::text COLLATE "C")::uuid FROM piece p)) m) r
    JOIN crm.customer c ON c.business_id = :business_id AND c.customer_id = r.customer_id
    LEFT JOIN crm.consent_now s ON s.business_id = :business_id
     AND s.purpose_id = :purpose_id AND s.customer_id = r.customer_id
    LEFT JOIN crm.suppression u
      ON u.business_id = :business_id AND u.address_hash = c.address_hash
   WHERE r.customer_id > :after
), written AS (
  INSERT INTO crm.delivery (business_id, campaign_id, customer_id, state, reason, event_id,
                            notice_id)
  SELECT :business_id, :campaign_id, j.customer_id,
         CASE WHEN j.reason IS NULL THEN 'waiting' ELSE 'excluded' END, j.reason,
         CASE WHEN j.reason IS NULL THEN j.event_id END,
         CASE WHEN j.reason IS NULL THEN j.notice_id END
    FROM judged j
  ON CONFLICT (business_id, campaign_id, customer_id) DO NOTHING
  RETURNING state, reason
)
SELECT count(*) FILTER (WHERE w.state = 'waiting')::integer AS waiting,
       count(*) FILTER (WHERE w.state = 'excluded')::integer AS excluded,
       coalesce(array_agg(w.reason) FILTER (WHERE w.reason IS NOT NULL), '{}') AS reasons,
       (SELECT max(p.customer_id::text COLLATE "C")::uuid FROM piece p) AS last
  FROM written w;

-- name: add_lease
-- The range of deliveries just written.
INSERT INTO crm.lease (business_id, campaign_id, number, low, high, cursor, due_at, waiting,
                       excluded, reasons, open)
VALUES (:business_id, :campaign_id,
        (SELECT count(*) FROM crm.lease l
          WHERE l.business_id = :business_id AND l.campaign_id = :campaign_id),
        :low, :high, :low, :now, :waiting, :excluded,
        crm.count_reasons('{}', :reasons::text[]), :waiting > 0);

-- name: filled_to
-- How far deliveries are written.
UPDATE crm.campaign SET filled_to = :filled_to
 WHERE business_id = :business_id
   AND campaign_id = :campaign_id;

-- name: filled
-- All deliveries are written, by this transaction or an older one.
UPDATE crm.campaign SET filled_by = pg_current_xact_id()::text::bigint
 WHERE business_id = :business_id
   AND campaign_id = :campaign_id
   AND state = 'starting'
   AND filled_by IS NULL;

-- name: begin_sending
-- Starts claiming once every transaction has ended that could not see all the deliveries: a
-- withdrawal among them would have left its customer's delivery waiting. Which business each is of
-- nobody can tell, but for an import, which says so and may take minutes.
UPDATE crm.campaign SET state = 'sending', changed_at = :now
 WHERE business_id = :business_id
   AND campaign_id = :campaign_id
   AND state = 'starting'
   AND filled_by IS NOT NULL
   -- Where no such transaction has been yet, another server counted: none of it is at work.
   AND (pg_snapshot_xmax(pg_current_snapshot())::text::bigint <= filled_by
        OR NOT EXISTS (
          SELECT FROM (SELECT w::text::bigint AS xact
                         FROM pg_snapshot_xip(pg_current_snapshot()) w) at_work
           WHERE at_work.xact <= filled_by
             AND NOT crm.imports_elsewhere(:business_id, at_work.xact, :now)))
   -- A canary that has not passed holds everybody back.
   AND NOT EXISTS (
     SELECT FROM crm.canary k
      WHERE k.business_id = :business_id
        AND k.campaign_id = :campaign_id
        AND k.passed_at IS NULL);

-- name: waits_for_import
-- Whether a campaign whose deliveries are written waits for an import of its business to end.
SELECT EXISTS (
  SELECT FROM crm.campaign c
    JOIN crm.import i
      ON i.business_id = :business_id AND i.state = 'running' AND i.xact <= c.filled_by
   WHERE c.business_id = :business_id
     AND c.campaign_id = :campaign_id
     AND c.state = 'starting');

-- name: release_canary
-- A canary on its way; another replaces one that has not passed.
INSERT INTO crm.canary (business_id, campaign_id, mark, sent_at)
VALUES (:business_id, :campaign_id, :mark, :now)
ON CONFLICT (business_id, campaign_id) DO UPDATE
   SET mark = excluded.mark, sent_at = excluded.sent_at, arrived_at = NULL, differences = '[]',
       remarks = '[]'
 WHERE canary.passed_at IS NULL;

-- name: canary
-- What became of the canary of a campaign.
SELECT sent_at, arrived_at, differences, remarks, passed_at, passed_by
  FROM crm.canary
 WHERE business_id = :business_id
   AND campaign_id = :campaign_id;

-- name: canary_on_its_way
-- The campaign whose canary has this mark and has not arrived, held against a second arrival.
SELECT campaign_id, sent_at
  FROM crm.canary
 WHERE business_id = :business_id
   AND mark = :mark
   AND arrived_at IS NULL
   AND passed_at IS NULL
   FOR UPDATE;

-- name: land_canary
-- It arrived; the same as it was sent, it lets the campaign begin.
UPDATE crm.canary
   SET arrived_at = :now, differences = :differences, remarks = :remarks,
       passed_at = CASE WHEN jsonb_array_length(:differences::jsonb) = 0 THEN :now::timestamptz END
 WHERE business_id = :business_id
   AND campaign_id = :campaign_id;

-- name: pass_canary
-- It was not waited for any longer, by somebody's decision; never one that arrived changed.
UPDATE crm.canary
   SET passed_at = :now, passed_by = :passed_by
 WHERE business_id = :business_id
   AND campaign_id = :campaign_id
   AND arrived_at IS NULL
   AND passed_at IS NULL
   AND sent_at < :sent_before;

-- name: count_troubles
-- What became of some customers' mails, by domain; in the order of the key, so that two workers
-- never wait for each other.
INSERT INTO crm.domain_trouble AS t (business_id, campaign_id, domain, kind, reason, customers)
SELECT :business_id, :campaign_id, split_part(c.folded, '@', 2), o.kind, o.reason, count(*)
  FROM unnest(:customer_ids::uuid[], :kinds::text[], :reasons::text[])
         AS o (customer_id, kind, reason)
  JOIN crm.customer c ON c.business_id = :business_id AND c.customer_id = o.customer_id
 WHERE split_part(c.folded, '@', 2) <> ''
 GROUP BY 3, 4, 5
 ORDER BY 3, 4, 5
ON CONFLICT (business_id, campaign_id, domain, kind, reason) DO UPDATE
   SET customers = t.customers + excluded.customers;

-- name: troubles
-- What went wrong with domains of more than a few customers, the most first.
SELECT domain, kind, reason, customers
  FROM crm.domain_trouble
 WHERE business_id = :business_id
   AND campaign_id = :campaign_id
   AND customers >= :few
 ORDER BY customers DESC, domain, kind, reason
 LIMIT :limit;

-- name: returned
-- Addresses that take no mail, and readers who complained, of one campaign.
SELECT coalesce(sum(hard), 0)::bigint AS hard, coalesce(sum(complaints), 0)::bigint AS complaints
  FROM crm.lease
 WHERE business_id = :business_id
   AND campaign_id = :campaign_id;

-- name: forget_few_troubles
-- A domain of one's own names somebody; of campaigns that are long over.
DELETE FROM crm.domain_trouble t
 USING crm.campaign c
 WHERE t.business_id = :business_id
   AND t.customers < :few
   AND c.business_id = :business_id
   AND c.campaign_id = t.campaign_id
   AND c.ended_at < :over_before;

-- name: poll
-- What a campaign asks its readers.
SELECT question, answers, started_at
  FROM crm.campaign
 WHERE business_id = :business_id
   AND campaign_id = :campaign_id;

-- name: count_answer
-- One more of an answer.
INSERT INTO crm.poll_count AS p (business_id, campaign_id, answer, given)
VALUES (:business_id, :campaign_id, :answer, 1)
ON CONFLICT (business_id, campaign_id, answer) DO UPDATE SET given = p.given + 1;

-- name: answers
-- How often each answer was given.
SELECT answer, given
  FROM crm.poll_count
 WHERE business_id = :business_id
   AND campaign_id = :campaign_id
 ORDER BY answer;

-- name: mails_sent
-- To how many a campaign was handed over, by its ranges.
SELECT coalesce(sum(sent), 0)::bigint
  FROM crm.lease
 WHERE business_id = :business_id
   AND campaign_id = :campaign_id;

-- name: analyze_deliveries
-- Fresh statistics, without which a claim sorts the whole campaign, or looks for few among many.
SELECT crm.analyze_deliveries();

-- name: take_lease
-- A range with something to do that nobody holds, or whose holder has gone quiet; what such a
-- holder left on its way is settled even when the campaign has been paused or cancelled since.
UPDATE crm.lease l
   SET holder = :holder, epoch = l.epoch + 1, expires_at = :expires_at, waits_for = '',
       relays_as_of = NULL
 WHERE l.business_id = :business_id
   AND l.campaign_id = :campaign_id
   AND l.number = (
     SELECT f.number
       FROM crm.lease f
       JOIN crm.campaign c ON c.business_id = :business_id AND c.campaign_id = f.campaign_id
        AND (c.state = 'sending' OR f.sending > 0)
      WHERE f.business_id = :business_id
        AND f.campaign_id = :campaign_id
        AND f.open
        AND (f.due_at <= :now
             -- It rests for caps of relays that were known, and one is another since.
             OR (f.relays_as_of IS NOT NULL
                 AND EXISTS (SELECT FROM crm.relay r
                              WHERE r.business_id = :business_id
                                AND r.active
                                AND r.changed_at > f.relays_as_of)))
        AND (f.expires_at IS NULL OR f.expires_at < :now)
      ORDER BY f.number
      LIMIT 1
        FOR UPDATE OF f SKIP LOCKED)
RETURNING l.number, l.low, l.high, l.cursor, l.epoch, l.sending, l.blocked;

-- name: doubt_deliveries
-- What a holder that has gone left claimed: handed over or not, nobody knows. Not sent again.
UPDATE crm.delivery
   SET state = 'uncertain', done_at = :now, reply = 'the worker was gone before the answer'
 WHERE business_id = :business_id
   AND campaign_id = :campaign_id
   AND customer_id > :low
   AND customer_id <= :high
   AND state = 'sending';

-- name: hold_lease
-- Keeps the range for a while longer and says what the campaign is doing; no row if the range
-- was taken over. It locks the range before any delivery, as a withdrawal does.
-- `paced_at` is when a recipient domain last got another pace: the holder looks them up again.
SELECT h.state, h.paced_at
  FROM crm.hold_lease(:business_id, :campaign_id, :number, :epoch, :expires_at) h;

-- name: record_outcomes
-- What became of deliveries on their way; only those still on their way. What comes back of a
-- cancelled campaign is excluded as what waited then.
UPDATE crm.delivery d
   SET state = o.state, code = o.code, reply = o.reply,
       reason = CASE WHEN o.state = 'excluded' THEN 'cancelled' END,
       attempt = d.attempt - o.untried,
       merged = CASE WHEN o.state IN ('sent', 'uncertain') THEN d.merged END,
       done_at = CASE WHEN o.state NOT IN ('waiting', 'excluded') THEN :now::timestamptz END
  FROM unnest(:customer_ids::uuid[], :states::text[], :codes::smallint[], :replies::text[],
              :untried::smallint[])
         AS o (customer_id, state, code, reply, untried)
 WHERE d.business_id = :business_id
   AND d.campaign_id = :campaign_id
   AND d.customer_id = o.customer_id
   AND d.state = 'sending'
RETURNING d.customer_id, d.state;

-- name: retry_later
-- What could not go now is looked at again when it is due. Who has left since she was read waits for
-- nothing.
INSERT INTO crm.retry (business_id, campaign_id, customer_id, due_at, waits_for)
SELECT :business_id, :campaign_id, r.customer_id, r.due_at, r.waits_for
  FROM unnest(:customer_ids::uuid[], :due_ats::timestamptz[], :waits_for::text[])
         AS r (customer_id, due_at, waits_for)
  JOIN crm.delivery d
    ON d.business_id = :business_id
   AND d.campaign_id = :campaign_id
   AND d.customer_id = r.customer_id
 WHERE d.state = 'waiting'
ON CONFLICT (business_id, campaign_id, customer_id) DO UPDATE
   SET due_at = excluded.due_at, waits_for = excluded.waits_for;

-- name: customers_at
-- Which of some customers have their mailbox at one of these domains.
SELECT c.customer_id, d.domain
  FROM crm.customer c
 CROSS JOIN LATERAL (SELECT lower(substring(c.address FROM '[^@]*$')) AS domain) d
 WHERE c.business_id = :business_id
   AND c.customer_id = ANY (:customer_ids::uuid[])
   AND d.domain = ANY (:domains::text[]);

-- name: expire_deliveries
-- What still waits when the campaign's time is over fails: late it would be of no use. Whom her own
-- rhythm kept it from until then is left out for that reason.
UPDATE crm.delivery d
   SET state = CASE WHEN o.kept_off = '' THEN 'failed' ELSE 'excluded' END,
       reason = nullif(o.kept_off, ''),
       done_at = CASE WHEN o.kept_off = '' THEN :now::timestamptz END,
       reply = CASE WHEN o.kept_off = '' THEN 'stale' ELSE d.reply END
  FROM unnest(:customer_ids::uuid[], :kept_off::text[]) AS o (customer_id, kept_off)
 WHERE d.business_id = :business_id
   AND d.campaign_id = :campaign_id
   AND d.customer_id = o.customer_id
   AND d.state = 'waiting'
RETURNING d.customer_id, d.state, d.reason;

-- name: next_due
-- When the next customer of a range is to be tried again.
SELECT min(r.due_at)
  FROM crm.retry r
 WHERE r.business_id = :business_id
   AND r.campaign_id = :campaign_id
   AND r.customer_id > :low
   AND r.customer_id <= :high;

-- name: waits
-- For what customers wait, how many for each and until when: those to be tried again, and whole
-- ranges. The first only up to a bound, so that it is as cheap at any size.
SELECT w.waits_for, count(*) AS customers, min(w.due_at) AS due_at
  FROM (SELECT r.waits_for, r.due_at
          FROM crm.retry r
         WHERE r.business_id = :business_id
           AND r.campaign_id = :campaign_id
         LIMIT 100000) w
 GROUP BY w.waits_for
UNION ALL
SELECT l.waits_for, sum(l.waiting)::bigint, min(l.due_at)
  FROM crm.lease l
 WHERE l.business_id = :business_id
   AND l.campaign_id = :campaign_id
   AND l.open
   AND l.waits_for <> ''
   AND l.due_at > :now
 GROUP BY l.waits_for
 ORDER BY 2 DESC
 LIMIT 20;

-- name: health
-- What the circuit breaker judges: counts since staff last let the campaign go on.
SELECT c.state, n.sent - c.passed_sent AS sent, n.hard - c.passed_hard AS hard,
       n.complaints - c.passed_complaints AS complaints, n.blocked
  FROM crm.campaign c
 CROSS JOIN LATERAL (
   SELECT coalesce(sum(l.sent + l.failed), 0)::bigint AS sent,
          coalesce(sum(l.hard), 0)::bigint AS hard,
          coalesce(sum(l.complaints), 0)::bigint AS complaints,
          coalesce(max(l.blocked), 0) AS blocked
     FROM crm.lease l
    WHERE l.business_id = :business_id AND l.campaign_id = c.campaign_id) n
 WHERE c.business_id = :business_id
   AND c.campaign_id = :campaign_id;

-- name: say_why_paused
-- Why a campaign paused by itself.
UPDATE crm.campaign SET paused_why = :why
 WHERE business_id = :business_id
   AND campaign_id = :campaign_id;

-- name: look_past
-- Staff let it go on: it is judged by what comes from now on.
UPDATE crm.campaign c
   SET paused_why = '', passed_sent = n.sent, passed_hard = n.hard,
       passed_complaints = n.complaints
  FROM (SELECT coalesce(sum(l.sent + l.failed), 0) AS sent, coalesce(sum(l.hard), 0) AS hard,
               coalesce(sum(l.complaints), 0) AS complaints
          FROM crm.lease l
         WHERE l.business_id = :business_id AND l.campaign_id = :campaign_id) n
 WHERE c.business_id = :business_id
   AND c.campaign_id = :campaign_id
   AND c.paused_why <> '';

-- name: begin_anew
-- Refusals in a row are counted anew; ranges are held in the order of their key.
UPDATE crm.lease l SET blocked = 0
  FROM (SELECT f.number FROM crm.lease f
         WHERE f.business_id = :business_id
           AND f.campaign_id = :campaign_id
           AND f.blocked > 0
         ORDER BY f.number
           FOR UPDATE) f
 WHERE l.business_id = :business_id
   AND l.campaign_id = :campaign_id
   AND l.number = f.number;

-- name: count_return
-- The range of a delivery that came back: a hard bounce, or a complaint about it.
UPDATE crm.lease
   SET hard = hard + :hard, complaints = complaints + :complaints
 WHERE business_id = :business_id
   AND campaign_id = :campaign_id
   AND low < :customer_id
   AND high >= :customer_id;

-- name: course
-- How a campaign goes besides its state: its own expiry in hours, and why it paused by itself.
SELECT expires_hours, paused_why
  FROM crm.campaign
 WHERE business_id = :business_id
   AND campaign_id = :campaign_id;

-- name: set_expiry
-- After how many hours a campaign is given up that has not started; null: the installation's.
UPDATE crm.campaign SET expires_hours = :hours
 WHERE business_id = :business_id
   AND campaign_id = :campaign_id
   AND state IN ('draft', 'scheduled', 'held')
RETURNING campaign_id;

-- name: next_to_try
-- Whom of a range to try next: those whose next try is due, and so many along the key. `again` tells
-- the former.
WITH due AS (
  DELETE FROM crm.retry r
   WHERE r.business_id = :business_id
     AND r.campaign_id = :campaign_id
     AND r.customer_id = ANY (ARRAY(
       SELECT f.customer_id FROM crm.retry f
        WHERE f.business_id = :business_id
          AND f.campaign_id = :campaign_id
          AND f.customer_id > :low
          AND f.customer_id <= :high
          AND f.due_at <= :now
        ORDER BY f.due_at
        LIMIT :size::integer))
  RETURNING r.customer_id, r.waits_for
)
SELECT due.customer_id, due.waits_for, true AS again FROM due
UNION ALL
SELECT w.customer_id, '', false
  FROM (SELECT d.customer_id
          FROM crm.delivery d
         WHERE d.business_id = :business_id
           AND d.campaign_id = :campaign_id
           AND d.customer_id > :cursor
           AND d.customer_id <= :high
           AND d.state = 'waiting'
         ORDER BY d.customer_id
         LIMIT :ahead::integer) w;

-- name: claim_deliveries
-- Promise 2, second half: the warrant is looked at in the statement that takes the delivery. A row
-- that a withdrawal has just excluded is not waiting any more when its lock is free.
-- Promise 12: so is the rhythm, under the lock of its row. Whom it keeps off waits, at most until
-- `last`; the place of the week is taken by the row that this statement writes.
-- It counts, too, in the range's row, what it takes and what else the transaction has changed.
WITH kept_off AS MATERIALIZED (
  SELECT h.customer_id, h.due_at, h.waits_for
    FROM crm.hold_rhythms(:business_id, :campaign_id, :customer_ids::uuid[], :now) h
), looked AS (
  UPDATE crm.delivery d
     SET state = CASE WHEN x.reason IS NULL THEN 'sending' ELSE 'excluded' END,
         reason = x.reason,
         event_id = CASE WHEN x.reason IS NULL THEN s.event_id ELSE d.event_id END,
         notice_id = CASE WHEN x.reason IS NULL THEN s.notice_id ELSE d.notice_id END,
         attempt = d.attempt + 1, claimed_at = :now,
         -- What her mail is written with, as it is at this moment; of it only what the text asks for.
         merged = CASE WHEN x.reason IS NULL AND :keeps::boolean THEN
           jsonb_strip_nulls(jsonb_build_object(
             'name', CASE WHEN 'name' = ANY (:own::text[]) THEN c.name END,
             'first_name', CASE WHEN 'first_name' = ANY (:own::text[])
                                THEN split_part(c.name, ' ', 1) END,
             'address', CASE WHEN 'address' = ANY (:own::text[]) THEN c.address END))
           || coalesce((SELECT jsonb_object_agg('attribute.' || v.name, v.text_value)
                          FROM crm.attribute_value v
                          JOIN crm.attribute a
                            ON a.business_id = :business_id AND a.name = v.name
                         WHERE v.business_id = :business_id
                           AND v.customer_id = c.customer_id
                           AND v.name = ANY (:attributes::text[])
                           -- One for a purpose, only while she allows that; others ask nobody.
                           AND (a.purpose_id IS NULL
                                OR EXISTS (SELECT FROM crm.consent_now k
                                            WHERE k.business_id = :business_id
                                              AND k.customer_id = v.customer_id
                                              AND k.purpose_id = a.purpose_id
                                              AND crm.exclusion(k.status, k.ends_at, NULL, NULL,
                                                                NULL, :now) IS NULL))), '{}') END,
         -- Her consent ends soon: this mail asks whether it goes on.
         asked = coalesce(x.reason IS NULL AND s.status IN ('given', 'renewed')
                          AND crm.asked_again(s.at, s.ends_at, s.stale_at, :now), false)
    FROM crm.customer c
    LEFT JOIN crm.consent_now s ON s.business_id = :business_id
         AND s.purpose_id = :purpose_id AND s.customer_id = c.customer_id
    LEFT JOIN crm.suppression u ON u.business_id = :business_id
         AND u.address_hash = c.address_hash
   CROSS JOIN LATERAL (
     SELECT crm.exclusion(s.status, s.ends_at, u.scope, c.restricted_at, c.erased_at, :now)
              AS reason) x
   WHERE d.business_id = :business_id
     AND d.campaign_id = :campaign_id
     AND d.customer_id = ANY (:customer_ids::uuid[])
     AND d.state = 'waiting'
     AND c.business_id = :business_id
     AND c.customer_id = d.customer_id
     AND (x.reason IS NOT NULL OR d.customer_id NOT IN (SELECT k.customer_id FROM kept_off k))
  RETURNING d.customer_id, d.state, d.reason, d.attempt, coalesce(c.address, '') AS address, c.name,
            -- An erased customer, who is left out, has none any more.
            coalesce(c.address_hash, '') AS address_hash, d.merged, d.asked
), put_off AS (
  INSERT INTO crm.retry (business_id, campaign_id, customer_id, due_at, waits_for)
  SELECT :business_id, :campaign_id, k.customer_id, least(k.due_at, :last::timestamptz), k.waits_for
    FROM kept_off k
   WHERE k.customer_id NOT IN (SELECT l.customer_id FROM looked l)
     -- Who has left since she was read waits for nothing.
     AND EXISTS (SELECT FROM crm.delivery d
                  WHERE d.business_id = :business_id
                    AND d.campaign_id = :campaign_id
                    AND d.customer_id = k.customer_id
                    AND d.state = 'waiting')
  ON CONFLICT (business_id, campaign_id, customer_id) DO UPDATE
     SET due_at = excluded.due_at, waits_for = excluded.waits_for
), counted AS (
  UPDATE crm.lease r
     SET cursor = :cursor, waiting = r.waiting + :waiting - n.looked,
         sending = r.sending + :sending + n.looked - n.left_out,
         sent = r.sent + :sent, failed = r.failed + :failed,
         excluded = r.excluded + :excluded + n.left_out, uncertain = r.uncertain + :uncertain,
         hard = r.hard + :hard, blocked = :blocked,
         reasons = crm.count_reasons(r.reasons, :reasons::text[] || n.reasons)
    FROM (SELECT count(*)::integer AS looked, count(l.reason)::integer AS left_out,
                 array_agg(l.reason) AS reasons
            FROM looked l) n
   WHERE r.business_id = :business_id
     AND r.campaign_id = :campaign_id
     AND r.number = :number
     AND r.epoch = :epoch
)
SELECT l.customer_id, l.state, l.reason, l.attempt, l.address, l.name, l.address_hash, l.merged,
       l.asked
  FROM looked l;

-- name: limited_among
-- Who of some customers has said how many campaigns may come in a week; of one that was merged, the
-- record that is kept, whose week it counts in.
SELECT DISTINCT r.customer_id
  FROM crm.customer c
  JOIN crm.rhythm r ON r.business_id = :business_id
   AND r.customer_id = coalesce(c.merged_into, c.customer_id)
 WHERE c.business_id = :business_id
   AND c.customer_id = ANY (:customer_ids::uuid[])
   AND r.budget IS NOT NULL;

-- name: hold_limits
-- Whoever judges the weeks of some customers has ended, and nobody begins to.
SELECT customer_id
  FROM crm.rhythm
 WHERE business_id = :business_id
   AND customer_id = ANY (:customer_ids::uuid[])
 ORDER BY customer_id
   FOR SHARE;

-- name: deferred_among
-- For whom of some customers another campaign waits because her week is full.
SELECT DISTINCT r.customer_id
  FROM crm.retry r
 WHERE r.business_id = :business_id
   AND r.customer_id = ANY (:customer_ids::uuid[])
   AND r.waits_for = 'budget';

-- name: lock_leases_deferring
-- The ranges in which customers wait because of their rhythm, held in the order of their key.
SELECT l.campaign_id
  FROM crm.retry r
  JOIN crm.lease l ON l.business_id = :business_id AND l.campaign_id = r.campaign_id
   AND l.low < r.customer_id AND l.high >= r.customer_id
 WHERE r.business_id = :business_id
   AND r.customer_id = ANY (:customer_ids::uuid[])
   AND r.waits_for IN ('budget', 'pause')
 ORDER BY l.campaign_id, l.number
   FOR UPDATE OF l;

-- name: look_again
-- Whoever waited because of her rhythm is looked at at once; the ranges are held.
WITH due AS (
  UPDATE crm.retry r
     SET due_at = :now
   WHERE r.business_id = :business_id
     AND r.customer_id = ANY (:customer_ids::uuid[])
     AND r.waits_for IN ('budget', 'pause')
  RETURNING r.campaign_id, r.customer_id
)
UPDATE crm.lease l
   SET due_at = least(l.due_at, :now)
  FROM due
 WHERE l.business_id = :business_id
   AND l.campaign_id = due.campaign_id
   AND l.low < due.customer_id
   AND l.high >= due.customer_id
RETURNING l.campaign_id;

-- name: deferred_of_customer
-- Which campaigns wait for a customer because of her rhythm, and until when they are tried.
SELECT r.campaign_id, c.subject, c.purpose_id, r.waits_for, r.due_at
  FROM crm.retry r
  JOIN crm.campaign c ON c.business_id = :business_id AND c.campaign_id = r.campaign_id
 WHERE r.business_id = :business_id
   AND r.customer_id = :customer_id
   AND r.waits_for IN ('budget', 'pause')
 ORDER BY r.campaign_id DESC;

-- name: clocks_of
-- By whose clocks some customers live.
SELECT c.customer_id, c.time_zone
  FROM crm.customer c
 WHERE c.business_id = :business_id
   AND c.customer_id = ANY (:customer_ids::uuid[])
   AND c.time_zone <> '';

-- name: clocks
-- Every clock that customers of a purpose live by, and how many do; those without one of their own
-- live by that of the business.
SELECT c.time_zone, count(*) AS customers
  FROM crm.customer c
 WHERE c.business_id = :business_id
   AND c.time_zone <> ''
   AND EXISTS (SELECT FROM crm.consent s
                WHERE s.business_id = :business_id
                  AND s.purpose_id = :purpose_id
                  AND s.customer_id = c.customer_id
                  AND s.status IN ('given', 'renewed'))
 GROUP BY c.time_zone
 ORDER BY 2 DESC, 1;

-- name: merge_values
-- The declared attributes of some customers, for merge fields; one for a purpose only of whoever
-- allows that now.
SELECT v.customer_id, v.name, v.text_value AS value
  FROM crm.attribute_value v
  JOIN crm.attribute a ON a.business_id = :business_id AND a.name = v.name
  LEFT JOIN crm.consent_now s
    ON s.business_id = :business_id
   AND s.customer_id = v.customer_id
   AND s.purpose_id = a.purpose_id
 WHERE v.business_id = :business_id
   AND v.customer_id = ANY (:customer_ids::uuid[])
   AND v.name = ANY (:names::text[])
   AND (a.purpose_id IS NULL
        OR crm.exclusion(s.status, s.ends_at, NULL, NULL, NULL, :now) IS NULL);

-- name: declared_attributes
-- The names that merge fields may use.
SELECT a.name FROM crm.attribute a WHERE a.business_id = :business_id ORDER BY a.name;

-- name: attributes_of_hers
-- The names of what customers may set themselves.
SELECT a.name FROM crm.attribute a WHERE a.business_id = :business_id AND a.hers ORDER BY a.name;

-- name: count_lease
-- Moves the range's cursor and its counts in the transaction that changed the rows.
UPDATE crm.lease
   SET cursor = :cursor, waiting = waiting + :waiting, sending = sending + :sending,
       sent = sent + :sent, failed = failed + :failed, excluded = excluded + :excluded,
       uncertain = uncertain + :uncertain, hard = hard + :hard, blocked = :blocked,
       reasons = crm.count_reasons(reasons, :reasons::text[])
 WHERE business_id = :business_id
   AND campaign_id = :campaign_id
   AND number = :number
   AND epoch = :epoch;

-- name: leave_lease
-- Lets a range go: closed when nothing waits, otherwise due when its next retry is. Where some
-- wait and none is to be tried again (a server lost what it had committed), the walk begins anew.
UPDATE crm.lease l
   SET holder = NULL, expires_at = NULL, open = l.waiting + l.sending > 0,
       waits_for = :waits_for, relays_as_of = :relays_as_of,
       cursor = CASE WHEN l.cursor < l.high OR l.waiting = 0 OR EXISTS (
         SELECT FROM crm.retry r
          WHERE r.business_id = :business_id AND r.campaign_id = :campaign_id
            AND r.customer_id > l.low AND r.customer_id <= l.high)
         THEN l.cursor ELSE l.low END,
       -- A range that rests as a whole has an instant for it; null otherwise.
       due_at = greatest(:rest_until::timestamptz, CASE WHEN l.cursor < l.high THEN :now
         ELSE coalesce(
         (SELECT min(r.due_at) FROM crm.retry r
           WHERE r.business_id = :business_id AND r.campaign_id = :campaign_id
             AND r.customer_id > l.low AND r.customer_id <= l.high), :now) END)
 WHERE l.business_id = :business_id
   AND l.campaign_id = :campaign_id
   AND l.number = :number
   AND l.epoch = :epoch
RETURNING l.open;

-- name: finish_campaign
-- Ends a campaign of which nothing waits and nothing is on its way.
UPDATE crm.campaign c
   SET state = 'done', ended_at = :now, changed_at = :now
 WHERE c.business_id = :business_id
   AND c.campaign_id = :campaign_id
   AND c.state = 'sending'
   AND NOT EXISTS (SELECT FROM crm.lease l
                    WHERE l.business_id = :business_id AND l.campaign_id = :campaign_id
                      AND l.open);

-- name: lease_to_clear
-- A range of a cancelled campaign in which somebody still waits, held; one that a claim or a
-- withdrawal holds is left for the next look.
SELECT l.number, l.low, l.high
  FROM crm.lease l
  JOIN crm.campaign c ON c.business_id = :business_id AND c.campaign_id = l.campaign_id
   AND c.state = 'cancelled'
 WHERE l.business_id = :business_id
   AND l.campaign_id = :campaign_id
   AND l.open
   AND l.waiting > 0
 ORDER BY l.number
 LIMIT 1
   FOR UPDATE OF l SKIP LOCKED;

-- name: cancel_deliveries
-- Takes out what still waits in a range that is held: how many, and who of them has said how many
-- campaigns may come in a week; of one that was merged, the record that is kept.
WITH taken AS (
  UPDATE crm.delivery
     SET state = 'excluded', reason = 'cancelled'
   WHERE business_id = :business_id
     AND campaign_id = :campaign_id
     AND customer_id > :low
     AND customer_id <= :high
     AND state = 'waiting'
  RETURNING customer_id
)
SELECT (SELECT count(*) FROM taken)::integer AS customers,
       ARRAY(SELECT DISTINCT r.customer_id
               FROM taken t
               JOIN crm.customer c ON c.business_id = :business_id AND c.customer_id = t.customer_id
               JOIN crm.rhythm r ON r.business_id = :business_id
                AND r.customer_id = coalesce(c.merged_into, c.customer_id)
              WHERE r.budget IS NOT NULL
              ORDER BY r.customer_id) AS limited;

-- name: count_cancelled
-- The counts of that range, in the same transaction.
UPDATE crm.lease
   SET waiting = waiting - :customers, excluded = excluded + :customers, open = sending > 0,
       reasons = crm.count_reasons(reasons, array_fill('cancelled'::text, ARRAY[:customers]))
 WHERE business_id = :business_id
   AND campaign_id = :campaign_id
   AND number = :number;

-- name: drop_retries
-- Nothing of a cancelled range is tried again.
DELETE FROM crm.retry
 WHERE business_id = :business_id
   AND campaign_id = :campaign_id
   AND customer_id > :low
   AND customer_id <= :high;

-- name: counts
-- The sums over ranges: cheap, and equal to a count of rows.
SELECT coalesce(sum(waiting), 0)::bigint AS waiting, coalesce(sum(sending), 0)::bigint AS sending,
       coalesce(sum(sent), 0)::bigint AS sent, coalesce(sum(failed), 0)::bigint AS failed,
       coalesce(sum(excluded), 0)::bigint AS excluded,
       coalesce(sum(uncertain), 0)::bigint AS uncertain,
       -- Of those waiting, whom her own rhythm keeps it from.
       (SELECT count(*) FROM crm.retry r
         WHERE r.business_id = :business_id
           AND r.campaign_id = :campaign_id
           AND r.waits_for IN ('budget', 'pause')) AS deferred
  FROM crm.lease
 WHERE business_id = :business_id
   AND campaign_id = :campaign_id;

-- name: leavers
-- Who left a purpose since a campaign of it began, and what had been claimed for them before: how
-- many, and how long the hand-over then under way lasted at most. When staff said what became of one
-- is no time of a hand-over.
SELECT count(*)::integer AS withdrawals,
       count(*) FILTER (WHERE d.state IN ('sent', 'uncertain')
                          AND d.done_at <= s.at)::integer AS after_mail,
       count(*) FILTER (WHERE d.state IN ('sent', 'failed', 'uncertain') AND d.resolved_by IS NULL
                          AND d.claimed_at <= s.at AND d.done_at > s.at)::integer AS on_the_way,
       coalesce(max(extract(epoch FROM d.done_at - s.at))
                FILTER (WHERE d.state IN ('sent', 'failed', 'uncertain') AND d.resolved_by IS NULL
                          AND d.claimed_at <= s.at AND d.done_at > s.at), 0)::float AS longest
  FROM crm.consent s
  LEFT JOIN crm.delivery d ON d.business_id = :business_id AND d.campaign_id = :campaign_id
   AND d.customer_id = s.customer_id
 WHERE s.business_id = :business_id
   AND s.purpose_id = :purpose_id
   AND s.status = 'withdrawn'
   AND s.at >= :since;

-- name: counted_reasons
-- Why customers were left out, summed over ranges.
SELECT e.key AS reason, sum(e.value::bigint)::bigint AS customers
  FROM crm.lease l
 CROSS JOIN LATERAL jsonb_each_text(l.reasons) e
 WHERE l.business_id = :business_id
   AND l.campaign_id = :campaign_id
 GROUP BY e.key
 ORDER BY e.key;

-- name: count_rows
-- The same by counting every delivery, with the reason of those excluded.
SELECT state, reason, count(*) AS customers
  FROM crm.delivery
 WHERE business_id = :business_id
   AND campaign_id = :campaign_id
 GROUP BY state, reason
 ORDER BY state, reason;

-- name: count_deferred
-- How many of those waiting their own rhythm keeps it from, by counting deliveries.
SELECT count(*)
  FROM crm.delivery d
  JOIN crm.retry r ON r.business_id = :business_id AND r.campaign_id = d.campaign_id
   AND r.customer_id = d.customer_id AND r.waits_for IN ('budget', 'pause')
 WHERE d.business_id = :business_id
   AND d.campaign_id = :campaign_id
   AND d.state = 'waiting';

-- name: deliveries_in_state
-- Deliveries of a campaign in one state, by pages; only ranges that have some are looked at.
SELECT d.customer_id, d.state, d.reason, d.event_id, d.notice_id, d.attempt, d.claimed_at,
       d.done_at, d.code, d.reply, d.resolved_by
  FROM crm.lease l
 CROSS JOIN LATERAL (
   SELECT f.*
     FROM crm.delivery f
    WHERE f.business_id = :business_id
      AND f.campaign_id = :campaign_id
      AND f.customer_id > greatest(l.low, :after::uuid)
      AND f.customer_id <= l.high
      AND f.state = :state
    ORDER BY f.customer_id
    LIMIT :limit) d
 WHERE l.business_id = :business_id
   AND l.campaign_id = :campaign_id
   AND l.high > :after
   AND CASE :state::text
         WHEN 'waiting' THEN l.waiting WHEN 'sending' THEN l.sending WHEN 'sent' THEN l.sent
         WHEN 'failed' THEN l.failed WHEN 'excluded' THEN l.excluded ELSE l.uncertain END > 0
 ORDER BY l.low, d.customer_id
 LIMIT :limit;

-- name: delivery_of_customer
-- One campaign to one customer; where both of two records that were merged were in its audience,
-- the one that got it.
SELECT d.campaign_id, c.subject, c.purpose_id, d.state, d.reason, d.event_id, d.notice_id,
       d.claimed_at, d.done_at
  FROM crm.delivery d
  JOIN crm.campaign c ON c.business_id = :business_id AND c.campaign_id = d.campaign_id
 WHERE d.business_id = :business_id
   AND d.campaign_id = :campaign_id
   AND d.customer_id = ANY (crm.records_of(:business_id, :customer_id))
 ORDER BY d.state IN ('sending', 'sent', 'uncertain') DESC, d.customer_id = :customer_id DESC
 LIMIT 1;

-- name: deliveries_of_customer
-- Every campaign to one customer, newest first.
SELECT d.campaign_id, c.subject, c.purpose_id, d.state, d.reason, d.event_id, d.notice_id,
       d.claimed_at, d.done_at
  FROM crm.delivery d
  JOIN crm.campaign c ON c.business_id = :business_id AND c.campaign_id = d.campaign_id
 WHERE d.business_id = :business_id
   AND d.customer_id = ANY (crm.records_of(:business_id, :customer_id))
 ORDER BY d.campaign_id DESC;

-- name: mail_of_customer
-- One campaign to one customer, with what it was written with, and the skeleton by which it was
-- sent: the newest when it was claimed, else the first. Of two records that were merged, of the one
-- that got it.
SELECT d.campaign_id, c.subject, c.preheader, c.source, c.started_at, c.purpose_id,
       p.code AS purpose_code, d.state, d.reason, d.event_id, d.claimed_at, d.done_at,
       d.bounced_at, d.merged, d.asked,
       crm.mailbox_at(:business_id, d.customer_id, d.claimed_at) AS sent_to, (
         SELECT v.skeleton
           FROM crm.verdict v
          WHERE v.business_id = :business_id
            AND v.campaign_id = d.campaign_id
          ORDER BY v.at <= d.claimed_at DESC,
                   CASE WHEN v.at <= d.claimed_at THEN v.at END DESC, v.at
          LIMIT 1) AS skeleton
  FROM crm.delivery d
  JOIN crm.campaign c ON c.business_id = :business_id AND c.campaign_id = d.campaign_id
  JOIN crm.purpose p ON p.business_id = :business_id AND p.purpose_id = c.purpose_id
 WHERE d.business_id = :business_id
   AND d.campaign_id = :campaign_id
   AND d.customer_id = ANY (crm.records_of(:business_id, :customer_id))
 ORDER BY d.state IN ('sending', 'sent', 'uncertain') DESC, d.customer_id = :customer_id DESC
 LIMIT 1;

-- name: mails_of_customer
-- Everything that was sent to one customer or left her out, campaigns and service messages, by
-- pages, newest first: each with the instant it went, or where it did not, began.
SELECT m.at, m.id, m.letter, m.subject, m.purpose_id, m.event_id, m.state, m.reason, m.bounced_at,
       p.label, p.purpose, p.basis
  FROM (
    SELECT coalesce(d.done_at, d.claimed_at, c.started_at, c.changed_at) AS at,
           d.campaign_id AS id, NULL AS letter, c.subject, c.purpose_id, d.event_id, d.state,
           d.reason, d.bounced_at, NULL AS serves
      FROM crm.delivery d
      JOIN crm.campaign c ON c.business_id = :business_id AND c.campaign_id = d.campaign_id
     WHERE d.business_id = :business_id
       AND d.customer_id = ANY (crm.records_of(:business_id, :customer_id))
    UNION ALL
    SELECT coalesce(l.done_at, l.created_at), l.message_id, l.kind,
           coalesce(l.kept ->> 'subject', ''), NULL, NULL,
           CASE WHEN kept_off.it THEN 'excluded' ELSE l.state END,
           CASE WHEN kept_off.it THEN l.reply END, l.bounced_at, l.purpose
      FROM crm.letters_of(:business_id, :customer_id) l
     CROSS JOIN LATERAL (
       SELECT l.state = 'failed' AND l.reply IN ('suppressed', 'frozen', 'leaving') AS it) kept_off
    ) m
  LEFT JOIN crm.service_purpose p ON p.business_id = :business_id AND p.name = m.serves
 WHERE (:before_at::timestamptz IS NULL OR (m.at, m.id) < (:before_at, :before_id::uuid))
   AND (NOT :only_sent::boolean OR m.state IN ('sending', 'sent', 'uncertain'))
 ORDER BY m.at DESC, m.id DESC
 LIMIT :limit;

-- name: digests_of_issues
-- What became of issues that were kept for one customer's digest: the digest with its state for her
-- and when that was, once it is made; until then when it is due, if one is still offered that will
-- have it: not one that was stopped, or that went too long ago.
SELECT c.campaign_id AS issue, g.campaign_id AS digest, g.state, g.at, p.due_at,
       c.state = 'cancelled' AS cancelled
  FROM crm.campaign c
  -- Of several that it stands in, the one that was written for her.
  LEFT JOIN LATERAL (
    SELECT g.campaign_id, d.state, coalesce(d.done_at, d.claimed_at) AS at
      FROM crm.digest g
      LEFT JOIN crm.delivery d ON d.business_id = :business_id AND d.campaign_id = g.campaign_id
       AND d.customer_id = ANY (crm.records_of(:business_id, :customer_id))
     WHERE g.business_id = :business_id
       AND g.purpose_id = c.purpose_id
       AND c.campaign_id = ANY (g.issues)
     ORDER BY d.state IN ('sending', 'sent', 'uncertain') DESC NULLS LAST,
              d.customer_id = :customer_id DESC NULLS LAST, g.campaign_id
     LIMIT 1) g ON true
  LEFT JOIN crm.digest_plan p ON p.business_id = :business_id AND p.purpose_id = c.purpose_id
   AND p.offered AND g.campaign_id IS NULL
   AND c.state IN ('sending', 'done')
   AND greatest(c.started_at, c.changed_at) > p.due_at - :reaches::interval
 WHERE c.business_id = :business_id
   AND c.campaign_id = ANY (:issues::uuid[]);

-- name: count_mails_of_customer
-- How many campaigns there were to one customer, and how many mails of all kinds went to her.
SELECT d.deliveries, d.went + l.went AS went
  FROM (SELECT count(*) AS deliveries,
               count(*) FILTER (WHERE state IN ('sending', 'sent', 'uncertain')) AS went
          FROM crm.delivery
         WHERE business_id = :business_id
           AND customer_id = ANY (crm.records_of(:business_id, :customer_id))) d
 CROSS JOIN (
   SELECT count(*) AS went
     FROM crm.letters_of(:business_id, :customer_id)
    WHERE state IN ('sending', 'sent', 'uncertain')) l;

-- name: campaigns_held_of
-- Every campaign to one customer with all that was recorded of it, newest first.
SELECT d.campaign_id, c.subject, c.preheader, c.format, c.purpose_id, d.state, d.reason,
       d.event_id, d.notice_id, d.attempt, d.claimed_at, d.done_at, d.code, d.reply,
       d.bounced_at, d.bounce_class, d.bounce_code, d.complained_at, d.merged, d.asked,
       d.merged IS NOT NULL AND EXISTS (
         SELECT FROM crm.verdict v
          WHERE v.business_id = :business_id AND v.campaign_id = d.campaign_id) AS as_sent,
       r.due_at AS next_try_at, r.waits_for
  FROM crm.delivery d
  JOIN crm.campaign c ON c.business_id = :business_id AND c.campaign_id = d.campaign_id
  LEFT JOIN crm.retry r ON r.business_id = :business_id AND r.campaign_id = d.campaign_id
   AND r.customer_id = d.customer_id
 WHERE d.business_id = :business_id
   AND d.customer_id = ANY (crm.records_of(:business_id, :customer_id))
 ORDER BY d.campaign_id DESC;

-- name: texts_held_of
-- The texts of campaigns that were handed over to one customer, newest first, by pages; each once,
-- though it went to both of two records that were merged.
SELECT DISTINCT ON (d.campaign_id) d.campaign_id, c.format, c.source,
       d.merged IS NOT NULL AND EXISTS (
         SELECT FROM crm.verdict v
          WHERE v.business_id = :business_id AND v.campaign_id = d.campaign_id) AS as_sent
  FROM crm.delivery d
  JOIN crm.campaign c ON c.business_id = :business_id AND c.campaign_id = d.campaign_id
 WHERE d.business_id = :business_id
   AND d.customer_id = ANY (crm.records_of(:business_id, :customer_id))
   AND d.campaign_id < :before
   AND d.state IN ('sending', 'sent', 'uncertain')
 ORDER BY d.campaign_id DESC, d.customer_id = :customer_id DESC
 LIMIT :limit;

-- name: blank_deliveries
-- What relays said about an erased customer's address goes, and what her mails were written with;
-- that there was a delivery stays.
UPDATE crm.delivery SET reply = NULL, merged = NULL, asked = false
 WHERE business_id = :business_id
   AND customer_id = :customer_id
   AND (reply IS NOT NULL OR merged IS NOT NULL OR asked);

-- name: empty_deliveries
-- Takes merge values out of the next deliveries along the key, in the first campaign that was begun
-- long enough ago; one that is over is walked through once, one that was only paused in each round.
-- It waits for nobody: a campaign that somebody holds is passed over, and where a claim or an
-- outcome holds a delivery the next round goes on there.
WITH next AS MATERIALIZED (
  SELECT c.campaign_id, c.state IN ('done', 'cancelled') AS over, c.emptied_upto
    FROM crm.campaign c
   WHERE c.business_id = :business_id
     AND c.emptied_at IS NULL
     AND c.started_at <= :started_before
     AND c.campaign_id > :after
   ORDER BY c.campaign_id
   LIMIT 1
     FOR NO KEY UPDATE SKIP LOCKED
), piece AS MATERIALIZED (
  SELECT d.customer_id, d.merged IS NOT NULL AS kept
    FROM crm.delivery d
   WHERE d.business_id = :business_id
     AND d.campaign_id = (SELECT n.campaign_id FROM next n)
     AND d.customer_id > coalesce((SELECT n.emptied_upto FROM next n),
                                  '00000000-0000-0000-0000-000000000000')
   ORDER BY d.customer_id
   LIMIT :limit
), free AS MATERIALIZED (
  SELECT d.customer_id
    FROM crm.delivery d
   WHERE d.business_id = :business_id
     AND d.campaign_id = (SELECT n.campaign_id FROM next n)
     AND d.customer_id = ANY (ARRAY(SELECT p.customer_id FROM piece p WHERE p.kept))
     FOR NO KEY UPDATE SKIP LOCKED
), emptied AS (
  UPDATE crm.delivery d
     SET merged = NULL
   WHERE d.business_id = :business_id
     AND d.campaign_id = (SELECT n.campaign_id FROM next n)
     AND d.customer_id = ANY (ARRAY(SELECT f.customer_id FROM free f))
  RETURNING 1
), far AS MATERIALIZED (
  SELECT (SELECT count(*) FROM free) = count(*) FILTER (WHERE p.kept) AS whole,
         count(*) = :limit AS more,
         (ARRAY(SELECT l.customer_id FROM piece l ORDER BY l.customer_id DESC LIMIT 1))[1] AS last
    FROM piece p
), moved AS (
  UPDATE crm.campaign c
     SET emptied_upto = CASE WHEN f.more THEN f.last END,
         emptied_at = CASE WHEN n.over AND NOT f.more THEN :now::timestamptz END
    FROM next n, far f
   WHERE f.whole
     AND c.business_id = :business_id
     AND c.campaign_id = n.campaign_id
)
SELECT (SELECT count(*) FROM emptied) AS deleted,
       CASE WHEN f.whole AND f.more THEN :after::uuid
            ELSE (SELECT n.campaign_id FROM next n) END AS upto
  FROM far f;

-- name: drop_retries_of
-- Nothing is tried again for an erased customer.
DELETE FROM crm.retry
 WHERE business_id = :business_id
   AND customer_id = :customer_id;

-- name: resolve_delivery
-- A member of staff says what became of an uncertain delivery (promise 3).
UPDATE crm.delivery
   SET state = :state, resolved_by = :resolved_by, done_at = :now,
       merged = CASE WHEN :state::text = 'sent' THEN merged END
 WHERE business_id = :business_id
   AND campaign_id = :campaign_id
   AND customer_id = :customer_id
   AND state = 'uncertain'
RETURNING customer_id;

-- name: count_resolved
-- The range's counts follow a resolved delivery.
UPDATE crm.lease
   SET uncertain = uncertain - 1,
       sent = sent + CASE WHEN :state::text = 'sent' THEN 1 ELSE 0 END,
       failed = failed + CASE WHEN :state::text = 'failed' THEN 1 ELSE 0 END
 WHERE business_id = :business_id
   AND campaign_id = :campaign_id
   AND low < :customer_id
   AND high >= :customer_id;

-- name: lock_uncertain_leases
-- How much is uncertain in each range that has some; held in the order of their key.
SELECT uncertain
  FROM crm.lease
 WHERE business_id = :business_id
   AND campaign_id = :campaign_id
   AND uncertain > 0
 ORDER BY number
   FOR UPDATE;

-- name: resolve_deliveries
-- A member of staff says what became of all that is uncertain; the ranges are held, and their
-- counts follow in the same statement. Says whose deliveries these are.
WITH resolved AS (
  UPDATE crm.delivery d
     SET state = :state, resolved_by = :resolved_by, done_at = :now,
         merged = CASE WHEN :state::text = 'sent' THEN d.merged END
    FROM crm.lease l
   WHERE l.business_id = :business_id
     AND l.campaign_id = :campaign_id
     AND l.uncertain > 0
     AND d.business_id = :business_id
     AND d.campaign_id = :campaign_id
     AND d.customer_id > l.low
     AND d.customer_id <= l.high
     AND d.state = 'uncertain'
  RETURNING l.number, d.customer_id
), per_range AS (
  SELECT number, count(*)::integer AS customers FROM resolved GROUP BY number
), counted AS (
  UPDATE crm.lease l
     SET uncertain = l.uncertain - p.customers,
         sent = l.sent + CASE WHEN :state::text = 'sent' THEN p.customers ELSE 0 END,
         failed = l.failed + CASE WHEN :state::text = 'failed' THEN p.customers ELSE 0 END
    FROM per_range p
   WHERE l.business_id = :business_id
     AND l.campaign_id = :campaign_id
     AND l.number = p.number
)
SELECT customer_id FROM resolved;

-- name: lock_lease_of
-- The range a customer's delivery is in, held before the delivery.
SELECT number
  FROM crm.lease
 WHERE business_id = :business_id
   AND campaign_id = :campaign_id
   AND low < :customer_id
   AND high >= :customer_id
   FOR UPDATE;

-- name: add_verdict
-- What was found in a campaign's final messages, with their skeleton; once for each skeleton.
INSERT INTO crm.verdict (business_id, campaign_id, digest, skeleton, rules, lists, findings, at)
VALUES (:business_id, :campaign_id, :digest, :skeleton, :rules, :lists, :findings, :now)
ON CONFLICT DO NOTHING;

-- name: verdicts
-- The verdicts on a campaign, the first one first; without the skeletons.
SELECT campaign_id, digest, rules, lists, findings, at
  FROM crm.verdict
 WHERE business_id = :business_id
   AND campaign_id = :campaign_id
 ORDER BY at, digest;

-- name: skeleton
-- One skeleton of a campaign, as it is published.
SELECT skeleton
  FROM crm.verdict
 WHERE business_id = :business_id
   AND campaign_id = :campaign_id
   AND digest = :digest;

-- name: skeletons
-- Every skeleton of a campaign, the first one first.
SELECT skeleton
  FROM crm.verdict
 WHERE business_id = :business_id
   AND campaign_id = :campaign_id
 ORDER BY at, digest;

-- name: begin_value_check
-- All who would get a draft are looked at anew; whoever walks for an older version stops.
INSERT INTO crm.value_check AS v (business_id, campaign_id, version, purpose_id, state, walked_to,
                                  audience, began_at, beat_at)
SELECT :business_id, c.campaign_id, c.version, c.purpose_id, 'walking',
       '00000000-0000-0000-0000-000000000000', 0, :now, :now
  FROM crm.campaign c
 WHERE c.business_id = :business_id
   AND c.campaign_id = :campaign_id
ON CONFLICT (business_id, campaign_id) DO UPDATE
   SET version = excluded.version, purpose_id = excluded.purpose_id, state = 'walking',
       walked_to = excluded.walked_to, audience = 0, looked = 0, getting = 0, lacking = 0,
       findings = '[]', began_at = :now, beat_at = :now, ended_at = NULL;

-- name: value_check
-- The newest walk for a campaign.
SELECT version, purpose_id, state, walked_to, audience, looked, getting, lacking, findings,
       began_at, ended_at
  FROM crm.value_check
 WHERE business_id = :business_id
   AND campaign_id = :campaign_id;

-- name: hold_value_check
-- The walk, held against a second walker; none if it is over, or somebody is at it.
SELECT version, purpose_id, state, walked_to, audience, looked, getting, lacking, findings,
       began_at, ended_at
  FROM crm.value_check
 WHERE business_id = :business_id
   AND campaign_id = :campaign_id
   AND state = 'walking'
   FOR UPDATE SKIP LOCKED;

-- name: asked_about
-- How many were ever asked about a purpose.
SELECT count(*) FROM crm.consent s
 WHERE s.business_id = :business_id AND s.purpose_id = :purpose_id;

-- name: customers_to_check
-- The next customers along the key, and whether each would get a campaign now.
SELECT s.customer_id, coalesce(c.address, '') AS address, c.name,
       crm.exclusion(s.status, s.ends_at, u.scope, c.restricted_at, c.erased_at, :now) IS NULL
         AS gets
  FROM (SELECT n.customer_id, n.status, n.ends_at
          FROM crm.consent_now n
         WHERE n.business_id = :business_id
           AND n.purpose_id = :purpose_id
           AND n.customer_id > :after
         ORDER BY n.customer_id
         LIMIT :size) s
  JOIN crm.customer c ON c.business_id = :business_id AND c.customer_id = s.customer_id
  LEFT JOIN crm.suppression u ON u.business_id = :business_id AND u.address_hash = c.address_hash
 ORDER BY s.customer_id;

-- name: walked
-- How far the walk is and what it found, while it is still for this version.
UPDATE crm.value_check
   SET walked_to = :walked_to, audience = :audience, looked = :looked, getting = :getting,
       lacking = :lacking, findings = :findings, beat_at = :now, state = :state,
       ended_at = CASE WHEN :state::text = 'done' THEN :now::timestamptz END
 WHERE business_id = :business_id
   AND campaign_id = :campaign_id
   AND version = :version
   AND state = 'walking';

-- name: drop_value_check
-- A text that cannot be compiled has no values to check.
DELETE FROM crm.value_check
 WHERE business_id = :business_id
   AND campaign_id = :campaign_id
   AND version = :version;

-- name: public_campaigns
-- What everybody may read, what started last first: started, and of a cancelled one something was
-- sent, since those who have it are led to its page.
SELECT c.campaign_id AS id, c.purpose_id, p.name AS purpose, c.subject, c.preheader, c.started_at
  FROM crm.campaign c
  JOIN crm.purpose p ON p.business_id = :business_id AND p.purpose_id = c.purpose_id
 WHERE c.business_id = :business_id
   AND c.public
   AND c.started_at IS NOT NULL
   AND (c.started_at, c.campaign_id)
       < (coalesce(:before_at::timestamptz, 'infinity'), :before_id::uuid)
   AND (c.state <> 'cancelled' OR EXISTS (
     SELECT FROM crm.lease l
      WHERE l.business_id = :business_id AND l.campaign_id = c.campaign_id
        AND l.sent + l.uncertain > 0))
 ORDER BY c.started_at DESC, c.campaign_id DESC
 LIMIT :limit;

-- name: public_campaign
-- One of them.
SELECT c.campaign_id AS id, c.purpose_id, c.subject, c.preheader, c.source, c.format, c.question,
       c.answers, c.public, c.segment_id, c.segment_kept,
       c.state, c.version, c.created_by, c.approved_by, c.created_at, c.changed_at,
       c.scheduled_at, c.local_at, c.held_why, c.started_at, c.ended_at
  FROM crm.campaign c
 WHERE c.business_id = :business_id
   AND c.campaign_id = :campaign_id
   AND c.public
   AND c.started_at IS NOT NULL
   AND (c.state <> 'cancelled' OR EXISTS (
     SELECT FROM crm.lease l
      WHERE l.business_id = :business_id AND l.campaign_id = c.campaign_id
        AND l.sent + l.uncertain > 0));

-- name: make_public
-- Whether a campaign is in the archive, whatever it is doing.
UPDATE crm.campaign SET public = :public
 WHERE business_id = :business_id
   AND campaign_id = :campaign_id
RETURNING campaign_id AS id, purpose_id, subject, preheader, source, format, question, answers, public,
          segment_id, segment_kept, state, version,
          created_by, approved_by, created_at, changed_at, scheduled_at, local_at, held_why,
          started_at, ended_at;

-- name: images
-- The pictures of a campaign, with their bytes.
SELECT name, media_type, content
  FROM crm.campaign_image
 WHERE business_id = :business_id
   AND campaign_id = :campaign_id
 ORDER BY name;

-- name: image_sizes
-- The pictures of a campaign, without their bytes.
SELECT name, media_type, length(content) AS bytes
  FROM crm.campaign_image
 WHERE business_id = :business_id
   AND campaign_id = :campaign_id
 ORDER BY name;

-- name: image
-- One picture.
SELECT name, media_type, content
  FROM crm.campaign_image
 WHERE business_id = :business_id
   AND campaign_id = :campaign_id
   AND name = :name;

-- name: put_image
-- A picture, in place of one of the same name.
INSERT INTO crm.campaign_image AS i (business_id, campaign_id, name, media_type, content, added_at)
VALUES (:business_id, :campaign_id, :name, :media_type, :content, :now)
ON CONFLICT (business_id, campaign_id, name) DO UPDATE
   SET media_type = excluded.media_type, content = excluded.content, added_at = :now;

-- name: drop_image
-- A picture the draft does without.
DELETE FROM crm.campaign_image
 WHERE business_id = :business_id
   AND campaign_id = :campaign_id
   AND name = :name;

-- name: campaign_between
-- The campaign whose id begins as a token says, and the code of its purpose.
SELECT c.campaign_id AS id, p.code
  FROM crm.campaign c
  JOIN crm.purpose p ON p.business_id = :business_id AND p.purpose_id = c.purpose_id
 WHERE c.business_id = :business_id
   AND c.campaign_id >= :low
   AND c.campaign_id <= :high
 ORDER BY c.campaign_id
 LIMIT 1;

-- name: lock_leases_at
-- The ranges that what came back from an address may touch, held before her deliveries as a claim
-- does: that of the campaign, and those from which a suppression would take her out. All at once, in
-- the order in which a withdrawal holds them.
SELECT l.number
  FROM crm.customer c
  JOIN crm.delivery d ON d.business_id = :business_id AND d.customer_id = c.customer_id
   AND (d.campaign_id = :campaign_id OR d.state IN ('waiting', 'sending'))
  JOIN crm.lease l ON l.business_id = :business_id AND l.campaign_id = d.campaign_id
   AND l.low < c.customer_id AND l.high >= c.customer_id
 WHERE c.business_id = :business_id
   AND c.address_hash = :address_hash
 ORDER BY l.campaign_id, l.number
   FOR UPDATE OF l;

-- name: mark_bounced
-- A mail that was handed over came back; a hard bounce is the last word, other than that the first.
UPDATE crm.delivery d
   SET bounced_at = :now, bounce_class = :bounce_class, bounce_code = :bounce_code
  FROM crm.customer c
 WHERE d.business_id = :business_id
   AND d.campaign_id = :campaign_id
   AND c.business_id = :business_id
   AND c.address_hash = :address_hash
   AND d.customer_id = c.customer_id
   AND d.state IN ('sending', 'sent', 'uncertain')
   AND (d.bounced_at IS NULL OR (d.bounce_class <> 'hard' AND :bounce_class::text = 'hard'))
RETURNING d.customer_id;

-- name: mark_complained
-- Its customer objected to a mail.
UPDATE crm.delivery d
   SET complained_at = :now
  FROM crm.customer c
 WHERE d.business_id = :business_id
   AND d.campaign_id = :campaign_id
   AND c.business_id = :business_id
   AND c.address_hash = :address_hash
   AND d.customer_id = c.customer_id
   AND d.complained_at IS NULL
RETURNING d.customer_id;

-- name: arrived_between
-- Whether a mail handed over to an address in this time has not come back.
SELECT EXISTS (
  SELECT FROM crm.customer c
    JOIN crm.delivery d ON d.business_id = :business_id AND d.customer_id = c.customer_id
   WHERE c.business_id = :business_id
     AND c.address_hash = :address_hash
     AND d.state = 'sent'
     AND d.bounced_at IS NULL
     AND d.done_at > :since
     AND d.done_at < :until);

-- name: campaigns_to_hold
-- After the database was put back: what was to start or was sending then, and what has begun since.
SELECT campaign_id AS id, subject, state
  FROM crm.campaign
 WHERE business_id = :business_id
   AND (state IN ('scheduled', 'starting', 'sending')
        OR campaign_id = ANY (:campaign_ids::uuid[]) AND state IN ('draft', 'held', 'paused'))
 ORDER BY campaign_id;

-- name: hold_restored
-- Starts by itself no more, or claims nothing more, until staff say so.
UPDATE crm.campaign
   SET state = CASE WHEN :paused::boolean THEN 'paused' ELSE 'held' END,
       held_why = CASE WHEN NOT :paused::boolean THEN 'restored' END,
       paused_why = CASE WHEN :paused::boolean THEN :why ELSE '' END, changed_at = :now
 WHERE business_id = :business_id
   AND campaign_id = :campaign_id
   AND state IN ('draft', 'scheduled', 'held', 'starting', 'sending', 'paused');

-- name: lease_to_doubt
-- A range of which something waits or is on its way, held.
SELECT number, low, high
  FROM crm.lease
 WHERE business_id = :business_id
   AND campaign_id = :campaign_id
   AND waiting + sending > 0
 ORDER BY number
 LIMIT 1
   FOR UPDATE;

-- name: doubt_all
-- What waited in a database that was put back may have been handed over since: nobody knows.
UPDATE crm.delivery
   SET state = 'uncertain', done_at = :now, reply = 'the database was put back'
 WHERE business_id = :business_id
   AND campaign_id = :campaign_id
   AND customer_id > :low
   AND customer_id <= :high
   AND state IN ('waiting', 'sending');

-- name: count_doubted
-- The counts of that range, in the same transaction; whoever held it has lost it.
UPDATE crm.lease
   SET uncertain = uncertain + waiting + sending, waiting = 0, sending = 0, open = false,
       holder = NULL, expires_at = NULL, epoch = epoch + 1, cursor = high
 WHERE business_id = :business_id
   AND campaign_id = :campaign_id
   AND number = :number
   AND waiting + sending = :doubted;

-- name: digest_plans
-- Of which purposes a digest is offered, and when the week of each ends.
SELECT p.purpose_id, v.name AS purpose, p.weekday, p.hour, p.subject, p.intro, p.switched_by,
       p.switched_at, p.due_at
  FROM crm.digest_plan p
  JOIN crm.purpose v ON v.business_id = :business_id AND v.purpose_id = p.purpose_id
 WHERE p.business_id = :business_id
   AND p.offered
 ORDER BY v.name, p.purpose_id;

-- name: hold_digest_plan
-- The plan of a purpose, held against a second maker.
SELECT p.purpose_id, v.name AS purpose, p.weekday, p.hour, p.subject, p.intro, p.switched_by,
       p.switched_at, p.due_at
  FROM crm.digest_plan p
  JOIN crm.purpose v ON v.business_id = :business_id AND v.purpose_id = p.purpose_id
 WHERE p.business_id = :business_id
   AND p.purpose_id = :purpose_id
   AND p.offered
   FOR UPDATE OF p;

-- name: put_digest_plan
-- A digest is offered from now on, or otherwise than before.
INSERT INTO crm.digest_plan (business_id, purpose_id, weekday, hour, subject, intro, switched_by,
                             switched_at, due_at)
VALUES (:business_id, :purpose_id, :weekday, :hour, :subject, :intro, :switched_by, :now, :due_at)
ON CONFLICT (business_id, purpose_id) DO UPDATE
   SET weekday = excluded.weekday, hour = excluded.hour, subject = excluded.subject,
       intro = excluded.intro, switched_by = excluded.switched_by, switched_at = :now,
       due_at = excluded.due_at, offered = true;

-- name: offer_first_digest
-- The first issue of a purpose goes, and with it a digest is offered; where one is or was, nothing.
INSERT INTO crm.digest_plan (business_id, purpose_id, weekday, hour, subject, switched_by,
                             switched_at, due_at)
VALUES (:business_id, :purpose_id, :weekday, :hour, :subject, :switched_by, :now, :due_at)
ON CONFLICT (business_id, purpose_id) DO NOTHING;

-- name: switch_digest_off
-- From the next issue on everybody gets it singly, and no issue offers a digest anew.
INSERT INTO crm.digest_plan (business_id, purpose_id, weekday, hour, subject, switched_by,
                             switched_at, due_at, offered)
VALUES (:business_id, :purpose_id, :weekday, :hour, :subject, :switched_by, :now, 'infinity', false)
ON CONFLICT (business_id, purpose_id) DO UPDATE
   SET switched_by = excluded.switched_by, switched_at = :now, due_at = 'infinity',
       offered = false;

-- name: digests_off
-- Of which purposes staff switched the digest off.
SELECT purpose_id
  FROM crm.digest_plan
 WHERE business_id = :business_id
   AND NOT offered;

-- name: next_digest
-- The next week has begun.
UPDATE crm.digest_plan SET due_at = :due_at
 WHERE business_id = :business_id
   AND purpose_id = :purpose_id;

-- name: digest_of_week
-- Whether the digests of a purpose and week were made, other than by stopping them.
SELECT EXISTS (
  SELECT FROM crm.digest
   WHERE business_id = :business_id
     AND purpose_id = :purpose_id
     AND week = :week::date
     AND NOT stopped);

-- name: issues_for_digest
-- Issues of a purpose that began, or went on, in some time and stand in no digest: whether it is
-- settled whom they are for, whether they go, and whether they leave anybody out for one. A canary on
-- its way, or one that arrived changed, may keep an issue for long.
SELECT c.campaign_id AS id, c.subject, c.source, c.format, c.public,
       ARRAY(SELECT i.name FROM crm.campaign_image i
              WHERE i.business_id = :business_id AND i.campaign_id = c.campaign_id) AS images,
       c.filled_by IS NOT NULL
         AND (c.state <> 'starting'
              OR EXISTS (SELECT FROM crm.canary k
                          WHERE k.business_id = :business_id AND k.campaign_id = c.campaign_id
                            AND k.passed_at IS NULL)) AS settled,
       c.state IN ('sending', 'done') AS goes,
       EXISTS (SELECT FROM crm.lease l
                WHERE l.business_id = :business_id AND l.campaign_id = c.campaign_id
                  AND l.reasons ? 'digest') AS kept
  FROM crm.campaign c
 WHERE c.business_id = :business_id
   AND c.purpose_id = :purpose_id
   -- One that is stopped stays, however long, and then is as new as its going on.
   AND (c.started_at > :since OR c.changed_at > :since OR c.state IN ('starting', 'paused'))
   AND c.started_at <= :until
   AND c.state <> 'cancelled'
   AND NOT EXISTS (SELECT FROM crm.digest g
                    WHERE g.business_id = :business_id
                      AND g.purpose_id = :purpose_id
                      AND (g.campaign_id = c.campaign_id OR c.campaign_id = ANY (g.issues)))
 ORDER BY c.started_at, c.campaign_id;

-- name: stopped_in_digest
-- The issues of a digest that do not go, or do not yet; none where it is no digest.
SELECT c.campaign_id AS id, c.subject
  FROM crm.digest g
  JOIN crm.campaign c ON c.business_id = :business_id AND c.campaign_id = ANY (g.issues)
 WHERE g.business_id = :business_id
   AND g.campaign_id = :campaign_id
   AND c.state NOT IN ('sending', 'done')
 ORDER BY c.started_at, c.campaign_id;

-- name: sets_for_digests
-- Each set of these issues that is due to readers who chose the digest, that of most readers first.
-- In one pass, as bits of a string; only whoever others were merged into is asked about one by one.
WITH bound AS (
  SELECT u.campaign_id,
         set_bit(repeat('0', cardinality(:issues::uuid[]))::varbit, u.place::integer - 1, 1) AS mark
    FROM unnest(:issues::uuid[]) WITH ORDINALITY u (campaign_id, place)
), marked AS (
  SELECT d.customer_id, bit_or(b.mark) AS marks
    FROM bound b
    JOIN crm.delivery d ON d.business_id = :business_id AND d.campaign_id = b.campaign_id
     AND d.reason = 'digest'
   GROUP BY d.customer_id
), counted AS (
  SELECT m.marks, count(*) AS readers
    FROM marked m
    JOIN crm.digest_choice k ON k.business_id = :business_id
     AND k.purpose_id = :purpose_id AND k.customer_id = m.customer_id
   WHERE NOT EXISTS (
           SELECT FROM crm.merged_readers(:business_id, '00000000-0000-0000-0000-000000000000',
                                          'ffffffff-ffff-ffff-ffff-ffffffffffff') r
            WHERE r.customer_id = m.customer_id)
   GROUP BY m.marks
)
SELECT s.due
  FROM (
    SELECT ARRAY(SELECT b.campaign_id FROM bound b
                  WHERE b.mark & c.marks = b.mark ORDER BY b.campaign_id) AS due, c.readers
      FROM counted c
     UNION ALL
    SELECT m.due, 1
      FROM crm.kept_for_merged(:business_id, :purpose_id, :issues::uuid[],
                               '00000000-0000-0000-0000-000000000000',
                               'ffffffff-ffff-ffff-ffff-ffffffffffff') m) s
 GROUP BY s.due
 ORDER BY sum(s.readers) DESC, s.due;

-- name: add_digest
-- A digest of a purpose and week with its set of issues, and the first of those made with it. There
-- is one first, but for those left when it was stopped.
INSERT INTO crm.digest (business_id, purpose_id, week, campaign_id, first_id, issues, stopped,
                        made_at)
VALUES (:business_id, :purpose_id, :week::date, :campaign_id, :first_id, :issues::uuid[], :stopped,
        :now);

-- name: choose_digest
-- One digest a week instead of single issues, from the next issue on.
INSERT INTO crm.digest_choice AS k (business_id, purpose_id, customer_id, chosen_at)
VALUES (:business_id, :purpose_id, :customer_id, :now)
ON CONFLICT (business_id, purpose_id, customer_id) DO UPDATE
   SET chosen_at = excluded.chosen_at, left_at = NULL
 WHERE k.left_at IS NOT NULL;

-- name: leave_digest
-- Single issues again, from the next one on.
UPDATE crm.digest_choice SET left_at = :now
 WHERE business_id = :business_id
   AND purpose_id = :purpose_id
   AND customer_id = :customer_id
   AND left_at IS NULL;

-- name: forget_left_digests
-- Nothing is kept any more for whoever left the digest before this.
DELETE FROM crm.digest_choice
 WHERE business_id = :business_id
   AND purpose_id = :purpose_id
   AND left_at < :since;

-- name: digest_choices_of
-- What a customer said about digests.
SELECT purpose_id, chosen_at, left_at
  FROM crm.digest_choice
 WHERE business_id = :business_id
   AND customer_id = :customer_id
 ORDER BY purpose_id;

-- name: exclude_merged
-- What waits for a record and went to the one that is merged into it waits no more.
SELECT crm.exclude_merged(:business_id, :merged_into, :customer_id);

-- name: take_digest_choices
-- Where either of two records that are merged takes one digest a week, so does the one that is kept;
-- what was kept for one that left the digest still comes in it.
INSERT INTO crm.digest_choice AS k (business_id, purpose_id, customer_id, chosen_at, left_at)
SELECT :business_id, o.purpose_id, :merged_into, o.chosen_at, o.left_at
  FROM crm.digest_choice o
 WHERE o.business_id = :business_id
   AND o.customer_id = :customer_id
ON CONFLICT (business_id, purpose_id, customer_id) DO UPDATE
   SET chosen_at = excluded.chosen_at,
       left_at = CASE WHEN excluded.left_at IS NOT NULL
                      THEN greatest(k.left_at, excluded.left_at) END
 WHERE k.left_at IS NOT NULL;

-- name: forget_digest_choices
-- An erased customer wants nothing.
DELETE FROM crm.digest_choice
 WHERE business_id = :business_id
   AND customer_id = :customer_id;

-- name: digests_offered
-- Of which purposes that a customer is mailed for a digest is offered, and whether she chose it.
SELECT p.purpose_id, v.name AS purpose, p.due_at,
       EXISTS (SELECT FROM crm.digest_choice k
                WHERE k.business_id = :business_id AND k.purpose_id = p.purpose_id
                  AND k.customer_id = :customer_id AND k.left_at IS NULL) AS chosen
  FROM crm.digest_plan p
  JOIN crm.purpose v ON v.business_id = :business_id AND v.purpose_id = p.purpose_id
  JOIN crm.consent_now s ON s.business_id = :business_id AND s.purpose_id = p.purpose_id
   AND s.customer_id = :customer_id
 WHERE p.business_id = :business_id
   AND p.offered
   AND crm.exclusion(s.status, s.ends_at, NULL, NULL, NULL, :now) IS NULL
 ORDER BY v.name, p.purpose_id;

-- name: digest_readers
-- How many of those who would get a single issue get it in the digest instead, and how many of them
-- would be asked whether their consent goes on.
SELECT 'digest' AS reason, count(*) AS customers,
       count(*) FILTER (WHERE s.status IN ('given', 'renewed')
                          AND crm.asked_again(s.at, s.ends_at, s.stale_at, :now)) AS asked
  FROM crm.digest_choice k
  JOIN crm.customer c ON c.business_id = :business_id AND c.customer_id = k.customer_id
  JOIN crm.consent_now s ON s.business_id = :business_id AND s.purpose_id = k.purpose_id
   AND s.customer_id = k.customer_id
  LEFT JOIN crm.suppression u ON u.business_id = :business_id AND u.address_hash = c.address_hash
 WHERE k.business_id = :business_id
   AND k.purpose_id = :purpose_id
   AND k.left_at IS NULL
   AND EXISTS (SELECT FROM crm.digest_plan p
                WHERE p.business_id = :business_id AND p.purpose_id = k.purpose_id
                  AND p.offered)
   AND crm.exclusion(s.status, s.ends_at, u.scope, c.restricted_at, c.erased_at, :now) IS NULL;

-- name: digest_by_reason
-- Whom a digest is for: how many would get it now, why others not, and whom it would ask; no row
-- where the campaign is no digest. As an audience is counted, from indexes alone: whom a suppression,
-- a restriction or an erasure concerns is looked up apart.
WITH digest AS MATERIALIZED (
  SELECT g.purpose_id
    FROM crm.digest g
   WHERE g.business_id = :business_id
     AND g.campaign_id = :campaign_id
), apart AS MATERIALIZED (
  SELECT a.customer_id, max(a.scope) AS scope, max(a.restricted_at) AS restricted_at,
         max(a.erased_at) AS erased_at
    FROM (
      SELECT c.customer_id, u.scope, NULL::timestamptz AS restricted_at,
             NULL::timestamptz AS erased_at
        FROM crm.suppression u
        JOIN crm.customer c ON c.business_id = :business_id AND c.address_hash = u.address_hash
       WHERE u.business_id = :business_id
       UNION ALL
      SELECT c.customer_id, NULL, c.restricted_at, c.erased_at
        FROM crm.customer c
       WHERE c.business_id = :business_id
         AND c.restricted_at IS NOT NULL
       UNION ALL
      -- Of whoever was erased no choice is left, but of a record that was merged into another.
      SELECT c.customer_id, NULL, NULL, c.erased_at
        FROM crm.customer c
       WHERE c.business_id = :business_id
         AND c.merged_into IS NOT NULL) a
   GROUP BY a.customer_id
), reader AS (
  SELECT u.customer_id
    FROM crm.unmerged_readers_of_digest(:business_id, :campaign_id,
           '00000000-0000-0000-0000-000000000000', 'ffffffff-ffff-ffff-ffff-ffffffffffff') u
    JOIN crm.digest_choice k ON k.business_id = :business_id
     AND k.purpose_id = (SELECT g.purpose_id FROM digest g) AND k.customer_id = u.customer_id
   UNION ALL
  SELECT m.customer_id
    FROM crm.merged_readers_of_digest(:business_id, :campaign_id,
           '00000000-0000-0000-0000-000000000000', 'ffffffff-ffff-ffff-ffff-ffffffffffff') m
)
SELECT crm.exclusion(s.status, least(s.valid_until, v.ends_at), a.scope, a.restricted_at,
                     a.erased_at, :now) AS reason,
       count(*) AS customers,
       count(*) FILTER (
         WHERE s.status IN ('given', 'renewed')
           AND crm.asked_again(s.at, least(s.valid_until, v.ends_at), v.stale_at, :now)) AS asked
  FROM reader r
  LEFT JOIN crm.consent s ON s.business_id = :business_id
   AND s.purpose_id = (SELECT g.purpose_id FROM digest g) AND s.customer_id = r.customer_id
  LEFT JOIN crm.purpose_version v ON v.business_id = :business_id
   AND v.purpose_id = s.purpose_id AND v.version = s.purpose_version
  LEFT JOIN apart a ON a.customer_id = r.customer_id
 GROUP BY 1
 ORDER BY 2 DESC;

-- name: is_digest
-- Whether a campaign is the digest of a week.
SELECT EXISTS (SELECT FROM crm.digest
                WHERE business_id = :business_id AND campaign_id = :campaign_id);
