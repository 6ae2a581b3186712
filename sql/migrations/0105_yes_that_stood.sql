-- What is kept as a proof is the yes that stood, and that ended: not one that was recorded later and
-- moved no state, because it was older, weaker or to an earlier version. Nor has a yes ended that
-- such a one came after.
CREATE OR REPLACE VIEW crm.consent_proof WITH (security_invoker = true) AS
SELECT s.business_id, s.customer_id, s.purpose_id, s.purpose_version,
       y.event_id, y.notice_id, y.status, y.method, y.at AS given_at,
       s.event_id AS end_event_id, s.status AS end_status, s.method AS end_method,
       CASE WHEN s.event_id <> y.event_id THEN s.at END AS ended_at,
       nullif(convert_from(v.terms, 'UTF8')::jsonb ->> 'retention', '')::interval AS declared
  FROM crm.consent s
  JOIN crm.purpose_version v
    ON v.business_id = s.business_id AND v.purpose_id = s.purpose_id
   AND v.version = s.purpose_version
  -- What the present state came after, as its record says.
  LEFT JOIN LATERAL (
    SELECT convert_from(e.canonical, 'UTF8')::jsonb ->> 'supersedes' AS before
      FROM crm.consent_record e
     WHERE e.business_id = s.business_id AND e.event_id = s.event_id) e ON true
  JOIN LATERAL (
    SELECT r.event_id, r.notice_id, r.status, r.method, r.at
      FROM crm.consent_record r
     WHERE r.business_id = s.business_id AND r.customer_id = s.customer_id
       AND r.purpose_id = s.purpose_id
       AND r.status IN ('given', 'renewed', 'unobjected')
     ORDER BY r.event_id = s.event_id DESC, r.event_id::text = e.before DESC,
              r.recorded_at DESC, r.event_id DESC
     LIMIT 1) y ON true;
