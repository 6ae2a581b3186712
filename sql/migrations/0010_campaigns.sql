-- One issue to many customers: campaigns, deliveries, and who works on which range of them.

CREATE TABLE crm.campaign (
  business_id  uuid NOT NULL,
  -- Ordered by time, so that the deliveries of a campaign lie together.
  campaign_id  uuid NOT NULL,
  purpose_id   uuid NOT NULL,
  subject      text NOT NULL DEFAULT '' CHECK (length(subject) <= 300),
  preheader    text NOT NULL DEFAULT '' CHECK (length(preheader) <= 300),
  source       text NOT NULL DEFAULT '',
  format       text NOT NULL CHECK (format IN ('markdown', 'html')),
  state        text NOT NULL DEFAULT 'draft' CHECK (state IN (
    'draft',      -- may be changed
    'scheduled',  -- draft -> scheduled; starts at scheduled_at
    'starting',   -- draft or scheduled -> starting: deliveries are being written
    'sending',    -- starting or paused -> sending
    'paused',     -- sending -> paused
    'cancelled',  -- scheduled, sending or paused -> cancelled; waiting ones are excluded
    'done')),     -- sending -> done: nothing waits or is on its way
  version      integer NOT NULL DEFAULT 1,
  created_by   uuid,
  approved_by  uuid,
  created_at   timestamptz NOT NULL,
  changed_at   timestamptz NOT NULL,
  scheduled_at timestamptz,
  started_at   timestamptz,
  ended_at     timestamptz,
  -- The last customer whose delivery is written, while starting.
  filled_to    uuid,
  -- The transaction that wrote the last delivery: claims wait until all older ones have ended.
  filled_by    bigint,
  PRIMARY KEY (business_id, campaign_id),
  FOREIGN KEY (business_id, purpose_id) REFERENCES crm.purpose (business_id, purpose_id),
  CHECK ((state IN ('done', 'cancelled')) = (ended_at IS NOT NULL)),
  CHECK (state <> 'scheduled' OR scheduled_at IS NOT NULL)
);

SELECT crm.place('crm.campaign');

SELECT crm.keep_apart('crm.campaign');

GRANT SELECT, INSERT, UPDATE, DELETE ON crm.campaign TO crm_app;

-- One campaign to one customer (promise 3). The key is also the order of claiming.
-- No index holds the state, so a change of state is written in place.
CREATE TABLE crm.delivery (
  business_id uuid NOT NULL,
  campaign_id uuid NOT NULL,
  customer_id uuid NOT NULL,
  state       text NOT NULL CHECK (state IN (
    'waiting',     -- not yet claimed, or to be tried again
    'sending',     -- claimed: the warrant and the withdrawal were looked at in that statement
    'sent',        -- accepted by the relay
    'failed',      -- refused for good
    'excluded',    -- not mailed; reason says why
    'uncertain')), -- handed over, answer unknown; not sent again
  reason      text CHECK (reason IN (
    'withdrawn', 'refused', 'no_consent', 'expired', 'suppressed', 'frozen', 'erased',
    'cancelled')),
  -- The warrant (promise 1): the event and the exact text that allowed it.
  event_id    uuid,
  notice_id   uuid,
  attempt     smallint NOT NULL DEFAULT 0,
  claimed_at  timestamptz,
  done_at     timestamptz,
  code        smallint,
  reply       text CHECK (length(reply) <= 300),
  resolved_by uuid,
  PRIMARY KEY (business_id, campaign_id, customer_id),
  FOREIGN KEY (business_id, campaign_id) REFERENCES crm.campaign (business_id, campaign_id),
  FOREIGN KEY (business_id, event_id) REFERENCES crm.consent_event (business_id, event_id),
  CONSTRAINT delivery_warrant CHECK (
    state = 'excluded' OR (event_id IS NOT NULL AND notice_id IS NOT NULL)),
  CONSTRAINT delivery_exclusion_has_reason CHECK ((state = 'excluded') = (reason IS NOT NULL)),
  CONSTRAINT delivery_claimed CHECK (state <> 'sending' OR claimed_at IS NOT NULL)
);

SELECT crm.place('crm.delivery');

SELECT crm.keep_apart('crm.delivery');

CREATE INDEX delivery_of_customer ON crm.delivery (business_id, customer_id);

GRANT SELECT, INSERT, UPDATE ON crm.delivery TO crm_app;

-- A range of a campaign's deliveries that one worker at a time works through.
-- Its counts are written in the transactions that change the deliveries, so a sum over leases
-- is a count of rows.
CREATE TABLE crm.lease (
  business_id uuid NOT NULL,
  campaign_id uuid NOT NULL,
  number      integer NOT NULL,
  -- Customers above low, up to and including high; cursor is the last one looked at.
  low         uuid NOT NULL,
  high        uuid NOT NULL,
  cursor      uuid NOT NULL,
  open        boolean NOT NULL DEFAULT true,
  -- When there may be something to do; later only while all that is left waits to be retried.
  due_at      timestamptz NOT NULL,
  -- Rises with each taking; a worker that was presumed dead fails on it.
  epoch       integer NOT NULL DEFAULT 0,
  holder      text,
  expires_at  timestamptz,
  waiting     integer NOT NULL CHECK (waiting >= 0),
  sending     integer NOT NULL DEFAULT 0 CHECK (sending >= 0),
  sent        integer NOT NULL DEFAULT 0 CHECK (sent >= 0),
  failed      integer NOT NULL DEFAULT 0 CHECK (failed >= 0),
  excluded    integer NOT NULL CHECK (excluded >= 0),
  uncertain   integer NOT NULL DEFAULT 0 CHECK (uncertain >= 0),
  PRIMARY KEY (business_id, campaign_id, number),
  FOREIGN KEY (business_id, campaign_id) REFERENCES crm.campaign (business_id, campaign_id),
  CHECK ((holder IS NULL) = (expires_at IS NULL)),
  CHECK (open OR (waiting = 0 AND sending = 0))
);

SELECT crm.place('crm.lease');

SELECT crm.keep_apart('crm.lease');

CREATE INDEX lease_due ON crm.lease (business_id, due_at) WHERE open;

GRANT SELECT, INSERT, UPDATE ON crm.lease TO crm_app;

-- What could not go now: still waiting, tried again when due.
CREATE TABLE crm.retry (
  business_id uuid NOT NULL,
  campaign_id uuid NOT NULL,
  customer_id uuid NOT NULL,
  due_at      timestamptz NOT NULL,
  PRIMARY KEY (business_id, campaign_id, customer_id),
  FOREIGN KEY (business_id, campaign_id, customer_id)
    REFERENCES crm.delivery (business_id, campaign_id, customer_id)
);

SELECT crm.place('crm.retry');

SELECT crm.keep_apart('crm.retry');

CREATE INDEX retry_due ON crm.retry (business_id, campaign_id, due_at);

GRANT SELECT, INSERT, UPDATE, DELETE ON crm.retry TO crm_app;

-- Why a customer may not be mailed for a purpose, or null if she may. The one rule, used by the
-- review, when deliveries are written, and in the claiming statement.
CREATE FUNCTION crm.exclusion(
  _status text, _valid_until timestamptz, _suppressed text, _restricted_at timestamptz,
  _erased_at timestamptz, _now timestamptz) RETURNS text
LANGUAGE sql IMMUTABLE AS $$
  SELECT CASE
    WHEN _erased_at IS NOT NULL THEN 'erased'
    WHEN _status = 'withdrawn' THEN 'withdrawn'
    WHEN _status = 'refused' THEN 'refused'
    WHEN _status = 'expired' OR _valid_until <= _now THEN 'expired'
    WHEN _restricted_at IS NOT NULL THEN 'frozen'
    WHEN _suppressed IS NOT NULL THEN 'suppressed'
    WHEN _status IS NULL OR _status NOT IN ('given', 'renewed') THEN 'no_consent'
  END
$$;

-- Promise 2, first half: takes a customer's waiting deliveries out in the withdrawing transaction.
-- The lease is locked before the deliveries, as a claiming worker does; in the order of the key,
-- so that two leavings cannot wait for each other. One on its way counts as well: it may be given
-- back and claimed anew at this very moment. A purpose of null means every purpose.
CREATE FUNCTION crm.exclude_waiting(
  _business uuid, _customer uuid, _purpose uuid, _reason text) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
  range record;
BEGIN
  FOR range IN
    SELECT l.campaign_id, l.number
      FROM crm.delivery d
      JOIN crm.campaign c ON c.business_id = _business AND c.campaign_id = d.campaign_id
       AND (_purpose IS NULL OR c.purpose_id = _purpose)
      JOIN crm.lease l ON l.business_id = _business AND l.campaign_id = d.campaign_id
       AND l.low < _customer AND l.high >= _customer
     WHERE d.business_id = _business AND d.customer_id = _customer
       AND d.state IN ('waiting', 'sending')
     ORDER BY l.campaign_id, l.number
       FOR UPDATE OF l
  LOOP
    UPDATE crm.delivery d SET state = 'excluded', reason = _reason
     WHERE d.business_id = _business AND d.campaign_id = range.campaign_id
       AND d.customer_id = _customer AND d.state = 'waiting';
    IF FOUND THEN
      UPDATE crm.lease l SET waiting = l.waiting - 1, excluded = l.excluded + 1
       WHERE l.business_id = _business AND l.campaign_id = range.campaign_id
         AND l.number = range.number;
      DELETE FROM crm.retry r
       WHERE r.business_id = _business AND r.campaign_id = range.campaign_id
         AND r.customer_id = _customer;
    END IF;
  END LOOP;
END
$$;

CREATE FUNCTION crm.consent_excludes() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
  PERFORM crm.exclude_waiting(NEW.business_id, NEW.customer_id, NEW.purpose_id,
    CASE WHEN NEW.status IN ('withdrawn', 'refused', 'expired') THEN NEW.status
         ELSE 'no_consent' END);
  RETURN NULL;
END
$$;

CREATE TRIGGER consent_excludes AFTER INSERT OR UPDATE ON crm.consent
  FOR EACH ROW WHEN (NEW.status NOT IN ('given', 'renewed'))
  EXECUTE FUNCTION crm.consent_excludes();

CREATE FUNCTION crm.suppression_excludes() RETURNS trigger
LANGUAGE plpgsql AS $$
DECLARE
  known uuid;
BEGIN
  FOR known IN
    SELECT c.customer_id FROM crm.customer c
     WHERE c.business_id = NEW.business_id AND c.address_hash = NEW.address_hash
  LOOP
    PERFORM crm.exclude_waiting(NEW.business_id, known, NULL, 'suppressed');
  END LOOP;
  RETURN NULL;
END
$$;

CREATE TRIGGER suppression_excludes AFTER INSERT OR UPDATE ON crm.suppression
  FOR EACH ROW EXECUTE FUNCTION crm.suppression_excludes();

CREATE FUNCTION crm.customer_excludes() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
  PERFORM crm.exclude_waiting(NEW.business_id, NEW.customer_id, NULL,
    CASE WHEN NEW.erased_at IS NOT NULL THEN 'erased' ELSE 'frozen' END);
  RETURN NULL;
END
$$;

CREATE TRIGGER customer_excludes AFTER UPDATE OF erased_at, restricted_at ON crm.customer
  FOR EACH ROW WHEN (NEW.erased_at IS NOT NULL OR NEW.restricted_at IS NOT NULL)
  EXECUTE FUNCTION crm.customer_excludes();

-- Fresh statistics after the deliveries are written: without them a claim sorts the campaign.
CREATE FUNCTION crm.analyze_deliveries() RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog AS $$
BEGIN
  ANALYZE crm.delivery;
END
$$;

REVOKE ALL ON FUNCTION crm.analyze_deliveries() FROM PUBLIC;

GRANT EXECUTE ON FUNCTION crm.analyze_deliveries() TO crm_app;

-- Above one business: campaigns with something to do.
CREATE POLICY sweep ON crm.campaign FOR SELECT TO crm_sweep USING (true);

GRANT SELECT (business_id, campaign_id, state, scheduled_at) ON crm.campaign TO crm_sweep;

CREATE POLICY sweep ON crm.lease FOR SELECT TO crm_sweep USING (true);

GRANT SELECT (business_id, campaign_id, number, open, due_at, expires_at, sending) ON crm.lease
  TO crm_sweep;

CREATE FUNCTION crm.campaigns_to_start(_now timestamptz)
RETURNS TABLE (business_id uuid, campaign_id uuid)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog AS $$
  SELECT c.business_id, c.campaign_id FROM crm.campaign c
   WHERE c.state = 'starting' OR (c.state = 'scheduled' AND c.scheduled_at <= _now)
$$;

ALTER FUNCTION crm.campaigns_to_start(timestamptz) OWNER TO crm_sweep;

REVOKE ALL ON FUNCTION crm.campaigns_to_start(timestamptz) FROM PUBLIC;

GRANT EXECUTE ON FUNCTION crm.campaigns_to_start(timestamptz) TO crm_app;

CREATE FUNCTION crm.leases_due(_now timestamptz)
RETURNS TABLE (business_id uuid, campaign_id uuid, leases bigint)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog AS $$
  SELECT l.business_id, l.campaign_id, count(*)
    FROM crm.lease l
    JOIN crm.campaign c ON c.business_id = l.business_id AND c.campaign_id = l.campaign_id
   WHERE l.open AND l.due_at <= _now AND (l.expires_at IS NULL OR l.expires_at < _now)
     AND (c.state = 'sending' OR l.sending > 0)
   GROUP BY l.business_id, l.campaign_id
$$;

ALTER FUNCTION crm.leases_due(timestamptz) OWNER TO crm_sweep;

REVOKE ALL ON FUNCTION crm.leases_due(timestamptz) FROM PUBLIC;

GRANT EXECUTE ON FUNCTION crm.leases_due(timestamptz) TO crm_app;
