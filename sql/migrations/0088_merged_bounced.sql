-- One issue goes to one person once: what waits for the kept record and went to the other, or is on
-- its way there, waits no more. Promise 3. What came back from the other reached nobody, and goes to
-- the kept one. The ranges are held as by crm.exclude_waiting.
CREATE OR REPLACE FUNCTION crm.exclude_merged(_business uuid, _kept uuid, _gone uuid) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
  range record;
BEGIN
  FOR range IN
    SELECT l.campaign_id, l.number
      FROM crm.delivery d
      JOIN crm.delivery o ON o.business_id = _business AND o.campaign_id = d.campaign_id
       AND o.customer_id = _gone AND o.state IN ('sending', 'sent', 'uncertain')
       AND o.bounced_at IS NULL
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
             reasons = crm.count_reasons(l.reasons, ARRAY['merged'])
       WHERE l.business_id = _business AND l.campaign_id = range.campaign_id
         AND l.number = range.number;
      DELETE FROM crm.retry r
       WHERE r.business_id = _business AND r.campaign_id = range.campaign_id
         AND r.customer_id = _kept;
    END IF;
  END LOOP;
END
$$;
