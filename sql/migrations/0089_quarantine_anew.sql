-- A row that was let go makes way for the row of a newer list.

GRANT UPDATE (import_id, part, line, why, since) ON crm.quarantine TO crm_app;
