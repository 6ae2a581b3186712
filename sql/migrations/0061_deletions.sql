-- What can happen to a deletion: she says otherwise while she waits, and traces are found at any age.

-- While she waits: what becomes of her fingerprint, and whether a freeze stays where she calls it
-- off. Her customer's row is held instead of this one.
REVOKE UPDATE (due_at) ON crm.erasure_wish FROM crm_app;

GRANT UPDATE (fingerprint, was_frozen) ON crm.erasure_wish TO crm_app;

-- Tombstones, for whatever is recorded of them after all.
CREATE INDEX customer_tombstone ON crm.customer (business_id, customer_id) INCLUDE (erased_at)
  WHERE erased_at IS NOT NULL;

-- A request that waits while the record goes: done where she had proved that she wanted just that,
-- and otherwise without an object. Nobody has vouched for who asked, and the log does not say so.
ALTER TABLE crm.privacy_request
  DROP CONSTRAINT privacy_request_state_check,
  ADD CONSTRAINT privacy_request_state_check CHECK (state IN (
    'received', 'identity', 'in_progress', 'extended', 'done', 'refused', 'moot')),
  DROP CONSTRAINT privacy_request_ended,
  ADD CONSTRAINT privacy_request_ended CHECK (
    (state IN ('done', 'refused', 'moot')) = (closed_at IS NOT NULL)
    AND (closed_at IS NULL) = (keep_until IS NULL)),
  ADD CONSTRAINT privacy_request_moot CHECK (
    state <> 'moot' OR customer_id IS NULL AND address = '' AND words = '');

CREATE OR REPLACE FUNCTION crm.keep_request() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
  IF NEW.state <> OLD.state AND NOT (CASE OLD.state
       WHEN 'received' THEN true
       WHEN 'identity' THEN NEW.state <> 'received'
       WHEN 'in_progress' THEN NEW.state IN ('extended', 'done', 'refused', 'moot')
       WHEN 'extended' THEN NEW.state IN ('done', 'refused', 'moot')
       ELSE false END) THEN
    RAISE EXCEPTION 'a request does not go from % to %', OLD.state, NEW.state
      USING ERRCODE = 'check_violation', CONSTRAINT = 'privacy_request_state';
  END IF;
  IF (NEW.kind, NEW.way, NEW.received_on, NEW.created_at)
       IS DISTINCT FROM (OLD.kind, OLD.way, OLD.received_on, OLD.created_at)
     OR OLD.extended_on IS NOT NULL AND NEW.extended_on IS DISTINCT FROM OLD.extended_on
     OR OLD.closed_at IS NOT NULL AND NEW.extended_on IS DISTINCT FROM OLD.extended_on THEN
    RAISE EXCEPTION 'what was asked, and its clock, stay as they are'
      USING ERRCODE = 'check_violation', CONSTRAINT = 'privacy_request_stays';
  END IF;
  RETURN NEW;
END
$$;

-- That a customer left, moved or objected is hers, and goes with her; the owner sees the rows while
-- they are put right. Of whoever is erased the next sweep finds them.
ALTER TABLE crm.event NO FORCE ROW LEVEL SECURITY;

ALTER TABLE crm.event DISABLE TRIGGER event_append_only;

UPDATE crm.event
   SET customer_id = actor_id
 WHERE kind = 'address.suppressed'
   AND actor_kind = 'customer'
   AND customer_id IS NULL;

ALTER TABLE crm.event ENABLE TRIGGER event_append_only;

ALTER TABLE crm.event FORCE ROW LEVEL SECURITY;
