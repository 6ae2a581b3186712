-- Every statement of crm/access.
-- Owns: signup, portal_link, portal_session, address_change, former_address.

-- name: standing
-- Who has this address, and which purposes that person allows already; no row for a stranger. What
-- a fresh yes would begin anew is not among them: while nothing is sent to the address any of it,
-- what rests on a version that another has replaced, and what ends so soon that she is asked again.
-- Nor is anything while her record is frozen or waits for its deletion: she gets none of it then.
SELECT c.customer_id,
       ARRAY(SELECT s.purpose_id
               FROM crm.consent_now s
              WHERE s.business_id = :business_id
                AND s.customer_id = c.customer_id
                AND s.status IN ('given', 'renewed')
                AND (s.ends_at IS NULL OR s.ends_at > :now)
                AND s.stale_at IS NULL
                AND crm.asked_again(s.at, s.ends_at, s.stale_at, :now) IS NOT TRUE
                AND NOT EXISTS (SELECT FROM crm.silenced u
                                 WHERE u.business_id = :business_id
                                   AND u.address_hash = c.address_hash)
                AND c.restricted_at IS NULL
                AND NOT EXISTS (SELECT FROM crm.erasure_wish w
                                 WHERE w.business_id = :business_id
                                   AND w.customer_id = c.customer_id)) AS allowed
  FROM crm.customer c
 WHERE c.business_id = :business_id
   AND c.address_hash = :address_hash;

-- name: unused
-- Since when a customer's record is frozen and when it is deleted; no row while it is used.
SELECT c.restricted_at AS frozen_at, w.due_at AS deleted_at
  FROM crm.customer c
  LEFT JOIN crm.erasure_wish w
    ON w.business_id = :business_id
   AND w.customer_id = c.customer_id
 WHERE c.business_id = :business_id
   AND c.customer_id = :customer_id
   AND (c.restricted_at IS NOT NULL OR w.due_at IS NOT NULL);

-- name: add_signup
-- A sign-up that waits to be confirmed, beside those that the address has waiting already.
INSERT INTO crm.signup (business_id, signup_id, address, folded, address_hash, name, locale,
                        choices, page, message_id, form_sha256, jurisdiction, of_age, network,
                        again, elsewhere, token_hash, code_hash, requested_at, expires_at)
VALUES (:business_id, :signup_id, :address, :folded, :address_hash, :name, :locale, :choices,
        :page, :message_id, :form_sha256, :jurisdiction, :of_age, :network, :again, :elsewhere,
        :token_hash, :code_hash, :now, :expires_at);

-- name: drop_expired_signup
-- The sign-up of one address goes if it has expired; weighs as much as replacing it.
DELETE FROM crm.signup
 WHERE business_id = :business_id
   AND folded = :folded
   AND expires_at <= :now;

-- name: signup
-- The sign-up that a link names, while it can be confirmed.
SELECT signup_id AS id, address, address_hash, name, locale, choices, page, message_id,
       form_sha256, jurisdiction, of_age, network, again, elsewhere, requested_at, expires_at
  FROM crm.signup
 WHERE business_id = :business_id
   AND token_hash = :token_hash
   AND expires_at > :now;

-- name: hold_owner
-- Whose address it is, held before what waits under it: as an erasure does, and whoever leaves.
SELECT customer_id
  FROM crm.customer
 WHERE business_id = :business_id
   AND address_hash = :address_hash
   FOR UPDATE;

-- name: signup_held
-- What a link names, held: of two confirmations at once one gets it, and the other finds nothing.
SELECT signup_id AS id, address, address_hash, name, locale, choices, page, message_id,
       form_sha256, jurisdiction, of_age, network, again, elsewhere, requested_at, expires_at
  FROM crm.signup
 WHERE business_id = :business_id
   AND token_hash = :token_hash
   AND expires_at > :now
   FOR UPDATE;

-- name: signup_held_by_code
-- The sign-up of an address, held, if this is its code.
SELECT signup_id AS id, address, address_hash, name, locale, choices, page, message_id,
       form_sha256, jurisdiction, of_age, network, again, elsewhere, requested_at, expires_at
  FROM crm.signup
 WHERE business_id = :business_id
   AND folded = :folded
   AND code_hash = :code_hash
   AND expires_at > :now
   FOR UPDATE;

-- name: prove_sign_up
-- The sign-up is used up by its secret, and the mailbox of that customer has proved itself; null
-- where it is over.
SELECT crm.prove_sign_up(:business_id, :proof_id, :customer_id, :signup_id, :token, :code_hash,
                         :now);

-- name: signups_of_customer
-- What waits to be confirmed under the address of a customer.
SELECT s.signup_id AS id, s.address, s.address_hash, s.name, s.locale, s.choices, s.page,
       s.message_id, s.form_sha256, s.jurisdiction, s.of_age, s.network, s.again, s.elsewhere,
       s.requested_at, s.expires_at
  FROM crm.customer c
  JOIN crm.signup s ON s.business_id = c.business_id AND s.folded = c.folded
 WHERE c.business_id = :business_id
   AND c.customer_id = :customer_id;

-- name: forget_signups_of
-- What waits to be confirmed under an address that is erased, and was asked for by then.
DELETE FROM crm.signup
 WHERE business_id = :business_id
   AND address_hash = :address_hash
   AND (:until::timestamptz IS NULL OR requested_at <= :until);

-- name: drop_old_signups
-- Sign-ups that nobody confirmed in time.
DELETE FROM crm.signup
 WHERE business_id = :business_id
   AND expires_at <= :now;

-- name: replace_link
-- A way in for one customer in one browser, mailed to that address; the newest replaces the older
-- one.
INSERT INTO crm.portal_link (business_id, customer_id, address_hash, token_hash, code_hash,
                             browser_hash, created_at, expires_at)
VALUES (:business_id, :customer_id, :address_hash, :token_hash, :code_hash, :browser_hash, :now,
        :expires_at)
ON CONFLICT (business_id, customer_id, browser_hash) DO UPDATE
   SET address_hash = excluded.address_hash, token_hash = excluded.token_hash,
       code_hash = excluded.code_hash, created_at = excluded.created_at,
       expires_at = excluded.expires_at;

-- name: link
-- The way in that a mailed link names, while it is open and the address it was mailed to is hers.
SELECT l.customer_id, c.address_hash, l.token_hash, l.code_hash, l.browser_hash
  FROM crm.portal_link l
  JOIN crm.customer c ON c.business_id = l.business_id AND c.customer_id = l.customer_id
 WHERE l.business_id = :business_id
   AND l.address_hash = c.address_hash
   AND l.token_hash = :token_hash
   AND l.expires_at > :now
   AND c.erased_at IS NULL;

-- name: link_by_code
-- The way in that was mailed to an address with this code, while it is open.
SELECT l.customer_id, c.address_hash, l.token_hash, l.code_hash, l.browser_hash
  FROM crm.portal_link l
  JOIN crm.customer c ON c.business_id = l.business_id AND c.customer_id = l.customer_id
 WHERE l.business_id = :business_id
   AND c.address_hash = :address_hash
   AND l.address_hash = c.address_hash
   AND l.code_hash = :code_hash
   AND l.expires_at > :now;

-- name: prove_sign_in
-- The way in is used up by its secret, and the mailbox of that customer has proved itself; null
-- where it is over, or was mailed to an address that is hers no more.
SELECT crm.prove_sign_in(:business_id, :proof_id, :customer_id, :token, :code_hash, :now);

-- name: link_of_customer
-- Since when a customer has a way in that is not used yet.
SELECT created_at, expires_at
  FROM crm.portal_link
 WHERE business_id = :business_id
   AND customer_id = :customer_id;

-- name: forget_link
-- A customer's unused way in goes with the customer.
DELETE FROM crm.portal_link
 WHERE business_id = :business_id
   AND customer_id = :customer_id;

-- name: drop_old_links
-- Ways in that nobody used in time.
DELETE FROM crm.portal_link
 WHERE business_id = :business_id
   AND expires_at <= :now;

-- name: end_sessions
-- Everybody is signed out, in every browser.
DELETE FROM crm.portal_session
 WHERE business_id = :business_id;

-- name: end_links
-- No way in that was mailed opens anything any more.
DELETE FROM crm.portal_link
 WHERE business_id = :business_id;

-- name: open_session
-- A customer is signed in, in one browser.
INSERT INTO crm.portal_session (business_id, token_hash, customer_id, proof_id, created_at,
                                seen_at, expires_at, link_hash, browser_hash)
VALUES (:business_id, :token_hash, :customer_id, :proof_id, :now, :now, :expires_at, :link_hash,
        :browser_hash);

-- name: renew_session
-- The session that a link has just opened goes on under another token, for the browser that pressed
-- it twice; returns whose it is.
UPDATE crm.portal_session
   SET token_hash = :token_hash, seen_at = :now
 WHERE business_id = :business_id
   AND link_hash = :link_hash
   AND browser_hash = :browser_hash
   AND created_at > :since
   AND expires_at > :now
RETURNING customer_id;

-- name: session
-- Who is signed in by this token, and by which proof of her mailbox: not idle for too long, not
-- for too long at all.
SELECT s.customer_id, s.created_at, s.seen_at, s.expires_at, s.proof_id, p.way, p.mailed_at,
       p.proved_at
  FROM crm.portal_session s
  JOIN crm.mailbox_proof p
    ON p.business_id = :business_id
   AND p.proof_id = s.proof_id
 WHERE s.business_id = :business_id
   AND s.token_hash = :token_hash
   AND s.expires_at > :now
   AND s.seen_at > :idle_since;

-- name: see_session
-- The session was used; written at most once in a while.
UPDATE crm.portal_session SET seen_at = :now
 WHERE business_id = :business_id
   AND token_hash = :token_hash
   AND seen_at < :now;

-- name: close_session
-- The session of one browser ends.
DELETE FROM crm.portal_session
 WHERE business_id = :business_id
   AND token_hash = :token_hash;

-- name: close_one_session
-- One session of a customer ends: that which came of one proof of her mailbox.
DELETE FROM crm.portal_session
 WHERE business_id = :business_id
   AND customer_id = :customer_id
   AND proof_id = :proof_id;

-- name: close_other_sessions
-- All sessions of a customer end but one.
DELETE FROM crm.portal_session
 WHERE business_id = :business_id
   AND customer_id = :customer_id
   AND token_hash <> :token_hash;

-- name: sessions_of_customer
-- Where a customer is signed in, the newest first.
SELECT s.customer_id, s.created_at, s.seen_at, s.expires_at, s.proof_id, p.way, p.mailed_at,
       p.proved_at
  FROM crm.portal_session s
  JOIN crm.mailbox_proof p
    ON p.business_id = :business_id
   AND p.proof_id = s.proof_id
 WHERE s.business_id = :business_id
   AND s.customer_id = :customer_id
 ORDER BY s.created_at DESC;

-- name: forget_sessions
-- A customer's sessions end with the customer.
DELETE FROM crm.portal_session
 WHERE business_id = :business_id
   AND customer_id = :customer_id;

-- name: drop_old_sessions
-- Sessions that nobody can use any more.
DELETE FROM crm.portal_session
 WHERE business_id = :business_id
   AND (expires_at <= :now OR seen_at <= :idle_since);

-- name: rest_session
-- A session goes on by a newer proof: that of the mailbox that is hers now.
UPDATE crm.portal_session SET proof_id = :proof_id
 WHERE business_id = :business_id
   AND token_hash = :token_hash
   AND customer_id = :customer_id;

-- name: replace_change
-- A change of address that the new mailbox has to confirm; the newest replaces the older one.
INSERT INTO crm.address_change (business_id, customer_id, address, folded, address_hash,
                                message_id, token_hash, code_hash, requested_at, expires_at)
VALUES (:business_id, :customer_id, :address, :folded, :address_hash, :message_id, :token_hash,
        :code_hash, :now, :expires_at)
ON CONFLICT (business_id, customer_id) DO UPDATE
   SET address = excluded.address, folded = excluded.folded,
       address_hash = excluded.address_hash, message_id = excluded.message_id,
       token_hash = excluded.token_hash, code_hash = excluded.code_hash,
       requested_at = excluded.requested_at, expires_at = excluded.expires_at;

-- name: change_of_customer
-- The change that waits for the new mailbox of a customer.
SELECT address, address_hash, message_id, token_hash, code_hash, requested_at, expires_at
  FROM crm.address_change
 WHERE business_id = :business_id
   AND customer_id = :customer_id
   AND expires_at > :now;

-- name: change_held
-- The same, with its customer held: of two presses at once the second finds nothing.
SELECT a.address, a.address_hash, a.message_id, a.token_hash, a.code_hash, a.requested_at,
       a.expires_at
  FROM crm.customer c
  JOIN crm.address_change a ON a.business_id = :business_id AND a.customer_id = c.customer_id
 WHERE c.business_id = :business_id
   AND c.customer_id = :customer_id
   AND a.expires_at > :now
   FOR UPDATE OF c, a;

-- name: prove_new_address
-- The change is used up by its secret: the mailbox has proved itself, and the address is hers;
-- null where it is over.
SELECT crm.prove_new_address(:business_id, :proof_id, :customer_id, :token, :code_hash,
                             :undo_hash, :undo_until, :now);

-- name: undoable
-- The change that the link in the mail to the old address undoes, while it can.
SELECT f.customer_id, f.address, f.address_hash, f.changed_at, f.undo_until
  FROM crm.former_address f
  JOIN crm.customer c ON c.business_id = :business_id AND c.customer_id = f.customer_id
 WHERE f.business_id = :business_id
   AND f.undo_hash = :undo_hash
   AND f.undo_until > :now
   AND c.erased_at IS NULL;

-- name: undo_new_address
-- The old address is hers again; null where the link is over.
SELECT crm.undo_new_address(:business_id, :token, :now);

-- name: changes_of_customer
-- Changes of hers that wait, also those whose time is over until they are deleted: for the export.
SELECT address, address_hash, message_id, requested_at, expires_at
  FROM crm.address_change
 WHERE business_id = :business_id
   AND customer_id = :customer_id;

-- name: formers_of_customer
-- Addresses that were hers, the newest first.
SELECT address, folded, address_hash, changed_at, undo_until
  FROM crm.former_address
 WHERE business_id = :business_id
   AND customer_id = ANY (crm.records_of(:business_id, :customer_id))
 ORDER BY changed_at DESC;

-- name: formers_to_forget
-- Addresses that were a customer's, until when, and whether somebody else has had them since.
SELECT f.address_hash, f.changed_at,
       EXISTS (SELECT FROM crm.customer c
                WHERE c.business_id = :business_id
                  AND c.address_hash = f.address_hash)
    OR EXISTS (SELECT FROM crm.former_address o
                WHERE o.business_id = :business_id
                  AND o.address_hash = f.address_hash
                  AND o.customer_id <> f.customer_id
                  AND o.changed_at > f.changed_at) AS taken
  FROM crm.former_address f
 WHERE f.business_id = :business_id
   AND f.customer_id = :customer_id;

-- name: hold_customer
-- Her row before her ways in, as an erasure holds it.
SELECT customer_id
  FROM crm.customer
 WHERE business_id = :business_id
   AND customer_id = :customer_id
   FOR KEY SHARE;

-- name: owners
-- Whose address this is, and then whose it was; mostly one customer, rarely several. Of a record
-- that was merged into another, hers.
SELECT c.customer_id
  FROM crm.customer c
 WHERE c.business_id = :business_id
   AND c.address_hash = :address_hash
UNION ALL
SELECT customer_id
  FROM (SELECT coalesce(c.merged_into, c.customer_id) AS customer_id
          FROM crm.former_address f
          JOIN crm.customer c ON c.business_id = :business_id AND c.customer_id = f.customer_id
         WHERE f.business_id = :business_id
           AND f.address_hash = :address_hash
           AND (c.merged_into IS NOT NULL
                OR c.address_hash <> f.address_hash AND c.erased_at IS NULL)
         ORDER BY f.changed_at DESC) AS former;

-- name: went_into
-- In whose record the one is whose address this was last, where it was merged while it had it. What
-- anybody had and changed leads to nobody: that mailbox may be somebody else's by now. Of somebody
-- who had it since and was erased no former address is left: the merge's own word that it was left
-- has to stand still. Her yes lifts that, her erasure replaces it, and a fingerprint that she has
-- deleted takes it along.
SELECT o.merged_into
  FROM (SELECT c.merged_into, c.customer_id, f.changed_at
          FROM crm.former_address f
          JOIN crm.customer c ON c.business_id = :business_id AND c.customer_id = f.customer_id
         WHERE f.business_id = :business_id
           AND f.address_hash = :address_hash
         ORDER BY f.changed_at DESC
         LIMIT 1) o
 WHERE o.merged_into IS NOT NULL
   AND NOT EXISTS (SELECT FROM crm.former_address n
                    WHERE n.business_id = :business_id
                      AND n.customer_id = o.customer_id
                      AND n.changed_at > o.changed_at)
   AND EXISTS (SELECT FROM crm.suppression s
                WHERE s.business_id = :business_id
                  AND s.address_hash = :address_hash
                  AND 'moved' IN (s.reason, s.beneath)
                  AND coalesce(s.beneath_at, s.at) <= o.changed_at);

-- name: still_hers
-- The address of a customer's record, which nobody changes or deletes before this transaction ends. An
-- import that has her at hand goes on beside it.
SELECT coalesce(address, '')
  FROM crm.customer
 WHERE business_id = :business_id
   AND customer_id = :customer_id
   AND erased_at IS NULL
   FOR KEY SHARE;

-- name: held_as
-- As what an address is held: whose it is, whose it was, or what waits to be confirmed there. Only a
-- letter to whose it is goes with her record.
SELECT h.address, h.locale, h.customer_id
  FROM (SELECT 1 AS place, c.address, c.locale, c.customer_id
          FROM crm.customer c
         WHERE c.business_id = :business_id
           AND c.address_hash = :address_hash
        UNION ALL
        SELECT 2, f.address, k.locale, NULL
          FROM crm.former_address f
          JOIN crm.customer c ON c.business_id = :business_id AND c.customer_id = f.customer_id
          -- A record that was merged is erased; the one that was kept speaks for it.
          JOIN crm.customer k ON k.business_id = :business_id
           AND k.customer_id = coalesce(c.merged_into, c.customer_id)
         WHERE f.business_id = :business_id
           AND f.address_hash = :address_hash
           AND k.erased_at IS NULL
        UNION ALL
        SELECT 3, s.address, s.locale, NULL
          FROM crm.signup s
         WHERE s.business_id = :business_id
           AND s.address_hash = :address_hash
           AND s.expires_at > :now) h
 ORDER BY h.place
 LIMIT 1;

-- name: drop_signups
-- What waits to be confirmed at an address whose owner wants no mails at all.
DELETE FROM crm.signup
 WHERE business_id = :business_id
   AND address_hash = :address_hash;

-- name: drop_renewals
-- What would be said again from an address that its owner has left.
DELETE FROM crm.signup
 WHERE business_id = :business_id
   AND address_hash = :address_hash
   AND again;

-- name: forget_changes
-- What waits to become a customer's address goes with the customer.
DELETE FROM crm.address_change
 WHERE business_id = :business_id
   AND customer_id = :customer_id;

-- name: forget_formers
-- What were a customer's addresses goes with the customer.
DELETE FROM crm.former_address
 WHERE business_id = :business_id
   AND customer_id = :customer_id;

-- name: drop_old_changes
-- Changes that no mailbox confirmed in time.
DELETE FROM crm.address_change
 WHERE business_id = :business_id
   AND expires_at <= :now;

-- name: close_old_undos
-- Former addresses that cannot be put back any more: their fingerprints stay. The service may not
-- write an address there, only have it taken out.
SELECT crm.close_undos(:business_id, :now);

-- name: leave_address
-- The address of a record that is merged into another becomes one that was hers.
SELECT crm.leave_address(:business_id, :customer_id, :now);
