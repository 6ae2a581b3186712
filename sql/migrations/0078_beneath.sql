-- A bounce stands above what somebody decided about an address, and forgets nothing of it: once the
-- mailbox works again, that is what stands.
ALTER TABLE crm.suppression
  ADD COLUMN beneath text CHECK (beneath IN (
    'left', 'erased', 'complained', 'staff', 'imported', 'objected', 'moved')),
  ADD COLUMN beneath_at timestamptz;

ALTER TABLE crm.suppression ADD CONSTRAINT suppression_beneath CHECK (
  (beneath IS NULL) = (beneath_at IS NULL) AND (beneath IS NULL OR reason = 'bounced'));
