-- Since when a settled alarm is found no more: found again after that it is another case, though it
-- looks the same.
ALTER TABLE crm.ledger_alarm ADD COLUMN mended_at timestamptz;

GRANT UPDATE (mended_at) ON crm.ledger_alarm TO crm_app;
