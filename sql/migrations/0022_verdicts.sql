-- What the linter said of a campaign when it started, and the skeleton that anybody can check.

-- Hosts whose pictures mails of the business may show, separated by blanks; whoever runs one
-- learns who fetches a picture, so nobody but the business allows it.
ALTER TABLE crm.business
  ADD COLUMN image_hosts text NOT NULL DEFAULT '' CHECK (length(image_hosts) <= 2000);

-- One row for each skeleton of a campaign: one, or more where the business changed what stands on
-- all its mail while the campaign was under way.
CREATE TABLE crm.verdict (
  business_id uuid NOT NULL,
  campaign_id uuid NOT NULL,
  -- SHA-256 of the bytes in skeleton.
  digest      bytea NOT NULL CHECK (length(digest) = 32),
  -- As published: JSON, docs/no-tracking.md.
  skeleton    bytea NOT NULL,
  -- The version of the rules, and SHA-256 over the lists of trackers they were given.
  rules       text NOT NULL,
  lists       text NOT NULL CHECK (lists ~ '^[0-9a-f]{64}$'),
  -- What was found and let pass.
  findings    jsonb NOT NULL,
  at          timestamptz NOT NULL,
  PRIMARY KEY (business_id, campaign_id, digest),
  FOREIGN KEY (business_id, campaign_id) REFERENCES crm.campaign (business_id, campaign_id),
  CONSTRAINT verdict_is_of_its_skeleton CHECK (digest = sha256(skeleton)),
  CONSTRAINT verdict_lets_nothing_pass_that_blocks CHECK (
    NOT jsonb_path_exists(findings, '$[*] ? (@.blocking == true)'))
);

SELECT crm.place('crm.verdict');

SELECT crm.keep_apart('crm.verdict');

CREATE TRIGGER verdict_append_only BEFORE UPDATE OR DELETE ON crm.verdict
  FOR EACH ROW EXECUTE FUNCTION crm.append_only();

CREATE TRIGGER verdict_never_emptied BEFORE TRUNCATE ON crm.verdict
  FOR EACH STATEMENT EXECUTE FUNCTION crm.append_only();

GRANT SELECT, INSERT ON crm.verdict TO crm_app;
