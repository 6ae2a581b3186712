-- A second factor for staff: time-based one-time passwords (RFC 6238), with codes for the day on
-- which the telephone is lost; and whether a business insists on it.

CREATE TABLE crm.second_factor (
  business_id  uuid NOT NULL,
  member_id    uuid NOT NULL,
  -- Encrypted under the storage keys.
  secret       bytea NOT NULL,
  begun_at     timestamptz NOT NULL,
  -- Only what was once proved is ever asked for.
  confirmed_at timestamptz,
  -- The step of thirty seconds whose code was used last: no code opens twice.
  used_step    bigint NOT NULL DEFAULT 0,
  -- SHA-256 of each code that is left; 120 random bits each.
  recovery     bytea[] NOT NULL DEFAULT '{}',
  PRIMARY KEY (business_id, member_id),
  FOREIGN KEY (business_id, member_id) REFERENCES crm.member (business_id, member_id),
  CONSTRAINT second_factor_proved CHECK (confirmed_at IS NOT NULL OR used_step = 0)
);

SELECT crm.place('crm.second_factor');

SELECT crm.keep_apart('crm.second_factor');

GRANT SELECT, INSERT, UPDATE, DELETE ON crm.second_factor TO crm_app;

-- No row: whoever works there decides for herself.
CREATE TABLE crm.second_factor_rule (
  business_id uuid NOT NULL REFERENCES crm.business (business_id),
  since       timestamptz NOT NULL,
  PRIMARY KEY (business_id)
);

SELECT crm.place('crm.second_factor_rule');

SELECT crm.keep_apart('crm.second_factor_rule');

GRANT SELECT, INSERT, DELETE ON crm.second_factor_rule TO crm_app;
