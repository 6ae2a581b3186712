-- A first copy of each campaign, to a mailbox of the business's own: what arrives there is compared
-- with what was published, and nobody else is mailed before.

-- Where it goes; empty: campaigns begin without.
ALTER TABLE crm.business
  ADD COLUMN canary text NOT NULL DEFAULT '' CHECK (length(canary) <= 254);

ALTER TABLE crm.service_message DROP CONSTRAINT service_message_kind_check;

ALTER TABLE crm.service_message ADD CONSTRAINT service_message_kind_check
  CHECK (kind IN ('confirmation', 'sign_in', 'test', 'notice', 'receipt', 'canary'));

CREATE TABLE crm.canary (
  business_id uuid NOT NULL,
  campaign_id uuid NOT NULL,
  -- In its Message-ID, where a customer's has her fingerprint: who names it had the mail.
  mark        bytea NOT NULL CHECK (length(mark) = 16),
  sent_at     timestamptz NOT NULL,
  arrived_at  timestamptz,
  -- What the way changed, in plain words; nothing where it arrived as it was sent.
  differences jsonb NOT NULL DEFAULT '[]' CHECK (jsonb_typeof(differences) = 'array'),
  passed_at   timestamptz,
  -- Who of the staff let it go without an arrival.
  passed_by   uuid,
  PRIMARY KEY (business_id, campaign_id),
  FOREIGN KEY (business_id, campaign_id) REFERENCES crm.campaign (business_id, campaign_id),
  CONSTRAINT canary_changed_never_passes CHECK (passed_at IS NULL OR differences = '[]'::jsonb),
  CONSTRAINT canary_passes_by_arrival_or_name CHECK (
    passed_at IS NULL OR arrived_at IS NOT NULL OR passed_by IS NOT NULL)
);

SELECT crm.place('crm.canary');

SELECT crm.keep_apart('crm.canary');

GRANT SELECT, INSERT, UPDATE ON crm.canary TO crm_app;
