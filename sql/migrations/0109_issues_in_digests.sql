-- Of two records that are merged one may have got an issue singly and the other in a digest: what waits
-- for the kept one and would bring only what went to her already is left out, in whichever mail it
-- went. Also what went to records that were merged into the one that goes counts.
CREATE OR REPLACE FUNCTION crm.exclude_merged(_business uuid, _kept uuid, _gone uuid) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
  others uuid[] := crm.records_of(_business, _gone);
  range record;
BEGIN
  FOR range IN
    WITH went AS MATERIALIZED (
      SELECT o.campaign_id, o.customer_id = ANY (others) AS other
        FROM crm.delivery o
       WHERE o.business_id = _business
         AND o.customer_id = ANY (others || crm.records_of(_business, _kept))
         AND o.state IN ('sending', 'sent', 'uncertain')
         AND o.bounced_at IS NULL
    ), had AS MATERIALIZED (
      -- Every campaign that she has by now, with the mail that brought it.
      SELECT w.campaign_id, w.campaign_id AS mail, w.other FROM went w
       UNION ALL
      SELECT i.campaign_id, w.campaign_id, w.other
        FROM went w
        JOIN crm.digest g ON g.business_id = _business AND g.campaign_id = w.campaign_id
       CROSS JOIN unnest(g.issues) i (campaign_id)
    )
    SELECT l.campaign_id, l.number
      FROM crm.delivery d
      JOIN crm.lease l ON l.business_id = _business AND l.campaign_id = d.campaign_id
       AND l.low < _kept AND l.high >= _kept
     WHERE d.business_id = _business AND d.customer_id = _kept
       AND d.state IN ('waiting', 'sending')
       AND (EXISTS (SELECT FROM had h WHERE h.other AND h.campaign_id = d.campaign_id)
            -- Of the digests of one week a person gets one; and none without anything new to her.
            OR EXISTS (SELECT FROM crm.digest g
                         JOIN crm.digest h ON h.business_id = _business
                          AND h.first_id = g.first_id
                         JOIN went w ON w.campaign_id = h.campaign_id AND w.other
                        WHERE g.business_id = _business AND g.campaign_id = d.campaign_id)
            OR EXISTS (SELECT FROM crm.digest g
                        WHERE g.business_id = _business AND g.campaign_id = d.campaign_id
                          AND g.issues <@ ARRAY(SELECT h.campaign_id FROM had h
                                                 WHERE h.mail <> d.campaign_id)))
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
