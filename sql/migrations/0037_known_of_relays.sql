-- What is known of relays: from which addresses one hands mail on, where staff have said it, which
-- SPF and PTR are compared with; and what one did to a canary that is no difference to its reader.
ALTER TABLE crm.relay
  ADD COLUMN sends_from text[] NOT NULL DEFAULT '{}' CHECK (cardinality(sends_from) <= 20);

ALTER TABLE crm.canary
  ADD COLUMN remarks jsonb NOT NULL DEFAULT '[]' CHECK (jsonb_typeof(remarks) = 'array');
