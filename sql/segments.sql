-- Every statement of crm/segments but those that compiling.py makes of rules.
-- Owns: segment.

-- name: add_segment
-- A new segment; no row where its name is taken.
INSERT INTO crm.segment (business_id, segment_id, name, rule, created_at, changed_at)
VALUES (:business_id, :segment_id, :name, :rule, :now, :now)
ON CONFLICT (business_id, name) DO NOTHING
RETURNING segment_id AS id, name, rule, version, created_at, changed_at;

-- name: segments
-- The segments, by name.
SELECT segment_id AS id, name, rule, version, created_at, changed_at
  FROM crm.segment
 WHERE business_id = :business_id
 ORDER BY name
 LIMIT 1000;

-- name: count_segments
-- How many there are.
SELECT count(*) FROM crm.segment WHERE business_id = :business_id;

-- name: segment
-- One segment.
SELECT segment_id AS id, name, rule, version, created_at, changed_at
  FROM crm.segment
 WHERE business_id = :business_id
   AND segment_id = :segment_id;

-- name: segment_by_name
-- The segment that staff call so.
SELECT segment_id AS id, name, rule, version, created_at, changed_at
  FROM crm.segment
 WHERE business_id = :business_id
   AND name = :name;

-- name: segment_locked
-- One segment, held until the change that follows is written.
SELECT segment_id AS id, name, rule, version, created_at, changed_at
  FROM crm.segment
 WHERE business_id = :business_id
   AND segment_id = :segment_id
   FOR UPDATE;

-- name: segment_kept_as_it_is
-- One segment, held against a change of it beside other campaigns that are approved to it.
SELECT segment_id
  FROM crm.segment
 WHERE business_id = :business_id
   AND segment_id = :segment_id
   FOR KEY SHARE;

-- name: segment_is_approved
-- Whether somebody has approved a campaign to it that has not started.
SELECT EXISTS (SELECT FROM crm.campaign c
                WHERE c.business_id = :business_id
                  AND c.segment_id = :segment_id
                  AND c.state IN ('scheduled', 'held'));

-- name: segment_is_named
-- Whether a campaign that has not started names it.
SELECT EXISTS (SELECT FROM crm.campaign c
                WHERE c.business_id = :business_id
                  AND c.segment_id = :segment_id);

-- name: other_segment_of_name
-- Whether another has this name.
SELECT EXISTS (SELECT FROM crm.segment g
                WHERE g.business_id = :business_id
                  AND g.name = :name
                  AND g.segment_id <> :segment_id);

-- name: change_segment
-- Another name or rule.
UPDATE crm.segment
   SET name = :name, rule = :rule, version = version + 1, changed_at = :now
 WHERE business_id = :business_id
   AND segment_id = :segment_id
RETURNING segment_id AS id, name, rule, version, created_at, changed_at;

-- name: drop_segment
-- A segment that no campaign names; the key of `campaign` refuses any other.
DELETE FROM crm.segment
 WHERE business_id = :business_id
   AND segment_id = :segment_id;

-- name: purposes_to_ask_about
-- Every purpose, also one that is not used any more.
SELECT p.purpose_id AS id, p.name AS label
  FROM crm.purpose p
 WHERE p.business_id = :business_id;

-- name: campaigns_among
-- Those of these campaigns that are of this business, each with its purpose.
SELECT c.campaign_id AS id, c.purpose_id
  FROM crm.campaign c
 WHERE c.business_id = :business_id
   AND c.campaign_id = ANY (:campaign_ids::uuid[]);

-- name: special_among
-- Whether one of these purposes, in use or not, is about health, belief, politics or sexual life
-- (Art. 9 GDPR).
SELECT EXISTS (SELECT FROM crm.purpose p
                WHERE p.business_id = :business_id
                  AND p.purpose_id = ANY (:purpose_ids::uuid[])
                  AND p.special_category);

-- name: campaigns_to_ask_about
-- The newest campaigns that have started, for whoever writes a rule.
SELECT c.campaign_id AS id, c.subject AS label
  FROM crm.campaign c
 WHERE c.business_id = :business_id
   AND c.started_at IS NOT NULL
 ORDER BY c.campaign_id DESC
 LIMIT 20;
