-- A list that is imported has tags as well: who put one on may be an import.
ALTER TABLE crm.customer_tag DROP CONSTRAINT customer_tag_source_check;

ALTER TABLE crm.customer_tag ADD CONSTRAINT customer_tag_source_check
  CHECK (source IN ('', 'member', 'key', 'import'));
