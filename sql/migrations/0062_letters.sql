-- Whose a service message is. One that names no customer went to an address: it is hers who had
-- that mailbox then, and not hers who has it now, or had it before.

CREATE FUNCTION crm.letters_of(_business uuid, _customer uuid) RETURNS SETOF crm.service_message
LANGUAGE sql STABLE AS $$
  SELECT m.*
    FROM crm.service_message m
   WHERE m.business_id = _business
     AND m.customer_id = _customer
   UNION ALL
  SELECT m.*
    FROM (SELECT c.address_hash, timestamptz 'infinity' AS until
            FROM crm.customer c
           WHERE c.business_id = _business
             AND c.customer_id = _customer
           UNION ALL
          SELECT f.address_hash, f.changed_at
            FROM crm.former_address f
            JOIN crm.customer c ON c.business_id = _business AND c.customer_id = f.customer_id
           WHERE f.business_id = _business
             AND f.customer_id = _customer
             AND f.address_hash IS DISTINCT FROM c.address_hash) had
    JOIN crm.service_message m
      ON m.business_id = _business
     AND m.address_hash = had.address_hash
     AND m.created_at <= had.until
   WHERE m.customer_id IS NULL
     AND NOT EXISTS (SELECT FROM crm.former_address o
                      WHERE o.business_id = _business
                        AND o.address_hash = had.address_hash
                        AND o.customer_id <> _customer
                        AND o.changed_at >= m.created_at
                        AND o.changed_at < had.until)
$$;

-- The address she had at an instant, as a fingerprint.
CREATE FUNCTION crm.mailbox_at(_business uuid, _customer uuid, _at timestamptz) RETURNS bytea
LANGUAGE sql STABLE AS $$
  SELECT coalesce((SELECT f.address_hash
                     FROM crm.former_address f
                    WHERE f.business_id = _business
                      AND f.customer_id = _customer
                      AND f.changed_at > _at
                    ORDER BY f.changed_at
                    LIMIT 1),
                  (SELECT c.address_hash
                     FROM crm.customer c
                    WHERE c.business_id = _business
                      AND c.customer_id = _customer))
$$;
