-- Pictures that go with a campaign's mail, so that no mailbox fetches them from anywhere.

CREATE TABLE crm.campaign_image (
  business_id uuid NOT NULL,
  campaign_id uuid NOT NULL,
  -- As the text refers to it: ![what it shows](name.png).
  name        text NOT NULL CHECK (name ~ '^[A-Za-z0-9][A-Za-z0-9_.-]{0,79}$'),
  -- Read from the bytes, whatever the file was called.
  media_type  text NOT NULL CHECK (media_type IN (
    'image/png', 'image/jpeg', 'image/gif', 'image/webp')),
  content     bytea NOT NULL CHECK (length(content) BETWEEN 1 AND 200000),
  added_at    timestamptz NOT NULL,
  PRIMARY KEY (business_id, campaign_id, name),
  FOREIGN KEY (business_id, campaign_id) REFERENCES crm.campaign (business_id, campaign_id)
);

SELECT crm.place('crm.campaign_image');

SELECT crm.keep_apart('crm.campaign_image');

-- Packed already.
ALTER TABLE crm.campaign_image ALTER COLUMN content SET STORAGE EXTERNAL;

GRANT SELECT, INSERT, UPDATE, DELETE ON crm.campaign_image TO crm_app;
