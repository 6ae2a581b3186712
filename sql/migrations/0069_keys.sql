-- Keys end, and are made anew while the program that holds the old text has not been told yet.

ALTER TABLE crm.api_key
  -- Nothing is let in with it from then on; no end where there is none.
  ADD COLUMN expires_at timestamptz,
  -- The text before the last change, and until when it still works beside the new one.
  ADD COLUMN previous_hash bytea CHECK (length(previous_hash) = 32),
  ADD COLUMN previous_until timestamptz,
  ADD CONSTRAINT api_key_previous_ends
    CHECK ((previous_hash IS NULL) = (previous_until IS NULL)),
  ADD CONSTRAINT api_key_expires_later CHECK (expires_at > created_at);
