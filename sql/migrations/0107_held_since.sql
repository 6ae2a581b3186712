-- What was kept for a purpose goes with what ends in the record that it is kept in (promise 13).
-- Where two records are merged, what the one had comes under the decisions of the other: that she
-- had once left there ends nothing that was kept here.

-- When a merge brought it into this record; NULL where none did. Of what was decided here, only what
-- ends after that ends it. How long it is kept counts from when it was set or happened.
ALTER TABLE crm.attribute_value ADD COLUMN held_since timestamptz;

ALTER TABLE crm.customer_tag ADD COLUMN held_since timestamptz;

ALTER TABLE crm.interaction ADD COLUMN held_since timestamptz;

-- An `expired` by a merge is no end of what is kept: the merge writes it into the record that goes
-- for every yes that stood, and takes what was kept for them over.
CREATE OR REPLACE FUNCTION crm.ended_since(
  _business uuid, _customer uuid, _purpose uuid, _since timestamptz)
RETURNS boolean
LANGUAGE sql STABLE AS $$
  SELECT EXISTS (
    SELECT FROM crm.consent_record r
     WHERE r.business_id = _business
       AND r.customer_id = _customer
       AND r.purpose_id = _purpose
       AND r.status IN ('withdrawn', 'refused', 'revoked', 'expired', 'invalidated')
       AND NOT (r.status = 'expired' AND r.method = 'merge')
       AND r.recorded_at > _since)
$$;
