-- Every statement of crm/consent.
-- Owns: purpose, notice, consent_event, consent_record, consent.

-- name: hold_numbers
-- Whoever numbers purposes of this business next waits until this transaction ends.
SELECT pg_advisory_xact_lock(hashtextextended('crm.purpose.code ' || :business_id::uuid::text, 0));

-- name: add_purpose
-- A new purpose with the next free short number; no row where the slug is taken.
-- Run it after hold_numbers, or two at once would take one number.
INSERT INTO crm.purpose (business_id, purpose_id, code, slug, name, description, channel,
                         double_opt_in, created_at)
VALUES (:business_id, :purpose_id,
        (SELECT coalesce(max(p.code), 0) + 1 FROM crm.purpose p
          WHERE p.business_id = :business_id),
        :slug, :name, :description, :channel, :double_opt_in, :now)
ON CONFLICT (business_id, slug) DO NOTHING
RETURNING purpose_id AS id, code, slug, name, description, channel, double_opt_in, created_at,
          retired_at;

-- name: purposes
-- The purposes in use.
SELECT purpose_id AS id, code, slug, name, description, channel, double_opt_in, created_at,
       retired_at
  FROM crm.purpose
 WHERE business_id = :business_id
   AND retired_at IS NULL
 ORDER BY code;

-- name: purpose
-- One purpose by its id.
SELECT purpose_id AS id, code, slug, name, description, channel, double_opt_in, created_at,
       retired_at
  FROM crm.purpose
 WHERE business_id = :business_id
   AND purpose_id = :purpose_id;

-- name: purpose_locked
-- One purpose, held so that its versions are numbered one after the other.
SELECT purpose_id AS id, code, slug, name, description, channel, double_opt_in, created_at,
       retired_at
  FROM crm.purpose
 WHERE business_id = :business_id
   AND purpose_id = :purpose_id
   FOR NO KEY UPDATE;

-- name: purpose_by_slug
-- One purpose by its short name.
SELECT purpose_id AS id, code, slug, name, description, channel, double_opt_in, created_at,
       retired_at
  FROM crm.purpose
 WHERE business_id = :business_id
   AND slug = :slug;

-- name: purpose_by_code
-- One purpose by the number that links carry.
SELECT purpose_id AS id, code, slug, name, description, channel, double_opt_in, created_at,
       retired_at
  FROM crm.purpose
 WHERE business_id = :business_id
   AND code = :code;

-- name: publish_notice
-- The next version of a purpose's text in one language.
INSERT INTO crm.notice (business_id, notice_id, purpose_id, version, locale, text, control_label,
                        sha256, accepts, published_at)
VALUES (:business_id, :notice_id, :purpose_id,
        (SELECT coalesce(max(n.version), 0) + 1 FROM crm.notice n
          WHERE n.business_id = :business_id AND n.purpose_id = :purpose_id
            AND n.locale = :locale),
        :locale, :text, :control_label, :sha256, :accepts, :now)
RETURNING notice_id AS id, purpose_id, version, locale, text, control_label, sha256, accepts,
          published_at;

-- name: notice
-- One text exactly as shown.
SELECT notice_id AS id, purpose_id, version, locale, text, control_label, sha256, accepts,
       published_at
  FROM crm.notice
 WHERE business_id = :business_id
   AND notice_id = :notice_id;

-- name: notices_of_purpose
-- Every version of a purpose's text, newest first.
SELECT notice_id AS id, purpose_id, version, locale, text, control_label, sha256, accepts,
       published_at
  FROM crm.notice
 WHERE business_id = :business_id
   AND purpose_id = :purpose_id
 ORDER BY published_at DESC, version DESC, locale;

-- name: current_notice
-- The newest text in this locale, or in its language, or the newest there is.
SELECT notice_id AS id, purpose_id, version, locale, text, control_label, sha256, accepts,
       published_at
  FROM crm.notice
 WHERE business_id = :business_id
   AND purpose_id = :purpose_id
 ORDER BY locale = :locale DESC, split_part(locale, '-', 1) = :language DESC,
          published_at DESC, version DESC
 LIMIT 1;

-- name: current_notices
-- For every purpose the text that is shown when asking in this locale now.
SELECT DISTINCT ON (purpose_id)
       notice_id AS id, purpose_id, version, locale, text, control_label, sha256, accepts,
       published_at
  FROM crm.notice
 WHERE business_id = :business_id
 ORDER BY purpose_id, locale = :locale DESC, split_part(locale, '-', 1) = :language DESC,
          published_at DESC, version DESC;

-- name: notices_shown_to
-- Every text that a decision of this customer rests on, exactly as shown.
SELECT n.notice_id AS id, n.purpose_id, n.version, n.locale, n.text, n.control_label, n.sha256,
       n.accepts, n.published_at
  FROM crm.notice n
 WHERE n.business_id = :business_id
   AND n.notice_id IN (SELECT r.notice_id
                         FROM crm.consent_record r
                        WHERE r.business_id = :business_id
                          AND r.customer_id = :customer_id)
 ORDER BY n.published_at, n.notice_id;

-- name: consent_check
-- What one customer allows for one purpose now; no row where there is no such purpose.
SELECT :customer_id::uuid AS customer_id, p.purpose_id,
       coalesce(c.status IN ('given', 'renewed')
                AND (c.valid_until IS NULL OR c.valid_until > :now), false) AS authorises,
       c.status, c.event_id, c.notice_id, c.at, c.valid_until
  FROM crm.purpose p
  LEFT JOIN crm.consent c
    ON c.business_id = p.business_id
   AND c.purpose_id = p.purpose_id
   AND c.customer_id = :customer_id
 WHERE p.business_id = :business_id
   AND p.purpose_id = :purpose_id;

-- name: consent_checks
-- What some customers allow for one purpose now, in the order asked; no row without the purpose.
SELECT asked.customer_id, p.purpose_id,
       coalesce(c.status IN ('given', 'renewed')
                AND (c.valid_until IS NULL OR c.valid_until > :now), false) AS authorises,
       c.status, c.event_id, c.notice_id, c.at, c.valid_until
  FROM crm.purpose p
 CROSS JOIN unnest(:customer_ids::uuid[]) WITH ORDINALITY AS asked (customer_id, place)
  LEFT JOIN crm.consent c
    ON c.business_id = p.business_id
   AND c.purpose_id = p.purpose_id
   AND c.customer_id = asked.customer_id
 WHERE p.business_id = :business_id
   AND p.purpose_id = :purpose_id
 ORDER BY asked.place;

-- name: current_consent
-- The state of one purpose; it alone says what is allowed now.
SELECT customer_id, purpose_id, status, method, event_id, notice_id, at, valid_until
  FROM crm.consent
 WHERE business_id = :business_id
   AND customer_id = :customer_id
   AND purpose_id = :purpose_id;

-- name: current_consent_locked
-- The state of one purpose, held until the decision that follows is written.
SELECT customer_id, purpose_id, status, method, event_id, notice_id, at, valid_until
  FROM crm.consent
 WHERE business_id = :business_id
   AND customer_id = :customer_id
   AND purpose_id = :purpose_id
   FOR UPDATE;

-- name: consents_of_customer
-- The state of every purpose a customer was asked about.
SELECT customer_id, purpose_id, status, method, event_id, notice_id, at, valid_until
  FROM crm.consent
 WHERE business_id = :business_id
   AND customer_id = :customer_id
 ORDER BY purpose_id;

-- name: consents_for_purpose
-- The states of some customers for one purpose, in one look.
SELECT customer_id, purpose_id, status, method, event_id, notice_id, at, valid_until
  FROM crm.consent
 WHERE business_id = :business_id
   AND purpose_id = :purpose_id
   AND customer_id = ANY (:customer_ids::uuid[]);

-- name: append_event
-- One decision: the stub that stays for ever, and the record that an erasure deletes.
WITH stub AS (
  INSERT INTO crm.consent_event (business_id, event_id, commitment)
  VALUES (:business_id, :event_id, :commitment)
)
INSERT INTO crm.consent_record (business_id, event_id, customer_id, purpose_id, notice_id,
                                status, method, actor_kind, actor_id, at, recorded_at, evidence,
                                salt, canonical)
VALUES (:business_id, :event_id, :customer_id, :purpose_id, :notice_id, :status, :method,
        :actor_kind, :actor_id, :at, :now, :evidence, :salt, :canonical)
RETURNING event_id AS id, customer_id, purpose_id, notice_id, status, method, actor_kind,
          actor_id, at, recorded_at, evidence;

-- name: set_consent
-- The state that follows from the event just appended; a withdrawal keeps the text it ends.
-- No row is touched where what was committed in the meantime stands against it: an opt-out that
-- this is not the customer's own word to lift, or, for a request, any yes or no.
INSERT INTO crm.consent AS c (business_id, customer_id, purpose_id, status, method, event_id,
                              notice_id, at)
VALUES (:business_id, :customer_id, :purpose_id, :status, :method, :event_id, :notice_id, :at)
ON CONFLICT (business_id, customer_id, purpose_id) DO UPDATE
   SET status = excluded.status, method = excluded.method, event_id = excluded.event_id,
       notice_id = coalesce(excluded.notice_id, c.notice_id), at = excluded.at,
       valid_until = excluded.valid_until
 WHERE excluded.status = 'withdrawn'
    OR excluded.status = 'requested' AND c.status IN ('unknown', 'requested')
    OR excluded.status IN ('refused', 'expired', 'invalidated')
       AND c.status NOT IN ('withdrawn', 'refused', 'expired', 'invalidated')
    OR excluded.status IN ('given', 'renewed')
       AND (excluded.method IN ('double_opt_in', 'portal')
            OR c.status NOT IN ('withdrawn', 'refused', 'expired', 'invalidated'));

-- name: append_events
-- Many decisions judged by rule. An opt-out found when the state is written stands all the same,
-- and weaker evidence does not replace what is known. Of several about one customer and purpose
-- all are kept, and a no decides the state before a yes, a yes before anything less. States are
-- written in the order of the customers, so that two imports at once wait and do not deadlock.
WITH new AS MATERIALIZED (
  SELECT *
    FROM unnest(:event_ids::uuid[], :commitments::bytea[], :customer_ids::uuid[],
                :purpose_ids::uuid[], :notice_ids::uuid[], :statuses::text[], :methods::text[],
                :ats::timestamptz[], :evidences::text[], :salts::bytea[], :canonicals::bytea[])
      AS n (event_id, commitment, customer_id, purpose_id, notice_id, status, method, at,
            evidence, salt, canonical)
), stub AS (
  INSERT INTO crm.consent_event (business_id, event_id, commitment)
  SELECT :business_id, new.event_id, new.commitment FROM new
  ON CONFLICT (business_id, event_id) DO NOTHING
), record AS (
  INSERT INTO crm.consent_record (business_id, event_id, customer_id, purpose_id, notice_id,
                                  status, method, actor_kind, actor_id, at, recorded_at,
                                  evidence, salt, canonical)
  SELECT :business_id, new.event_id, new.customer_id, new.purpose_id, new.notice_id, new.status,
         new.method, :actor_kind, :actor_id, new.at, :now, new.evidence::jsonb, new.salt,
         new.canonical
    FROM new
  ON CONFLICT (business_id, event_id) DO NOTHING
)
INSERT INTO crm.consent AS c (business_id, customer_id, purpose_id, status, method, event_id,
                              notice_id, at)
SELECT DISTINCT ON (new.customer_id, new.purpose_id)
       :business_id, new.customer_id, new.purpose_id, new.status, new.method, new.event_id,
       new.notice_id, new.at
  FROM new
 ORDER BY new.customer_id, new.purpose_id,
          array_position(ARRAY['withdrawn', 'refused', 'given', 'renewed', 'requested', 'unknown'],
                         new.status),
          new.at DESC
ON CONFLICT (business_id, customer_id, purpose_id) DO UPDATE
   SET status = excluded.status, method = excluded.method, event_id = excluded.event_id,
       notice_id = coalesce(excluded.notice_id, c.notice_id), at = excluded.at
 WHERE excluded.status = 'withdrawn' AND c.status <> 'withdrawn'
    OR excluded.status IN ('given', 'renewed', 'refused') AND c.status IN ('unknown', 'requested')
    OR excluded.status = 'requested' AND c.status = 'unknown';

-- name: consent_event
-- One decision as recorded.
SELECT event_id AS id, customer_id, purpose_id, notice_id, status, method, actor_kind, actor_id,
       at, recorded_at, evidence
  FROM crm.consent_record
 WHERE business_id = :business_id
   AND event_id = :event_id;

-- name: events_of_customer
-- Every decision of a customer, newest first; of two recorded at once the one made later.
SELECT event_id AS id, customer_id, purpose_id, notice_id, status, method, actor_kind, actor_id,
       at, recorded_at, evidence
  FROM crm.consent_record
 WHERE business_id = :business_id
   AND customer_id = :customer_id
 ORDER BY recorded_at DESC, at DESC, event_id DESC;

-- name: erase_consent
-- Deletes records and states of a customer whose row is already a tombstone.
SELECT crm.erase_consent(:business_id, :customer_id);
