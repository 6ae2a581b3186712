-- A customer's record has an end of its own: quiet for so many months, she is told by mail, and
-- after thirty days without a sign of life it is erased. Promise 13.

ALTER TABLE crm.business
  -- 0: never.
  ADD COLUMN dormant_months integer NOT NULL DEFAULT 36
    CHECK (dormant_months = 0 OR dormant_months BETWEEN 6 AND 120);

CREATE TABLE crm.dormancy (
  business_id uuid NOT NULL,
  customer_id uuid NOT NULL,
  told_at     timestamptz NOT NULL,
  -- Then it is erased.
  due_at      timestamptz NOT NULL,
  -- She gave a sign of life, so it was not; she is not told again before as long a time has passed.
  kept_at     timestamptz,
  PRIMARY KEY (business_id, customer_id),
  FOREIGN KEY (business_id, customer_id) REFERENCES crm.customer (business_id, customer_id),
  CONSTRAINT dormancy_is_told_before CHECK (due_at >= told_at + interval '30 days')
);

SELECT crm.place('crm.dormancy');

SELECT crm.keep_apart('crm.dormancy');

CREATE INDEX dormancy_due ON crm.dormancy (business_id, due_at) WHERE kept_at IS NULL;

GRANT SELECT, INSERT, UPDATE, DELETE ON crm.dormancy TO crm_app;

-- When a customer was last heard of, in each way there is: by what she decided, by what happened
-- between her and the business, by her mailbox, by what she asked, by what she did on her pages.
CREATE VIEW crm.sign_of_life WITH (security_invoker = true) AS
SELECT s.business_id, s.customer_id, s.at FROM crm.consent s
UNION ALL
SELECT i.business_id, i.customer_id, i.at FROM crm.interaction i
UNION ALL
SELECT m.business_id, m.customer_id, m.proved_at FROM crm.mailbox_proof m
UNION ALL
SELECT q.business_id, q.customer_id, q.received_on::timestamptz FROM crm.privacy_request q
UNION ALL
SELECT e.business_id, e.customer_id, e.at FROM crm.event e WHERE e.actor_kind = 'customer';

GRANT SELECT ON crm.sign_of_life TO crm_app;

-- Who may still be wanted: a yes that stands, a frozen record, a deletion that she planned herself,
-- a request without an answer.
CREATE VIEW crm.wanted WITH (security_invoker = true) AS
SELECT s.business_id, s.customer_id FROM crm.consent s
 WHERE s.status IN ('given', 'renewed', 'unobjected')
UNION ALL
SELECT c.business_id, c.customer_id FROM crm.customer c WHERE c.restricted_at IS NOT NULL
UNION ALL
SELECT w.business_id, w.customer_id FROM crm.erasure_wish w
UNION ALL
SELECT q.business_id, q.customer_id FROM crm.privacy_request q
 WHERE q.state NOT IN ('done', 'refused');

GRANT SELECT ON crm.wanted TO crm_app;
