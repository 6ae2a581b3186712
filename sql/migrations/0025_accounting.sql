-- Why customers are left out, counted by range; a cancellation that goes range by range; campaigns
-- held for staff; a wall-clock time in each customer's zone.

-- The same counts with these reasons added to them.
CREATE FUNCTION crm.count_reasons(_counts jsonb, _reasons text[]) RETURNS jsonb
LANGUAGE sql IMMUTABLE AS $$
  SELECT _counts || coalesce(jsonb_object_agg(
           r.reason, coalesce((_counts ->> r.reason)::integer, 0) + r.customers), '{}')
    FROM (SELECT u.reason, count(*)::integer AS customers
            FROM unnest(_reasons) AS u (reason)
           WHERE u.reason IS NOT NULL
           GROUP BY u.reason) r
$$;

CREATE FUNCTION crm.counted_reasons(_counts jsonb) RETURNS integer
LANGUAGE sql IMMUTABLE AS $$
  SELECT coalesce(sum(e.value::integer), 0)::integer FROM jsonb_each_text(_counts) e
$$;

-- By reason; kept by the transactions that keep `excluded`, of which it is the parts.
ALTER TABLE crm.lease ADD COLUMN reasons jsonb NOT NULL DEFAULT '{}';

-- The owner sees rows while row security is not forced.
ALTER TABLE crm.lease NO FORCE ROW LEVEL SECURITY;

ALTER TABLE crm.delivery NO FORCE ROW LEVEL SECURITY;

UPDATE crm.lease l
   SET reasons = crm.count_reasons('{}', ARRAY(
         SELECT d.reason FROM crm.delivery d
          WHERE d.business_id = l.business_id AND d.campaign_id = l.campaign_id
            AND d.customer_id > l.low AND d.customer_id <= l.high AND d.state = 'excluded'))
 WHERE l.excluded > 0;

ALTER TABLE crm.lease ADD CONSTRAINT lease_excluded_for_reasons
  CHECK (crm.counted_reasons(reasons) = excluded);

ALTER TABLE crm.lease FORCE ROW LEVEL SECURITY;

ALTER TABLE crm.delivery FORCE ROW LEVEL SECURITY;

-- Promise 2, first half: as before, and the range counts the reason as well.
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
             reasons = crm.count_reasons(l.reasons, ARRAY[_reason])
       WHERE l.business_id = _business AND l.campaign_id = range.campaign_id
         AND l.number = range.number;
      DELETE FROM crm.retry r
       WHERE r.business_id = _business AND r.campaign_id = range.campaign_id
         AND r.customer_id = _customer;
    END IF;
  END LOOP;
END
$$;

-- A start that is long overdue waits for somebody to say that it is still wanted.
ALTER TABLE crm.campaign DROP CONSTRAINT campaign_state_check;

ALTER TABLE crm.campaign ADD CONSTRAINT campaign_state_check CHECK (state IN (
  'draft', 'scheduled', 'held', 'starting', 'sending', 'paused', 'cancelled', 'done'));

ALTER TABLE crm.campaign
  -- Why it is held.
  ADD COLUMN held_why text CHECK (held_why IN ('overdue')),
  ADD CONSTRAINT campaign_held_says_why CHECK ((state = 'held') = (held_why IS NOT NULL));

-- Cancelled campaigns with ranges in which somebody still waits.
GRANT SELECT (waiting) ON crm.lease TO crm_sweep;

GRANT CREATE ON SCHEMA crm TO crm_sweep;

CREATE FUNCTION crm.cancellations_due() RETURNS TABLE (business_id uuid, campaign_id uuid)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog AS $$
  SELECT DISTINCT l.business_id, l.campaign_id
    FROM crm.lease l
    JOIN crm.campaign c ON c.business_id = l.business_id AND c.campaign_id = l.campaign_id
   WHERE l.open AND l.waiting > 0 AND c.state = 'cancelled'
$$;

ALTER FUNCTION crm.cancellations_due() OWNER TO crm_sweep;

REVOKE ALL ON FUNCTION crm.cancellations_due() FROM PUBLIC;

GRANT EXECUTE ON FUNCTION crm.cancellations_due() TO crm_app;

REVOKE CREATE ON SCHEMA crm FROM crm_sweep;

-- Who left a purpose, by time: for the figures of its campaigns.
CREATE INDEX consent_left ON crm.consent (business_id, purpose_id, at) WHERE status = 'withdrawn';

-- A purpose's consents counted by state without looking at them one by one.
CREATE INDEX consent_standing
  ON crm.consent (business_id, purpose_id, purpose_version, status, valid_until) INCLUDE (at);

-- The few whom a consent does not decide alone.
CREATE INDEX customer_apart ON crm.customer (business_id, customer_id)
  WHERE restricted_at IS NOT NULL OR erased_at IS NOT NULL;
