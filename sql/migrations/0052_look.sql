-- One look of a business for its pages and its newsletters.

ALTER TABLE crm.mail_theme RENAME TO theme;

ALTER TABLE crm.mail_logo RENAME TO logo;

-- Names the picture by its bytes, so that what a browser has kept is never another one.
ALTER TABLE crm.logo
  ADD COLUMN mark text NOT NULL
    GENERATED ALWAYS AS (encode(substr(sha256(content), 1, 8), 'hex')) STORED;
