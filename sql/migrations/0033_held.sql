-- What a campaign is doing, read after its range is locked. One statement would answer from before
-- it waited: a pause or a cancellation that was answered meanwhile would let one more batch go.
CREATE FUNCTION crm.hold_lease(
  _business uuid, _campaign uuid, _number integer, _epoch integer, _expires_at timestamptz)
RETURNS TABLE (state text, paced_at timestamptz)
LANGUAGE plpgsql AS $$
BEGIN
  UPDATE crm.lease l SET expires_at = _expires_at
   WHERE l.business_id = _business AND l.campaign_id = _campaign AND l.number = _number
     AND l.epoch = _epoch;
  IF NOT FOUND THEN
    RETURN;
  END IF;
  RETURN QUERY
    SELECT c.state, (SELECT max(p.changed_at) FROM crm.domain_pace p
                      WHERE p.business_id = _business)
      FROM crm.campaign c
     WHERE c.business_id = _business AND c.campaign_id = _campaign;
END
$$;
