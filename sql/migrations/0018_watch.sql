-- When the monitor last came to an end, also while another round is under way.

GRANT CREATE ON SCHEMA crm TO crm_sweep;

ALTER TABLE crm.ledger_watch ADD COLUMN last_ended_at timestamptz;

GRANT SELECT (last_ended_at) ON crm.ledger_watch TO crm_sweep;

-- How every ledger is, for metrics and for `crm doctor`: sizes, what waits since when, alarms.
CREATE OR REPLACE FUNCTION crm.ledgers_health()
RETURNS TABLE (business_id uuid, size bigint, unsealed bigint, waiting_since timestamptz,
               alarms bigint, stopped_why text, watched_at timestamptz)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog AS $$
  SELECT b.business_id, coalesce(h.size, 0), u.unsealed, u.waiting_since, a.alarms, h.stopped_why,
         coalesce(w.ended_at, w.last_ended_at)
    FROM crm.business b
    LEFT JOIN crm.ledger_head h ON h.business_id = b.business_id
    LEFT JOIN crm.ledger_watch w ON w.business_id = b.business_id
   CROSS JOIN LATERAL (
     SELECT count(*) AS unsealed, min(q.entered_at) AS waiting_since
       FROM crm.ledger_unsealed q WHERE q.business_id = b.business_id) u
   CROSS JOIN LATERAL (
     SELECT count(*) AS alarms FROM crm.ledger_alarm l
      WHERE l.business_id = b.business_id AND l.settled_at IS NULL) a
   ORDER BY b.business_id
$$;

REVOKE CREATE ON SCHEMA crm FROM crm_sweep;
