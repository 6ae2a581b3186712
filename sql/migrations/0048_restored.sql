-- A campaign is also held because the database was put back to an earlier state.
ALTER TABLE crm.campaign DROP CONSTRAINT campaign_held_why_check;

ALTER TABLE crm.campaign
  ADD CONSTRAINT campaign_held_why_check CHECK (held_why IN ('overdue', 'restored'));
