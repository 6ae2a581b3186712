-- Every statement of crm/ledger.
-- Owns: signing_key, ledger_origin, ledger_head, ledger_unsealed, ledger_leaf, ledger_tile,
-- ledger_checkpoint, ledger_alarm, ledger_watch.

-- name: head
-- How far the ledger is sealed, and under which origin.
SELECT h.origin_number, o.origin, o.begins_at, o.predecessor, h.size, h.root, h.signed_size,
       h.stopped_why, h.stopped_at, h.anchored_size, h.anchored_at
  FROM crm.ledger_head h
  JOIN crm.ledger_origin o ON o.business_id = :business_id AND o.number = h.origin_number
 WHERE h.business_id = :business_id;

-- name: hold_head
-- The same, held until the transaction ends; no row while another sequencer holds it.
SELECT h.origin_number, o.origin, o.begins_at, o.predecessor, h.size, h.root, h.signed_size,
       h.stopped_why, h.stopped_at, h.anchored_size, h.anchored_at
  FROM crm.ledger_head h
  JOIN crm.ledger_origin o ON o.business_id = :business_id AND o.number = h.origin_number
 WHERE h.business_id = :business_id
   FOR UPDATE OF h SKIP LOCKED;

-- name: add_head
-- A ledger without leaves; there already, it stays as it is.
INSERT INTO crm.ledger_head (business_id, origin_number, size, root, moved_at)
VALUES (:business_id, :origin_number, 0, :root, :now)
ON CONFLICT (business_id) DO NOTHING;

-- name: move_head
-- The ledger has grown from exactly the size and root that were held.
UPDATE crm.ledger_head
   SET size = :new_size, root = :new_root, moved_at = :now
 WHERE business_id = :business_id
   AND size = :size
   AND root = :root;

-- name: move_origin
-- The ledger goes by its newest origin from here on.
UPDATE crm.ledger_head
   SET origin_number = :origin_number, signed_size = 0, stopped_why = NULL, stopped_at = NULL
 WHERE business_id = :business_id;

-- name: stop_head
-- Why nothing can be sealed; since the first time it was so.
UPDATE crm.ledger_head
   SET stopped_why = :stopped_why,
       stopped_at = CASE WHEN stopped_why = :stopped_why THEN stopped_at ELSE :now END
 WHERE business_id = :business_id;

-- name: resume_head
-- It can be sealed again.
UPDATE crm.ledger_head SET stopped_why = NULL, stopped_at = NULL
 WHERE business_id = :business_id
   AND stopped_why IS NOT NULL;

-- name: anchor_head
-- A head was written to the operator's directory.
UPDATE crm.ledger_head SET anchored_size = :size, anchored_at = :now
 WHERE business_id = :business_id;

-- name: add_origin
-- A name for the ledger from here on; no row where another transaction was first.
INSERT INTO crm.ledger_origin (business_id, number, origin, begins_at, predecessor, opening,
                               entry_id, opened_at)
VALUES (:business_id, :number, :origin, :begins_at, :predecessor, :opening, :entry_id, :now)
ON CONFLICT DO NOTHING
RETURNING number;

-- name: origins
-- Every name the ledger went by, the first first.
SELECT number, origin, begins_at, predecessor, opening, opened_at
  FROM crm.ledger_origin
 WHERE business_id = :business_id
 ORDER BY number;

-- name: take_unsealed
-- The next entries become leaves, in the order of their ids, which is that of time as far as
-- clocks agree. All that is committed by now and comes after the last one taken; whatever commits
-- later is found by the next round, which begins at the beginning.
WITH taken AS (
  DELETE FROM crm.ledger_unsealed u
   WHERE u.business_id = :business_id
     AND u.entry_id = ANY (ARRAY(
       SELECT n.entry_id
         FROM crm.ledger_unsealed n
        WHERE n.business_id = :business_id
          AND n.entry_id > :after
        ORDER BY n.entry_id
        LIMIT :limit))
  RETURNING u.entry_id, u.commitment
), placed AS (
  INSERT INTO crm.ledger_leaf (business_id, leaf_index, entry_id)
  SELECT :business_id, :size::bigint - 1 + row_number() OVER (ORDER BY t.entry_id), t.entry_id
    FROM taken t
  RETURNING entry_id
)
SELECT count(*)::integer AS count,
       coalesce(string_agg(t.commitment, ''::bytea ORDER BY t.entry_id), ''::bytea) AS commitments,
       (SELECT count(*) FROM placed p)::integer AS placed,
       max(t.entry_id::text COLLATE "C")::uuid AS last
  FROM taken t;

-- name: place_entry
-- The statement of an origin becomes a leaf.
INSERT INTO crm.ledger_leaf (business_id, leaf_index, entry_id)
VALUES (:business_id, :leaf_index, :entry_id);

-- name: tiles
-- The hashes of some tiles.
SELECT t.level, t.number, t.hashes
  FROM unnest(:levels::smallint[], :numbers::bigint[]) AS n (level, number)
  JOIN crm.ledger_tile t ON t.business_id = :business_id
   AND t.level = n.level AND t.number = n.number;

-- name: write_tiles
-- Tiles that are new or longer now.
INSERT INTO crm.ledger_tile (business_id, level, number, hashes)
SELECT :business_id, n.level, n.number, n.hashes
  FROM unnest(:levels::smallint[], :numbers::bigint[], :hashes::bytea[])
         AS n (level, number, hashes)
ON CONFLICT (business_id, level, number) DO UPDATE SET hashes = excluded.hashes;

-- name: add_checkpoint
-- A head as it was signed, if the ledger still goes by that origin; one that is there stays.
INSERT INTO crm.ledger_checkpoint (business_id, origin_number, size, root, note, key_number,
                                   signed_at)
SELECT h.business_id, h.origin_number, :size, :root, :note, :key_number, :now
  FROM crm.ledger_head h
 WHERE h.business_id = :business_id
   AND h.origin_number = :origin_number
   AND h.size >= :size
ON CONFLICT (business_id, origin_number, size) DO NOTHING;

-- name: sign_head
-- The head is signed up to this size.
UPDATE crm.ledger_head SET signed_size = greatest(signed_size, :size)
 WHERE business_id = :business_id
   AND origin_number = :origin_number;

-- name: newest_checkpoint
-- The signed head of an origin that covers most.
SELECT origin_number, size, root, note, signed_at
  FROM crm.ledger_checkpoint
 WHERE business_id = :business_id
   AND origin_number = :origin_number
 ORDER BY size DESC
 LIMIT 1;

-- name: present_checkpoint
-- The same of the origin that the ledger goes by now.
SELECT c.origin_number, c.size, c.root, c.note, c.signed_at
  FROM crm.ledger_head h
  JOIN LATERAL (
    SELECT k.origin_number, k.size, k.root, k.note, k.signed_at
      FROM crm.ledger_checkpoint k
     WHERE k.business_id = :business_id
       AND k.origin_number = h.origin_number
     ORDER BY k.size DESC
     LIMIT 1) c ON true
 WHERE h.business_id = :business_id;

-- name: checkpoints
-- The newest signed heads, of whatever origin.
SELECT origin_number, size, root, note, signed_at
  FROM crm.ledger_checkpoint
 WHERE business_id = :business_id
 ORDER BY origin_number DESC, size DESC
 LIMIT :limit;

-- name: checkpoints_within
-- The signed heads of sizes above one and up to another.
SELECT origin_number, size, root, note, signed_at
  FROM crm.ledger_checkpoint
 WHERE business_id = :business_id
   AND size > :low
   AND size <= :high
 ORDER BY size, origin_number;

-- name: inclusion_basis
-- Which leaf an entry is, the newest signed head if it covers that leaf, and the tiles that the path
-- is computed from: on every level the one above the leaf and the last. One row at least, without a
-- tile, for each entry that is sealed.
WITH basis AS (
  SELECT l.leaf_index, c.size, c.note
    FROM crm.ledger_leaf l
    JOIN crm.ledger_head h ON h.business_id = :business_id
    LEFT JOIN LATERAL (
      SELECT k.size, k.note
        FROM crm.ledger_checkpoint k
       WHERE k.business_id = :business_id
         AND k.origin_number = h.origin_number
       ORDER BY k.size DESC
       LIMIT 1) c ON c.size > l.leaf_index
   WHERE l.business_id = :business_id
     AND l.entry_id = :entry_id
)
SELECT b.leaf_index, b.size, b.note, t.level, t.number, t.hashes
  FROM basis b
  LEFT JOIN LATERAL generate_series(0, 6) AS n (level) ON b.size >> 8 * n.level > 0
  -- The bound keeps PostgreSQL from reading every tile there is.
  LEFT JOIN LATERAL (
    SELECT i.level, i.number, i.hashes
      FROM crm.ledger_tile i
     WHERE i.business_id = :business_id
       AND i.level = n.level
       AND i.number = ANY (ARRAY[b.leaf_index >> 8 * (n.level + 1), b.size >> 8 * (n.level + 1)])
     LIMIT 2) t ON true;

-- name: consistency_basis
-- How far the head is signed, and the tiles that a path between two sizes is computed from. One row
-- at least, without a tile, where anything is sealed.
SELECT h.signed_size, t.level, t.number, t.hashes
  FROM crm.ledger_head h
  LEFT JOIN (
    unnest(:levels::smallint[], :numbers::bigint[]) AS n (level, number)
    JOIN crm.ledger_tile t ON t.business_id = :business_id
     AND t.level = n.level AND t.number = n.number) ON true
 WHERE h.business_id = :business_id;

-- name: positions
-- Which leaves some entries are; those not sealed yet are left out.
SELECT l.entry_id, l.leaf_index
  FROM crm.ledger_leaf l
 WHERE l.business_id = :business_id
   AND l.entry_id = ANY (:entry_ids::uuid[]);

-- name: unsealed
-- How many entries wait to be sealed, and since when the longest.
SELECT count(*)::integer AS count, min(entered_at) AS since
  FROM crm.ledger_unsealed
 WHERE business_id = :business_id;

-- name: add_key
-- A key to sign with; no row where another transaction has made that one.
INSERT INTO crm.signing_key (business_id, kind, number, name, public, private, endorsement,
                             created_at)
VALUES (:business_id, :kind, :number, :name, :public, :private, :endorsement, :now)
ON CONFLICT DO NOTHING
RETURNING number;

-- name: key_in_use
-- The key that signs now, with its private half as it is kept.
SELECT number, name, public, private
  FROM crm.signing_key
 WHERE business_id = :business_id
   AND kind = :kind
   AND retired_at IS NULL;

-- name: hold_key
-- The same, held against another rotation.
SELECT number, name, public, private
  FROM crm.signing_key
 WHERE business_id = :business_id
   AND kind = :kind
   AND retired_at IS NULL
   FOR UPDATE;

-- name: retire_key
-- A key signs no more; its private half is gone.
UPDATE crm.signing_key SET retired_at = :now, private = NULL
 WHERE business_id = :business_id
   AND kind = :kind
   AND number = :number
   AND retired_at IS NULL;

-- name: keep_key
-- The private half, encrypted anew.
UPDATE crm.signing_key SET private = :private
 WHERE business_id = :business_id
   AND kind = :kind
   AND number = :number
   AND retired_at IS NULL;

-- name: public_keys
-- Every key there ever was, the first first.
SELECT kind, number, name, public, endorsement, created_at, retired_at
  FROM crm.signing_key
 WHERE business_id = :business_id
 ORDER BY kind, number;

-- name: raise_alarm
-- Something is not as it was sealed. Found again it is the same alarm, and one that was settled
-- stays settled as long as each round finds it, and finds it unchanged.
INSERT INTO crm.ledger_alarm AS a (business_id, alarm_id, kind, subject, detail, found_at, seen_at)
VALUES (:business_id, :alarm_id, :kind, :subject, :detail, :now, :now)
ON CONFLICT (business_id, kind, subject) DO UPDATE
   SET seen_at = excluded.seen_at, detail = excluded.detail, mended_at = NULL,
       settled_at = CASE WHEN a.detail = excluded.detail AND a.mended_at IS NULL
                         THEN a.settled_at END,
       settled_why = CASE WHEN a.detail = excluded.detail AND a.mended_at IS NULL
                          THEN a.settled_why ELSE '' END;

-- name: note_mended
-- Settled alarms that a whole round has not found: what comes up there later is something new.
UPDATE crm.ledger_alarm
   SET mended_at = :now
 WHERE business_id = :business_id
   AND settled_at IS NOT NULL
   AND mended_at IS NULL
   AND seen_at < :started_at;

-- name: alarms
-- What was found and is not settled, and what was, the newest first.
SELECT alarm_id AS id, kind, subject, detail, found_at, seen_at, settled_at, settled_why
  FROM crm.ledger_alarm
 WHERE business_id = :business_id
   AND (settled_at IS NULL OR :settled::boolean)
 ORDER BY found_at DESC, alarm_id
 LIMIT :limit;

-- name: settle_alarm
-- An operator has looked into it.
UPDATE crm.ledger_alarm SET settled_at = :now, settled_why = :settled_why
 WHERE business_id = :business_id
   AND alarm_id = :alarm_id
   AND settled_at IS NULL;

-- name: hold_watch
-- Where the monitor is, held so that one round is made by one worker.
SELECT size, root, position, after, found, started_at, ended_at
  FROM crm.ledger_watch
 WHERE business_id = :business_id
   FOR UPDATE SKIP LOCKED;

-- name: watch
-- Where the monitor is, or when and with how many findings its last round ended.
SELECT size, root, position, after, found, started_at, ended_at
  FROM crm.ledger_watch
 WHERE business_id = :business_id;

-- name: begin_watch
-- A new round, from the first leaf to the head as it is now.
INSERT INTO crm.ledger_watch (business_id, size, root, position, after, found, started_at,
                              ended_at)
SELECT h.business_id, h.size, h.root, 0, NULL, 0, :now, NULL
  FROM crm.ledger_head h
 WHERE h.business_id = :business_id
ON CONFLICT (business_id) DO UPDATE
   SET size = excluded.size, root = excluded.root, position = 0, after = NULL, found = 0,
       started_at = excluded.started_at, ended_at = NULL,
       last_ended_at = coalesce(ledger_watch.ended_at, ledger_watch.last_ended_at);

-- name: go_on_watch
-- How far the round has come.
UPDATE crm.ledger_watch
   SET position = :position, after = :after, found = found + :found, ended_at = :ended_at
 WHERE business_id = :business_id;
