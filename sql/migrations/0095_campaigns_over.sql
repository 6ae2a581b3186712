-- Campaigns that send, though every range is done with: two workers left the last two at once and
-- neither saw the other's end, or the last mails arrived while it was paused.
GRANT CREATE ON SCHEMA crm TO crm_sweep;

CREATE FUNCTION crm.campaigns_over() RETURNS TABLE (business_id uuid, campaign_id uuid)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog AS $$
  SELECT c.business_id, c.campaign_id FROM crm.campaign c
   WHERE c.state = 'sending'
     AND NOT EXISTS (SELECT FROM crm.lease l
                      WHERE l.business_id = c.business_id AND l.campaign_id = c.campaign_id
                        AND l.open)
$$;

ALTER FUNCTION crm.campaigns_over() OWNER TO crm_sweep;

REVOKE ALL ON FUNCTION crm.campaigns_over() FROM PUBLIC;

GRANT EXECUTE ON FUNCTION crm.campaigns_over() TO crm_app;

REVOKE CREATE ON SCHEMA crm FROM crm_sweep;
