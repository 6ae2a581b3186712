-- What was kept when a digest was stopped is left as a draft, once for each time that it is stopped:
-- an issue that came after the digest was offered again has a digest too, in the same week.
ALTER TABLE crm.digest ADD COLUMN stopped boolean NOT NULL DEFAULT false;

ALTER TABLE crm.digest DROP CONSTRAINT digest_pkey;

ALTER TABLE crm.digest ADD PRIMARY KEY (business_id, campaign_id);

ALTER TABLE crm.digest DROP CONSTRAINT digest_business_id_campaign_id_key;

CREATE UNIQUE INDEX digest_of_week ON crm.digest (business_id, purpose_id, week)
  WHERE NOT stopped;

CREATE INDEX digest_of_purpose ON crm.digest (business_id, purpose_id);
