-- Whether it is time to ask if a consent goes on.

-- The same as before, with since when it rests on a version that another has replaced.
CREATE OR REPLACE VIEW crm.consent_now WITH (security_invoker = true) AS
SELECT s.business_id, s.customer_id, s.purpose_id, s.purpose_version, s.status, s.method,
       s.event_id, s.notice_id, s.at, least(s.valid_until, v.ends_at) AS ends_at, v.stale_at
  FROM crm.consent s
  JOIN crm.purpose_version v
    ON v.business_id = s.business_id
   AND v.purpose_id = s.purpose_id
   AND v.version = s.purpose_version;

-- In the 60 days before it ends; of a short one in the last third of its time, or she would be
-- asked as soon as she has answered; to a version that was replaced, from then on.
CREATE FUNCTION crm.asked_again(
  _at timestamptz, _ends_at timestamptz, _stale_at timestamptz, _now timestamptz) RETURNS boolean
LANGUAGE sql IMMUTABLE AS $$
  SELECT _ends_at > _now
         AND (_stale_at IS NOT NULL
              OR _ends_at <= _now + least(interval '60 days', (_ends_at - _at) / 3))
$$;
