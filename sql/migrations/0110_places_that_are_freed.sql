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
