-- The undo of a whole import: whom it added and nobody touched since goes, in pieces, by a job.

ALTER TABLE crm.import ADD COLUMN removed integer NOT NULL DEFAULT 0;

ALTER TABLE crm.import ADD COLUMN undone_at timestamptz;

ALTER TABLE crm.import DROP CONSTRAINT import_state_check;

ALTER TABLE crm.import ADD CONSTRAINT import_state_check CHECK (state IN (
  'waiting',   -- received
  'running',   -- one at a time and business
  'tried',     -- nothing of it was kept but its report; its list waits for whoever wants it
  'done',
  'undoing',   -- somebody wants it undone, and a worker does
  'undone',
  'failed'));  -- nothing of it was kept; problem says why

ALTER TABLE crm.import DROP CONSTRAINT import_ended;

ALTER TABLE crm.import ADD CONSTRAINT import_ended CHECK (
  (state IN ('tried', 'done', 'undoing', 'undone', 'failed')) = (done_at IS NOT NULL)
  AND (state = 'undone') = (undone_at IS NOT NULL));

ALTER TABLE crm.import DROP CONSTRAINT import_tried;

ALTER TABLE crm.import ADD CONSTRAINT import_tried CHECK (
  (state <> 'tried' OR only_try) AND (state NOT IN ('done', 'undoing', 'undone') OR NOT only_try));
