-- What is known of a business is changed by people and by programs: each says what it has read.
ALTER TABLE crm.business ADD COLUMN version integer NOT NULL DEFAULT 1;
