-- What is said in the report of an import that is over, and of how many lines, is summed up once: a
-- report may have as many lines as the list.

-- As a list of outcome, reason and count, the most frequent first; null before the end, and once the
-- report has lapsed.
ALTER TABLE crm.import ADD COLUMN reasons jsonb;
