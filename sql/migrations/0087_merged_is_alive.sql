-- Whoever is put together from two records is heard of: what the one that went had lived through is
-- asked for by the number of the other no more, so the merge itself is the sign.
CREATE OR REPLACE VIEW crm.sign_of_life WITH (security_invoker = true) AS
SELECT s.business_id, s.customer_id, s.at FROM crm.consent s
UNION ALL
SELECT i.business_id, i.customer_id, i.at FROM crm.interaction i
UNION ALL
SELECT m.business_id, m.customer_id, m.proved_at FROM crm.mailbox_proof m
UNION ALL
SELECT q.business_id, q.customer_id, q.received_on::timestamptz FROM crm.privacy_request q
UNION ALL
SELECT e.business_id, e.customer_id, e.at FROM crm.event e
 WHERE e.actor_kind = 'customer' OR e.kind = 'customer.merged';
