-- Saved rules that select customers, and campaigns that go to one.

CREATE TABLE crm.segment (
  business_id uuid NOT NULL REFERENCES crm.business (business_id),
  segment_id  uuid NOT NULL,
  name        text NOT NULL CHECK (length(name) BETWEEN 1 AND 200),
  -- In the language of crm/segments/rule.py.
  rule        jsonb NOT NULL CHECK (jsonb_typeof(rule) = 'object'),
  version     integer NOT NULL DEFAULT 1,
  created_at  timestamptz NOT NULL,
  changed_at  timestamptz NOT NULL,
  PRIMARY KEY (business_id, segment_id),
  CONSTRAINT segment_one_per_name UNIQUE (business_id, name)
);

SELECT crm.place('crm.segment');

SELECT crm.keep_apart('crm.segment');

GRANT SELECT, INSERT, UPDATE, DELETE ON crm.segment TO crm_app;

ALTER TABLE crm.campaign NO FORCE ROW LEVEL SECURITY;

ALTER TABLE crm.segment NO FORCE ROW LEVEL SECURITY;

-- Until it starts a campaign names its segment; from then on it has the rule as it was, so that its
-- audience is decided once, whatever becomes of the segment.
ALTER TABLE crm.campaign
  ADD COLUMN segment_id uuid,
  ADD COLUMN segment_kept jsonb CHECK (jsonb_typeof(segment_kept) = 'object'),
  ADD CONSTRAINT campaign_to_segment
    FOREIGN KEY (business_id, segment_id) REFERENCES crm.segment (business_id, segment_id),
  ADD CONSTRAINT campaign_segment_until_start CHECK (segment_id IS NULL OR started_at IS NULL),
  ADD CONSTRAINT campaign_segment_kept_at_start
    CHECK (segment_kept IS NULL OR started_at IS NOT NULL);

ALTER TABLE crm.segment FORCE ROW LEVEL SECURITY;

ALTER TABLE crm.campaign FORCE ROW LEVEL SECURITY;

CREATE INDEX campaign_of_segment ON crm.campaign (business_id, segment_id)
  WHERE segment_id IS NOT NULL;

-- What a rule selects by, with whom it selects beside it: read from the index alone.
CREATE INDEX attribute_value_by_text
  ON crm.attribute_value (business_id, name, text_value, customer_id)
  WHERE length(text_value) <= 200;

CREATE INDEX attribute_value_by_number
  ON crm.attribute_value (business_id, name, number, customer_id) WHERE number IS NOT NULL;

CREATE INDEX attribute_value_by_date
  ON crm.attribute_value (business_id, name, date, customer_id) WHERE date IS NOT NULL;

CREATE INDEX interaction_by_kind ON crm.interaction (business_id, kind, customer_id, at);
