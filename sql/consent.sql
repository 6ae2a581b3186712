-- Every statement of crm/consent.
-- Owns: purpose, purpose_version, notice, form_shown, consent_event, consent_record, consent,
-- mailbox_proof, consent_network, evidence_file, consent_erased, kept_proof, consent_tally.

-- name: silence
-- Why nothing is sent to a customer's address, and since when: where mail came back, and where she
-- allows something all the same.
SELECT u.reason, u.at
  FROM crm.customer c
  JOIN crm.silenced u ON u.business_id = :business_id AND u.address_hash = c.address_hash
 WHERE c.business_id = :business_id
   AND c.customer_id = :customer_id
   AND (u.reason = 'bounced' OR EXISTS (
         SELECT FROM crm.consent_now s
          WHERE s.business_id = :business_id
            AND s.customer_id = :customer_id
            AND crm.exclusion(s.status, s.ends_at, NULL, NULL, NULL, :now) IS NULL));

-- name: hold_purposes
-- Whoever numbers or names purposes of this business next waits until this transaction ends.
SELECT pg_advisory_xact_lock(hashtextextended('crm.purpose.code ' || :business_id::uuid::text, 0));

-- name: serves
-- Whether service messages, which need no consent, are for a purpose of this short name.
SELECT EXISTS (SELECT FROM crm.service_purpose s
                WHERE s.business_id = :business_id
                  AND s.name = :slug);

-- name: add_purpose
-- A new purpose with the next free short number; no row where the slug is taken.
-- Run it after hold_purposes, or two at once would take one number.
INSERT INTO crm.purpose (business_id, purpose_id, code, slug, name, description, channel,
                         double_opt_in, basis, special_category, version, created_at)
VALUES (:business_id, :purpose_id,
        (SELECT coalesce(max(p.code), 0) + 1 FROM crm.purpose p
          WHERE p.business_id = :business_id),
        :slug, :name, :description, :channel, :double_opt_in, :basis, :special_category, 1, :now)
ON CONFLICT (business_id, slug) DO NOTHING
RETURNING purpose_id AS id, code, slug, name, description, channel, double_opt_in, basis,
          special_category, version, created_at, retired_at;

-- name: add_version
-- A version of a purpose, for ever as it is.
INSERT INTO crm.purpose_version (business_id, purpose_id, version, basis, special_category,
                                 validity, terms, sha256, published_at, published_by)
VALUES (:business_id, :purpose_id, :version, :basis, :special_category, :validity, :terms,
        :sha256, :now, :published_by)
RETURNING purpose_id, version, basis, special_category, validity, terms, sha256, published_at,
          published_by, stale_at, ends_at;

-- name: version
-- One version of a purpose.
SELECT purpose_id, version, basis, special_category, validity, terms, sha256, published_at,
       published_by, stale_at, ends_at
  FROM crm.purpose_version
 WHERE business_id = :business_id
   AND purpose_id = :purpose_id
   AND version = :version;

-- name: versions
-- Every version of a purpose, the newest first.
SELECT purpose_id, version, basis, special_category, validity, terms, sha256, published_at,
       published_by, stale_at, ends_at
  FROM crm.purpose_version
 WHERE business_id = :business_id
   AND purpose_id = :purpose_id
 ORDER BY version DESC;

-- name: move_purpose
-- What holds for a purpose from now on: that of its newest version.
UPDATE crm.purpose
   SET version = :version, name = :name, description = :description, channel = :channel,
       double_opt_in = :double_opt_in, basis = :basis, special_category = :special_category
 WHERE business_id = :business_id
   AND purpose_id = :purpose_id
RETURNING purpose_id AS id, code, slug, name, description, channel, double_opt_in, basis,
          special_category, version, created_at, retired_at;

-- name: make_stale
-- Consents to earlier versions hold until then, unless they are renewed.
UPDATE crm.purpose_version SET stale_at = :now, ends_at = :ends_at
 WHERE business_id = :business_id
   AND purpose_id = :purpose_id
   AND version < :version
   AND stale_at IS NULL;

-- name: retire_purpose
-- A purpose is in use no more; no row where it was not.
UPDATE crm.purpose SET retired_at = :now
 WHERE business_id = :business_id
   AND purpose_id = :purpose_id
   AND retired_at IS NULL
RETURNING purpose_id AS id, code, slug, name, description, channel, double_opt_in, basis,
          special_category, version, created_at, retired_at;

-- name: end_versions
-- No consent to any version of a purpose holds from now on.
UPDATE crm.purpose_version
   SET stale_at = coalesce(stale_at, :now), ends_at = least(ends_at, :now)
 WHERE business_id = :business_id
   AND purpose_id = :purpose_id
   AND (ends_at IS NULL OR ends_at > :now);

-- name: standing_on
-- How many yeses to a purpose stand now.
SELECT count(*)
  FROM crm.consent_now
 WHERE business_id = :business_id
   AND purpose_id = :purpose_id
   AND status IN ('given', 'renewed', 'unobjected')
   AND (ends_at IS NULL OR ends_at > :now);

-- name: current_versions
-- For every purpose in use the version that holds now.
SELECT v.purpose_id, v.version, v.basis, v.special_category, v.validity, v.terms, v.sha256,
       v.published_at, v.published_by, v.stale_at, v.ends_at
  FROM crm.purpose p
  JOIN crm.purpose_version v
    ON v.business_id = :business_id
   AND v.purpose_id = p.purpose_id
   AND v.version = p.version
 WHERE p.business_id = :business_id
   AND p.retired_at IS NULL;

-- name: keep_form
-- A form as it was shown, once.
INSERT INTO crm.form_shown (business_id, sha256, locale, text, shown_at)
VALUES (:business_id, :sha256, :locale, :text, :now)
ON CONFLICT (business_id, sha256) DO NOTHING;

-- name: purposes
-- The purposes in use.
SELECT purpose_id AS id, code, slug, name, description, channel, double_opt_in, basis,
       special_category, version, created_at, retired_at
  FROM crm.purpose
 WHERE business_id = :business_id
   AND retired_at IS NULL
 ORDER BY code;

-- name: purposes_for
-- The purposes in use, and those that are not any more and that a customer was asked about.
SELECT p.purpose_id AS id, p.code, p.slug, p.name, p.description, p.channel, p.double_opt_in,
       p.basis, p.special_category, p.version, p.created_at, p.retired_at
  FROM crm.purpose p
 WHERE p.business_id = :business_id
   AND (p.retired_at IS NULL
        OR EXISTS (SELECT FROM crm.consent s
                    WHERE s.business_id = :business_id
                      AND s.customer_id = ANY (crm.records_of(:business_id, :customer_id))
                      AND s.purpose_id = p.purpose_id))
 ORDER BY p.code;

-- name: purpose
-- One purpose by its id.
SELECT purpose_id AS id, code, slug, name, description, channel, double_opt_in, basis,
       special_category, version, created_at, retired_at
  FROM crm.purpose
 WHERE business_id = :business_id
   AND purpose_id = :purpose_id;

-- name: purpose_locked
-- One purpose, held so that its versions are numbered one after the other.
SELECT purpose_id AS id, code, slug, name, description, channel, double_opt_in, basis,
       special_category, version, created_at, retired_at
  FROM crm.purpose
 WHERE business_id = :business_id
   AND purpose_id = :purpose_id
   FOR NO KEY UPDATE;

-- name: purpose_by_slug
-- One purpose by its short name.
SELECT purpose_id AS id, code, slug, name, description, channel, double_opt_in, basis,
       special_category, version, created_at, retired_at
  FROM crm.purpose
 WHERE business_id = :business_id
   AND slug = :slug;

-- name: purpose_by_code
-- One purpose by the number that links carry.
SELECT purpose_id AS id, code, slug, name, description, channel, double_opt_in, basis,
       special_category, version, created_at, retired_at
  FROM crm.purpose
 WHERE business_id = :business_id
   AND code = :code;

-- name: publish_notice
-- The next version of a purpose's text in one language, for the version of the purpose in use.
INSERT INTO crm.notice (business_id, notice_id, purpose_id, purpose_version, version, locale,
                        text, particulars, control_label, sha256, accepts, published_at)
SELECT :business_id, :notice_id, p.purpose_id, p.version,
       (SELECT coalesce(max(n.version), 0) + 1 FROM crm.notice n
         WHERE n.business_id = :business_id AND n.purpose_id = :purpose_id
           AND n.locale = :locale),
       :locale, :text, :particulars, :control_label, :sha256, :accepts, :now
  FROM crm.purpose p
 WHERE p.business_id = :business_id
   AND p.purpose_id = :purpose_id
RETURNING notice_id AS id, purpose_id, purpose_version, version, locale, text, particulars,
          control_label, sha256, accepts, published_at;

-- name: notice
-- One text exactly as shown.
SELECT notice_id AS id, purpose_id, purpose_version, version, locale, text, particulars,
       control_label, sha256, accepts, published_at
  FROM crm.notice
 WHERE business_id = :business_id
   AND notice_id = :notice_id;

-- name: notices_of_purpose
-- Every version of a purpose's text, newest first.
SELECT notice_id AS id, purpose_id, purpose_version, version, locale, text, particulars,
       control_label, sha256, accepts, published_at
  FROM crm.notice
 WHERE business_id = :business_id
   AND purpose_id = :purpose_id
 ORDER BY published_at DESC, version DESC, locale;

-- name: current_notices
-- For every purpose, or for one, the text that is shown when asking in this locale now: in it, in
-- another of its language, in the business's own, or else the newest. Nobody is asked with a text of
-- a version that another has replaced.
SELECT DISTINCT ON (n.purpose_id)
       n.notice_id AS id, n.purpose_id, n.purpose_version, n.version, n.locale, n.text,
       n.particulars, n.control_label, n.sha256, n.accepts, n.published_at
  FROM crm.notice n
  JOIN crm.purpose_version v
    ON v.business_id = :business_id
   AND v.purpose_id = n.purpose_id
   AND v.version = n.purpose_version
   AND v.stale_at IS NULL
  JOIN crm.business b ON b.business_id = :business_id
 WHERE n.business_id = :business_id
   AND (:purpose_id::uuid IS NULL OR n.purpose_id = :purpose_id)
 ORDER BY n.purpose_id, n.locale = :locale DESC,
          split_part(n.locale, '-', 1) = :language DESC, n.locale = b.locale DESC,
          n.published_at DESC, n.version DESC;

-- name: notices_shown_to
-- Every text that a decision of this customer rests on, exactly as shown.
SELECT n.notice_id AS id, n.purpose_id, n.purpose_version, n.version, n.locale, n.text,
       n.particulars, n.control_label, n.sha256, n.accepts, n.published_at
  FROM crm.notice n
 WHERE n.business_id = :business_id
   AND n.notice_id IN (SELECT r.notice_id
                         FROM crm.consent_record r
                        WHERE r.business_id = :business_id
                          AND r.customer_id = ANY (crm.records_of(:business_id, :customer_id)))
 ORDER BY n.published_at, n.notice_id;

-- name: consent_check
-- What one customer allows for one purpose now, and why not; no row where there is no such purpose.
-- Of one who waits for her erasure nothing is said but that.
SELECT :customer_id::uuid AS customer_id, p.purpose_id, x.reason IS NULL AS authorises, x.reason,
       p.basis, s.status, s.event_id, s.notice_id, s.at, s.ends_at
  FROM crm.purpose p
  LEFT JOIN crm.customer c
    ON c.business_id = :business_id
   AND c.customer_id = :customer_id
  LEFT JOIN crm.erasure_wish w
    ON w.business_id = :business_id
   AND w.customer_id = c.customer_id
  LEFT JOIN crm.silenced u
    ON u.business_id = :business_id
   AND u.address_hash = c.address_hash
  LEFT JOIN crm.consent_now s
    ON s.business_id = :business_id
   AND s.purpose_id = p.purpose_id
   AND s.customer_id = c.customer_id
   AND w.customer_id IS NULL
 CROSS JOIN LATERAL (
   SELECT CASE WHEN w.customer_id IS NOT NULL THEN 'leaving'
               ELSE crm.exclusion(s.status, s.ends_at, encode(u.address_hash, 'hex'),
                                  c.restricted_at, c.erased_at, :now) END AS reason) x
 WHERE p.business_id = :business_id
   AND p.purpose_id = :purpose_id;

-- name: consent_checks
-- The same for some customers, in the order asked; no row without the purpose.
SELECT asked.customer_id, p.purpose_id, x.reason IS NULL AS authorises, x.reason, p.basis,
       s.status, s.event_id, s.notice_id, s.at, s.ends_at
  FROM crm.purpose p
 CROSS JOIN unnest(:customer_ids::uuid[]) WITH ORDINALITY AS asked (customer_id, place)
  LEFT JOIN crm.customer c
    ON c.business_id = :business_id
   AND c.customer_id = asked.customer_id
  LEFT JOIN crm.erasure_wish w
    ON w.business_id = :business_id
   AND w.customer_id = c.customer_id
  LEFT JOIN crm.silenced u
    ON u.business_id = :business_id
   AND u.address_hash = c.address_hash
  LEFT JOIN crm.consent_now s
    ON s.business_id = :business_id
   AND s.purpose_id = p.purpose_id
   AND s.customer_id = c.customer_id
   AND w.customer_id IS NULL
 CROSS JOIN LATERAL (
   SELECT CASE WHEN w.customer_id IS NOT NULL THEN 'leaving'
               ELSE crm.exclusion(s.status, s.ends_at, encode(u.address_hash, 'hex'),
                                  c.restricted_at, c.erased_at, :now) END AS reason) x
 WHERE p.business_id = :business_id
   AND p.purpose_id = :purpose_id
 ORDER BY asked.place;

-- name: quarantined_of_customer
-- Rows of lists that ask for a consent of one customer and have no evidence of it.
SELECT q.purpose_id, q.import_id, i.file_name, q.part, q.line, q.why, q.ends_at
  FROM crm.quarantine q
  JOIN crm.import i ON i.business_id = :business_id AND i.import_id = q.import_id
 WHERE q.business_id = :business_id
   AND q.customer_id = :customer_id
 ORDER BY q.since, q.purpose_id;

-- name: consent_state
-- The state of one purpose; it alone says what is allowed now.
SELECT c.customer_id, c.purpose_id, c.purpose_version, c.record_id, c.status, c.method,
       c.event_id, c.notice_id, c.at, least(c.valid_until, v.ends_at) AS ends_at, v.stale_at
  FROM crm.consent c
  JOIN crm.purpose_version v
    ON v.business_id = :business_id
   AND v.purpose_id = c.purpose_id
   AND v.version = c.purpose_version
 WHERE c.business_id = :business_id
   AND c.customer_id = :customer_id
   AND c.purpose_id = :purpose_id;

-- name: consents_of_customer
-- The state of every purpose a customer was asked about.
SELECT c.customer_id, c.purpose_id, c.purpose_version, c.record_id, c.status, c.method,
       c.event_id, c.notice_id, c.at, least(c.valid_until, v.ends_at) AS ends_at, v.stale_at
  FROM crm.consent c
  JOIN crm.purpose_version v
    ON v.business_id = :business_id
   AND v.purpose_id = c.purpose_id
   AND v.version = c.purpose_version
 WHERE c.business_id = :business_id
   AND c.customer_id = :customer_id
 ORDER BY c.purpose_id;

-- name: allowed_of_customer
-- The same with what each allows now, by the one rule of sending, and why not.
SELECT s.customer_id, s.purpose_id, s.purpose_version, s.record_id, s.status, s.method,
       s.event_id, s.notice_id, s.at, e.ends_at, v.stale_at, x.reason IS NULL AS authorises,
       x.reason
  FROM crm.customer c
  JOIN crm.consent s
    ON s.business_id = :business_id
   AND s.customer_id = c.customer_id
  JOIN crm.purpose_version v
    ON v.business_id = :business_id
   AND v.purpose_id = s.purpose_id
   AND v.version = s.purpose_version
  LEFT JOIN crm.silenced u
    ON u.business_id = :business_id
   AND u.address_hash = c.address_hash
 CROSS JOIN LATERAL (SELECT least(s.valid_until, v.ends_at) AS ends_at) e
 CROSS JOIN LATERAL (
   SELECT crm.exclusion(s.status, e.ends_at, encode(u.address_hash, 'hex'), c.restricted_at,
                        c.erased_at, :now) AS reason) x
 WHERE c.business_id = :business_id
   AND c.customer_id = :customer_id
 ORDER BY s.purpose_id;

-- name: consents_for_purpose
-- The states of some customers for one purpose, in one look.
SELECT c.customer_id, c.purpose_id, c.purpose_version, c.record_id, c.status, c.method,
       c.event_id, c.notice_id, c.at, least(c.valid_until, v.ends_at) AS ends_at, v.stale_at
  FROM unnest(:customer_ids::uuid[]) AS asked (customer_id)
 -- Each by her key. In the midst of a large import there are no statistics yet, and the planner
 -- would read all states of the purpose again for each batch, as if there were one.
 CROSS JOIN LATERAL (
   SELECT s.*
     FROM crm.consent s
    WHERE s.business_id = :business_id
      AND s.customer_id = asked.customer_id
      AND s.purpose_id = :purpose_id
   OFFSET 0) c
  JOIN crm.purpose_version v
    ON v.business_id = :business_id
   AND v.purpose_id = c.purpose_id
   AND v.version = c.purpose_version;

-- name: hold_consents
-- All of a customer's states, held in the order of their key, after her row: as an erasure does, and
-- before any range of a campaign.
WITH her AS MATERIALIZED (
  SELECT k.customer_id
    FROM crm.customer k
   WHERE k.business_id = :business_id
     AND k.customer_id = :customer_id
     FOR KEY SHARE
)
SELECT c.purpose_id
  FROM her h
  JOIN crm.consent c
    ON c.business_id = :business_id
   AND c.customer_id = h.customer_id
 ORDER BY c.purpose_id
   FOR UPDATE OF c;

-- name: hold_ranges
-- The ranges of campaigns in which customers wait or are on their way to be mailed, held all at once in
-- the order of their key, as by whoever takes a customer out of everything.
SELECT l.number
  FROM crm.delivery d
  JOIN crm.lease l ON l.business_id = :business_id AND l.campaign_id = d.campaign_id
   AND l.low < d.customer_id AND l.high >= d.customer_id
 WHERE d.business_id = :business_id
   AND d.customer_id = ANY (:customer_ids::uuid[])
   AND d.state IN ('waiting', 'sending')
 ORDER BY l.campaign_id, l.number
   FOR UPDATE OF l;

-- name: hold_states
-- What many customers decided about some purposes, held in the order of its key before any range of a
-- campaign. Their rows are held.
SELECT c.purpose_id
  FROM unnest(:customer_ids::uuid[], :purpose_ids::uuid[]) AS n (customer_id, purpose_id)
  JOIN crm.consent c
    ON c.business_id = :business_id
   AND c.customer_id = n.customer_id
   AND c.purpose_id = n.purpose_id
 ORDER BY c.customer_id, c.purpose_id
   FOR UPDATE OF c;

-- name: hold_ranges_left
-- The ranges of campaigns of some purposes in which customers wait or are on their way to be mailed, held
-- all at once in the order of their key: those from which ends of their consents take them out.
SELECT l.campaign_id
  FROM crm.delivery d
  JOIN crm.campaign c ON c.business_id = :business_id AND c.campaign_id = d.campaign_id
   AND c.purpose_id = ANY (:purpose_ids::uuid[])
  JOIN crm.lease l ON l.business_id = :business_id AND l.campaign_id = d.campaign_id
   AND l.low < d.customer_id AND l.high >= d.customer_id
 WHERE d.business_id = :business_id
   AND d.customer_id = ANY (:customer_ids::uuid[])
   AND d.state IN ('waiting', 'sending')
 ORDER BY l.campaign_id, l.number
   FOR UPDATE OF l;

-- name: asked
-- All that a decision is judged by, in one look, with the state held until it is written: the
-- customer, the purpose, the text if one was shown, and the version that the decision is about.
-- Her row is held before the state, as an erasure does: of the two, one waits for the other.
WITH her AS MATERIALIZED (
  SELECT k.customer_id, k.address_hash, k.erased_at, k.merged_into
    FROM crm.customer k
   WHERE k.business_id = :business_id
     AND k.customer_id = :customer_id
     FOR KEY SHARE
), held AS MATERIALIZED (
  SELECT c.record_id, c.status, c.method, c.event_id, c.notice_id, c.purpose_version, c.at
    FROM her h
    JOIN crm.consent c
      ON c.business_id = :business_id
     AND c.customer_id = h.customer_id
     AND c.purpose_id = :purpose_id
     FOR UPDATE OF c
)
SELECT k.customer_id IS NOT NULL AS known, (SELECT m.merged_into FROM her m) AS merged_into,
       EXISTS (SELECT FROM crm.silenced u
                WHERE u.business_id = :business_id
                  AND u.address_hash = k.address_hash) AS silenced,
       p.retired_at, p.double_opt_in, v.purpose_id, v.version AS purpose_version, v.basis,
       v.validity, v.sha256 AS purpose_sha256, v.ends_at AS version_ends_at, b.soft_opt_in,
       b.country, b.keeps_network, b.network_days,
       n.notice_id, n.version AS notice_version, n.locale, n.control_label,
       n.sha256 AS notice_sha256, n.accepts,
       h.record_id, h.status, h.method, h.event_id, h.at AS state_at,
       h.purpose_version AS state_version
  FROM crm.purpose p
  JOIN crm.business b ON b.business_id = :business_id
  LEFT JOIN crm.notice n
    ON n.business_id = :business_id
   AND n.purpose_id = p.purpose_id
   AND n.notice_id = :notice_id
  LEFT JOIN held h ON true
  JOIN crm.purpose_version v
    ON v.business_id = :business_id
   AND v.purpose_id = p.purpose_id
   AND v.version = coalesce(n.purpose_version, h.purpose_version, p.version)
  LEFT JOIN her k ON k.erased_at IS NULL
 WHERE p.business_id = :business_id
   AND p.purpose_id = :purpose_id;

-- name: append_event
-- One decision, whole: the stub that stays for ever, the record that an erasure deletes, the entry
-- to be sealed, the event that is told, and the state that follows. A withdrawal keeps the text it
-- ends. The state is not touched where what was committed in the meantime stands against it: an
-- opt-out that this is not the customer's own word to lift; a yes that is newer than this one, to a
-- later version or, where this is not her own word, a consent; or, for a request, any yes or no.
-- `frees`: what ends may have held a place of her week.
WITH stub AS (
  INSERT INTO crm.consent_event (business_id, event_id, commitment, warrants)
  VALUES (:business_id, :event_id, :commitment, :warrants)
), record AS (
  INSERT INTO crm.consent_record (business_id, event_id, customer_id, purpose_id,
                                  purpose_version, basis, notice_id, status, method, actor_kind,
                                  actor_id, at, recorded_at, valid_until, evidence_kind, proof_id,
                                  salt, canonical)
  VALUES (:business_id, :event_id, :customer_id, :purpose_id, :purpose_version, :basis,
          :notice_id, :status, :method, :actor_kind, :actor_id, :at, :now, :valid_until,
          :evidence_kind, :proof_id, :salt, :canonical)
), state AS (
  INSERT INTO crm.consent AS c (business_id, customer_id, purpose_id, purpose_version, record_id,
                                status, method, event_id, notice_id, at, valid_until)
  SELECT :business_id, :customer_id, :purpose_id, :purpose_version, :record_id, :status, :method,
         :event_id, :notice_id, :at, :valid_until
   WHERE :moves::boolean
  ON CONFLICT (business_id, customer_id, purpose_id) DO UPDATE
     SET purpose_version = excluded.purpose_version, status = excluded.status,
         method = excluded.method, event_id = excluded.event_id,
         notice_id = coalesce(excluded.notice_id, c.notice_id), at = excluded.at,
         valid_until = excluded.valid_until
   WHERE excluded.status = 'withdrawn'
      OR excluded.status IN ('requested', 'deferred')
         AND c.status IN ('unknown', 'requested', 'deferred')
      OR excluded.status IN ('refused', 'revoked', 'expired', 'invalidated')
         AND c.status NOT IN ('withdrawn', 'refused', 'revoked', 'expired', 'invalidated')
      OR excluded.status IN ('given', 'renewed', 'unobjected')
         AND (excluded.method IN ('double_opt_in', 'portal', 'renewal')
              OR c.status NOT IN ('withdrawn', 'refused', 'revoked', 'expired', 'invalidated',
                                  'given', 'renewed'))
         AND (c.status NOT IN ('given', 'renewed', 'unobjected')
              OR excluded.at >= c.at AND excluded.purpose_version >= c.purpose_version)
  RETURNING c.event_id
)
SELECT (SELECT count(*) FROM state) > 0 AS moved,
       CASE WHEN :status NOT IN ('given', 'renewed')
            THEN crm.may_free_place(:business_id, :customer_id, :purpose_id) ELSE false END AS frees,
       crm.enter_ledger(:business_id, ARRAY[:event_id]::uuid[], ARRAY[:commitment]::bytea[], :now)
         AS entered,
       crm.record_event(:business_id, :told_id, :now, :kind, :actor_kind, :actor_id, :actor_name,
                        :customer_id, :purpose_id) AS told;

-- name: append_events
-- Many decisions judged by rule. An opt-out found when the state is written stands all the same,
-- and weaker evidence does not replace what is known. Of several about one customer and purpose
-- all are kept, and a no decides the state before a yes, a yes before anything less. States are
-- written in the order of the customers, so that two imports at once wait and do not deadlock.
-- Says how many states moved, which decisions were a no that moved one, and whose ends may have held
-- a place of her week.
-- What is the same for many comes once, and each has the number under which it is said.
WITH new AS MATERIALIZED (
  SELECT n.*, s.purpose_id, s.purpose_version, s.basis, s.notice_id, s.status, s.method,
         s.evidence_kind, s.warrants
    FROM unnest(:event_ids::uuid[], :commitments::bytea[], :customer_ids::uuid[],
                :record_ids::uuid[], :said::integer[], :ats::timestamptz[],
                :valid_untils::timestamptz[], :salts::bytea[], :canonicals::bytea[])
      AS n (event_id, commitment, customer_id, record_id, said, at, valid_until, salt, canonical)
    JOIN unnest(:purpose_ids::uuid[], :purpose_versions::integer[], :bases::text[],
                :notice_ids::uuid[], :statuses::text[], :methods::text[],
                :evidence_kinds::text[], :warrants::uuid[])
         WITH ORDINALITY
      AS s (purpose_id, purpose_version, basis, notice_id, status, method, evidence_kind,
            warrants, number)
      ON s.number = n.said
), stub AS (
  INSERT INTO crm.consent_event (business_id, event_id, commitment, warrants)
  SELECT :business_id, new.event_id, new.commitment, new.warrants FROM new
  ON CONFLICT (business_id, event_id) DO NOTHING
), record AS (
  INSERT INTO crm.consent_record (business_id, event_id, customer_id, purpose_id,
                                  purpose_version, basis, notice_id, status, method, actor_kind,
                                  actor_id, at, recorded_at, valid_until, evidence_kind, salt,
                                  canonical)
  SELECT :business_id, new.event_id, new.customer_id, new.purpose_id, new.purpose_version,
         new.basis, new.notice_id, new.status, new.method, :actor_kind, :actor_id, new.at, :now,
         new.valid_until, new.evidence_kind, new.salt, new.canonical
    FROM new
  ON CONFLICT (business_id, event_id) DO NOTHING
), state AS (
  INSERT INTO crm.consent AS c (business_id, customer_id, purpose_id, purpose_version, record_id,
                                status, method, event_id, notice_id, at, valid_until)
  SELECT DISTINCT ON (new.customer_id, new.purpose_id)
         :business_id, new.customer_id, new.purpose_id, new.purpose_version, new.record_id,
         new.status, new.method, new.event_id, new.notice_id, new.at, new.valid_until
    FROM new
   ORDER BY new.customer_id, new.purpose_id,
            array_position(ARRAY['withdrawn', 'refused', 'revoked', 'expired', 'given', 'renewed',
                                 'requested', 'unknown'], new.status),
            new.at DESC
  ON CONFLICT (business_id, customer_id, purpose_id) DO UPDATE
     SET purpose_version = excluded.purpose_version, status = excluded.status,
         method = excluded.method, event_id = excluded.event_id,
         notice_id = coalesce(excluded.notice_id, c.notice_id), at = excluded.at,
         valid_until = excluded.valid_until
   WHERE excluded.status = 'withdrawn' AND c.status <> 'withdrawn'
      OR excluded.status IN ('given', 'renewed', 'refused')
         AND c.status IN ('unknown', 'requested', 'deferred')
      OR excluded.status IN ('expired', 'revoked') AND c.status IN ('given', 'renewed', 'unobjected')
      OR excluded.status = 'requested' AND c.status = 'unknown'
  RETURNING c.event_id, c.status, c.customer_id, c.purpose_id
)
SELECT (SELECT count(*) FROM state)::integer AS moved,
       ARRAY(SELECT s.event_id FROM state s
              WHERE s.status IN ('withdrawn', 'refused', 'revoked', 'expired')) AS ended,
       ARRAY(SELECT s.customer_id FROM state s
              WHERE s.status IN ('withdrawn', 'refused', 'revoked', 'expired')
                AND crm.may_free_place(:business_id, s.customer_id, s.purpose_id)) AS freed,
       crm.enter_ledger(:business_id, :event_ids, :commitments, :now) AS entered;

-- name: record
-- One decision as it was sealed; no row where it was erased, or never was.
SELECT canonical
  FROM crm.consent_record
 WHERE business_id = :business_id
   AND event_id = :event_id;

-- name: records_of_customer
-- Every decision of a customer as it was sealed, newest first; of two recorded at once the one
-- made later.
SELECT canonical
  FROM crm.consent_record
 WHERE business_id = :business_id
   AND customer_id = ANY (crm.records_of(:business_id, :customer_id))
 ORDER BY recorded_at DESC, at DESC, event_id DESC;

-- name: ended
-- Standing yeses whose time is over, by their own or with their version; held until it is written,
-- with the rows of their customers. Whoever is at work on one is passed over until the next time.
WITH over AS (
  SELECT s.customer_id, s.purpose_id
    FROM crm.consent s
   WHERE s.business_id = :business_id
     AND s.status IN ('given', 'renewed', 'unobjected')
     AND s.valid_until <= :now
  UNION
  SELECT s.customer_id, s.purpose_id
    FROM crm.purpose_version v
    JOIN crm.consent s
      ON s.business_id = :business_id
     AND s.purpose_id = v.purpose_id
     AND s.purpose_version = v.version
     AND s.status IN ('given', 'renewed', 'unobjected')
   WHERE v.business_id = :business_id
     AND v.ends_at <= :now
   LIMIT :limit
)
SELECT s.customer_id, s.purpose_id, s.purpose_version, v.basis, v.sha256, s.record_id, s.status,
       s.method, s.event_id, s.notice_id, s.at, least(s.valid_until, v.ends_at) AS ends_at,
       v.stale_at, p.retired_at IS NOT NULL AS retired
  FROM over o
  JOIN crm.consent s
    ON s.business_id = :business_id
   AND s.customer_id = o.customer_id
   AND s.purpose_id = o.purpose_id
  JOIN crm.purpose_version v
    ON v.business_id = :business_id
   AND v.purpose_id = s.purpose_id
   AND v.version = s.purpose_version
  JOIN crm.purpose p ON p.business_id = :business_id AND p.purpose_id = s.purpose_id
  JOIN crm.customer k ON k.business_id = :business_id AND k.customer_id = s.customer_id
 WHERE s.status IN ('given', 'renewed', 'unobjected')
   AND least(s.valid_until, v.ends_at) <= :now
 ORDER BY s.customer_id, s.purpose_id
   FOR KEY SHARE OF k SKIP LOCKED
   FOR UPDATE OF s SKIP LOCKED;

-- name: hold_customers
-- Customers about whom much is decided at once, held before their states and in one order. Whose
-- erasure was waited for is no more; a record that was merged leads on to the other.
SELECT customer_id, merged_into, erased_at IS NOT NULL AND merged_into IS NULL AS gone
  FROM crm.customer
 WHERE business_id = :business_id
   AND customer_id = ANY (:customer_ids::uuid[])
 ORDER BY customer_id
   FOR KEY SHARE;

-- name: ageing
-- For each purpose in use, how many yeses stand, and how many of them end when.
SELECT p.purpose_id,
       count(s.customer_id) FILTER (WHERE y.yes) AS standing,
       count(s.customer_id) FILTER (WHERE y.yes AND s.ends_at IS NULL) AS endless,
       count(s.customer_id) FILTER (
         WHERE y.yes AND s.ends_at <= :now::timestamptz + interval '30 days') AS within_30,
       count(s.customer_id) FILTER (
         WHERE y.yes AND s.ends_at <= :now::timestamptz + interval '60 days') AS within_60,
       count(s.customer_id) FILTER (
         WHERE y.yes AND s.ends_at <= :now::timestamptz + interval '90 days') AS within_90,
       count(s.customer_id) FILTER (WHERE y.yes AND s.purpose_version < p.version) AS stale,
       count(s.customer_id) FILTER (
         WHERE s.status = 'expired' AND s.at > :now::timestamptz - interval '30 days') AS lapsed
  FROM crm.purpose p
  LEFT JOIN crm.consent_now s
    ON s.business_id = :business_id
   AND s.purpose_id = p.purpose_id
 CROSS JOIN LATERAL (
   SELECT s.status IN ('given', 'renewed', 'unobjected')
          AND (s.ends_at IS NULL OR s.ends_at > :now) AS yes) y
 WHERE p.business_id = :business_id
   AND p.retired_at IS NULL
 GROUP BY p.purpose_id, p.code
 ORDER BY p.code;

-- name: ending_by_month
-- How many standing yeses end in each month of the year to come.
WITH ending AS MATERIALIZED (
  SELECT s.purpose_id, date_trunc('month', s.ends_at, 'UTC') AS month, count(*) AS ending
    FROM crm.consent_now s
   WHERE s.business_id = :business_id
     AND s.status IN ('given', 'renewed', 'unobjected')
     AND s.ends_at > :now
   GROUP BY 1, 2
)
SELECT p.purpose_id, (m.month AT TIME ZONE 'UTC')::date AS month, coalesce(e.ending, 0) AS ending
  FROM (SELECT DISTINCT purpose_id FROM ending) p
 CROSS JOIN generate_series(
   date_trunc('month', :now::timestamptz, 'UTC'),
   date_trunc('month', :now::timestamptz, 'UTC') + interval '11 months',
   interval '1 month') AS m (month)
  LEFT JOIN ending e ON e.purpose_id = p.purpose_id AND e.month = m.month
 ORDER BY p.purpose_id, m.month;

-- name: sum_up_tally
-- Where more than so many rows add up to the number of a version and state, one in their place; what
-- another holds, or adds meanwhile, stays for the next time. Says how many went.
WITH long AS (
  SELECT t.purpose_id, t.purpose_version, t.status
    FROM crm.consent_tally t
   WHERE t.business_id = :business_id
   GROUP BY t.purpose_id, t.purpose_version, t.status
  HAVING count(*) > :many::bigint
), piece AS (
  SELECT t.purpose_id, t.purpose_version, t.status, t.entry_id
    FROM crm.consent_tally t
    JOIN long USING (purpose_id, purpose_version, status)
   WHERE t.business_id = :business_id
   ORDER BY t.purpose_id, t.purpose_version, t.status, t.entry_id
   LIMIT :limit
     FOR UPDATE OF t SKIP LOCKED
), gone AS (
  DELETE FROM crm.consent_tally t
   USING piece p
   WHERE t.business_id = :business_id
     AND t.purpose_id = p.purpose_id
     AND t.purpose_version = p.purpose_version
     AND t.status = p.status
     AND t.entry_id = p.entry_id
  RETURNING t.purpose_id, t.purpose_version, t.status, t.customers
), summed AS (
  INSERT INTO crm.consent_tally (business_id, purpose_id, purpose_version, status, customers)
  SELECT :business_id, g.purpose_id, g.purpose_version, g.status, sum(g.customers)
    FROM gone g
   GROUP BY g.purpose_id, g.purpose_version, g.status
  HAVING sum(g.customers) <> 0
)
SELECT count(*)::integer FROM gone;

-- name: hold_recount
-- Whoever counts the consents of this business next waits until this transaction ends.
SELECT pg_advisory_xact_lock(hashtextextended('crm.consent_tally ' || :business_id::uuid::text, 0));

-- name: recount_tally
-- Counts every consent, and adds what the tally is short of or less what it has too many. Says of
-- how many versions and states it was wrong: of none, unless rows were changed past the triggers.
WITH wrong AS (
  SELECT t.purpose_id, t.purpose_version, t.status, sum(t.customers) AS customers
    FROM (
      SELECT s.purpose_id, s.purpose_version, s.status, count(*) AS customers
        FROM crm.consent s
       WHERE s.business_id = :business_id
       GROUP BY s.purpose_id, s.purpose_version, s.status
      UNION ALL
      SELECT c.purpose_id, c.purpose_version, c.status, -sum(c.customers)
        FROM crm.consent_tally c
       WHERE c.business_id = :business_id
       GROUP BY c.purpose_id, c.purpose_version, c.status) t
   GROUP BY t.purpose_id, t.purpose_version, t.status
  HAVING sum(t.customers) <> 0
), put_right AS (
  INSERT INTO crm.consent_tally (business_id, purpose_id, purpose_version, status, customers)
  SELECT :business_id, w.purpose_id, w.purpose_version, w.status, w.customers FROM wrong w
)
SELECT count(*)::integer FROM wrong;

-- name: leaves
-- What is kept of the decisions that some leaves stand for.
SELECT l.leaf_index, l.entry_id, e.commitment, o.opening, x.event_id IS NOT NULL AS erased,
       r.salt, r.canonical, r.customer_id, r.purpose_id, r.purpose_version, r.basis, r.notice_id,
       r.status, r.method, r.actor_kind, r.actor_id, r.at, r.recorded_at, r.valid_until,
       r.evidence_kind, r.proof_id
  FROM crm.ledger_leaf l
  LEFT JOIN crm.consent_event e ON e.business_id = :business_id AND e.event_id = l.entry_id
  LEFT JOIN crm.consent_record r ON r.business_id = :business_id AND r.event_id = l.entry_id
  LEFT JOIN crm.consent_erased x ON x.business_id = :business_id AND x.event_id = l.entry_id
  LEFT JOIN crm.ledger_origin o ON o.business_id = :business_id AND o.entry_id = l.entry_id
 WHERE l.business_id = :business_id
   AND l.leaf_index >= :low
   AND l.leaf_index < :high;

-- name: strays
-- Stubs that are no leaf and do not wait to be one; a hundred of them say enough.
SELECT e.event_id
  FROM crm.consent_event e
 WHERE e.business_id = :business_id
   AND NOT EXISTS (SELECT FROM crm.ledger_leaf l
                    WHERE l.business_id = :business_id AND l.entry_id = e.event_id)
   AND NOT EXISTS (SELECT FROM crm.ledger_unsealed q
                    WHERE q.business_id = :business_id AND q.entry_id = e.event_id)
 LIMIT 100;

-- name: states_missing
-- Decisions that left no state, though each leaves one; the newest of each customer and purpose.
SELECT DISTINCT ON (r.customer_id, r.purpose_id) r.event_id
  FROM crm.consent_record r
 WHERE r.business_id = :business_id
   AND NOT EXISTS (SELECT FROM crm.consent s
                    WHERE s.business_id = :business_id
                      AND s.customer_id = r.customer_id
                      AND s.purpose_id = r.purpose_id)
 ORDER BY r.customer_id, r.purpose_id, r.event_id DESC
 LIMIT 100;

-- name: states_astray
-- States that are not what their record says, or a yes that a later end should have ended. A
-- minute, for what was recorded at the same time.
SELECT s.event_id AS subject,
       CASE WHEN r.event_id IS NULL THEN 'The record it rests on is gone.'
            WHEN l.event_id IS NOT NULL THEN 'It says yes, and an end was recorded later.'
            ELSE 'It says something else than the record it rests on.' END AS why
  FROM crm.consent s
  LEFT JOIN crm.consent_record r ON r.business_id = :business_id AND r.event_id = s.event_id
  LEFT JOIN LATERAL (
    SELECT o.event_id
      FROM crm.consent_record o
     WHERE o.business_id = :business_id
       AND o.customer_id = s.customer_id
       AND o.purpose_id = s.purpose_id
       AND o.status IN ('withdrawn', 'revoked', 'expired', 'invalidated')
       AND o.recorded_at > r.recorded_at + interval '1 minute'
       AND s.status IN ('given', 'renewed', 'unobjected')
     LIMIT 1) l ON true
 WHERE s.business_id = :business_id
   AND (r.event_id IS NULL
        OR l.event_id IS NOT NULL
        OR (s.customer_id, s.purpose_id, s.purpose_version, s.status, s.method, s.at)
           IS DISTINCT FROM
           (r.customer_id, r.purpose_id, r.purpose_version, r.status, r.method, r.at)
        OR s.valid_until IS DISTINCT FROM r.valid_until
        OR r.notice_id IS NOT NULL AND s.notice_id IS DISTINCT FROM r.notice_id)
 LIMIT 100;

-- name: exhibit
-- What a decision was sealed from, the stub it must match, and the form that was shown.
SELECT r.salt, r.canonical, e.commitment, f.text AS form
  FROM crm.consent_record r
  JOIN crm.consent_event e ON e.business_id = :business_id AND e.event_id = r.event_id
  LEFT JOIN crm.form_shown f
    ON f.business_id = :business_id
   AND f.sha256 = decode(convert_from(r.canonical, 'UTF8')::jsonb #>> '{form,sha256}', 'hex')
 WHERE r.business_id = :business_id
   AND r.customer_id = ANY (crm.records_of(:business_id, :customer_id))
   AND r.event_id = :event_id;

-- name: events_of_customer
-- Every decision of a customer by its id, the oldest first.
SELECT event_id
  FROM crm.consent_record
 WHERE business_id = :business_id
   AND customer_id = ANY (crm.records_of(:business_id, :customer_id))
 ORDER BY at, event_id;

-- name: sealed_record
-- One decision of a customer with its salt, and the terms it cites.
SELECT r.event_id, r.customer_id, r.salt, r.canonical, v.terms, r.notice_id
  FROM crm.consent_record r
  JOIN crm.purpose_version v
    ON v.business_id = :business_id
   AND v.purpose_id = r.purpose_id
   AND v.version = r.purpose_version
 WHERE r.business_id = :business_id
   AND r.customer_id = ANY (crm.records_of(:business_id, :customer_id))
   AND r.event_id = :event_id;

-- name: sealed_records_of_customer
-- The same of every decision of hers, newest first.
SELECT r.event_id, r.customer_id, r.salt, r.canonical, v.terms, r.notice_id
  FROM crm.consent_record r
  JOIN crm.purpose_version v
    ON v.business_id = :business_id
   AND v.purpose_id = r.purpose_id
   AND v.version = r.purpose_version
 WHERE r.business_id = :business_id
   AND r.customer_id = ANY (crm.records_of(:business_id, :customer_id))
 ORDER BY r.recorded_at DESC, r.at DESC, r.event_id DESC;

-- name: erase_consent
-- Deletes records and states of a customer whose row is already a tombstone; says how many of each.
SELECT store, gone FROM crm.erase_consent(:business_id, :customer_id);

-- name: end_records
-- Deletes the proof of consents that ended long ago, among those of some customers.
SELECT deleted, upto
  FROM crm.end_records(:business_id, :after, :limit, :now, :unless_declared::text::interval);

-- name: end_proofs
-- Deletes that mailboxes spoke, where nothing rests on it any more, among some.
SELECT deleted, upto FROM crm.end_proofs(:business_id, :after, :limit, :over_before);

-- name: end_files
-- Deletes files about decisions of customers of whom no decision is kept, among some.
SELECT deleted, upto FROM crm.end_files(:business_id, :after, :limit, :over_before);

-- name: proof_to_keep
-- How many proofs an erasure now would keep of a customer, and when the last of them goes.
SELECT count(*)::integer AS proofs,
       max((coalesce(p.ended_at, :now)
            + coalesce(p.declared, :unless_declared::text::interval))::date) AS until
  FROM crm.consent_proof p
 WHERE p.business_id = :business_id
   AND p.customer_id = ANY (crm.records_of(:business_id, :customer_id));

-- name: keep_proof
-- What a customer gave and how it ended, under the fingerprint of her address alone.
WITH kept AS (
  INSERT INTO crm.kept_proof (business_id, event_id, address_hash, purpose_id, purpose_version,
                              notice_id, status, method, given_at, end_event_id, end_status,
                              end_method, ended_at, keep_until)
  SELECT :business_id, p.event_id, :address_hash, p.purpose_id, p.purpose_version, p.notice_id,
         p.status, p.method, p.given_at, p.end_event_id, p.end_status, p.end_method, p.ended_at,
         (p.ended_at + coalesce(p.declared, :unless_declared::text::interval))::date
    FROM crm.consent_proof p
   WHERE p.business_id = :business_id
     AND p.customer_id = :customer_id
     AND p.ended_at IS NOT NULL
  ON CONFLICT (business_id, event_id) DO NOTHING
  RETURNING keep_until
)
SELECT count(*)::integer AS proofs, max(keep_until) AS until
  FROM kept;

-- name: disown_proofs
-- What is kept under a fingerprint is kept under none: its owner had it deleted.
UPDATE crm.kept_proof
   SET address_hash = NULL
 WHERE business_id = :business_id
   AND address_hash = :address_hash;

-- name: kept_proofs
-- What is kept of consents under the fingerprint of an address, the newest end first.
SELECT k.event_id, k.purpose_id, p.name AS purpose, k.purpose_version, k.notice_id, k.status,
       k.method, k.given_at, k.end_event_id, k.end_status, k.end_method, k.ended_at, k.keep_until
  FROM crm.kept_proof k
  JOIN crm.purpose p ON p.business_id = :business_id AND p.purpose_id = k.purpose_id
 WHERE k.business_id = :business_id
   AND k.address_hash = :address_hash
 ORDER BY k.ended_at DESC, k.event_id;

-- name: kept_proofs_of_customer
-- What was kept of earlier records under the address that a customer has now, and under those that
-- she, or a record that was merged into hers, had: until she left them, and none of somebody else.
SELECT k.event_id, k.purpose_id, p.name AS purpose, k.purpose_version, k.notice_id, k.status,
       k.method, k.given_at, k.end_event_id, k.end_status, k.end_method, k.ended_at, k.keep_until
  FROM (SELECT c.address_hash, timestamptz 'infinity' AS until
          FROM crm.customer c
         WHERE c.business_id = :business_id
           AND c.customer_id = :customer_id
        UNION ALL
        SELECT f.address_hash, max(f.changed_at)
          FROM crm.former_address f
          JOIN crm.customer c ON c.business_id = :business_id AND c.customer_id = :customer_id
         WHERE f.business_id = :business_id
           AND f.customer_id = ANY (crm.records_of(:business_id, :customer_id))
           AND f.address_hash IS DISTINCT FROM c.address_hash
         GROUP BY f.address_hash) had
  JOIN crm.kept_proof k
    ON k.business_id = :business_id
   AND k.address_hash = had.address_hash
   AND k.ended_at <= had.until
  JOIN crm.purpose p ON p.business_id = :business_id AND p.purpose_id = k.purpose_id
 WHERE NOT EXISTS (SELECT FROM crm.former_address o
                    WHERE o.business_id = :business_id
                      AND o.address_hash = had.address_hash
                      AND o.customer_id <> ALL (crm.records_of(:business_id, :customer_id))
                      AND o.changed_at >= k.ended_at
                      AND o.changed_at < had.until)
 ORDER BY k.ended_at DESC, k.event_id;

-- name: kept_proof_of_event
-- The kept proof that a decision began or ended.
SELECT k.event_id, k.purpose_id, p.name AS purpose, k.purpose_version, k.notice_id, k.status,
       k.method, k.given_at, k.end_event_id, k.end_status, k.end_method, k.ended_at, k.keep_until
  FROM crm.kept_proof k
  JOIN crm.purpose p ON p.business_id = :business_id AND p.purpose_id = k.purpose_id
 WHERE k.business_id = :business_id
   AND (k.event_id = :event_id OR k.end_event_id = :event_id);

-- name: stub
-- The checksum that stands for one decision for ever.
SELECT commitment
  FROM crm.consent_event
 WHERE business_id = :business_id
   AND event_id = :event_id;

-- name: end_kept_proofs
-- Deletes kept proofs whose day has come, among some.
SELECT deleted, upto FROM crm.end_kept_proofs(:business_id, :after, :limit, :today);

-- name: notice_place
-- Whose text it is, for a refusal that says what is wrong.
SELECT purpose_id
  FROM crm.notice
 WHERE business_id = :business_id
   AND notice_id = :notice_id;

-- name: keep_networks
-- From where some decisions came, encrypted, for a while.
INSERT INTO crm.consent_network (business_id, event_id, customer_id, sealed, expires_at)
SELECT :business_id, n.event_id, n.customer_id, n.sealed, :expires_at
  FROM unnest(:event_ids::uuid[], :customer_ids::uuid[], :sealed::bytea[])
         AS n (event_id, customer_id, sealed)
ON CONFLICT (business_id, event_id) DO NOTHING;

-- name: networks_of_customer
-- From where a customer decided, as far as it is still kept.
SELECT event_id, expires_at, sealed
  FROM crm.consent_network
 WHERE business_id = :business_id
   AND customer_id = ANY (crm.records_of(:business_id, :customer_id))
 ORDER BY event_id;

-- name: drop_old_networks
-- Network addresses that have had their time, some at a time; not of one who has her record frozen.
DELETE FROM crm.consent_network n
 WHERE n.business_id = :business_id
   AND n.event_id = ANY (ARRAY(
     SELECT o.event_id
       FROM crm.consent_network o
      WHERE o.business_id = :business_id
        AND o.expires_at <= :now
        AND NOT EXISTS (SELECT FROM crm.customer c
                         WHERE c.business_id = :business_id AND c.customer_id = o.customer_id
                           AND c.restricted_at IS NOT NULL)
      LIMIT :limit));

-- name: add_file
-- A file about a customer's decision, encrypted; for ever as it came.
INSERT INTO crm.evidence_file (business_id, file_id, customer_id, name, size, sha256, content,
                               added_by, added_at)
VALUES (:business_id, :file_id, :customer_id, :name, :size, :sha256, :content, :added_by, :now)
RETURNING file_id AS id, customer_id, name, size, sha256, added_by, added_at;

-- name: files_of_customer
-- What files there are about one customer.
SELECT file_id AS id, customer_id, name, size, sha256, added_by, added_at
  FROM crm.evidence_file
 WHERE business_id = :business_id
   AND customer_id = ANY (crm.records_of(:business_id, :customer_id))
 ORDER BY added_at, file_id;

-- name: file_content
-- One file as it is kept, and of whom it is by now.
SELECT crm.kept_as(:business_id, customer_id) AS customer_id, name, content
  FROM crm.evidence_file
 WHERE business_id = :business_id
   AND file_id = :file_id;

-- name: proofs_of_customer
-- When the mailbox of a customer proved itself, and by which way.
SELECT proof_id AS id, way, mailed_at, proved_at
  FROM crm.mailbox_proof
 WHERE business_id = :business_id
   AND customer_id = ANY (crm.records_of(:business_id, :customer_id))
 ORDER BY proved_at, proof_id;
