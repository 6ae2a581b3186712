-- Why mails of a campaign did not arrive, by the domain of their addresses: for staff, who cannot see
-- from single rows that one provider refuses them.
CREATE TABLE crm.domain_trouble (
  business_id uuid NOT NULL,
  campaign_id uuid NOT NULL,
  domain      text COLLATE "C" NOT NULL CHECK (length(domain) BETWEEN 1 AND 255),
  -- What a relay said at hand-over, or what came back later.
  kind        text NOT NULL CHECK (kind IN ('failed', 'uncertain', 'bounced')),
  reason      text COLLATE "C" NOT NULL CHECK (length(reason) BETWEEN 1 AND 50),
  customers   bigint NOT NULL CHECK (customers > 0),
  PRIMARY KEY (business_id, campaign_id, domain, kind, reason),
  FOREIGN KEY (business_id, campaign_id) REFERENCES crm.campaign (business_id, campaign_id)
);

SELECT crm.place('crm.domain_trouble');

SELECT crm.keep_apart('crm.domain_trouble');

GRANT SELECT, INSERT, UPDATE, DELETE ON crm.domain_trouble TO crm_app;
