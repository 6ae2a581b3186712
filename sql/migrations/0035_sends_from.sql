-- From which addresses a relay hands mail on, where staff know them: what SPF and PTR are checked by.
ALTER TABLE crm.relay
  ADD COLUMN sends_from text[] NOT NULL DEFAULT '{}' CHECK (cardinality(sends_from) <= 20);
