-- Every mail as it was sent: what was merged into a campaign stays with its delivery, and the text
-- of a letter without its secrets, for as long as the business says. Then a job takes them out.
ALTER TABLE crm.business
  ADD COLUMN mail_days   integer NOT NULL DEFAULT 90 CHECK (mail_days BETWEEN 0 AND 90),
  -- May a customer read the names of those who looked at her record, besides their role?
  ADD COLUMN names_staff boolean NOT NULL DEFAULT false;

ALTER TABLE crm.delivery
  ADD COLUMN merged jsonb,
  -- Whether the mail asked if a consent that ends soon goes on.
  ADD COLUMN asked  boolean NOT NULL DEFAULT false,
  ADD CONSTRAINT delivery_merged CHECK (merged IS NULL OR (
    state IN ('sending', 'sent', 'uncertain') AND jsonb_typeof(merged) = 'object'));

-- When the last merge values of a campaign that is over were taken out.
ALTER TABLE crm.campaign ADD COLUMN emptied_at timestamptz;

CREATE INDEX campaign_to_empty ON crm.campaign (business_id, started_at)
 WHERE emptied_at IS NULL AND started_at IS NOT NULL;

-- Subject and both texts of a letter as it was sent, with every secret blotted out.
ALTER TABLE crm.service_message
  ADD COLUMN kept jsonb CHECK (jsonb_typeof(kept) = 'object');

CREATE INDEX service_message_kept ON crm.service_message (business_id, created_at)
 WHERE kept IS NOT NULL;
