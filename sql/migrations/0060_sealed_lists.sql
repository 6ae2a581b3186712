-- A list that waits to be imported is encrypted, and does not wait for ever.

ALTER TABLE crm.import_file
  -- How many line breaks the list has, for it cannot be looked into; none where it came before lists
  -- were encrypted.
  ADD COLUMN lines integer CHECK (lines >= 0);
