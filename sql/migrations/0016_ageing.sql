-- Consents that end: with their version, and by their own time.

-- What ended with the version of its purpose.
CREATE INDEX consent_of_version ON crm.consent (business_id, purpose_id, purpose_version)
  WHERE status IN ('given', 'renewed', 'unobjected');
