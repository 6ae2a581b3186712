-- Every statement of crm/privacy. Owns: nothing.

-- name: tombstones_with_traces
-- Customers erased since an instant of whom something was recorded after all: what waited for
-- the erasure's lock on her row is written when it commits.
SELECT c.customer_id
  FROM crm.customer c
 WHERE c.business_id = :business_id
   AND c.erased_at >= :since
   AND (EXISTS (SELECT FROM crm.consent_record r
                 WHERE r.business_id = :business_id AND r.customer_id = c.customer_id)
     OR EXISTS (SELECT FROM crm.consent s
                 WHERE s.business_id = :business_id AND s.customer_id = c.customer_id)
     OR EXISTS (SELECT FROM crm.mailbox_proof m
                 WHERE m.business_id = :business_id AND m.customer_id = c.customer_id)
     OR EXISTS (SELECT FROM crm.evidence_file f
                 WHERE f.business_id = :business_id AND f.customer_id = c.customer_id)
     OR EXISTS (SELECT FROM crm.event e
                 WHERE e.business_id = :business_id AND e.customer_id = c.customer_id)
     OR EXISTS (SELECT FROM crm.portal_session p
                 WHERE p.business_id = :business_id AND p.customer_id = c.customer_id)
     OR EXISTS (SELECT FROM crm.portal_link l
                 WHERE l.business_id = :business_id AND l.customer_id = c.customer_id)
     OR EXISTS (SELECT FROM crm.service_message m
                 WHERE m.business_id = :business_id AND m.customer_id = c.customer_id)
     OR EXISTS (SELECT FROM crm.delivery d
                 WHERE d.business_id = :business_id AND d.customer_id = c.customer_id
                   AND d.reply IS NOT NULL))
 ORDER BY c.customer_id;
