-- Receipts are mailed to whoever asks for hers.

ALTER TABLE crm.service_message DROP CONSTRAINT service_message_kind_check;

ALTER TABLE crm.service_message ADD CONSTRAINT service_message_kind_check
  CHECK (kind IN ('confirmation', 'sign_in', 'test', 'notice', 'receipt'));
