-- Which member or key made an endpoint, so that a key manages what is its own; of those there are
-- already, the event says it. The owner sees the rows meanwhile.
ALTER TABLE crm.endpoint
  ADD COLUMN made_by_kind text,
  ADD COLUMN made_by uuid;

ALTER TABLE crm.endpoint NO FORCE ROW LEVEL SECURITY;

ALTER TABLE crm.event NO FORCE ROW LEVEL SECURITY;

UPDATE crm.endpoint e
   SET made_by_kind = v.actor_kind, made_by = v.actor_id
  FROM crm.event v
 WHERE v.business_id = e.business_id
   AND v.kind = 'webhook.added'
   AND v.ref = e.endpoint_id;

ALTER TABLE crm.event FORCE ROW LEVEL SECURITY;

ALTER TABLE crm.endpoint FORCE ROW LEVEL SECURITY;

-- A key that could manage every endpoint until now still can.
ALTER TABLE crm.api_key NO FORCE ROW LEVEL SECURITY;

UPDATE crm.api_key
   SET scopes = scopes || 'webhooks:manage'::text
 WHERE 'webhooks:write' = ANY (scopes);

ALTER TABLE crm.api_key FORCE ROW LEVEL SECURITY;
