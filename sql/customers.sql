-- Every statement of crm/customers.
-- Owns: customer, attribute, attribute_value, tag, customer_tag, interaction_kind, interaction.

-- name: add_customer
-- A new customer, and that she was added; no row where the address or the external id is taken.
WITH added AS (
  INSERT INTO crm.customer (business_id, customer_id, address, folded, address_hash, name, locale,
                            time_zone, external_id, source, created_at, changed_at)
  VALUES (:business_id, :customer_id, :address, :folded, :address_hash, :name, :locale,
          :time_zone, :external_id, :source, :now, :now)
  ON CONFLICT DO NOTHING
  RETURNING customer_id AS id, coalesce(address, '') AS address, name, locale, time_zone,
            external_id, source,
            version, created_at, changed_at, restricted_at, erased_at
)
SELECT a.*,
       crm.record_event(:business_id, :told_id, :now, :kind, :actor_kind, :actor_id, :actor_name,
                        a.id, NULL) AS told
  FROM added a;

-- name: add_customers
-- Those of these customers whose address is new; the index decides, whoever else is adding.
INSERT INTO crm.customer (business_id, customer_id, address, folded, address_hash, name, locale,
                          time_zone, source, import_id, created_at, changed_at)
SELECT :business_id, new.customer_id, new.address, new.folded, new.address_hash, new.name,
       new.locale, new.time_zone, :source, :import_id, :now, :now
  FROM unnest(:customer_ids::uuid[], :addresses::text[], :folded::text[],
              :address_hashes::bytea[], :names::text[], :locales::text[], :time_zones::text[])
       AS new (customer_id, address, folded, address_hash, name, locale, time_zone)
ON CONFLICT (business_id, folded) DO NOTHING
RETURNING customer_id;

-- name: add_customers_with_ids
-- The same of customers with external ids: those whose address and id are both new. To look at every
-- index before it adds costs PostgreSQL a sixth more, so it is asked for these only.
INSERT INTO crm.customer (business_id, customer_id, address, folded, address_hash, name, locale,
                          time_zone, external_id, source, import_id, created_at, changed_at)
SELECT :business_id, new.customer_id, new.address, new.folded, new.address_hash, new.name,
       new.locale, new.time_zone, new.external_id, :source, :import_id, :now, :now
  FROM unnest(:customer_ids::uuid[], :addresses::text[], :folded::text[],
              :address_hashes::bytea[], :names::text[], :locales::text[], :time_zones::text[],
              :external_ids::text[])
       AS new (customer_id, address, folded, address_hash, name, locale, time_zone, external_id)
ON CONFLICT DO NOTHING
RETURNING customer_id;

-- name: known_customers
-- Those of these folded addresses that belong to somebody, in one look.
SELECT customer_id AS id, folded, name, locale, time_zone, external_id, restricted_at
  FROM crm.customer
 WHERE business_id = :business_id
   AND folded = ANY (:folded::text[]);

-- name: external_ids_held
-- Which of these external ids somebody has.
SELECT external_id
  FROM crm.customer
 WHERE business_id = :business_id
   AND external_id = ANY (:external_ids::text[]);

-- name: fill_customers
-- Names, locales, time zones and external ids that were empty; what somebody entered is never
-- overwritten.
UPDATE crm.customer AS c
   SET name = CASE WHEN c.name = '' THEN fill.name ELSE c.name END,
       locale = CASE WHEN c.locale = '' THEN fill.locale ELSE c.locale END,
       time_zone = CASE WHEN c.time_zone = '' THEN fill.time_zone ELSE c.time_zone END,
       external_id = coalesce(c.external_id, fill.external_id),
       version = c.version + 1,
       changed_at = :now
  FROM unnest(:customer_ids::uuid[], :names::text[], :locales::text[], :time_zones::text[],
              :external_ids::text[])
       AS fill (customer_id, name, locale, time_zone, external_id)
 WHERE c.business_id = :business_id
   AND c.customer_id = fill.customer_id
   AND c.erased_at IS NULL
   AND c.restricted_at IS NULL
   AND (c.name = '' AND fill.name <> '' OR c.locale = '' AND fill.locale <> ''
        OR c.time_zone = '' AND fill.time_zone <> ''
        OR c.external_id IS NULL AND fill.external_id IS NOT NULL);

-- name: customer
-- One living customer.
SELECT customer_id AS id, coalesce(address, '') AS address, name, locale, time_zone,
       external_id, source,
       version, created_at, changed_at, restricted_at, erased_at
  FROM crm.customer
 WHERE business_id = :business_id
   AND customer_id = :customer_id
   AND erased_at IS NULL;

-- name: customer_locked
-- One living customer, held until the change that follows is written.
SELECT customer_id AS id, coalesce(address, '') AS address, name, locale, time_zone,
       external_id, source,
       version, created_at, changed_at, restricted_at, erased_at
  FROM crm.customer
 WHERE business_id = :business_id
   AND customer_id = :customer_id
   AND erased_at IS NULL
   FOR UPDATE;

-- name: customer_kept
-- One living customer, whom nobody else changes or erases before the change that follows is written.
-- Whatever only needs her to be there is not waited for, as an import that fills in nothing of hers
-- (one that does has changed her row until its end), or two tabs of hers that both found her there and
-- then change her: each would wait for the other.
SELECT customer_id AS id, coalesce(address, '') AS address, name, locale, time_zone,
       external_id, source,
       version, created_at, changed_at, restricted_at, erased_at
  FROM crm.customer
 WHERE business_id = :business_id
   AND customer_id = :customer_id
   AND erased_at IS NULL
   FOR NO KEY UPDATE;

-- name: customers_by_ids
-- These customers, tombstones of erased ones among them.
SELECT customer_id AS id, coalesce(address, '') AS address, name, locale, time_zone,
       external_id, source,
       version, created_at, changed_at, restricted_at, erased_at
  FROM crm.customer
 WHERE business_id = :business_id
   AND customer_id = ANY (:customer_ids::uuid[]);

-- name: customer_by_folded
-- Whose address this is.
SELECT customer_id AS id, coalesce(address, '') AS address, name, locale, time_zone,
       external_id, source,
       version, created_at, changed_at, restricted_at, erased_at
  FROM crm.customer
 WHERE business_id = :business_id
   AND folded = :folded;

-- name: hold_by_folded
-- Whose address this is, held until the change that follows is written.
SELECT customer_id AS id, coalesce(address, '') AS address, name, locale, time_zone,
       external_id, source,
       version, created_at, changed_at, restricted_at, erased_at
  FROM crm.customer
 WHERE business_id = :business_id
   AND folded = :folded
   FOR UPDATE;

-- name: customer_by_address_hash
-- Whose address has this fingerprint, which is all that a link carries.
SELECT customer_id AS id, coalesce(address, '') AS address, name, locale, time_zone,
       external_id, source,
       version, created_at, changed_at, restricted_at, erased_at
  FROM crm.customer
 WHERE business_id = :business_id
   AND address_hash = :address_hash;

-- name: customer_by_external_id
-- Who is called this in the business's own systems.
SELECT customer_id AS id, coalesce(address, '') AS address, name, locale, time_zone,
       external_id, source,
       version, created_at, changed_at, restricted_at, erased_at
  FROM crm.customer
 WHERE business_id = :business_id
   AND external_id = :external_id;

-- name: hold_by_external_id
-- Who is called this in the business's own systems, held until the change that follows is written.
SELECT customer_id AS id, coalesce(address, '') AS address, name, locale, time_zone,
       external_id, source,
       version, created_at, changed_at, restricted_at, erased_at
  FROM crm.customer
 WHERE business_id = :business_id
   AND external_id = :external_id
   FOR UPDATE;

-- name: customers_before
-- Living customers, the newest first, by pages; but those who only wait for their erasure.
SELECT customer_id AS id, coalesce(address, '') AS address, name, locale, time_zone,
       external_id, source,
       version, created_at, changed_at, restricted_at, erased_at
  FROM crm.customer
 WHERE business_id = :business_id
   AND (created_at, customer_id) < (:created_at::timestamptz, :customer_id::uuid)
   AND erased_at IS NULL
   AND (restricted_at IS NULL
        OR NOT EXISTS (SELECT FROM crm.erasure_wish w
                        WHERE w.business_id = :business_id
                          AND w.customer_id = customer.customer_id))
 ORDER BY created_at DESC, customer_id DESC
 LIMIT :limit;

-- name: customers_by_prefix
-- Living customers whose folded address begins so, by the index.
SELECT customer_id AS id, coalesce(address, '') AS address, name, locale, time_zone,
       external_id, source,
       version, created_at, changed_at, restricted_at, erased_at
  FROM crm.customer
 WHERE business_id = :business_id
   AND folded >= :low
   AND folded < :high
 ORDER BY folded
 LIMIT :limit;

-- name: customers_by_name
-- Living customers one of whose names begins so.
-- Names have no index: this reads the customers of one business, about 80 ms for 100,000.
-- The small letters of both are made here, for Python makes others, as of İ. Small letters that
-- share a capital are one: σ and the ς that ends a word, i and the ı without a dot.
WITH sought AS MATERIALIZED (
  SELECT ' ' || replace(replace(lower(:word::text), 'ς', 'σ'), 'ı', 'i') AS word
)
SELECT customer_id AS id, coalesce(address, '') AS address, name, locale, time_zone,
       external_id, source,
       version, created_at, changed_at, restricted_at, erased_at
  FROM crm.customer, sought
 WHERE business_id = :business_id
   AND erased_at IS NULL
   AND position(sought.word IN ' ' || replace(replace(lower(name), 'ς', 'σ'), 'ı', 'i')) > 0
 ORDER BY name, customer_id
 LIMIT :limit;

-- name: change_customer
-- What may change of a customer; a changed row has the next version, and it is told with the change.
WITH changed AS (
  UPDATE crm.customer
     SET name = :name, locale = :locale, time_zone = :time_zone, external_id = :external_id,
         version = version + 1, changed_at = :now
   WHERE business_id = :business_id
     AND customer_id = :customer_id
     AND erased_at IS NULL
  RETURNING customer_id AS id, coalesce(address, '') AS address, name, locale, time_zone,
            external_id, source,
            version, created_at, changed_at, restricted_at, erased_at
)
SELECT c.*,
       crm.record_event(:business_id, :told_id, :now, :kind, :actor_kind, :actor_id, :actor_name,
                        c.id, NULL) AS told
  FROM changed c;

-- name: own_customer
-- Another system knows a customer whom an import had added: her record hangs on that no longer.
UPDATE crm.customer
   SET import_id = NULL
 WHERE business_id = :business_id
   AND customer_id = :customer_id
   AND import_id IS NOT NULL
   AND erased_at IS NULL;

-- name: waits_for_erasure
-- Whether a customer wants everything deleted, and only waits for it.
SELECT EXISTS (SELECT FROM crm.erasure_wish
                WHERE business_id = :business_id
                  AND customer_id = :customer_id);

-- name: restrict_customer
-- Freezes or frees a customer's data (Art. 18 GDPR).
UPDATE crm.customer
   SET restricted_at = :restricted_at, version = version + 1, changed_at = :now
 WHERE business_id = :business_id
   AND customer_id = :customer_id
   AND erased_at IS NULL
RETURNING customer_id AS id, coalesce(address, '') AS address, name, locale, time_zone,
       external_id, source,
       version, created_at, changed_at, restricted_at, erased_at;

-- name: restrict_merged
-- Freezes or frees with a customer the records that were merged into hers: nothing written down
-- there ends by time while she is frozen.
UPDATE crm.customer
   SET restricted_at = :restricted_at
 WHERE business_id = :business_id
   AND merged_into = :customer_id;

-- name: declare_attribute
-- A declaration, new or in place of an earlier one of the same type; no row for another type.
INSERT INTO crm.attribute AS a (business_id, name, label, type, purpose, basis, origin, retention,
                                hers, purpose_id, not_allowed, declared_at)
VALUES (:business_id, :name, :label, :type, :purpose, :basis, :origin, :retention, :hers,
        :purpose_id, :not_allowed, :now)
ON CONFLICT (business_id, name) DO UPDATE
   SET label = excluded.label, purpose = excluded.purpose, basis = excluded.basis,
       origin = excluded.origin, retention = excluded.retention, hers = excluded.hers,
       purpose_id = excluded.purpose_id, not_allowed = excluded.not_allowed,
       declared_at = excluded.declared_at
 WHERE a.type = excluded.type
RETURNING name, label, type, purpose, basis, origin, retention, hers, purpose_id, not_allowed,
          declared_at;

-- name: purpose_is_known
-- Whether there is such a purpose to end with.
SELECT EXISTS (SELECT FROM crm.purpose p
                WHERE p.business_id = :business_id AND p.purpose_id = :purpose_id);

-- name: purposes_to_end_with
-- Purposes in use, for whoever declares what ends with one.
SELECT p.purpose_id AS id, p.name
  FROM crm.purpose p
 WHERE p.business_id = :business_id
   AND p.retired_at IS NULL
 ORDER BY p.code;

-- name: attributes
-- Every declared attribute.
SELECT name, label, type, purpose, basis, origin, retention, hers, purpose_id, not_allowed,
       declared_at
  FROM crm.attribute
 WHERE business_id = :business_id
 ORDER BY name;

-- name: values_not_allowed
-- Which of these values are for a purpose that the customer does not allow now.
SELECT given.customer_id, given.name
  FROM unnest(:customer_ids::uuid[], :names::text[]) AS given (customer_id, name)
  JOIN crm.attribute a
    ON a.business_id = :business_id AND a.name = given.name AND a.purpose_id IS NOT NULL
  JOIN crm.purpose p
    ON p.business_id = :business_id AND p.purpose_id = a.purpose_id
  LEFT JOIN crm.consent_now s
    ON s.business_id = :business_id
   AND s.customer_id = given.customer_id
   AND s.purpose_id = a.purpose_id
 WHERE p.retired_at <= :now
    OR crm.exclusion(s.status, s.ends_at, NULL, NULL, NULL, :now) IS NOT NULL;

-- name: purpose_called
-- The purpose with this short name; no row where there is none.
SELECT p.purpose_id
  FROM crm.purpose p
 WHERE p.business_id = :business_id
   AND p.slug = :slug;

-- name: customers_allowing
-- Who of these customers allows a purpose now. Whether mail reaches her is another question.
SELECT c.customer_id
  FROM crm.purpose p
  JOIN crm.customer c
    ON c.business_id = :business_id
   AND c.customer_id = ANY (:customer_ids::uuid[])
  LEFT JOIN crm.consent_now s
    ON s.business_id = :business_id
   AND s.customer_id = c.customer_id
   AND s.purpose_id = p.purpose_id
 WHERE p.business_id = :business_id
   AND p.purpose_id = :purpose_id
   AND (p.retired_at IS NULL OR p.retired_at > :now)
   AND crm.exclusion(s.status, s.ends_at, NULL, c.restricted_at, c.erased_at, :now) IS NULL;

-- name: set_values
-- Values of one or many customers, in place of earlier ones; an erased customer gets none.
INSERT INTO crm.attribute_value (business_id, customer_id, name, text_value, number, date,
                                 boolean, source, set_at)
SELECT :business_id, given.customer_id, given.name, given.text_value, given.number, given.date,
       given.boolean, :source, :now
  FROM unnest(:customer_ids::uuid[], :names::text[], :texts::text[], :numbers::numeric[],
              :dates::date[], :booleans::boolean[])
       AS given (customer_id, name, text_value, number, date, boolean)
  JOIN crm.customer c ON c.business_id = :business_id AND c.customer_id = given.customer_id
                     AND c.erased_at IS NULL
   -- An erasure under way is waited for, and then nothing is set.
   FOR KEY SHARE OF c
ON CONFLICT (business_id, customer_id, name) DO UPDATE
   SET text_value = excluded.text_value, number = excluded.number, date = excluded.date,
       boolean = excluded.boolean, source = excluded.source, set_at = excluded.set_at,
       held_since = NULL;

-- name: fill_values
-- Values that customers do not have yet; what is there stays.
INSERT INTO crm.attribute_value (business_id, customer_id, name, text_value, number, date,
                                 boolean, source, set_at)
SELECT :business_id, given.customer_id, given.name, given.text_value, given.number, given.date,
       given.boolean, :source, :now
  FROM unnest(:customer_ids::uuid[], :names::text[], :texts::text[], :numbers::numeric[],
              :dates::date[], :booleans::boolean[])
       AS given (customer_id, name, text_value, number, date, boolean)
  JOIN crm.customer c ON c.business_id = :business_id AND c.customer_id = given.customer_id
                     AND c.erased_at IS NULL AND c.restricted_at IS NULL
   -- An erasure under way is waited for, and then nothing is set.
   FOR KEY SHARE OF c
ON CONFLICT (business_id, customer_id, name) DO NOTHING;

-- name: drop_values
-- Takes some values of one customer away.
DELETE FROM crm.attribute_value
 WHERE business_id = :business_id
   AND customer_id = :customer_id
   AND name = ANY (:names::text[]);

-- name: values_of_customer
-- What we hold of one customer besides name and address, with what for and how long; of one
-- purpose only, where one is given, and only where it is asked for of one that is special.
SELECT v.name, a.label, a.type, v.text_value, a.purpose, a.basis, a.origin, a.retention, a.hers,
       v.source, v.set_at, coalesce(p.name, '') AS ends_with
  FROM crm.attribute_value v
  JOIN crm.attribute a ON a.business_id = v.business_id AND a.name = v.name
  LEFT JOIN crm.purpose p ON p.business_id = a.business_id AND p.purpose_id = a.purpose_id
 WHERE v.business_id = :business_id
   AND v.customer_id = :customer_id
   AND (:purpose_id::uuid IS NULL OR a.purpose_id = :purpose_id)
   AND (:special::boolean OR p.special_category IS NOT TRUE)
 ORDER BY v.name;

-- name: values_ending_with
-- Which details and tags of one customer go when a purpose ends for her: by purpose, as they are
-- called.
SELECT a.purpose_id, a.label
  FROM crm.attribute_value v
  JOIN crm.attribute a ON a.business_id = v.business_id AND a.name = v.name
 WHERE v.business_id = :business_id
   AND v.customer_id = :customer_id
   AND a.purpose_id IS NOT NULL
UNION ALL
SELECT t.purpose_id, t.label
  FROM crm.customer_tag v
  JOIN crm.tag t ON t.business_id = v.business_id AND t.name = v.name
 WHERE v.business_id = :business_id
   AND v.customer_id = :customer_id
   AND t.purpose_id IS NOT NULL
 ORDER BY 2;

-- name: values_held
-- Which of these attributes these customers have a value of.
SELECT customer_id, name
  FROM crm.attribute_value
 WHERE business_id = :business_id
   AND customer_id = ANY (:customer_ids::uuid[])
   AND name = ANY (:names::text[]);

-- name: lapse_values
-- Deletes values whose retention is over (promise 13), among those of some customers; not of one
-- who has her record frozen (Art. 18(2) GDPR). What somebody holds is left for the next round.
-- Keys go in an array: a piece is then looked up by the index, however large the table.
WITH piece AS MATERIALIZED (
  SELECT v.customer_id, v.name, v.set_at
    FROM crm.attribute_value v
   WHERE v.business_id = :business_id AND v.customer_id > :after
   ORDER BY v.customer_id FETCH FIRST (:limit) ROWS WITH TIES
), over AS MATERIALIZED (
  SELECT p.customer_id, p.name
    FROM piece p
    JOIN crm.attribute a ON a.business_id = :business_id AND a.name = p.name
   WHERE p.set_at + a.retention::interval <= :now::timestamptz
     AND NOT EXISTS (SELECT FROM crm.customer c
                      WHERE c.business_id = :business_id AND c.customer_id = p.customer_id
                        AND c.restricted_at IS NOT NULL)
), free AS MATERIALIZED (
  SELECT v.customer_id, v.name
    FROM crm.attribute_value v
    JOIN over o ON o.customer_id = v.customer_id AND o.name = v.name
   WHERE v.business_id = :business_id
     AND v.customer_id = ANY (ARRAY(SELECT o.customer_id FROM over o))
     FOR UPDATE OF v SKIP LOCKED
), gone AS (
  DELETE FROM crm.attribute_value v USING free f
   WHERE v.business_id = :business_id
     AND v.customer_id = ANY (ARRAY(SELECT f.customer_id FROM free f))
     AND v.customer_id = f.customer_id AND v.name = f.name
  RETURNING 1
)
SELECT (SELECT count(*) FROM gone) AS deleted,
       CASE WHEN (SELECT count(*) FROM piece) >= :limit
            THEN (SELECT p.customer_id FROM piece p ORDER BY p.customer_id DESC LIMIT 1)
            END AS upto;

-- name: lapse_values_of_purposes
-- Deletes values that were kept for a purpose only, where that has ended for the customer, also if
-- she has allowed it again since, or for everybody; and those of who never allowed it, a day after
-- they were set.
WITH piece AS MATERIALIZED (
  SELECT v.customer_id, v.name, v.set_at, v.held_since
    FROM crm.attribute_value v
   WHERE v.business_id = :business_id AND v.customer_id > :after
   ORDER BY v.customer_id FETCH FIRST (:limit) ROWS WITH TIES
), over AS MATERIALIZED (
  SELECT x.customer_id, x.name
    FROM piece x
    JOIN crm.attribute a
      ON a.business_id = :business_id AND a.name = x.name AND a.purpose_id IS NOT NULL
    JOIN crm.purpose p ON p.business_id = :business_id AND p.purpose_id = a.purpose_id
    LEFT JOIN crm.consent_now s
      ON s.business_id = :business_id
     AND s.customer_id = x.customer_id
     AND s.purpose_id = a.purpose_id
   WHERE (p.retired_at <= :now::timestamptz
          OR s.ends_at <= :now::timestamptz
          OR s.status IN ('withdrawn', 'refused', 'revoked', 'expired', 'invalidated')
          OR crm.ended_since(:business_id, x.customer_id, a.purpose_id,
                             coalesce(x.held_since, x.set_at))
          OR coalesce(s.status NOT IN ('given', 'renewed', 'unobjected'), true)
             AND x.set_at <= :now::timestamptz - interval '1 day')
     AND NOT EXISTS (SELECT FROM crm.customer c
                      WHERE c.business_id = :business_id AND c.customer_id = x.customer_id
                        AND c.restricted_at IS NOT NULL)
), free AS MATERIALIZED (
  SELECT v.customer_id, v.name
    FROM crm.attribute_value v
    JOIN over o ON o.customer_id = v.customer_id AND o.name = v.name
   WHERE v.business_id = :business_id
     AND v.customer_id = ANY (ARRAY(SELECT o.customer_id FROM over o))
     FOR UPDATE OF v SKIP LOCKED
), gone AS (
  DELETE FROM crm.attribute_value v USING free f
   WHERE v.business_id = :business_id
     AND v.customer_id = ANY (ARRAY(SELECT f.customer_id FROM free f))
     AND v.customer_id = f.customer_id AND v.name = f.name
  RETURNING 1
)
SELECT (SELECT count(*) FROM gone) AS deleted,
       CASE WHEN (SELECT count(*) FROM piece) >= :limit
            THEN (SELECT p.customer_id FROM piece p ORDER BY p.customer_id DESC LIMIT 1)
            END AS upto;

-- name: declare_tag
-- A tag, new or in place of an earlier declaration.
INSERT INTO crm.tag (business_id, name, label, purpose, retention, purpose_id, declared_at)
VALUES (:business_id, :name, :label, :purpose, :retention, :purpose_id, :now)
ON CONFLICT (business_id, name) DO UPDATE
   SET label = excluded.label, purpose = excluded.purpose, retention = excluded.retention,
       purpose_id = excluded.purpose_id, declared_at = excluded.declared_at
RETURNING name, label, purpose, retention, purpose_id, declared_at;

-- name: tags
-- Every declared tag.
SELECT name, label, purpose, retention, purpose_id, declared_at
  FROM crm.tag
 WHERE business_id = :business_id
 ORDER BY name;

-- name: tag_allowed
-- Whether a customer allows what a tag is for; one for no purpose always.
SELECT t.purpose_id IS NULL
       OR EXISTS (SELECT FROM crm.consent_now s
                    JOIN crm.purpose p
                      ON p.business_id = :business_id AND p.purpose_id = s.purpose_id
                   WHERE s.business_id = :business_id
                     AND s.customer_id = :customer_id
                     AND s.purpose_id = t.purpose_id
                     AND (p.retired_at IS NULL OR p.retired_at > :now)
                     AND crm.exclusion(s.status, s.ends_at, NULL, NULL, NULL, :now) IS NULL)
  FROM crm.tag t
 WHERE t.business_id = :business_id
   AND t.name = :name;

-- name: put_tag
-- A tag on a customer, whose row is held.
INSERT INTO crm.customer_tag (business_id, customer_id, name, source, set_at)
VALUES (:business_id, :customer_id, :name, :source, :now)
ON CONFLICT (business_id, customer_id, name) DO UPDATE
   SET source = excluded.source, set_at = excluded.set_at, held_since = NULL;

-- name: tags_held
-- Which of these tags these customers have.
SELECT customer_id, name
  FROM crm.customer_tag
 WHERE business_id = :business_id
   AND customer_id = ANY (:customer_ids::uuid[])
   AND name = ANY (:names::text[]);

-- name: tags_not_allowed
-- Which of these tags are for a purpose that the customer does not allow now.
SELECT given.customer_id, given.name
  FROM unnest(:customer_ids::uuid[], :names::text[]) AS given (customer_id, name)
  JOIN crm.tag t
    ON t.business_id = :business_id AND t.name = given.name AND t.purpose_id IS NOT NULL
  JOIN crm.purpose p
    ON p.business_id = :business_id AND p.purpose_id = t.purpose_id
  LEFT JOIN crm.consent_now s
    ON s.business_id = :business_id
   AND s.customer_id = given.customer_id
   AND s.purpose_id = t.purpose_id
 WHERE p.retired_at <= :now
    OR crm.exclusion(s.status, s.ends_at, NULL, NULL, NULL, :now) IS NOT NULL;

-- name: fill_tags
-- Tags that customers do not have yet; who has one keeps it as it is, with its time.
INSERT INTO crm.customer_tag (business_id, customer_id, name, source, set_at)
SELECT :business_id, given.customer_id, given.name, :source, :now
  FROM unnest(:customer_ids::uuid[], :names::text[]) AS given (customer_id, name)
  JOIN crm.customer c ON c.business_id = :business_id AND c.customer_id = given.customer_id
                     AND c.erased_at IS NULL AND c.restricted_at IS NULL
   -- An erasure under way is waited for, and then none is put on.
   FOR KEY SHARE OF c
ON CONFLICT (business_id, customer_id, name) DO NOTHING;

-- name: drop_tag
-- Takes a tag off a customer.
DELETE FROM crm.customer_tag
 WHERE business_id = :business_id
   AND customer_id = :customer_id
   AND name = :name;

-- name: tags_of_customer
-- The tags of one customer, with what for and how long; for a purpose, those that are for it; only
-- where it is asked for those for a special one.
SELECT v.name, t.label, t.purpose, t.retention, v.source, v.set_at,
       coalesce(p.name, '') AS ends_with
  FROM crm.customer_tag v
  JOIN crm.tag t ON t.business_id = v.business_id AND t.name = v.name
  LEFT JOIN crm.purpose p ON p.business_id = t.business_id AND p.purpose_id = t.purpose_id
 WHERE v.business_id = :business_id
   AND v.customer_id = :customer_id
   AND (:purpose_id::uuid IS NULL OR t.purpose_id = :purpose_id)
   AND (:special::boolean OR p.special_category IS NOT TRUE)
 ORDER BY v.name;

-- name: lapse_tags
-- Deletes tags whose time is over (promise 13), or whose purpose has ended for the customer, also if
-- she has allowed it again since, or for everybody, among those of some customers; not of one who
-- has her record frozen.
WITH piece AS MATERIALIZED (
  SELECT v.customer_id, v.name, v.set_at, v.held_since
    FROM crm.customer_tag v
   WHERE v.business_id = :business_id AND v.customer_id > :after
   ORDER BY v.customer_id FETCH FIRST (:limit) ROWS WITH TIES
), over AS MATERIALIZED (
  SELECT x.customer_id, x.name
    FROM piece x
    JOIN crm.tag t ON t.business_id = :business_id AND t.name = x.name
    LEFT JOIN crm.purpose p ON p.business_id = :business_id AND p.purpose_id = t.purpose_id
    LEFT JOIN crm.consent_now s
      ON s.business_id = :business_id
     AND s.customer_id = x.customer_id
     AND s.purpose_id = t.purpose_id
   WHERE (x.set_at + t.retention::interval <= :now::timestamptz
          OR p.retired_at <= :now::timestamptz
          OR s.ends_at <= :now::timestamptz
          OR s.status IN ('withdrawn', 'refused', 'revoked', 'expired', 'invalidated')
          OR crm.ended_since(:business_id, x.customer_id, t.purpose_id,
                             coalesce(x.held_since, x.set_at))
          OR t.purpose_id IS NOT NULL
             AND coalesce(s.status NOT IN ('given', 'renewed', 'unobjected'), true)
             AND x.set_at <= :now::timestamptz - interval '1 day')
     AND NOT EXISTS (SELECT FROM crm.customer c
                      WHERE c.business_id = :business_id AND c.customer_id = x.customer_id
                        AND c.restricted_at IS NOT NULL)
), free AS MATERIALIZED (
  SELECT v.customer_id, v.name
    FROM crm.customer_tag v
    JOIN over o ON o.customer_id = v.customer_id AND o.name = v.name
   WHERE v.business_id = :business_id
     AND v.customer_id = ANY (ARRAY(SELECT o.customer_id FROM over o))
     FOR UPDATE OF v SKIP LOCKED
), gone AS (
  DELETE FROM crm.customer_tag v USING free f
   WHERE v.business_id = :business_id
     AND v.customer_id = ANY (ARRAY(SELECT f.customer_id FROM free f))
     AND v.customer_id = f.customer_id AND v.name = f.name
  RETURNING 1
)
SELECT (SELECT count(*) FROM gone) AS deleted,
       CASE WHEN (SELECT count(*) FROM piece) >= :limit
            THEN (SELECT p.customer_id FROM piece p ORDER BY p.customer_id DESC LIMIT 1)
            END AS upto;

-- name: declare_kind
-- A kind of interaction, new or in place of an earlier declaration.
INSERT INTO crm.interaction_kind (business_id, name, label, purpose, retention, purpose_id,
                                  declared_at)
VALUES (:business_id, :name, :label, :purpose, :retention, :purpose_id, :now)
ON CONFLICT (business_id, name) DO UPDATE
   SET label = excluded.label, purpose = excluded.purpose, retention = excluded.retention,
       purpose_id = excluded.purpose_id, declared_at = excluded.declared_at
RETURNING name, label, purpose, retention, purpose_id, declared_at;

-- name: declare_kind_once
-- A kind of interaction that every business has, unless it has declared its own.
INSERT INTO crm.interaction_kind (business_id, name, label, purpose, retention, declared_at)
VALUES (:business_id, :name, :label, :purpose, :retention, :now)
ON CONFLICT (business_id, name) DO NOTHING;

-- name: kinds
-- Every declared kind of interaction.
SELECT name, label, purpose, retention, purpose_id, declared_at
  FROM crm.interaction_kind
 WHERE business_id = :business_id
 ORDER BY name;

-- name: kind_allowed
-- Whether a customer allows what a kind of interaction is for; one for no purpose always.
SELECT k.purpose_id IS NULL
       OR EXISTS (SELECT FROM crm.consent_now s
                    JOIN crm.purpose p
                      ON p.business_id = :business_id AND p.purpose_id = s.purpose_id
                   WHERE s.business_id = :business_id
                     AND s.customer_id = :customer_id
                     AND s.purpose_id = k.purpose_id
                     AND (p.retired_at IS NULL OR p.retired_at > :now)
                     AND crm.exclusion(s.status, s.ends_at, NULL, NULL, NULL, :now) IS NULL)
  FROM crm.interaction_kind k
 WHERE k.business_id = :business_id
   AND k.name = :name;

-- name: kind
-- One kind of interaction.
SELECT name, label, purpose, retention, purpose_id, declared_at
  FROM crm.interaction_kind
 WHERE business_id = :business_id
   AND name = :name;

-- name: add_interaction
-- Something that happened.
INSERT INTO crm.interaction (business_id, interaction_id, customer_id, kind, at, title, detail,
                             amount, currency, actor_kind, actor_name, recorded_at)
VALUES (:business_id, :interaction_id, :customer_id, :kind, :at, :title, :detail, :amount,
        :currency, :actor_kind, :actor_name, :now)
RETURNING interaction_id AS id, customer_id, kind, :label::text AS label, at, title, detail,
          amount, currency, actor_kind, actor_name, message_id, in_reply_to, refs, recorded_at;

-- name: add_reply
-- A mail of a customer; no row where it is kept already.
INSERT INTO crm.interaction (business_id, interaction_id, customer_id, kind, at, title, detail,
                             actor_kind, message_id, in_reply_to, refs, recorded_at)
VALUES (:business_id, :interaction_id, :customer_id, :kind, :at, :title, :detail, 'customer',
        :message_id, :in_reply_to, :refs, :now)
ON CONFLICT (business_id, customer_id, message_id) WHERE message_id <> '' DO NOTHING
RETURNING interaction_id;

-- name: interactions_before
-- What happened with one customer, newest first, by pages; to staff with every name. Of one purpose
-- only, where one is given; only where it is asked for of one that is special.
SELECT i.interaction_id AS id, i.customer_id, i.kind, k.label, i.at, i.title, i.detail, i.amount,
       i.currency, i.actor_kind,
       CASE WHEN :for_her::boolean THEN crm.told_name(:business_id, i.actor_kind, i.actor_name)
            ELSE i.actor_name END AS actor_name,
       i.message_id, i.in_reply_to, i.refs, i.recorded_at
  FROM crm.interaction i
  JOIN crm.interaction_kind k ON k.business_id = i.business_id AND k.name = i.kind
 WHERE i.business_id = :business_id
   AND i.customer_id = :customer_id
   AND (:purpose_id::uuid IS NULL OR k.purpose_id = :purpose_id)
   AND (:special::boolean
        OR NOT EXISTS (SELECT FROM crm.purpose p
                        WHERE p.business_id = :business_id AND p.purpose_id = k.purpose_id
                          AND p.special_category))
   AND (i.at, i.interaction_id) < (:at::timestamptz, :interaction_id::uuid)
 ORDER BY i.at DESC, i.interaction_id DESC
 LIMIT :limit;

-- name: interactions_counted
-- How often each kind of thing happened with one customer.
SELECT kind, count(*)::integer AS count
  FROM crm.interaction
 WHERE business_id = :business_id
   AND customer_id = :customer_id
 GROUP BY kind
 ORDER BY kind;

-- name: interactions_of_customer
-- Everything that happened with one customer, newest first, as she is told.
SELECT i.interaction_id AS id, i.customer_id, i.kind, k.label, i.at, i.title, i.detail, i.amount,
       i.currency, i.actor_kind,
       crm.told_name(:business_id, i.actor_kind, i.actor_name) AS actor_name,
       i.message_id, i.in_reply_to, i.refs, i.recorded_at
  FROM crm.interaction i
  JOIN crm.interaction_kind k ON k.business_id = i.business_id AND k.name = i.kind
 WHERE i.business_id = :business_id
   AND i.customer_id = :customer_id
 ORDER BY i.at DESC, i.interaction_id DESC;

-- name: lapse_interactions
-- Deletes interactions whose retention is over (promise 13), among some, and those for a purpose
-- that has ended for the customer, also if she has allowed it again since, or for everybody, or that
-- she never allowed; not of one who has her record frozen.
WITH piece AS MATERIALIZED (
  SELECT i.interaction_id, i.customer_id, i.kind, i.at, i.recorded_at, i.held_since
    FROM crm.interaction i
   WHERE i.business_id = :business_id AND i.interaction_id > :after
   ORDER BY i.interaction_id LIMIT :limit
), over AS MATERIALIZED (
  SELECT p.interaction_id
    FROM piece p
    JOIN crm.interaction_kind k ON k.business_id = :business_id AND k.name = p.kind
    LEFT JOIN crm.purpose u ON u.business_id = :business_id AND u.purpose_id = k.purpose_id
    LEFT JOIN crm.consent_now s
      ON s.business_id = :business_id
     AND s.customer_id = p.customer_id
     AND s.purpose_id = k.purpose_id
   WHERE (p.at + k.retention::interval <= :now::timestamptz
          OR u.retired_at <= :now::timestamptz
          OR s.ends_at <= :now::timestamptz
          OR s.status IN ('withdrawn', 'refused', 'revoked', 'expired', 'invalidated')
          OR crm.ended_since(:business_id, p.customer_id, k.purpose_id,
                             coalesce(p.held_since, p.recorded_at))
          OR k.purpose_id IS NOT NULL
             AND coalesce(s.status NOT IN ('given', 'renewed', 'unobjected'), true)
             AND p.recorded_at <= :now::timestamptz - interval '1 day')
     AND NOT EXISTS (SELECT FROM crm.customer c
                      WHERE c.business_id = :business_id AND c.customer_id = p.customer_id
                        AND c.restricted_at IS NOT NULL)
), free AS MATERIALIZED (
  SELECT i.interaction_id
    FROM crm.interaction i
   WHERE i.business_id = :business_id
     AND i.interaction_id = ANY (ARRAY(SELECT o.interaction_id FROM over o))
     FOR UPDATE OF i SKIP LOCKED
), gone AS (
  DELETE FROM crm.interaction i
   WHERE i.business_id = :business_id
     AND i.interaction_id = ANY (ARRAY(SELECT f.interaction_id FROM free f))
  RETURNING 1
)
SELECT (SELECT count(*) FROM gone) AS deleted,
       CASE WHEN (SELECT count(*) FROM piece) = :limit
            THEN (SELECT p.interaction_id FROM piece p ORDER BY p.interaction_id DESC LIMIT 1)
            END AS upto;

-- name: derived_of_customer
-- What is kept of a customer for comparing and joining: for the export.
SELECT folded, address_hash, import_id
  FROM crm.customer
 WHERE business_id = :business_id
   AND customer_id = :customer_id
   AND erased_at IS NULL;

-- name: customer_to_erase
-- The fingerprint of a customer, living or erased already, held until the row is emptied. A record
-- that was merged into another goes with that one.
SELECT customer_id, address_hash
  FROM crm.customer
 WHERE business_id = :business_id
   AND customer_id = :customer_id
   AND merged_into IS NULL
   FOR UPDATE;

-- name: erase_customer
-- Empties a customer's row: a tombstone, so that deliveries keep their state and sums hold.
UPDATE crm.customer
   SET address = NULL, folded = NULL, address_hash = NULL, name = '', locale = '',
       time_zone = '', external_id = NULL, import_id = NULL, restricted_at = NULL, version = version + 1,
       changed_at = :now, erased_at = :at
 WHERE business_id = :business_id
   AND customer_id = :customer_id
   AND erased_at IS NULL;

-- name: kept_as
-- Under which number a customer is known: her own, or that of the record hers was merged into.
SELECT coalesce(merged_into, customer_id)
  FROM crm.customer
 WHERE business_id = :business_id
   AND customer_id = :customer_id
   AND (erased_at IS NULL OR merged_into IS NOT NULL);

-- name: merged_records
-- The records that were merged into one.
SELECT customer_id
  FROM crm.customer
 WHERE business_id = :business_id
   AND merged_into = :customer_id
 ORDER BY customer_id;

-- name: part_merged
-- Of an erased customer no record points to another any more: each is a tombstone of its own.
UPDATE crm.customer
   SET merged_into = NULL, erased_at = :at, restricted_at = NULL, version = version + 1,
       changed_at = :now
 WHERE business_id = :business_id
   AND merged_into = :customer_id;

-- name: merge_customer
-- Empties a record that is merged into another, and what was merged into it points there too.
UPDATE crm.customer
   SET address = NULL, folded = NULL, address_hash = NULL, name = '', locale = '',
       time_zone = '', external_id = NULL, import_id = NULL, version = version + 1,
       changed_at = :now, erased_at = coalesce(erased_at, :now), merged_into = :merged_into
 WHERE business_id = :business_id
   AND (customer_id = :customer_id OR merged_into = :customer_id);

-- name: fill_merged
-- What the kept record does not say of its own is taken over from the other.
UPDATE crm.customer
   SET name = coalesce(nullif(name, ''), :name), locale = coalesce(nullif(locale, ''), :locale),
       time_zone = coalesce(nullif(time_zone, ''), :time_zone),
       external_id = coalesce(external_id, :external_id),
       version = version + 1, changed_at = :now
 WHERE business_id = :business_id
   AND customer_id = :customer_id
   AND erased_at IS NULL;

-- name: values_not_taken
-- Which values of a record that is merged into another are left behind: those for a purpose that
-- the kept record does not allow, or that has ended in the one that goes since they were set.
SELECT v.name
  FROM crm.attribute_value v
  JOIN crm.attribute a ON a.business_id = :business_id AND a.name = v.name
 WHERE v.business_id = :business_id
   AND v.customer_id = :customer_id
   AND a.purpose_id IS NOT NULL
   AND (a.purpose_id <> ALL (:purpose_ids::uuid[])
        OR crm.ended_since(:business_id, v.customer_id, a.purpose_id,
                           coalesce(v.held_since, v.set_at)));

-- name: tags_not_taken
-- The same of tags.
SELECT v.name
  FROM crm.customer_tag v
  JOIN crm.tag t ON t.business_id = :business_id AND t.name = v.name
 WHERE v.business_id = :business_id
   AND v.customer_id = :customer_id
   AND t.purpose_id IS NOT NULL
   AND (t.purpose_id <> ALL (:purpose_ids::uuid[])
        OR crm.ended_since(:business_id, v.customer_id, t.purpose_id,
                           coalesce(v.held_since, v.set_at)));

-- name: take_values
-- Values that the kept record does not have go over with the time they were set, but for those
-- that are left behind. From now on only what ends in the kept record takes them along.
INSERT INTO crm.attribute_value (business_id, customer_id, name, text_value, number, date,
                                 boolean, source, set_at, held_since)
SELECT :business_id, :merged_into, v.name, v.text_value, v.number, v.date, v.boolean, v.source,
       v.set_at, :now
  FROM crm.attribute_value v
 WHERE v.business_id = :business_id
   AND v.customer_id = :customer_id
   AND v.name <> ALL (:left_behind::text[])
ON CONFLICT (business_id, customer_id, name) DO NOTHING;

-- name: take_tags
-- The same of tags.
INSERT INTO crm.customer_tag (business_id, customer_id, name, source, set_at, held_since)
SELECT :business_id, :merged_into, v.name, v.source, v.set_at, :now
  FROM crm.customer_tag v
 WHERE v.business_id = :business_id
   AND v.customer_id = :customer_id
   AND v.name <> ALL (:left_behind::text[])
ON CONFLICT (business_id, customer_id, name) DO NOTHING;

-- name: take_interactions
-- What happened goes over, but for kinds for a purpose that the kept record does not allow, or that
-- has ended in the one that goes since it was recorded; and for a mail that is kept with it
-- already.
UPDATE crm.interaction i
   SET customer_id = :merged_into, held_since = :now
  FROM crm.interaction_kind k
 WHERE i.business_id = :business_id
   AND i.customer_id = :customer_id
   AND k.business_id = :business_id
   AND k.name = i.kind
   AND (k.purpose_id IS NULL
        OR k.purpose_id = ANY (:purpose_ids::uuid[])
           AND NOT crm.ended_since(:business_id, i.customer_id, k.purpose_id,
                                   coalesce(i.held_since, i.recorded_at)))
   AND NOT EXISTS (SELECT FROM crm.interaction o
                    WHERE o.business_id = :business_id
                      AND o.customer_id = :merged_into
                      AND o.message_id = i.message_id
                      AND o.message_id <> '');

-- name: bury_customer
-- A tombstone for somebody of whom nothing else is known here.
INSERT INTO crm.customer (business_id, customer_id, source, created_at, changed_at, erased_at)
VALUES (:business_id, :customer_id, :source, :at, :at, :at)
ON CONFLICT (business_id, customer_id) DO NOTHING;

-- name: erase_values
-- Every value of an erased customer.
DELETE FROM crm.attribute_value
 WHERE business_id = :business_id
   AND customer_id = :customer_id;

-- name: erase_tags
-- Every tag of an erased customer.
DELETE FROM crm.customer_tag
 WHERE business_id = :business_id
   AND customer_id = :customer_id;

-- name: erase_interactions
-- Every interaction with an erased customer.
DELETE FROM crm.interaction
 WHERE business_id = :business_id
   AND customer_id = :customer_id;
