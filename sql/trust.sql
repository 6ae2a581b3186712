-- Every statement of crm/trust. Owns: trust_figures.

-- name: figures
-- The figures as they were counted last.
SELECT counted_at, months, campaigns, readers, mails, withdrawals, complaints, lag_median, lag_p99,
       on_the_way
  FROM crm.trust_figures
 WHERE business_id = :business_id;

-- name: count
-- Counts anew: mails from the sums of ranges; which readers left, and for how long a hand-over went
-- on that was under way then, from the few who did.
WITH sent AS MATERIALIZED (
  SELECT c.campaign_id, c.started_at, sum(l.sent) AS mails, sum(l.complaints) AS complaints
    FROM crm.campaign c
    JOIN crm.lease l ON l.business_id = :business_id AND l.campaign_id = c.campaign_id
   WHERE c.business_id = :business_id
     AND c.started_at >= (date_trunc('month', :now::timestamptz AT TIME ZONE :zone)
                          - interval '11 months') AT TIME ZONE :zone
   GROUP BY c.campaign_id, c.started_at
), month AS (
  -- Also those without a mail, from the first with one on.
  SELECT to_char(m.begins, 'YYYY-MM') AS month, coalesce(sum(s.mails), 0) AS mails
    FROM (SELECT min(date_trunc('month', s.started_at AT TIME ZONE :zone)) AS first FROM sent s) f
   CROSS JOIN generate_series(f.first, :now::timestamptz AT TIME ZONE :zone, '1 month')
           AS m (begins)
    LEFT JOIN sent s
      ON date_trunc('month', s.started_at AT TIME ZONE :zone) = m.begins
   GROUP BY m.begins
), recent AS (
  SELECT count(*)::integer AS campaigns, coalesce(max(s.mails), 0) AS readers,
         coalesce(sum(s.mails), 0) AS mails, coalesce(sum(s.complaints), 0) AS complaints
    FROM sent s
   WHERE s.mails > 0
     AND s.started_at >= :since
), leaving AS (
  -- Readers only: who was mailed for it before she left, in her record or one that became part of it.
  -- What a list says of a former tool, and the other record of a merge, are nobody who left.
  SELECT coalesce(mailed.late, 0) AS seconds, mailed.late IS NOT NULL AS on_the_way
    FROM crm.purpose p
    JOIN crm.consent s
      ON s.business_id = :business_id AND s.purpose_id = p.purpose_id
     AND s.status = 'withdrawn' AND s.at >= :since
     AND s.method NOT IN ('import', 'merge')
   CROSS JOIN LATERAL (
      SELECT max(extract(epoch FROM d.done_at - s.at))
               -- When staff said what became of it is no time of a hand-over.
               FILTER (WHERE d.done_at > s.at AND d.resolved_by IS NULL)::float AS late
        FROM crm.delivery d
        JOIN crm.campaign c
          ON c.business_id = :business_id AND c.campaign_id = d.campaign_id
         AND c.purpose_id = s.purpose_id
       WHERE d.business_id = :business_id
         AND d.customer_id = ANY (crm.records_of(:business_id, s.customer_id))
         AND d.claimed_at <= s.at
      HAVING bool_or(d.state IN ('sending', 'sent', 'uncertain') OR d.done_at > s.at)) mailed
   WHERE p.business_id = :business_id
     AND p.channel = 'email'
), left_ AS (
  SELECT count(*) AS withdrawals, count(*) FILTER (WHERE l.on_the_way) AS on_the_way,
         coalesce(percentile_cont(0.5) WITHIN GROUP (ORDER BY l.seconds), 0) AS median,
         coalesce(percentile_cont(0.99) WITHIN GROUP (ORDER BY l.seconds), 0) AS p99
    FROM leaving l
)
INSERT INTO crm.trust_figures AS f (business_id, counted_at, months, campaigns, readers, mails,
                                    withdrawals, complaints, lag_median, lag_p99, on_the_way)
SELECT :business_id, :now,
       (SELECT coalesce(jsonb_agg(jsonb_build_object('month', m.month, 'mails', m.mails)
                                  ORDER BY m.month), '[]') FROM month m),
       r.campaigns, r.readers, r.mails, l.withdrawals, r.complaints, l.median, l.p99, l.on_the_way
  FROM recent r CROSS JOIN left_ l
ON CONFLICT (business_id) DO UPDATE
   SET counted_at = excluded.counted_at, months = excluded.months, campaigns = excluded.campaigns,
       readers = excluded.readers, mails = excluded.mails, withdrawals = excluded.withdrawals,
       complaints = excluded.complaints, lag_median = excluded.lag_median,
       lag_p99 = excluded.lag_p99, on_the_way = excluded.on_the_way;
