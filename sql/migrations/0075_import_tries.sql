-- An import that is only tried: worked through as any other, rolled back, and its report kept.

ALTER TABLE crm.import ADD COLUMN only_try boolean NOT NULL DEFAULT false;

ALTER TABLE crm.import DROP CONSTRAINT import_state_check;

ALTER TABLE crm.import ADD CONSTRAINT import_state_check CHECK (state IN (
  'waiting',   -- received
  'running',   -- one at a time and business
  'tried',     -- nothing of it was kept but its report; its list waits for whoever wants it
  'done',
  'failed'));  -- nothing of it was kept; problem says why

ALTER TABLE crm.import DROP CONSTRAINT import_check;

ALTER TABLE crm.import ADD CONSTRAINT import_ended CHECK (
  (state IN ('tried', 'done', 'failed')) = (done_at IS NOT NULL));

ALTER TABLE crm.import ADD CONSTRAINT import_tried CHECK (
  (state <> 'tried' OR only_try) AND (state <> 'done' OR NOT only_try));

GRANT SELECT (created_at) ON crm.import TO crm_sweep;

-- Besides those that wait, what was only tried a week ago: its list must not be kept any longer.
CREATE OR REPLACE FUNCTION crm.imports_waiting(_quiet_since timestamptz)
RETURNS TABLE (business_id uuid, import_id uuid)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog AS $$
  SELECT i.business_id, i.import_id FROM crm.import i
   WHERE i.state = 'waiting' OR (i.state = 'running' AND i.beat_at < _quiet_since)
      OR (i.state = 'tried' AND i.created_at < _quiet_since - interval '7 days')
$$;
