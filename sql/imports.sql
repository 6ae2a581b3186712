-- Every statement of crm/imports. Owns: import, import_turn, import_file, import_row, quarantine,
-- import_mapping.

-- name: add_turn
-- The row that a business's working import holds; there from its first import on.
INSERT INTO crm.import_turn (business_id) VALUES (:business_id)
ON CONFLICT (business_id) DO NOTHING;

-- name: take_turn
-- The turn, held until this transaction ends, whose number it says; no row while another import
-- works.
SELECT pg_current_xact_id()::text::bigint AS xact
  FROM crm.import_turn
 WHERE business_id = :business_id
   FOR UPDATE SKIP LOCKED;

-- name: add_import
-- A file of customers, received or (from the terminal) about to be worked through at once.
INSERT INTO crm.import (business_id, import_id, purpose_id, notice_id, file_name, file_sha256,
                        format, encoding, separator, mapping, reading, state, only_try, actor_kind,
                        actor_id, created_at, beat_at)
VALUES (:business_id, :import_id, :purpose_id, :notice_id, :file_name, :file_sha256, :format,
        :encoding, :separator, :mapping, :reading, :state, :only_try, :actor_kind, :actor_id, :now,
        CASE WHEN :state::text = 'running' THEN :now::timestamptz END);

-- name: keep_file
-- The file of an import, encrypted, until it has been worked through.
INSERT INTO crm.import_file (business_id, import_id, content, lines)
VALUES (:business_id, :import_id, :content, :lines);

-- name: file_of_import
-- The file of an import that waits; no row where it was read from a terminal.
SELECT content, lines IS NOT NULL AS sealed
  FROM crm.import_file
 WHERE business_id = :business_id
   AND import_id = :import_id;

-- name: lines_of_file
-- How many lines the file of an import has: about as many rows.
SELECT lines
  FROM crm.import_file
 WHERE business_id = :business_id
   AND import_id = :import_id;

-- name: drop_file
-- The file goes as soon as it is of no use any more.
DELETE FROM crm.import_file
 WHERE business_id = :business_id
   AND import_id = :import_id;

-- name: gave_up
-- What an import is that has waited for so long that its list may not be kept any more; one that is
-- worked on goes on. Held until it is ended: of a worker that takes it now, one waits for the other.
SELECT state
  FROM crm.import
 WHERE business_id = :business_id
   AND import_id = :import_id
   AND state IN ('waiting', 'running', 'tried')
   AND created_at <= :received_before
   AND (state = 'tried' OR beat_at IS NULL OR beat_at < :quiet_since)
   FOR UPDATE;

-- name: get_import
-- One import.
SELECT import_id AS id, purpose_id, notice_id, file_name, encode(file_sha256, 'hex') AS sha256,
       format, encoding, separator, mapping, state, only_try, problem, actor_kind, actor_id, created_at, rows_read, beat_at, done_at,
       undone_at, removed, added, changed, unchanged, rejected, given, withdrawn, unproven, suppressed
  FROM crm.import
 WHERE business_id = :business_id
   AND import_id = :import_id;

-- name: imports_before
-- Imports, newest first, by pages.
SELECT import_id AS id, purpose_id, notice_id, file_name, encode(file_sha256, 'hex') AS sha256,
       format, encoding, separator, mapping, state, only_try, problem, actor_kind, actor_id, created_at, rows_read, beat_at, done_at,
       undone_at, removed, added, changed, unchanged, rejected, given, withdrawn, unproven, suppressed
  FROM crm.import
 WHERE business_id = :business_id
   AND import_id < :before
 ORDER BY import_id DESC
 LIMIT :limit;

-- name: same_file
-- When the same file was received for the same purpose and is not worked through yet.
SELECT created_at
  FROM crm.import
 WHERE business_id = :business_id
   AND purpose_id = :purpose_id
   AND file_sha256 = :file_sha256
   AND (state = 'waiting' OR state = 'running' AND beat_at >= :quiet_since)
 ORDER BY import_id
 LIMIT 1;

-- name: running_since
-- When the import that holds the turn was begun.
SELECT created_at
  FROM crm.import
 WHERE business_id = :business_id
   AND state = 'running'
 ORDER BY beat_at DESC
 LIMIT 1;

-- name: begin_import
-- Takes an import up that waits, or whose worker has gone quiet; no row for any other.
UPDATE crm.import
   SET state = 'running', beat_at = :now, rows_read = 0
 WHERE business_id = :business_id
   AND import_id = :import_id
   AND (state = 'waiting' OR state = 'running' AND beat_at < :quiet_since)
RETURNING import_id AS id, purpose_id, notice_id, file_name, encode(file_sha256, 'hex') AS sha256,
          format, encoding, separator, mapping, state, only_try, problem, actor_kind, actor_id, created_at, rows_read, beat_at, done_at,
          undone_at, removed, added, changed, unchanged, rejected, given, withdrawn, unproven, suppressed;

-- name: start_tried
-- What was only tried waits again, for good this time; no row where its list is gone.
UPDATE crm.import i
   SET state = 'waiting', only_try = false, notice_id = :notice_id, done_at = NULL, beat_at = NULL, rows_read = 0,
       added = 0, changed = 0, unchanged = 0, rejected = 0, given = 0, withdrawn = 0,
       unproven = 0, suppressed = 0, reasons = NULL, actor_kind = :actor_kind, actor_id = :actor_id
 WHERE i.business_id = :business_id
   AND i.import_id = :import_id
   AND i.state = 'tried'
   AND EXISTS (SELECT FROM crm.import_file f
                WHERE f.business_id = :business_id AND f.import_id = :import_id);

-- name: drop_rows
-- What was said when it was only tried goes before it is said for good, or if it fails.
DELETE FROM crm.import_row
 WHERE business_id = :business_id
   AND import_id = :import_id;

-- name: undo_import
-- Has an import undone that is done; no row for any other.
UPDATE crm.import
   SET state = 'undoing', removed = 0
 WHERE business_id = :business_id
   AND import_id = :import_id
   AND state = 'done';

-- name: undoing_imports
-- What somebody wants undone, the first first.
SELECT import_id AS id, purpose_id, notice_id, file_name, encode(file_sha256, 'hex') AS sha256,
       format, encoding, separator, mapping, state, only_try, problem, actor_kind, actor_id, created_at, rows_read, beat_at, done_at,
       undone_at, removed, added, changed, unchanged, rejected, given, withdrawn, unproven, suppressed
  FROM crm.import
 WHERE business_id = :business_id
   AND state = 'undoing'
 ORDER BY import_id;

-- name: hold_undo
-- How far the undo of an import has come, held for its next piece; no row unless it is being undone.
SELECT coalesce(yeses_upto, '00000000-0000-0000-0000-000000000000') AS yeses_upto,
       coalesce(arrivals_upto, '00000000-0000-0000-0000-000000000000') AS arrivals_upto, removed
  FROM crm.import
 WHERE business_id = :business_id
   AND import_id = :import_id
   AND state = 'undoing'
   FOR NO KEY UPDATE;

-- name: move_undo
-- How far it is now, and how many of those the import added are not here any more.
UPDATE crm.import
   SET yeses_upto = :yeses_upto, arrivals_upto = :arrivals_upto, removed = :removed
 WHERE business_id = :business_id
   AND import_id = :import_id
   AND state = 'undoing';

-- name: finish_undo
-- The end of an undo; whom it came to last is nobody's business any more.
UPDATE crm.import
   SET state = 'undone', undone_at = :now, yeses_upto = NULL, arrivals_upto = NULL
 WHERE business_id = :business_id
   AND import_id = :import_id
   AND state = 'undoing';

-- name: beat
-- A sign of life with how far the work is and in which transaction, committed apart from it.
UPDATE crm.import
   SET rows_read = :rows_read, beat_at = :now, xact = :xact
 WHERE business_id = :business_id
   AND import_id = :import_id
   AND state = 'running';

-- name: finish_import
-- The end of the work, in the transaction of the work.
UPDATE crm.import
   SET state = CASE WHEN only_try THEN 'tried' ELSE 'done' END, done_at = :now, rows_read = :rows_read, added = :added,
       changed = :changed, unchanged = :unchanged, rejected = :rejected, given = :given,
       withdrawn = :withdrawn, unproven = :unproven, suppressed = :suppressed
 WHERE business_id = :business_id
   AND import_id = :import_id
   AND state = 'running';

-- name: analyze_customers
-- Fresh statistics, so that whatever is asked next is planned for as many as there are by now.
SELECT crm.analyze_customers();

-- name: fail_import
-- The end of an import of which nothing was kept, and why.
UPDATE crm.import
   SET state = 'failed', done_at = :now, problem = :problem, reasons = NULL
 WHERE business_id = :business_id
   AND import_id = :import_id
   AND state IN ('waiting', 'running', 'tried');

-- name: open_imports
-- Imports of which nobody can say yet what came of them.
SELECT import_id
  FROM crm.import
 WHERE business_id = :business_id
   AND state IN ('waiting', 'running', 'tried')
 ORDER BY import_id;

-- name: abandoned_imports
-- Imports begun at a terminal whose process is gone: asked only by who holds the turn.
SELECT i.import_id
  FROM crm.import i
 WHERE i.business_id = :business_id
   AND i.state = 'running'
   AND NOT EXISTS (SELECT FROM crm.import_file f
                    WHERE f.business_id = :business_id AND f.import_id = i.import_id);

-- name: add_rows
-- What the report says about some lines.
INSERT INTO crm.import_row (business_id, import_id, part, line, number, outcome, reason)
SELECT :business_id, :import_id, said.part, said.line, said.number, said.outcome, said.reason
  FROM unnest(:parts::text[], :lines::integer[], :numbers::integer[], :outcomes::text[],
              :reasons::text[])
       AS said (part, line, number, outcome, reason)
ON CONFLICT (business_id, import_id, part, line, number) DO NOTHING;

-- name: rows_after
-- Lines of a report in the order of the file, by pages.
SELECT part, line, number, outcome, reason
  FROM crm.import_row
 WHERE business_id = :business_id
   AND import_id = :import_id
   AND (part, line, number) > (:part::text, :line::integer, :number::integer)
 ORDER BY part, line, number
 LIMIT :limit;

-- name: reasons_of_import
-- What is said in a report, and of how many lines; where an address stood before is one reason. Summed
-- up from the lines where that is not kept.
SELECT k.outcome, k.reason, k.count
  FROM crm.import i
 CROSS JOIN LATERAL jsonb_to_recordset(i.reasons) AS k (outcome text, reason text, count integer)
 WHERE i.business_id = :business_id
   AND i.import_id = :import_id
 UNION ALL
SELECT s.outcome, s.reason, s.count
  FROM (SELECT r.outcome, said.reason, count(*)::integer AS count
          FROM crm.import_row r
         CROSS JOIN LATERAL (
            SELECT CASE WHEN starts_with(r.reason, 'The same address as in line ')
                        THEN 'The same address as in an earlier line; taken together, and an '
                             'opt-out wins.'
                        ELSE r.reason END AS reason) said
         WHERE r.business_id = :business_id
           AND r.import_id = :import_id
           AND NOT EXISTS (SELECT FROM crm.import i
                            WHERE i.business_id = :business_id
                              AND i.import_id = :import_id
                              AND i.reasons IS NOT NULL)
         GROUP BY r.outcome, said.reason
         ORDER BY count DESC, said.reason
         LIMIT :limit) s
 ORDER BY count DESC, reason;

-- name: keep_reasons
-- What is said in a report that is whole now, summed up.
UPDATE crm.import
   SET reasons = :reasons::jsonb
 WHERE business_id = :business_id
   AND import_id = :import_id;

-- name: lapse_rows
-- Deletes the remarks about rows of imports that ended long ago, some at a time, and their sums and
-- the names of their files: one may name whom the list is of.
WITH over AS MATERIALIZED (
  SELECT r.import_id, r.part, r.line, r.number
    FROM crm.import i
    JOIN crm.import_row r ON r.business_id = :business_id AND r.import_id = i.import_id
   WHERE i.business_id = :business_id AND i.done_at <= :over_before
   LIMIT :limit
), gone AS (
  DELETE FROM crm.import_row r USING over o
   WHERE r.business_id = :business_id AND r.import_id = o.import_id AND r.part = o.part
     AND r.line = o.line AND r.number = o.number
  RETURNING 1
), unnamed AS (
  UPDATE crm.import i SET file_name = :nameless, reasons = NULL
   WHERE i.business_id = :business_id AND i.done_at <= :over_before
     AND (i.file_name <> :nameless OR i.reasons IS NOT NULL)
  RETURNING 1
)
SELECT (SELECT count(*) FROM gone) + (SELECT count(*) FROM unnamed) AS deleted,
       CASE WHEN (SELECT count(*) FROM gone) = :limit THEN :after::uuid END AS upto;

-- name: add_to_quarantine
-- Rows whose asking has no evidence; who has decided, or was deleted, in this very moment is in none.
-- A row that was let go makes way for the newer one. Her record is held before her row, as by a job
-- that lets her go.
INSERT INTO crm.quarantine (business_id, customer_id, purpose_id, import_id, part, line, why, since,
                            ends_at)
SELECT :business_id, kept.customer_id, :purpose_id, :import_id, kept.part, kept.line, kept.why,
       :now, :ends_at
  FROM unnest(:customer_ids::uuid[], :parts::text[], :lines::integer[], :whys::text[])
       AS kept (customer_id, part, line, why)
 -- Each by her key, as there are no statistics of what this import has written.
 CROSS JOIN LATERAL (
   SELECT
     FROM crm.consent_now s
    WHERE s.business_id = :business_id
      AND s.customer_id = kept.customer_id
      AND s.purpose_id = :purpose_id
      AND s.status = 'unknown'
   OFFSET 0) asked
  JOIN crm.customer c
    ON c.business_id = :business_id
   AND c.customer_id = kept.customer_id
   AND c.erased_at IS NULL
   FOR KEY SHARE OF c
ON CONFLICT (business_id, customer_id, purpose_id)
DO UPDATE SET import_id = excluded.import_id, part = excluded.part, line = excluded.line,
              why = excluded.why, since = excluded.since, ends_at = excluded.ends_at
 WHERE quarantine.ends_at <= :now;

-- name: quarantine_after
-- Rows of an import in quarantine in the order of the file, by pages, with whose address it is and
-- whether anything keeps mail from it.
SELECT q.customer_id, q.purpose_id, q.import_id, c.address, q.part, q.line, q.why, q.since,
       q.ends_at,
       EXISTS (SELECT FROM crm.suppression s
                WHERE s.business_id = :business_id AND s.address_hash = c.address_hash) AS silenced
  FROM crm.quarantine q
  JOIN crm.customer c ON c.business_id = :business_id AND c.customer_id = q.customer_id
 WHERE q.business_id = :business_id
   AND q.import_id = :import_id
   AND q.ends_at > :now
   AND (q.part, q.line, q.customer_id) > (:part::text, :line::integer, :after::uuid)
 ORDER BY q.part, q.line, q.customer_id
 LIMIT :limit;

-- name: row_in_quarantine
-- The row of an import that keeps this customer apart; none once its time is over.
SELECT q.customer_id, q.purpose_id, q.import_id, c.address, q.part, q.line, q.why, q.since,
       q.ends_at,
       EXISTS (SELECT FROM crm.suppression s
                WHERE s.business_id = :business_id AND s.address_hash = c.address_hash) AS silenced
  FROM crm.quarantine q
  JOIN crm.customer c ON c.business_id = :business_id AND c.customer_id = q.customer_id
 WHERE q.business_id = :business_id
   AND q.import_id = :import_id
   AND q.customer_id = :customer_id
   AND q.ends_at > :now;

-- name: quarantine_of_customer
-- The rows that keep one customer apart, for her copy and her page.
SELECT purpose_id, import_id, part, line, why, since, ends_at
  FROM crm.quarantine
 WHERE business_id = :business_id
   AND customer_id = :customer_id
 ORDER BY since, purpose_id;

-- name: count_quarantine
-- How many rows of an import are in quarantine.
SELECT count(*)::integer
  FROM crm.quarantine
 WHERE business_id = :business_id
   AND import_id = :import_id
   AND ends_at > :now;

-- name: end_quarantine
-- The time of all rows of an import is over now; a job does the rest.
UPDATE crm.quarantine
   SET ends_at = :now
 WHERE business_id = :business_id
   AND import_id = :import_id
   AND ends_at > :now;

-- name: quarantine_over
-- The next rows whose time is over, the first first; of who is frozen nothing is deleted (Art. 18
-- GDPR).
SELECT q.customer_id, q.purpose_id, q.ends_at
  FROM crm.quarantine q
  JOIN crm.customer c ON c.business_id = :business_id AND c.customer_id = q.customer_id
 WHERE q.business_id = :business_id
   AND q.ends_at <= :now
   AND c.restricted_at IS NULL
   AND (q.ends_at, q.customer_id, q.purpose_id)
       > (:since::timestamptz, :after::uuid, :after_purpose::uuid)
 ORDER BY q.ends_at, q.customer_id, q.purpose_id
 LIMIT :limit;

-- name: leave_quarantine
-- One row is not in quarantine any more, unless a newer list keeps it there for longer.
DELETE FROM crm.quarantine
 WHERE business_id = :business_id
   AND customer_id = :customer_id
   AND purpose_id = :purpose_id
   AND ends_at <= :until;

-- name: forget_quarantine
-- No row keeps an erased customer apart.
DELETE FROM crm.quarantine
 WHERE business_id = :business_id
   AND customer_id = :customer_id;

-- name: reading_of_import
-- How the list of an import was read when it was received.
SELECT reading
  FROM crm.import
 WHERE business_id = :business_id
   AND import_id = :import_id;

-- name: save_mapping
-- What the columns of some list mean, in place of what was saved under this name.
INSERT INTO crm.import_mapping (business_id, name, mapping, changed_at)
VALUES (:business_id, :name, :mapping, :now)
ON CONFLICT (business_id, name)
DO UPDATE SET mapping = excluded.mapping, changed_at = excluded.changed_at;

-- name: count_mappings
-- How many mappings are saved.
SELECT count(*)::integer
  FROM crm.import_mapping
 WHERE business_id = :business_id;

-- name: mappings
-- Every mapping, by name.
SELECT name, mapping, changed_at
  FROM crm.import_mapping
 WHERE business_id = :business_id
 ORDER BY name;

-- name: mapping_named
-- One mapping.
SELECT name, mapping, changed_at
  FROM crm.import_mapping
 WHERE business_id = :business_id
   AND name = :name;

-- name: remove_mapping
-- A mapping is not offered any more.
DELETE FROM crm.import_mapping
 WHERE business_id = :business_id
   AND name = :name;
