-- What a customer reads as the name of whoever did something: that of a program, and that of a
-- member of staff only where the business lets her, for it is their datum as well (C-579/21).
CREATE FUNCTION crm.told_name(_business uuid, _kind text, _name text) RETURNS text
LANGUAGE sql STABLE AS $$
  SELECT CASE WHEN _kind <> 'member' OR (
    SELECT b.names_staff FROM crm.business b WHERE b.business_id = _business)
    THEN _name ELSE '' END
$$;

REVOKE ALL ON FUNCTION crm.told_name(uuid, text, text) FROM PUBLIC;

GRANT EXECUTE ON FUNCTION crm.told_name(uuid, text, text) TO crm_app;

-- May the customer correct values of it herself, on her own pages?
ALTER TABLE crm.attribute ADD COLUMN hers boolean NOT NULL DEFAULT false;

-- Where a value came from; empty for one from before that was written down.
ALTER TABLE crm.attribute_value
  ADD COLUMN source text NOT NULL DEFAULT ''
    CHECK (source IN ('', 'customer', 'member', 'key', 'import'));
