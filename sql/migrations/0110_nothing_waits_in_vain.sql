-- What waits for a place of somebody's week, or for the next day of a relay, is looked at again where
-- that comes sooner.

-- Whoever leaves a purpose may give back a place of her week, which is then offered to what waits for
-- one: where she has said how many mails may come, and one of that purpose waits or is on its way.
CREATE FUNCTION crm.may_free_place(_business uuid, _customer uuid, _purpose uuid) RETURNS boolean
LANGUAGE sql STABLE AS $$
  SELECT EXISTS (SELECT FROM crm.rhythm r
                  WHERE r.business_id = _business AND r.customer_id = _customer
                    AND r.budget IS NOT NULL)
     AND EXISTS (SELECT FROM crm.delivery d
                   JOIN crm.campaign c ON c.business_id = _business
                    AND c.campaign_id = d.campaign_id AND c.purpose_id = _purpose
                  WHERE d.business_id = _business AND d.customer_id = _customer
                    AND d.state IN ('waiting', 'sending'))
$$;

-- A relay came, or is another than it was: ranges that rest until tomorrow because all were at their
-- caps are due now. A worker that is about to say so has said it when its range is held here, in the
-- order of all who hold several.
CREATE FUNCTION crm.end_rests_of_caps(_business uuid, _now timestamptz) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
  PERFORM l.number
     FROM crm.lease l
    WHERE l.business_id = _business AND l.open
    ORDER BY l.campaign_id, l.number
      FOR UPDATE;
  UPDATE crm.lease l SET due_at = least(l.due_at, _now)
   WHERE l.business_id = _business AND l.open AND l.waits_for LIKE 'cap %';
END
$$;
