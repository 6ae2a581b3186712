-- Why and since when an address is silenced, for the page on which its owner sees what is on.
CREATE OR REPLACE VIEW crm.silenced WITH (security_invoker = true) AS
SELECT u.business_id, u.address_hash, u.reason, u.at FROM crm.suppression u;
