-- An audience is counted from indexes alone.

-- Whom a suppression or a restriction concerns is looked up here, with all that decides about it.
DROP INDEX crm.consent_audience;
CREATE INDEX consent_audience ON crm.consent (business_id, purpose_id, customer_id)
  INCLUDE (purpose_version, status, at, valid_until);

DROP INDEX crm.customer_by_address_hash;
CREATE INDEX customer_by_address_hash ON crm.customer (business_id, address_hash)
  INCLUDE (customer_id);
