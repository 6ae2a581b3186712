-- What happened, once, in order of its id; who looked at whom is one kind of it (promise 11).

CREATE TABLE crm.event (
  business_id uuid NOT NULL REFERENCES crm.business (business_id),
  event_id    uuid NOT NULL,
  at          timestamptz NOT NULL,
  kind        text NOT NULL CHECK (kind ~ '^[a-z_]+\.[a-z_]+$'),
  actor_kind  text NOT NULL CHECK (actor_kind IN ('customer', 'member', 'key', 'system')),
  actor_id    uuid,
  actor_name  text NOT NULL DEFAULT '',
  customer_id uuid,
  -- What it is about besides the customer: a campaign, a purpose, an import.
  ref         uuid,
  -- For a look: why.
  reason      text NOT NULL DEFAULT '' CHECK (length(reason) <= 500),
  PRIMARY KEY (business_id, event_id),
  CHECK ((actor_kind = 'system') = (actor_id IS NULL))
);

SELECT crm.place('crm.event');

SELECT crm.keep_apart('crm.event');

CREATE INDEX event_of_customer ON crm.event (business_id, customer_id, event_id)
  WHERE customer_id IS NOT NULL;

CREATE TRIGGER event_append_only BEFORE UPDATE OR DELETE ON crm.event
  FOR EACH ROW EXECUTE FUNCTION crm.append_only();

CREATE TRIGGER event_never_emptied BEFORE TRUNCATE ON crm.event
  FOR EACH STATEMENT EXECUTE FUNCTION crm.append_only();

GRANT SELECT, INSERT ON crm.event TO crm_app;

GRANT SELECT, DELETE ON crm.event TO crm_eraser;
