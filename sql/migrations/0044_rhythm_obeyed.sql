-- Campaigns obey a customer's rhythm in the statement that claims (promise 12).

-- What ends while her rhythm keeps it from her is left out for that reason; nothing failed.
ALTER TABLE crm.delivery DROP CONSTRAINT delivery_reason_check;

ALTER TABLE crm.delivery ADD CONSTRAINT delivery_reason_check CHECK (reason IN (
  'withdrawn', 'refused', 'no_consent', 'expired', 'suppressed', 'frozen', 'erased', 'cancelled',
  'budget',    -- her week was full until it was too late
  'pause'));   -- she paused until it was too late

-- What is deferred, by campaign for staff and by customer for her.
CREATE INDEX retry_deferred ON crm.retry (business_id, campaign_id)
  WHERE waits_for IN ('budget', 'pause');

CREATE INDEX retry_deferred_of ON crm.retry (business_id, customer_id)
  WHERE waits_for IN ('budget', 'pause');

-- Which of these customers a campaign may not be sent to now because of their rhythm, why, and when
-- it may again. It holds the rhythm of each, in the order of the key, until the claim has ended:
-- whoever claims for the same customer waits here, and then counts what the first has taken. A
-- function that is volatile, so that what it counts is as of then and not as of the statement.
CREATE FUNCTION crm.hold_rhythms(
  _business uuid, _campaign uuid, _customers uuid[], _now timestamptz)
RETURNS TABLE (customer_id uuid, due_at timestamptz, waits_for text)
LANGUAGE plpgsql ROWS 1 AS $$
DECLARE
  hers record;
  week record;
BEGIN
  FOR hers IN
    SELECT r.customer_id, r.budget, r.paused_until,
           coalesce(nullif(c.time_zone, ''), b.time_zone) AS zone
      FROM crm.rhythm r
      JOIN crm.customer c ON c.business_id = _business AND c.customer_id = r.customer_id
      JOIN crm.business b ON b.business_id = _business
     WHERE r.business_id = _business AND r.customer_id = ANY (_customers)
     ORDER BY r.customer_id
       FOR UPDATE OF r
  LOOP
    customer_id := hers.customer_id;
    IF hers.paused_until > _now THEN
      due_at := hers.paused_until;
      waits_for := 'pause';
      RETURN NEXT;
    ELSIF hers.budget IS NOT NULL THEN
      week := crm.week_of(_now, hers.zone);
      IF crm.places_taken(_business, hers.customer_id, _campaign, week.begins_at) >= hers.budget
      THEN
        due_at := week.ends_at;
        waits_for := 'budget';
        RETURN NEXT;
      END IF;
    END IF;
  END LOOP;
END
$$;
