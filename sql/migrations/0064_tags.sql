-- Words that a business puts on customers, each declared with what it is for and an end. Promise 13.

CREATE TABLE crm.tag (
  business_id uuid NOT NULL REFERENCES crm.business (business_id),
  name        text NOT NULL CHECK (name ~ '^[a-z][a-z0-9_]{0,62}$'),
  label       text NOT NULL CHECK (length(label) BETWEEN 1 AND 200),
  -- What it is for, in a sentence the customer reads.
  purpose     text NOT NULL CHECK (length(purpose) BETWEEN 3 AND 500),
  -- How long it stays after it was last put on: an ISO 8601 duration such as P24M.
  retention   text NOT NULL
    CHECK (retention ~ '^P([0-9]+Y)?([0-9]+M)?([0-9]+D)?$' AND retention <> 'P'),
  -- The purpose that it ends with, for each customer, whatever time is left.
  purpose_id  uuid,
  declared_at timestamptz NOT NULL,
  PRIMARY KEY (business_id, name),
  FOREIGN KEY (business_id, purpose_id) REFERENCES crm.purpose (business_id, purpose_id)
);

SELECT crm.place('crm.tag');

SELECT crm.keep_apart('crm.tag');

GRANT SELECT, INSERT, UPDATE ON crm.tag TO crm_app;

CREATE TABLE crm.customer_tag (
  business_id uuid NOT NULL,
  customer_id uuid NOT NULL,
  name        text NOT NULL,
  -- Who put it on: member, key; empty where that is neither.
  source      text NOT NULL DEFAULT '' CHECK (source IN ('', 'member', 'key')),
  set_at      timestamptz NOT NULL,
  PRIMARY KEY (business_id, customer_id, name),
  FOREIGN KEY (business_id, customer_id) REFERENCES crm.customer (business_id, customer_id),
  FOREIGN KEY (business_id, name) REFERENCES crm.tag (business_id, name)
);

SELECT crm.place('crm.customer_tag');

SELECT crm.keep_apart('crm.customer_tag');

-- For segments: whoever has it.
CREATE INDEX customer_tag_by_name ON crm.customer_tag (business_id, name, customer_id);

GRANT SELECT, INSERT, UPDATE, DELETE ON crm.customer_tag TO crm_app;
