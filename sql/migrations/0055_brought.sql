-- What a customer brought along from another business, in a copy of hers: as it was told there.

CREATE TABLE crm.brought (
  business_id uuid NOT NULL,
  brought_id  uuid NOT NULL,
  customer_id uuid NOT NULL,
  list        text NOT NULL CHECK (list IN ('decisions', 'newsletters', 'letters')),
  at          timestamptz NOT NULL,
  -- The business that held it.
  origin      text NOT NULL,
  -- The row of that list, in JSON, letter by letter; and the text of a mail.
  said        text NOT NULL,
  content     text NOT NULL,
  -- Brought twice, it is here once.
  digest      bytea NOT NULL CHECK (length(digest) = 32),
  ends_at     timestamptz NOT NULL,
  PRIMARY KEY (business_id, brought_id),
  UNIQUE (business_id, customer_id, digest),
  FOREIGN KEY (business_id, customer_id) REFERENCES crm.customer (business_id, customer_id)
);

SELECT crm.place('crm.brought');

SELECT crm.keep_apart('crm.brought');

CREATE INDEX brought_by_time ON crm.brought (business_id, customer_id, at, brought_id);

CREATE INDEX brought_end ON crm.brought (business_id, ends_at);

GRANT SELECT, INSERT, DELETE ON crm.brought TO crm_app;
