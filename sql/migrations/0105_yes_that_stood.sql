-- What is kept as a proof is the yes that stood, and that ended: not one that was recorded later
-- and moved no state, because it was older, weaker or to an earlier version. Nor has a yes ended that
-- such a one came after. Where a yes ended twice, as by its age and then by her own word, it is
-- what stood before both.
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
  -- The yes that the present state is, or came after: each record says what stood before it, and
  -- few ends follow one another. None where a record of these is not there.
  LEFT JOIN LATERAL (
    WITH RECURSIVE stood AS (
      SELECT r.event_id, r.status,
             convert_from(r.canonical, 'UTF8')::jsonb ->> 'supersedes' AS before, 0 AS steps
        FROM crm.consent_record r
       WHERE r.business_id = s.business_id AND r.event_id = s.event_id
       UNION ALL
      SELECT r.event_id, r.status, convert_from(r.canonical, 'UTF8')::jsonb ->> 'supersedes',
             t.steps + 1
        FROM stood t
        JOIN crm.consent_record r
          ON r.business_id = s.business_id AND r.event_id = nullif(t.before, '')::uuid
       WHERE t.status NOT IN ('given', 'renewed', 'unobjected') AND t.steps < 100)
    SELECT t.event_id FROM stood t
     WHERE t.status IN ('given', 'renewed', 'unobjected')) e ON true
  JOIN LATERAL (
    SELECT r.event_id, r.notice_id, r.status, r.method, r.at
      FROM crm.consent_record r
     WHERE r.business_id = s.business_id AND r.customer_id = s.customer_id
       AND r.purpose_id = s.purpose_id
       AND r.status IN ('given', 'renewed', 'unobjected')
     ORDER BY r.event_id = e.event_id DESC NULLS LAST, r.recorded_at DESC, r.event_id DESC
     LIMIT 1) y ON true;

-- Whoever says yes in her own words is mailed again, also where that moved no state, because a yes to
-- a later version stands: by that she may be mailed, and she has just asked for it.
CREATE FUNCTION crm.record_lifts() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
  DELETE FROM crm.suppression u
   USING crm.customer c, crm.consent_now s
   WHERE u.business_id = NEW.business_id
     AND c.business_id = NEW.business_id
     AND c.customer_id = NEW.customer_id
     AND u.address_hash = c.address_hash
     AND s.business_id = NEW.business_id
     AND s.customer_id = NEW.customer_id
     AND s.purpose_id = NEW.purpose_id
     AND s.status IN ('given', 'renewed')
     AND (s.ends_at IS NULL OR s.ends_at > NEW.recorded_at);
  RETURN NULL;
END
$$;

CREATE TRIGGER record_lifts AFTER INSERT ON crm.consent_record
  FOR EACH ROW WHEN (
    NEW.status IN ('given', 'renewed') AND NEW.method IN ('double_opt_in', 'portal', 'renewal'))
  EXECUTE FUNCTION crm.record_lifts();
