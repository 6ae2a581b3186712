-- The picture on the band of a business's newsletters, in place of its name; no row: the name.

CREATE TABLE crm.mail_logo (
  business_id uuid PRIMARY KEY REFERENCES crm.business (business_id),
  name        text NOT NULL CHECK (name ~ '^logo\.(png|jpg|gif|webp)$'),
  media_type  text NOT NULL CHECK (media_type IN (
    'image/png', 'image/jpeg', 'image/gif', 'image/webp')),
  content     bytea NOT NULL CHECK (length(content) BETWEEN 1 AND 50000),
  changed_at  timestamptz NOT NULL
);

SELECT crm.place('crm.mail_logo');

SELECT crm.keep_apart('crm.mail_logo');

-- Packed already.
ALTER TABLE crm.mail_logo ALTER COLUMN content SET STORAGE EXTERNAL;

GRANT SELECT, INSERT, UPDATE, DELETE ON crm.mail_logo TO crm_app;
