-- Whoever never took a withdrawal that was sent to him has not acknowledged it either: it counts from
-- when it first went out, also where he takes it later. Of old ones only when they were told is known.

DROP INDEX crm.post_unacknowledged;

-- Behind row-level security PostgreSQL narrows no index by `coalesce`, but by CASE it does.
CREATE INDEX post_unacknowledged
  ON crm.post (business_id, endpoint_id, (CASE WHEN out_at IS NULL THEN told_at ELSE out_at END))
  WHERE asks AND acknowledged_at IS NULL;
