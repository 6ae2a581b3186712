-- A day is as long as the session's time zone says, so this was never immutable; and a body that is
-- less than its function says is not put into the statements that call it, but called for each row.
CREATE OR REPLACE FUNCTION crm.asked_again(
  _at timestamptz, _ends_at timestamptz, _stale_at timestamptz, _now timestamptz) RETURNS boolean
LANGUAGE sql STABLE AS $$
  SELECT _ends_at > _now
         AND (_stale_at IS NOT NULL
              OR _ends_at <= _now + least(interval '60 days', (_ends_at - _at) / 3))
$$;
