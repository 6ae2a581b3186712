-- A sign-up that a program handed in says what its form was called, when she ticked, and which key
-- told us: {"form": …, "asked_at": …, "key_id": …, "key_name": …}; null for our own form.
ALTER TABLE crm.signup ADD COLUMN elsewhere jsonb;
