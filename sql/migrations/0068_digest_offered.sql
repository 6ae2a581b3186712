-- A digest is offered with the first issue of a purpose; one that staff switched off stays off, and its
-- week never ends.
ALTER TABLE crm.digest_plan ADD COLUMN offered boolean NOT NULL DEFAULT true;

ALTER TABLE crm.digest_plan ADD CONSTRAINT digest_plan_off CHECK (offered = (due_at < 'infinity'));
