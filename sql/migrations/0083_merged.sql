-- Two records of one person become one: the one that goes stays as an empty record that points to
-- the one that is kept, and what was written down under its number is read with hers.

-- The owner sees rows while row security is not forced.
ALTER TABLE crm.customer NO FORCE ROW LEVEL SECURITY;

-- Which record it was merged into: then it is empty, as an erased one, and never used again.
ALTER TABLE crm.customer
  ADD COLUMN merged_into uuid,
  ADD CONSTRAINT customer_merged_is_empty CHECK (
    merged_into IS NULL OR (erased_at IS NOT NULL AND merged_into <> customer_id)),
  ADD CONSTRAINT customer_merged_into_one FOREIGN KEY (business_id, merged_into)
    REFERENCES crm.customer (business_id, customer_id);

ALTER TABLE crm.customer FORCE ROW LEVEL SECURITY;

CREATE INDEX customer_merged ON crm.customer (business_id, merged_into)
  WHERE merged_into IS NOT NULL;

-- The numbers under which something is written down about one customer: hers, and those of the
-- records that were merged into hers.
CREATE FUNCTION crm.records_of(_business uuid, _customer uuid) RETURNS uuid[]
LANGUAGE sql STABLE AS $$
  SELECT ARRAY(SELECT _customer
                UNION ALL
               SELECT c.customer_id
                 FROM crm.customer c
                WHERE c.business_id = _business
                  AND c.merged_into = _customer)
$$;

-- Under which number a customer is known now.
CREATE FUNCTION crm.kept_as(_business uuid, _customer uuid) RETURNS uuid
LANGUAGE sql STABLE AS $$
  SELECT coalesce((SELECT c.merged_into FROM crm.customer c
                    WHERE c.business_id = _business AND c.customer_id = _customer), _customer)
$$;

-- A yes that was said in a record that goes ends, and a no that was said there counts here.
ALTER TABLE crm.consent_record DROP CONSTRAINT consent_record_method_check;

ALTER TABLE crm.consent_record ADD CONSTRAINT consent_record_method_check CHECK (method IN (
  'web_form', 'double_opt_in', 'portal', 'renewal', 'one_click', 'stop_page', 'complaint', 'staff',
  'import', 'api', 'expiry', 'retirement', 'erasure', 'new_address', 'merge'));

ALTER TABLE crm.delivery DROP CONSTRAINT delivery_reason_check;

ALTER TABLE crm.delivery ADD CONSTRAINT delivery_reason_check CHECK (reason IN (
  'withdrawn', 'refused', 'no_consent', 'expired', 'suppressed', 'frozen', 'erased', 'cancelled',
  'budget', 'pause', 'digest',
  'merged'));  -- it waited for a record that was merged, or its other record had got it

CREATE OR REPLACE FUNCTION crm.customer_excludes() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
  PERFORM crm.exclude_waiting(NEW.business_id, NEW.customer_id, NULL,
    CASE WHEN NEW.merged_into IS NOT NULL THEN 'merged'
         WHEN NEW.erased_at IS NOT NULL THEN 'erased'
         ELSE 'frozen' END);
  RETURN NULL;
END
$$;

-- One issue goes to one person once: what waits for the kept record and went to the other, or is on
-- its way there, waits no more. Promise 3. The ranges are held as by crm.exclude_waiting.
CREATE FUNCTION crm.exclude_merged(_business uuid, _kept uuid, _gone uuid) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
  range record;
BEGIN
  FOR range IN
    SELECT l.campaign_id, l.number
      FROM crm.delivery d
      JOIN crm.delivery o ON o.business_id = _business AND o.campaign_id = d.campaign_id
       AND o.customer_id = _gone AND o.state IN ('sending', 'sent', 'uncertain')
      JOIN crm.lease l ON l.business_id = _business AND l.campaign_id = d.campaign_id
       AND l.low < _kept AND l.high >= _kept
     WHERE d.business_id = _business AND d.customer_id = _kept
       AND d.state IN ('waiting', 'sending')
     ORDER BY l.campaign_id, l.number
       FOR UPDATE OF l
  LOOP
    UPDATE crm.delivery d SET state = 'excluded', reason = 'merged'
     WHERE d.business_id = _business AND d.campaign_id = range.campaign_id
       AND d.customer_id = _kept AND d.state = 'waiting';
    IF FOUND THEN
      UPDATE crm.lease l
         SET waiting = l.waiting - 1, excluded = l.excluded + 1,
             reasons = crm.count_reasons(l.reasons, ARRAY['merged'])
       WHERE l.business_id = _business AND l.campaign_id = range.campaign_id
         AND l.number = range.number;
      DELETE FROM crm.retry r
       WHERE r.business_id = _business AND r.campaign_id = range.campaign_id
         AND r.customer_id = _kept;
    END IF;
  END LOOP;
END
$$;

-- Her week counts what came in it to either record. Promise 12.
CREATE OR REPLACE FUNCTION crm.places_taken(
  _business uuid, _customer uuid, _but uuid, _since timestamptz) RETURNS integer
LANGUAGE sql STABLE AS $$
  SELECT count(*)::integer
    FROM crm.delivery d
   WHERE d.business_id = _business
     AND d.customer_id = ANY (crm.records_of(_business, _customer))
     AND d.campaign_id IS DISTINCT FROM _but
     AND d.claimed_at >= _since
     AND (d.state IN ('sending', 'sent', 'uncertain') OR (d.state = 'waiting' AND d.attempt > 0))
$$;

-- The letters of all her records, each to an address that was that record's then.
CREATE OR REPLACE FUNCTION crm.letters_of(_business uuid, _customer uuid)
RETURNS SETOF crm.service_message
LANGUAGE sql STABLE AS $$
  SELECT m.*
    FROM crm.service_message m
   WHERE m.business_id = _business
     AND m.customer_id = ANY (crm.records_of(_business, _customer))
   UNION ALL
  SELECT m.*
    FROM (SELECT c.address_hash, timestamptz 'infinity' AS until
            FROM crm.customer c
           WHERE c.business_id = _business
             AND c.customer_id = _customer
           UNION ALL
          SELECT f.address_hash, max(f.changed_at)
            FROM crm.former_address f
            JOIN crm.customer c ON c.business_id = _business AND c.customer_id = _customer
           WHERE f.business_id = _business
             AND f.customer_id = ANY (crm.records_of(_business, _customer))
             AND f.address_hash IS DISTINCT FROM c.address_hash
           GROUP BY f.address_hash) had
    JOIN crm.service_message m
      ON m.business_id = _business
     AND m.address_hash = had.address_hash
     AND m.created_at <= had.until
   WHERE m.customer_id IS NULL
     AND NOT EXISTS (SELECT FROM crm.former_address o
                      WHERE o.business_id = _business
                        AND o.address_hash = had.address_hash
                        AND o.customer_id <> ALL (crm.records_of(_business, _customer))
                        AND o.changed_at >= m.created_at
                        AND o.changed_at < had.until)
$$;

-- The address of a record that goes becomes one that was hers: its fingerprint alone stays, so that
-- links in mails to it still stop what she gets. Nobody else may write a former address.
GRANT CREATE ON SCHEMA crm TO crm_prover;

CREATE FUNCTION crm.leave_address(_business uuid, _customer uuid, _now timestamptz) RETURNS void
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog AS $$
  INSERT INTO crm.former_address (business_id, customer_id, address_hash, changed_at)
  SELECT c.business_id, c.customer_id, c.address_hash, _now
    FROM crm.customer c
   WHERE c.business_id = _business AND c.customer_id = _customer AND c.erased_at IS NULL
  ON CONFLICT (business_id, customer_id, address_hash) DO UPDATE
     SET address = NULL, folded = NULL, changed_at = _now, undo_hash = NULL, undo_until = NULL;
  -- No former mailbox of that record puts an address back any more.
  UPDATE crm.former_address f
     SET address = NULL, folded = NULL, undo_hash = NULL, undo_until = NULL
   WHERE f.business_id = _business AND f.customer_id = _customer AND f.undo_hash IS NOT NULL
$$;

ALTER FUNCTION crm.leave_address(uuid, uuid, timestamptz) OWNER TO crm_prover;

REVOKE ALL ON FUNCTION crm.leave_address(uuid, uuid, timestamptz) FROM PUBLIC;

GRANT EXECUTE ON FUNCTION crm.leave_address(uuid, uuid, timestamptz) TO crm_app;

REVOKE CREATE ON SCHEMA crm FROM crm_prover;
