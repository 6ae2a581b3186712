-- Every statement of crm/exports, which reads what others own.

-- name: customers_following
-- The next living customers in the order of their key.
SELECT c.customer_id
  FROM crm.customer c
 WHERE c.business_id = :business_id
   AND c.customer_id > :after
   AND c.erased_at IS NULL
 ORDER BY c.customer_id
 LIMIT :limit;

-- name: lines
-- Each of these customers as a line of JSON, but those who were erased or only wait for it; for one
-- purpose only, where one is given, and with what she decided for a key that may read that.
-- What hangs on customers is read for all of them at once: to look it up for each costs a quarter
-- more. Rows as JSON cost a third of json_build_object. OFFSET 0 keeps PostgreSQL from working out
-- the same value for each place it is used in.
WITH shown AS MATERIALIZED (
  SELECT c.customer_id, c.address, c.name, c.locale, c.time_zone, c.external_id, c.source, c.version,
         c.created_at, c.changed_at, c.restricted_at, c.erased_at, u.reason AS suppressed
    FROM crm.customer c
    LEFT JOIN crm.silenced u
      ON u.business_id = :business_id
     AND u.address_hash = c.address_hash
   WHERE c.business_id = :business_id
     AND c.customer_id = ANY (:customer_ids::uuid[])
     AND c.erased_at IS NULL
     AND NOT EXISTS (SELECT FROM crm.erasure_wish w
                      WHERE w.business_id = :business_id
                        AND w.customer_id = c.customer_id)
)
SELECT c.customer_id AS id,
       convert_to((CASE WHEN :consents THEN row_to_json(whole)
                        ELSE row_to_json(plain) END)::text, 'UTF8') AS line
  FROM shown c
  LEFT JOIN (
    SELECT v.customer_id,
           json_object_agg(v.name, CASE a.type WHEN 'number' THEN to_json(v.number)
                                               WHEN 'boolean' THEN to_json(v.boolean)
                                               ELSE to_json(v.text_value) END
                           ORDER BY v.name) AS said
      FROM crm.attribute_value v
      JOIN crm.attribute a ON a.business_id = :business_id AND a.name = v.name
     WHERE v.business_id = :business_id
       AND v.customer_id = ANY (:customer_ids::uuid[])
       AND (:purpose_id::uuid IS NULL OR a.purpose_id = :purpose_id)
     GROUP BY v.customer_id) held ON held.customer_id = c.customer_id
  LEFT JOIN (
    SELECT v.customer_id, json_agg(v.name ORDER BY v.name) AS said
      FROM crm.customer_tag v
      JOIN crm.tag t ON t.business_id = :business_id AND t.name = v.name
     WHERE v.business_id = :business_id
       AND v.customer_id = ANY (:customer_ids::uuid[])
       AND (:purpose_id::uuid IS NULL OR t.purpose_id = :purpose_id)
     GROUP BY v.customer_id) tags ON tags.customer_id = c.customer_id
  LEFT JOIN (
    SELECT s.customer_id, json_object_agg(p.slug, row_to_json(decided) ORDER BY p.slug) AS said
      FROM shown c
      JOIN crm.consent_now s ON s.business_id = :business_id AND s.customer_id = c.customer_id
      JOIN crm.purpose p ON p.business_id = :business_id AND p.purpose_id = s.purpose_id
      LEFT JOIN crm.consent_record r
        ON r.business_id = :business_id
       AND r.event_id = s.event_id
       AND s.status IN ('given', 'renewed')
      LEFT JOIN crm.mailbox_proof m
        ON m.business_id = :business_id
       AND m.proof_id = r.proof_id
     CROSS JOIN LATERAL (
       SELECT crm.exclusion(s.status, s.ends_at, c.suppressed, c.restricted_at, c.erased_at,
                            :now) AS reason OFFSET 0) x
     CROSS JOIN LATERAL (
       SELECT CASE WHEN r.method = 'import'
                   THEN convert_from(r.canonical, 'UTF8')::json -> 'evidence' END AS evidence
       OFFSET 0) e
     CROSS JOIN LATERAL (
       SELECT s.status, s.method, s.at, s.ends_at, x.reason IS NULL AS authorises, x.reason,
              CASE WHEN r.event_id IS NOT NULL
                   THEN coalesce(to_json(m.mailed_at), e.evidence -> 'opted_in_at',
                                 to_json(s.at)) END AS opted_in_at,
              coalesce(to_json(m.proved_at), e.evidence -> 'confirmed_at') AS confirmed_at
       OFFSET 0) decided
     WHERE :consents
       AND s.customer_id = ANY (:customer_ids::uuid[])
       AND (:purpose_id::uuid IS NULL OR s.purpose_id = :purpose_id)
     GROUP BY s.customer_id) decisions ON decisions.customer_id = c.customer_id
 CROSS JOIN LATERAL (
   SELECT c.customer_id AS id, c.address, c.name, c.locale, c.time_zone, c.external_id, c.source,
          c.version, c.created_at, c.changed_at, c.restricted_at,
          coalesce(held.said, '{}') AS attributes, coalesce(tags.said, '[]') AS tags
   OFFSET 0) plain
 CROSS JOIN LATERAL (
   SELECT plain.*, c.suppressed, coalesce(decisions.said, '{}') AS consents
   OFFSET 0) whole
 ORDER BY c.customer_id;
