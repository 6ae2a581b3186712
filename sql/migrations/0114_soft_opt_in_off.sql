-- A business that switches soft opt-in off mails nobody by it any more. What was told at a sale still
-- stands, and allows something again once it is switched on; until then the one rule of sending says
-- no, so that the claim, checks, reads of programs and segments say the same.

-- Whether nothing may rest on a sale. Row-level security leaves the one business of the transaction.
CREATE FUNCTION crm.soft_opt_in_is_off() RETURNS boolean
LANGUAGE sql STABLE AS $$
  SELECT NOT b.soft_opt_in FROM crm.business b
   WHERE b.business_id = current_setting('crm.business_id')::uuid
$$;

-- Why a customer may not be mailed for a purpose, or null if she may. The one rule, used by the
-- review, when deliveries are written, and in the claiming statement.
CREATE OR REPLACE FUNCTION crm.exclusion(
  _status text, _ends_at timestamptz, _suppressed text, _restricted_at timestamptz,
  _erased_at timestamptz, _now timestamptz) RETURNS text
LANGUAGE sql STABLE AS $$
  SELECT CASE
    WHEN _erased_at IS NOT NULL THEN 'erased'
    WHEN _status = 'withdrawn' THEN 'withdrawn'
    WHEN _status = 'refused' THEN 'refused'
    WHEN _status = 'expired' OR _ends_at <= _now THEN 'expired'
    WHEN _restricted_at IS NOT NULL THEN 'frozen'
    WHEN _suppressed IS NOT NULL THEN 'suppressed'
    WHEN _status IS NULL OR _status NOT IN ('given', 'renewed', 'unobjected') THEN 'no_consent'
    WHEN _status = 'unobjected' AND crm.soft_opt_in_is_off() THEN 'soft_opt_in_off'
  END
$$;

ALTER TABLE crm.delivery DROP CONSTRAINT delivery_reason_check;

ALTER TABLE crm.delivery ADD CONSTRAINT delivery_reason_check CHECK (reason IN (
  'withdrawn', 'refused', 'no_consent', 'expired', 'suppressed', 'frozen', 'erased', 'cancelled',
  'budget', 'pause', 'digest', 'merged',
  'soft_opt_in_off'));  -- told at a sale, at a business that lets nothing rest on that any more

-- Pauses what is being sent to customers who were told at a sale, in the transaction that switches
-- that off, and says which: whoever waits goes on waiting, and gets it if it goes on. A worker
-- does not wait for that transaction: of a batch that it claims, or a rest of an audience that it
-- writes, while this is off, whoever was told at a sale is left out for good.
CREATE FUNCTION crm.pause_what_rests_on_sales(_business uuid, _why text, _now timestamptz)
RETURNS SETOF uuid
LANGUAGE sql AS $$
  UPDATE crm.campaign c SET state = 'paused', paused_why = _why, changed_at = _now
    FROM crm.purpose p
   WHERE c.business_id = _business
     AND c.state = 'sending'
     AND p.business_id = _business
     AND p.purpose_id = c.purpose_id
     AND p.basis = 'soft_opt_in'
  RETURNING c.campaign_id
$$;
