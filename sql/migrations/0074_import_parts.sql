-- A ZIP holds several lists, so a line of one is told from the same line of another.

ALTER TABLE crm.import_row
  ADD COLUMN part text NOT NULL DEFAULT '' CHECK (length(part) <= 255);

ALTER TABLE crm.import_row DROP CONSTRAINT import_row_pkey;

ALTER TABLE crm.import_row ADD PRIMARY KEY (business_id, import_id, part, line, number);
