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

-- A range that rests until tomorrow because all relays were at their caps is due as soon as one that
-- mail goes to came, or was changed, after what its worker knew. It is seen by whoever looks, so that
-- nobody who changes a relay waits for those who hold ranges: an import may for minutes.
ALTER TABLE crm.lease ADD COLUMN relays_as_of timestamptz;

-- Those that rest for it already know the relays as they are by now.
ALTER TABLE crm.lease NO FORCE ROW LEVEL SECURITY;

ALTER TABLE crm.relay NO FORCE ROW LEVEL SECURITY;

UPDATE crm.lease l
   SET relays_as_of = (SELECT max(r.changed_at) FROM crm.relay r
                        WHERE r.business_id = l.business_id AND r.active)
 WHERE l.open AND l.waits_for LIKE 'cap %';

ALTER TABLE crm.relay FORCE ROW LEVEL SECURITY;

ALTER TABLE crm.lease FORCE ROW LEVEL SECURITY;

GRANT SELECT (relays_as_of) ON crm.lease TO crm_sweep;

CREATE POLICY sweep ON crm.relay FOR SELECT TO crm_sweep USING (true);

GRANT SELECT (business_id, active, changed_at) ON crm.relay TO crm_sweep;

GRANT CREATE ON SCHEMA crm TO crm_sweep;

CREATE OR REPLACE FUNCTION crm.leases_due(_now timestamptz)
RETURNS TABLE (business_id uuid, campaign_id uuid, leases bigint)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog AS $$
  SELECT l.business_id, l.campaign_id, count(*)
    FROM crm.lease l
    JOIN crm.campaign c ON c.business_id = l.business_id AND c.campaign_id = l.campaign_id
   WHERE l.open AND (l.expires_at IS NULL OR l.expires_at < _now)
     AND (l.due_at <= _now
          OR (l.relays_as_of IS NOT NULL
              AND EXISTS (SELECT FROM crm.relay r
                           WHERE r.business_id = l.business_id AND r.active
                             AND r.changed_at > l.relays_as_of)))
     AND (c.state = 'sending' OR l.sending > 0)
   GROUP BY l.business_id, l.campaign_id
$$;

REVOKE CREATE ON SCHEMA crm FROM crm_sweep;
