-- What stays of a record that others were merged into stays of each of them, and the certificate of
-- its erasure says so. And what everybody may read is listed by when it started.

-- How many empty records stay: hers, and those that were merged into it.
ALTER TABLE crm.erasure ADD COLUMN records integer NOT NULL DEFAULT 1 CHECK (records > 0);

CREATE INDEX campaign_archive ON crm.campaign (business_id, started_at, campaign_id)
 WHERE public AND started_at IS NOT NULL;
