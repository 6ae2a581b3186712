-- How far an undo has come: a worker that is stopped goes on behind it, and does nothing twice.

-- The last customer of the purpose whose consent was looked at; its consents end first.
ALTER TABLE crm.import ADD COLUMN yeses_upto uuid;

-- The last of those it added who was looked at.
ALTER TABLE crm.import ADD COLUMN arrivals_upto uuid;
