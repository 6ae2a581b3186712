-- What was kept for a purpose goes with it, also where the customer allows the purpose again before
-- the sweep has come by (promise 13): what she said then was for what has ended.
CREATE FUNCTION crm.ended_since(_business uuid, _customer uuid, _purpose uuid, _since timestamptz)
RETURNS boolean
LANGUAGE sql STABLE AS $$
  SELECT EXISTS (
    SELECT FROM crm.consent_record r
     WHERE r.business_id = _business
       AND r.customer_id = _customer
       AND r.purpose_id = _purpose
       AND r.status IN ('withdrawn', 'refused', 'revoked', 'expired', 'invalidated')
       AND r.recorded_at > _since)
$$;
