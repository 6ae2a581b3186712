-- A week has a digest for each set of issues that was kept for readers: nobody reads in hers what
-- was aimed at others, or what she had singly. Those of a week are made together, and a reader
-- gets one.

ALTER TABLE crm.digest ADD COLUMN first_id uuid;

-- The owner sees the rows meanwhile.
ALTER TABLE crm.digest NO FORCE ROW LEVEL SECURITY;

-- The first of those that were made together, which may be itself.
UPDATE crm.digest SET first_id = campaign_id;

ALTER TABLE crm.digest
  ALTER COLUMN first_id SET NOT NULL,
  ADD CONSTRAINT digest_has_a_first FOREIGN KEY (business_id, first_id)
    REFERENCES crm.digest (business_id, campaign_id);

ALTER TABLE crm.digest FORCE ROW LEVEL SECURITY;

-- One for each set, of however many issues, and a week's are made once: it has one first.
CREATE UNIQUE INDEX digest_of_set
  ON crm.digest (business_id, first_id, hash_array_extended(issues, 0));

DROP INDEX crm.digest_of_week;

CREATE UNIQUE INDEX digest_of_week ON crm.digest (business_id, purpose_id, week)
  WHERE NOT stopped AND campaign_id = first_id;

-- Whom each issue left out for the digest, without those whom it went to. What is sent is changed in
-- place all the same: no reason is given to it, or taken from it.
CREATE INDEX delivery_for_digest ON crm.delivery (business_id, campaign_id, customer_id)
  WHERE reason = 'digest';

-- The records of a range of numbers that others were merged into. They are few: what was kept for all
-- others is told by their own deliveries alone.
CREATE FUNCTION crm.merged_readers(_business uuid, _low uuid, _high uuid)
RETURNS TABLE (customer_id uuid)
LANGUAGE sql STABLE AS $$
  SELECT c.merged_into
    FROM crm.customer c
   WHERE c.business_id = _business
     AND c.merged_into BETWEEN _low AND _high
$$;

-- What of some issues was kept for the readers of a range of numbers that others were merged into,
-- whichever of her records it was kept for; `due`: without what another of her records gets or got
-- singly. What came back reached nobody.
CREATE FUNCTION crm.kept_for_merged(
  _business uuid, _purpose uuid, _issues uuid[], _low uuid, _high uuid)
RETURNS TABLE (customer_id uuid, kept uuid[], due uuid[])
LANGUAGE sql STABLE AS $$
  WITH reader AS MATERIALIZED (
    SELECT DISTINCT m.customer_id
      FROM crm.merged_readers(_business, _low, _high) m
      JOIN crm.digest_choice k ON k.business_id = _business
       AND k.purpose_id = _purpose AND k.customer_id = m.customer_id
  )
  SELECT i.reader,
         array_agg(i.campaign_id ORDER BY i.campaign_id) FILTER (WHERE i.kept),
         array_agg(i.campaign_id ORDER BY i.campaign_id) FILTER (WHERE i.kept AND NOT i.singly)
    FROM (
      SELECT r.reader, d.campaign_id,
             bool_or(d.state = 'excluded') AS kept,
             bool_or(d.state <> 'excluded') AS singly
        FROM (
          SELECT e.customer_id AS reader, e.customer_id AS record
            FROM reader e
           UNION ALL
          SELECT e.customer_id, c.customer_id
            FROM reader e
            JOIN crm.customer c ON c.business_id = _business AND c.merged_into = e.customer_id) r
       -- One by one, as they are few, whatever is thought of the size of a campaign.
       CROSS JOIN unnest(_issues) u (campaign_id)
       CROSS JOIN LATERAL (
         SELECT l.campaign_id, l.state, l.reason, l.bounced_at
           FROM crm.delivery l
          WHERE l.business_id = _business
            AND l.campaign_id = u.campaign_id
            AND l.customer_id = r.record
         OFFSET 0) d
       WHERE d.reason = 'digest'
          OR (d.state IN ('waiting', 'sending', 'sent', 'uncertain') AND d.bounced_at IS NULL)
       GROUP BY r.reader, d.campaign_id) i
   GROUP BY i.reader
  HAVING bool_or(i.kept AND NOT i.singly)
$$;

-- Whom of a range of numbers a digest is for: those for whom just its issues are due, which is
-- settled when it is made. One that was made alone goes to everybody for whom something in it was
-- kept, also where it was made before there were several. Without whoever others were merged into.
CREATE FUNCTION crm.unmerged_readers_of_digest(
  _business uuid, _digest uuid, _low uuid, _high uuid)
RETURNS TABLE (customer_id uuid)
LANGUAGE sql STABLE AS $$
  SELECT o.customer_id
    FROM (
      SELECT d.customer_id
        FROM crm.delivery d
       WHERE d.business_id = _business
         AND d.campaign_id = ANY (ARRAY(
               SELECT DISTINCT unnest(h.issues)
                 FROM crm.digest g
                 JOIN crm.digest h ON h.business_id = _business AND h.first_id = g.first_id
                WHERE g.business_id = _business AND g.campaign_id = _digest))
         AND d.customer_id BETWEEN _low AND _high
         AND d.reason = 'digest'
       GROUP BY d.customer_id
      HAVING (SELECT count(*) = 1
                FROM crm.digest g
                JOIN crm.digest h ON h.business_id = _business AND h.first_id = g.first_id
               WHERE g.business_id = _business AND g.campaign_id = _digest)
          OR (count(*) = (SELECT cardinality(g.issues) FROM crm.digest g
                           WHERE g.business_id = _business AND g.campaign_id = _digest)
              AND bool_and(d.campaign_id = ANY ((
                    SELECT g.issues FROM crm.digest g
                     WHERE g.business_id = _business AND g.campaign_id = _digest)::uuid[])))) o
   WHERE NOT EXISTS (
           SELECT FROM crm.merged_readers(_business, _low, _high) m
            WHERE m.customer_id = o.customer_id)
$$;

-- The same of those whom others were merged into. Where that was since it was made, there may be none
-- of just what is due to her: then it is the one with most of that, and least besides, that has
-- nothing in it that was not kept for her and that was not written past her yet; and none where
-- another of those made together was written for her, or went or goes to another of her records.
CREATE FUNCTION crm.merged_readers_of_digest(
  _business uuid, _digest uuid, _low uuid, _high uuid)
RETURNS TABLE (customer_id uuid)
LANGUAGE sql STABLE AS $$
  WITH made AS MATERIALIZED (
    SELECT h.campaign_id, h.purpose_id, h.issues, c.filled_to, c.filled_by,
           count(*) OVER () = 1 AS alone
      FROM crm.digest g
      JOIN crm.digest h ON h.business_id = _business AND h.first_id = g.first_id
      JOIN crm.campaign c ON c.business_id = _business AND c.campaign_id = h.campaign_id
     WHERE g.business_id = _business
       AND g.campaign_id = _digest
  )
  SELECT s.customer_id
    FROM crm.kept_for_merged(
           _business, (SELECT m.purpose_id FROM made m LIMIT 1),
           ARRAY(SELECT DISTINCT unnest(m.issues) FROM made m), _low, _high) s
   WHERE _digest = (
           SELECT m.campaign_id
             FROM made m
            WHERE (m.alone OR m.issues <@ s.kept)
              AND (m.campaign_id = _digest
                   OR (m.filled_by IS NULL
                       AND (m.filled_to IS NULL OR m.filled_to < s.customer_id)))
            ORDER BY m.issues = s.due DESC,
                     (SELECT count(*) FROM unnest(m.issues) i WHERE i = ANY (s.due)) DESC,
                     cardinality(m.issues), m.campaign_id
            LIMIT 1)
     AND NOT EXISTS (
           SELECT FROM made m
             JOIN crm.delivery d ON d.business_id = _business
              AND d.campaign_id = m.campaign_id AND d.customer_id = s.customer_id
            WHERE m.campaign_id <> _digest)
     AND NOT EXISTS (
           SELECT FROM crm.customer c
            CROSS JOIN made m
             JOIN crm.delivery d ON d.business_id = _business
              AND d.campaign_id = m.campaign_id AND d.customer_id = c.customer_id
            WHERE c.business_id = _business
              AND c.merged_into = s.customer_id
              AND d.state IN ('waiting', 'sending', 'sent', 'uncertain')
              AND d.bounced_at IS NULL)
$$;

-- Also of the digests of one week a person gets one.
CREATE OR REPLACE FUNCTION crm.exclude_merged(_business uuid, _kept uuid, _gone uuid) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
  range record;
BEGIN
  FOR range IN
    SELECT l.campaign_id, l.number
      FROM crm.delivery d
      JOIN crm.delivery o ON o.business_id = _business
       AND o.customer_id = _gone AND o.state IN ('sending', 'sent', 'uncertain')
       AND o.bounced_at IS NULL
       AND (o.campaign_id = d.campaign_id
            OR EXISTS (SELECT FROM crm.digest g
                         JOIN crm.digest h ON h.business_id = _business
                          AND h.first_id = g.first_id
                        WHERE g.business_id = _business AND g.campaign_id = d.campaign_id
                          AND h.campaign_id = o.campaign_id))
      JOIN crm.lease l ON l.business_id = _business AND l.campaign_id = d.campaign_id
       AND l.low < _kept AND l.high >= _kept
     WHERE d.business_id = _business AND d.customer_id = _kept
       AND d.state IN ('waiting', 'sending')
     ORDER BY l.campaign_id, l.number
       FOR UPDATE OF l
  LOOP
    UPDATE crm.delivery d SET state = 'excluded', reason = 'merged'
     WHERE d.business_id = _business AND d.campaign_id = range.campaign_id
       AND d.customer_id = _kept AND d.state = 'waiting';
    IF FOUND THEN
      UPDATE crm.lease l
         SET waiting = l.waiting - 1, excluded = l.excluded + 1,
             reasons = crm.count_reasons(l.reasons, ARRAY['merged']),
             -- Where nobody waits any more, the range has nothing to rest for.
             due_at = CASE WHEN l.waiting = 1 THEN least(l.due_at, now()) ELSE l.due_at END
       WHERE l.business_id = _business AND l.campaign_id = range.campaign_id
         AND l.number = range.number;
      DELETE FROM crm.retry r
       WHERE r.business_id = _business AND r.campaign_id = range.campaign_id
         AND r.customer_id = _kept;
    END IF;
  END LOOP;
END
$$;
