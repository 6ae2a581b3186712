-- Whoever has withdrawals told is told of erasures too: of an erased customer no withdrawal goes any
-- more, and that she was erased is the end of every consent of hers. The owner sees the rows
-- meanwhile.
ALTER TABLE crm.endpoint NO FORCE ROW LEVEL SECURITY;

UPDATE crm.endpoint e
   SET kinds = ARRAY(SELECT k FROM unnest(e.kinds || 'customer.erased'::text) AS k ORDER BY k)
 WHERE 'consent.withdrawn' = ANY (e.kinds)
   AND NOT 'customer.erased' = ANY (e.kinds);

ALTER TABLE crm.endpoint FORCE ROW LEVEL SECURITY;

-- What waits for its number is found in its order, however much an import leaves waiting.
CREATE INDEX event_unread_in_order ON crm.event_unread (business_id, entered_at, event_id);
