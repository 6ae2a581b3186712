-- That a freeze is about to end, and who of staff or which program said so: she is told before, and
-- may keep it (Art. 18(3) GDPR). What she ends herself ends at once, and leaves no row here.
CREATE TABLE crm.restriction_end (
  business_id uuid NOT NULL,
  customer_id uuid NOT NULL,
  told_at     timestamptz NOT NULL,
  due_at      timestamptz NOT NULL,
  actor_kind  text NOT NULL CHECK (actor_kind IN ('member', 'key', 'system')),
  actor_id    uuid,
  actor_name  text NOT NULL DEFAULT '' CHECK (length(actor_name) <= 200),
  PRIMARY KEY (business_id, customer_id),
  FOREIGN KEY (business_id, customer_id) REFERENCES crm.customer (business_id, customer_id),
  -- Long enough to read a letter and to say no.
  CONSTRAINT restriction_end_after_notice CHECK (due_at >= told_at + interval '3 days')
);

SELECT crm.place('crm.restriction_end');

SELECT crm.keep_apart('crm.restriction_end');

CREATE INDEX restriction_end_due ON crm.restriction_end (business_id, due_at);

GRANT SELECT, INSERT, UPDATE, DELETE ON crm.restriction_end TO crm_app;
