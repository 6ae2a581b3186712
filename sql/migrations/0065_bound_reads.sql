-- What a field on a customer rests on and where it comes from; reads and keys bound to purposes.

-- Both are asked for since here: a field declared before has none until it is declared anew.
ALTER TABLE crm.attribute
  -- Art. 6(1) GDPR, (a) to (f).
  ADD COLUMN basis text CHECK (basis IN ('consent', 'contract', 'legal_obligation',
                                         'vital_interests', 'public_task',
                                         'legitimate_interests')),
  -- Where it comes from (Art. 14(2)(f) GDPR), in a sentence the customer reads.
  ADD COLUMN origin text NOT NULL DEFAULT '' CHECK (length(origin) <= 500),
  -- What becomes of a value whose purpose the customer does not allow: the whole is refused, or
  -- this value is left out and named.
  ADD COLUMN not_allowed text NOT NULL DEFAULT 'refuse' CHECK (not_allowed IN ('refuse', 'drop')),
  -- A consent is for a purpose.
  ADD CONSTRAINT attribute_consent_for_a_purpose
    CHECK (basis IS DISTINCT FROM 'consent' OR purpose_id IS NOT NULL);

-- Empty: not bound. A purpose is never deleted, so an array is enough.
ALTER TABLE crm.api_key ADD COLUMN purposes uuid[] NOT NULL DEFAULT '{}';

-- The purpose that a kind of interaction is for and ends with; none where its time alone counts.
-- The owner sees the rows while the key is checked.
ALTER TABLE crm.interaction_kind NO FORCE ROW LEVEL SECURITY;

ALTER TABLE crm.purpose NO FORCE ROW LEVEL SECURITY;

ALTER TABLE crm.interaction_kind
  ADD COLUMN purpose_id uuid,
  ADD CONSTRAINT interaction_kind_of_a_purpose
    FOREIGN KEY (business_id, purpose_id) REFERENCES crm.purpose (business_id, purpose_id);

ALTER TABLE crm.interaction_kind FORCE ROW LEVEL SECURITY;

ALTER TABLE crm.purpose FORCE ROW LEVEL SECURITY;
