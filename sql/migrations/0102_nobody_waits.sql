-- A range rests until the first who waits in it is due. Where the last of them leaves, is erased or
-- merged, it is looked at again at once: else a campaign of which nothing waits would go on sending.
CREATE OR REPLACE FUNCTION crm.exclude_waiting(
  _business uuid, _customer uuid, _purpose uuid, _reason text) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
  range record;
BEGIN
  FOR range IN
    SELECT l.campaign_id, l.number
      FROM crm.delivery d
      JOIN crm.campaign c ON c.business_id = _business AND c.campaign_id = d.campaign_id
       AND (_purpose IS NULL OR c.purpose_id = _purpose)
      JOIN crm.lease l ON l.business_id = _business AND l.campaign_id = d.campaign_id
       AND l.low < _customer AND l.high >= _customer
     WHERE d.business_id = _business AND d.customer_id = _customer
       AND d.state IN ('waiting', 'sending')
     ORDER BY l.campaign_id, l.number
       FOR UPDATE OF l
  LOOP
    UPDATE crm.delivery d SET state = 'excluded', reason = _reason
     WHERE d.business_id = _business AND d.campaign_id = range.campaign_id
       AND d.customer_id = _customer AND d.state = 'waiting';
    IF FOUND THEN
      UPDATE crm.lease l
         SET waiting = l.waiting - 1, excluded = l.excluded + 1,
             reasons = crm.count_reasons(l.reasons, ARRAY[_reason]),
             -- Where nobody waits any more, the range has nothing to rest for.
             due_at = CASE WHEN l.waiting = 1 THEN least(l.due_at, now()) ELSE l.due_at END
       WHERE l.business_id = _business AND l.campaign_id = range.campaign_id
         AND l.number = range.number;
      DELETE FROM crm.retry r
       WHERE r.business_id = _business AND r.campaign_id = range.campaign_id
         AND r.customer_id = _customer;
    END IF;
  END LOOP;
END
$$;

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
