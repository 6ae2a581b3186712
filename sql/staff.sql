-- Every statement of crm/staff. Owns: member, session, look_reason, api_key, attempt,
-- second_factor, second_factor_rule.

-- name: members
-- Who works here, those who may still sign in first.
SELECT member_id AS id, address, name, role, created_at, disabled_at
  FROM crm.member
 WHERE business_id = :business_id
 ORDER BY disabled_at IS NOT NULL, name, member_id;

-- name: member
-- One member by id.
SELECT member_id AS id, address, name, role, created_at, disabled_at
  FROM crm.member
 WHERE business_id = :business_id AND member_id = :member_id;

-- name: invited_members
-- Whom nobody has made a password yet.
SELECT member_id FROM crm.member WHERE business_id = :business_id AND password_hash = '';

-- name: add_member
-- A new member; no row where the address is taken.
INSERT INTO crm.member (business_id, member_id, address, folded, name, role, password_hash,
                        created_at)
VALUES (:business_id, :member_id, :address, :folded, :name, :role, :password_hash, :now)
ON CONFLICT ON CONSTRAINT member_one_per_address DO NOTHING
RETURNING member_id AS id, address, name, role, created_at, disabled_at;

-- name: active_owners_locked
-- The owners who may sign in, locked: whoever takes one away waits for whoever takes another.
SELECT member_id
  FROM crm.member
 WHERE business_id = :business_id AND role = 'owner' AND disabled_at IS NULL
 ORDER BY member_id
   FOR UPDATE;

-- name: set_role
-- What a member may do from now on.
UPDATE crm.member SET role = :role
 WHERE business_id = :business_id AND member_id = :member_id
RETURNING member_id AS id, address, name, role, created_at, disabled_at;

-- name: disable_member
-- The member signs in no more; the first instant stays.
UPDATE crm.member SET disabled_at = coalesce(disabled_at, :now)
 WHERE business_id = :business_id AND member_id = :member_id
RETURNING member_id AS id, address, name, role, created_at, disabled_at;

-- name: enable_member
-- The member may sign in again.
UPDATE crm.member SET disabled_at = NULL
 WHERE business_id = :business_id AND member_id = :member_id
RETURNING member_id AS id, address, name, role, created_at, disabled_at;

-- name: credentials_by_address
-- Whose password to check, and whether a second factor is asked for; those who were disabled have
-- none.
SELECT m.member_id AS id, m.address, m.password_hash, f.secret
  FROM crm.member m
  LEFT JOIN crm.second_factor f
    ON f.business_id = m.business_id AND f.member_id = m.member_id AND f.confirmed_at IS NOT NULL
 WHERE m.business_id = :business_id AND m.folded = :folded AND m.disabled_at IS NULL;

-- name: credentials_of
-- The same of a member who has given her password already.
SELECT m.member_id AS id, m.address, m.password_hash, f.secret
  FROM crm.member m
  LEFT JOIN crm.second_factor f
    ON f.business_id = m.business_id AND f.member_id = m.member_id AND f.confirmed_at IS NOT NULL
 WHERE m.business_id = :business_id AND m.member_id = :member_id AND m.disabled_at IS NULL;

-- name: set_password
-- A new password in place of whatever was there.
UPDATE crm.member SET password_hash = :password_hash
 WHERE business_id = :business_id AND member_id = :member_id;

-- name: replace_password
-- A new password in place of exactly the one that was checked.
UPDATE crm.member SET password_hash = :password_hash
 WHERE business_id = :business_id AND member_id = :member_id
   AND password_hash = :checked AND disabled_at IS NULL;

-- name: hold_member
-- A member's row, held before her sessions, and for the next statement, which sees what whoever held it
-- before has done: so whoever opens a session and whoever ends all of them wait for each other.
SELECT member_id
  FROM crm.member
 WHERE business_id = :business_id AND member_id = :member_id
   FOR NO KEY UPDATE;

-- name: open_session
-- A session for a member who is held, whose password is still the one that was checked, and whose
-- second factor was, if she has one; no row otherwise.
WITH opened AS (
  INSERT INTO crm.session (business_id, token_hash, member_id, created_at, seen_at, expires_at)
  SELECT business_id, :token_hash, member_id, :now, :now, :expires_at
    FROM crm.member
   WHERE business_id = :business_id AND member_id = :member_id
     AND password_hash = :checked AND disabled_at IS NULL
     AND (:proved::boolean
          OR NOT EXISTS (SELECT FROM crm.second_factor f
                          WHERE f.business_id = :business_id AND f.member_id = :member_id
                            AND f.confirmed_at IS NOT NULL))
  RETURNING business_id, member_id
)
SELECT m.member_id AS id, m.address, m.name, m.role, m.created_at, m.disabled_at
  FROM opened o
  JOIN crm.member m ON m.business_id = o.business_id AND m.member_id = o.member_id;

-- name: session
-- Who is signed in by this token: not disabled, not idle for too long, not for too long at all; and
-- whether the business insists on a second factor that she has not got.
SELECT m.member_id AS id, m.address, m.name, m.role, m.created_at, m.disabled_at, s.seen_at,
       EXISTS (SELECT FROM crm.second_factor_rule r WHERE r.business_id = :business_id)
       AND NOT EXISTS (SELECT FROM crm.second_factor f
                        WHERE f.business_id = :business_id AND f.member_id = m.member_id
                          AND f.confirmed_at IS NOT NULL) AS lacks_factor
  FROM crm.session s
  JOIN crm.member m ON m.business_id = s.business_id AND m.member_id = s.member_id
 WHERE s.business_id = :business_id AND s.token_hash = :token_hash
   AND s.expires_at > :now AND s.seen_at > :idle_since AND m.disabled_at IS NULL;

-- name: sessions_of_member
-- Where else a member is signed in.
SELECT token_hash, created_at, seen_at
  FROM crm.session
 WHERE business_id = :business_id AND member_id = :member_id
   AND expires_at > :now AND seen_at > :idle_since
 ORDER BY seen_at DESC;

-- name: see_session
-- The session was used; written at most once in a while.
UPDATE crm.session SET seen_at = :now
 WHERE business_id = :business_id AND token_hash = :token_hash AND seen_at < :now;

-- name: close_session
-- The session of one browser ends.
DELETE FROM crm.session
 WHERE business_id = :business_id AND token_hash = :token_hash;

-- name: close_sessions
-- Every session of a member ends, but for one that may be kept.
DELETE FROM crm.session
 WHERE business_id = :business_id AND member_id = :member_id
   AND token_hash IS DISTINCT FROM :but::bytea;

-- name: end_sessions
-- Every member is signed out, in every browser.
DELETE FROM crm.session
 WHERE business_id = :business_id;

-- name: drop_old_sessions
-- Sessions that nobody can use any more.
DELETE FROM crm.session
 WHERE business_id = :business_id AND (expires_at <= :now OR seen_at <= :idle_since);

-- name: second_factor
-- What a member has of a second factor, proved or only begun.
SELECT secret, begun_at, confirmed_at, used_step, cardinality(recovery) AS codes_left
  FROM crm.second_factor
 WHERE business_id = :business_id AND member_id = :member_id;

-- name: begin_second_factor
-- A new secret in place of one that was never proved; no row where one was.
INSERT INTO crm.second_factor (business_id, member_id, secret, begun_at)
VALUES (:business_id, :member_id, :secret, :now)
ON CONFLICT (business_id, member_id)
DO UPDATE SET secret = excluded.secret, begun_at = excluded.begun_at
 WHERE crm.second_factor.confirmed_at IS NULL
RETURNING member_id;

-- name: confirm_second_factor
-- The secret that was begun is proved by a code of this step.
UPDATE crm.second_factor
   SET confirmed_at = :now, used_step = :step, recovery = :recovery
 WHERE business_id = :business_id AND member_id = :member_id
   AND secret = :secret AND confirmed_at IS NULL;

-- name: use_step
-- A code is used up, unless it or a later one was already.
UPDATE crm.second_factor SET used_step = :step
 WHERE business_id = :business_id AND member_id = :member_id
   AND confirmed_at IS NOT NULL AND used_step < :step;

-- name: use_recovery
-- One of the codes for a lost telephone is used up.
UPDATE crm.second_factor SET recovery = array_remove(recovery, :code_hash::bytea)
 WHERE business_id = :business_id AND member_id = :member_id
   AND confirmed_at IS NOT NULL AND :code_hash::bytea = ANY (recovery);

-- name: drop_second_factor
-- The member has no second factor any more.
DELETE FROM crm.second_factor
 WHERE business_id = :business_id AND member_id = :member_id;

-- name: drop_begun_factors
-- Secrets that were shown and never proved.
DELETE FROM crm.second_factor
 WHERE business_id = :business_id AND confirmed_at IS NULL AND begun_at < :before;

-- name: factor_rule
-- Since when the business insists on a second factor, if it does.
SELECT since FROM crm.second_factor_rule WHERE business_id = :business_id;

-- name: insist_on_factor
-- From now on nobody works here without a second factor.
INSERT INTO crm.second_factor_rule (business_id, since) VALUES (:business_id, :now)
ON CONFLICT (business_id) DO NOTHING;

-- name: leave_factor_open
-- Whoever works here decides for herself again.
DELETE FROM crm.second_factor_rule WHERE business_id = :business_id;

-- name: members_with_factor
-- Who has proved a second factor.
SELECT member_id
  FROM crm.second_factor
 WHERE business_id = :business_id AND confirmed_at IS NOT NULL;

-- name: reason_for
-- Why a member opens this customer's record, if that was said and still counts.
SELECT reason
  FROM crm.look_reason
 WHERE business_id = :business_id AND member_id = :member_id AND customer_id = :customer_id
   AND expires_at > :now;

-- name: give_reason
-- Why a member opens this customer's record; the newest reason counts.
INSERT INTO crm.look_reason (business_id, member_id, customer_id, reason, expires_at)
VALUES (:business_id, :member_id, :customer_id, :reason, :expires_at)
ON CONFLICT (business_id, member_id, customer_id)
DO UPDATE SET reason = excluded.reason, expires_at = excluded.expires_at;

-- name: reasons_about
-- What staff have said just now about why they open one customer's record.
SELECT reason, expires_at
  FROM crm.look_reason
 WHERE business_id = :business_id AND customer_id = :customer_id
 ORDER BY expires_at;

-- name: forget_reasons
-- What staff said about one customer, deleted with the customer.
DELETE FROM crm.look_reason
 WHERE business_id = :business_id AND customer_id = :customer_id;

-- name: drop_old_reasons
-- Reasons that count no more; what was said stands in the events.
DELETE FROM crm.look_reason
 WHERE business_id = :business_id AND expires_at <= :now;

-- name: add_key
-- A new API key; of its text only a hash is kept.
INSERT INTO crm.api_key (business_id, key_id, name, secret_hash, scopes, reason, purposes,
                         expires_at, created_by,
                         created_at)
VALUES (:business_id, :key_id, :name, :secret_hash, :scopes, :reason, :purposes,
        :expires_at, :created_by, :now)
RETURNING key_id AS id, name, scopes, reason, purposes, created_by, created_at, expires_at,
       previous_until, last_used_at, revoked_at;

-- name: keys
-- The keys of the business, those that work first.
SELECT key_id AS id, name, scopes, reason, purposes, created_by, created_at, expires_at,
       previous_until, last_used_at, revoked_at
  FROM crm.api_key
 WHERE business_id = :business_id
 ORDER BY revoked_at IS NOT NULL, expires_at <= :now IS TRUE, name, key_id;

-- name: count_keys
-- How many keys of the business work.
SELECT count(*) FROM crm.api_key
 WHERE business_id = :business_id AND revoked_at IS NULL
   AND (expires_at IS NULL OR expires_at > :now);

-- name: key_in_use
-- A key that works, with the hash its text must have, and that of the text before for a while.
SELECT key_id AS id, name, scopes, reason, purposes, secret_hash,
       CASE WHEN previous_until > :now THEN previous_hash END AS previous_hash, last_used_at
  FROM crm.api_key
 WHERE business_id = :business_id AND key_id = :key_id AND revoked_at IS NULL
   AND (expires_at IS NULL OR expires_at > :now);

-- name: use_key
-- The key was used; a request that finds the row locked leaves it to whoever holds it.
UPDATE crm.api_key SET last_used_at = :now
 WHERE business_id = :business_id
   AND key_id = (SELECT key_id FROM crm.api_key
                  WHERE business_id = :business_id AND key_id = :key_id
                    AND (last_used_at IS NULL OR last_used_at <= :stale)
                    FOR UPDATE SKIP LOCKED);

-- name: rotate_key
-- A new text for a key that works; the one before works on until then.
UPDATE crm.api_key
   SET secret_hash = :secret_hash, previous_hash = secret_hash, previous_until = :previous_until
 WHERE business_id = :business_id AND key_id = :key_id AND revoked_at IS NULL
   AND (expires_at IS NULL OR expires_at > :now)
RETURNING key_id AS id, name, scopes, reason, purposes, created_by, created_at, expires_at,
       previous_until, last_used_at, revoked_at;

-- name: revoke_key
-- The key works no more; the first instant stays.
UPDATE crm.api_key SET revoked_at = :now
 WHERE business_id = :business_id AND key_id = :key_id AND revoked_at IS NULL
RETURNING key_id AS id, name, scopes, reason, purposes, created_by, created_at, expires_at,
       previous_until, last_used_at, revoked_at;

-- name: purposes_to_bind
-- Purposes in use, for whoever binds a key to some.
SELECT p.purpose_id AS id, p.name
  FROM crm.purpose p
 WHERE p.business_id = :business_id
   AND p.retired_at IS NULL
 ORDER BY p.name, p.code;

-- name: key
-- One key by id.
SELECT key_id AS id, name, scopes, reason, purposes, created_by, created_at, expires_at,
       previous_until, last_used_at, revoked_at
  FROM crm.api_key
 WHERE business_id = :business_id AND key_id = :key_id;

-- name: role_behind_key
-- The role of the member who made a key, or made the key that made it, while she is let in; what
-- the operator made stands for an owner.
WITH RECURSIVE made AS (
  SELECT k.created_by
    FROM crm.api_key k
   WHERE k.business_id = :business_id AND k.key_id = :key_id
  UNION
  SELECT k.created_by
    FROM made
    JOIN crm.api_key k ON k.business_id = :business_id AND k.key_id = made.created_by
)
SELECT coalesce(m.role, 'owner') AS role
  FROM made
  LEFT JOIN crm.member m
    ON m.business_id = :business_id AND m.member_id = made.created_by AND m.disabled_at IS NULL
 WHERE made.created_by IS NULL OR m.member_id IS NOT NULL;

-- name: count_attempt
-- One more try in this window; returns how many there were with it.
INSERT INTO crm.attempt (business_id, kind, subject, window_start, count)
VALUES (:business_id, :kind, :subject, :window_start, 1)
ON CONFLICT (business_id, kind, subject, window_start)
DO UPDATE SET count = attempt.count + 1
RETURNING count;

-- name: forgive_attempts
-- The tries for this subject were those of its owner.
DELETE FROM crm.attempt
 WHERE business_id = :business_id AND kind = :kind AND subject = :subject;

-- name: forgive_about
-- What was counted of some kinds for an address, whoever asked: its owner has answered. What is
-- being counted at this moment stays: whoever counts may wait for her row, which is held here.
DELETE FROM crm.attempt
 WHERE business_id = :business_id
   AND (kind, subject) IN (
     SELECT a.kind, a.subject
       FROM crm.attempt a
      WHERE a.business_id = :business_id AND a.kind = ANY (:kinds::text[])
        AND substr(a.subject, 1, 16) = :address_hash
        FOR UPDATE SKIP LOCKED);

-- name: forget_attempts
-- How often an erased address was tried or written to until then; a subject may say behind it from
-- where. What is being counted at this moment goes by itself, some hours later.
DELETE FROM crm.attempt
 WHERE business_id = :business_id
   AND (kind, subject) IN (
     SELECT a.kind, a.subject
       FROM crm.attempt a
      WHERE a.business_id = :business_id AND substr(a.subject, 1, 16) = :address_hash
        AND (:until::timestamptz IS NULL OR a.window_start <= :until)
        FOR UPDATE SKIP LOCKED);

-- name: drop_old_attempts
-- Tries whose window is long over.
DELETE FROM crm.attempt
 WHERE business_id = :business_id AND window_start < :before;
