-- How far the sweep has come in a campaign whose merge values are taken out, so that a round which
-- is killed goes on there; null before it begins and once it has been through.
ALTER TABLE crm.campaign ADD COLUMN emptied_upto uuid;
