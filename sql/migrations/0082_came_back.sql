-- A program's message that came back after the relay had taken it, and the code that was given.
ALTER TABLE crm.service_message
  ADD COLUMN bounced_at  timestamptz,
  ADD COLUMN bounce_code text CHECK (length(bounce_code) <= 20),
  ADD CONSTRAINT service_message_bounced CHECK (
    bounced_at IS NULL OR kind = 'business' AND state IN ('sending', 'sent', 'uncertain'));
