-- Every statement of crm/journal. Owns: journal_mark, journal_debt.

-- name: hold_mark
-- How far the database has written to the journal, held until the commit; and the keyed hashes of
-- some customers' addresses.
WITH held AS (
  INSERT INTO crm.journal_mark AS m (business_id, number)
  VALUES (:business_id, 0)
  ON CONFLICT (business_id) DO UPDATE SET number = m.number
  RETURNING m.number
)
SELECT held.number,
       (SELECT coalesce(jsonb_object_agg(c.customer_id, encode(c.address_hash, 'hex')), '{}')
          FROM crm.customer c
         WHERE c.business_id = :business_id
           AND c.customer_id = ANY (:customer_ids::uuid[])
           AND c.address_hash IS NOT NULL) AS addresses
  FROM held;

-- name: mark
-- The last number that is committed.
SELECT number FROM crm.journal_mark
 WHERE business_id = :business_id;

-- name: move_mark
-- The last number that is committed with this transaction.
UPDATE crm.journal_mark SET number = :number
 WHERE business_id = :business_id;

-- name: owe
-- What was done although the journal could not be written: it is written when it can.
INSERT INTO crm.journal_debt (business_id, debt_id, entry, owed_at)
VALUES (:business_id, :debt_id, :entry, :now);

-- name: debts
-- What is owed, the oldest first; with the mark held nobody else pays it.
SELECT debt_id, entry
  FROM crm.journal_debt
 WHERE business_id = :business_id
 ORDER BY debt_id
 LIMIT :limit;

-- name: drop_debts
-- What was owed is written with this transaction.
DELETE FROM crm.journal_debt
 WHERE business_id = :business_id
   AND debt_id = ANY (:debt_ids::uuid[]);
