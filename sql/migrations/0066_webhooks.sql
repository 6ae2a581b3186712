-- Events as a stream that others can follow: numbered once they are committed, told to endpoints
-- signed and in order, and acknowledged where a withdrawal has to reach whom it was passed on to
-- (Art. 19 GDPR).

GRANT CREATE ON SCHEMA crm TO crm_sweep, crm_eraser;

-- Which event is which of the stream. A look is none of it: whoever reads a customer because of an
-- event would make the next one by it.
CREATE TABLE crm.feed (
  business_id uuid NOT NULL REFERENCES crm.business (business_id),
  number      bigint NOT NULL CHECK (number > 0),
  event_id    uuid NOT NULL,
  PRIMARY KEY (business_id, number),
  -- What is forgotten leaves a gap, and no number is given twice.
  CONSTRAINT feed_once UNIQUE (business_id, event_id)
);

SELECT crm.place('crm.feed');

-- How far a business has numbered. Whoever holds this row is the one who does.
CREATE TABLE crm.feed_head (
  business_id uuid NOT NULL REFERENCES crm.business (business_id),
  number      bigint NOT NULL DEFAULT 0 CHECK (number >= 0),
  PRIMARY KEY (business_id)
);

SELECT crm.place('crm.feed_head');

-- What was recorded before there was a stream comes first in it, as its ids say. The owner sees the
-- rows while they are numbered.
ALTER TABLE crm.event NO FORCE ROW LEVEL SECURITY;

INSERT INTO crm.feed (business_id, number, event_id)
SELECT e.business_id, row_number() OVER (PARTITION BY e.business_id ORDER BY e.event_id),
       e.event_id
  FROM crm.event e
 WHERE e.kind <> 'customer.looked';

ALTER TABLE crm.event FORCE ROW LEVEL SECURITY;

INSERT INTO crm.feed_head (business_id, number)
SELECT f.business_id, max(f.number) FROM crm.feed f GROUP BY f.business_id;

SELECT crm.keep_apart('crm.feed');

SELECT crm.keep_apart('crm.feed_head');

GRANT SELECT, INSERT ON crm.feed TO crm_app;

GRANT SELECT, INSERT, UPDATE ON crm.feed_head TO crm_app;

-- What has no number yet. A row is there from the commit of its event until it has one, so that
-- nothing depends on the order in which transactions commit.
CREATE TABLE crm.event_unread (
  business_id uuid NOT NULL REFERENCES crm.business (business_id),
  event_id    uuid NOT NULL,
  -- By the clock of the database at that moment, and not when its transaction began: of two that
  -- wait for the row of one customer, the later one is later here.
  entered_at  timestamptz NOT NULL DEFAULT clock_timestamp(),
  PRIMARY KEY (business_id, event_id)
);

SELECT crm.place('crm.event_unread');

SELECT crm.keep_apart('crm.event_unread');

GRANT SELECT, INSERT, DELETE ON crm.event_unread TO crm_app;

CREATE OR REPLACE FUNCTION crm.record_event(
  _business uuid, _event uuid, _now timestamptz, _kind text, _actor_kind text, _actor uuid,
  _actor_name text, _customer uuid, _ref uuid) RETURNS integer
LANGUAGE plpgsql AS $$
BEGIN
  INSERT INTO crm.event (business_id, event_id, at, kind, actor_kind, actor_id, actor_name,
                         customer_id, ref)
  VALUES (_business, _event, _now, _kind, _actor_kind, _actor, _actor_name, _customer, _ref);
  INSERT INTO crm.event_unread (business_id, event_id) VALUES (_business, _event);
  RETURN 1;
END
$$;

-- Where events are told to.
CREATE TABLE crm.endpoint (
  business_id  uuid NOT NULL REFERENCES crm.business (business_id),
  endpoint_id  uuid NOT NULL,
  name         text NOT NULL CHECK (length(name) BETWEEN 1 AND 100),
  url          text NOT NULL CHECK (length(url) <= 2000),
  -- Of which kinds; empty: of all.
  kinds        text[] NOT NULL,
  -- Is whoever gets a withdrawal there asked to say that it was heeded?
  acknowledges boolean NOT NULL,
  state        text NOT NULL CHECK (state IN (
    'on',
    'off',       -- nothing goes there; what happens meanwhile waits
    'removed')), -- it stays as the name of whom customers' withdrawals were told to
  off_why      text CHECK (off_why IN ('staff', 'gone', 'failing')),
  off_at       timestamptz,
  -- Up to which number of the stream posts were made for it.
  position     bigint NOT NULL CHECK (position >= 0),
  -- When there is something to do for it; none while there is not.
  next_at      timestamptz,
  -- Which worker does it, and until when it is believed to live.
  epoch        integer NOT NULL DEFAULT 0,
  leased_until timestamptz,
  failures     integer NOT NULL DEFAULT 0 CHECK (failures >= 0),
  rest_until   timestamptz,
  succeeded_at timestamptz,
  version      integer NOT NULL DEFAULT 1,
  created_at   timestamptz NOT NULL,
  changed_at   timestamptz NOT NULL,
  PRIMARY KEY (business_id, endpoint_id),
  CONSTRAINT endpoint_off_for_a_reason CHECK ((state = 'off') = (off_why IS NOT NULL)),
  CONSTRAINT endpoint_rests_when_off CHECK (state = 'on' OR next_at IS NULL),
  CONSTRAINT endpoint_removed_is_nowhere CHECK (state <> 'removed' OR url = ''),
  CHECK (state = 'removed' OR url ~ '^https?://')
);

SELECT crm.place('crm.endpoint');

SELECT crm.keep_apart('crm.endpoint');

CREATE INDEX endpoint_due ON crm.endpoint (business_id, next_at) WHERE next_at IS NOT NULL;

GRANT SELECT, INSERT, UPDATE ON crm.endpoint TO crm_app;

-- What posts are signed with: all that have not ended, so that a secret is replaced in peace.
CREATE TABLE crm.endpoint_secret (
  business_id uuid NOT NULL,
  endpoint_id uuid NOT NULL,
  number      integer NOT NULL CHECK (number > 0),
  -- Encrypted under a key of CRM_STORAGE_KEYS.
  sealed      bytea NOT NULL,
  made_at     timestamptz NOT NULL,
  ends_at     timestamptz,
  PRIMARY KEY (business_id, endpoint_id, number),
  FOREIGN KEY (business_id, endpoint_id) REFERENCES crm.endpoint (business_id, endpoint_id)
);

SELECT crm.place('crm.endpoint_secret');

SELECT crm.keep_apart('crm.endpoint_secret');

-- One at a time is the present one.
CREATE UNIQUE INDEX endpoint_secret_in_use ON crm.endpoint_secret (business_id, endpoint_id)
  WHERE ends_at IS NULL;

GRANT SELECT, INSERT, UPDATE (ends_at), DELETE ON crm.endpoint_secret TO crm_app;

-- One event for one endpoint. What it says is read from the event when it goes, so that of an event
-- that was forgotten nothing can go any more.
CREATE TABLE crm.post (
  business_id     uuid NOT NULL,
  endpoint_id     uuid NOT NULL,
  number          bigint NOT NULL,
  event_id        uuid NOT NULL,
  customer_id     uuid,
  kind            text NOT NULL,
  state           text NOT NULL CHECK (state IN ('waiting', 'told', 'failed')),
  attempts        integer NOT NULL DEFAULT 0 CHECK (attempts >= 0),
  -- When it was first tried since it was made, or asked for again.
  begun_at        timestamptz,
  next_at         timestamptz,
  -- When it was first told; that stays, also where it is told once more.
  told_at         timestamptz,
  -- When it was told last, or given up.
  done_at         timestamptz,
  -- Was an acknowledgement asked for?
  asks            boolean NOT NULL,
  acknowledged_at timestamptz,
  acknowledged_by text CHECK (acknowledged_by IN (
    'answer',  -- of the endpoint itself
    'key')),   -- a program said so afterwards
  PRIMARY KEY (business_id, endpoint_id, number),
  CONSTRAINT post_once UNIQUE (business_id, endpoint_id, event_id),
  FOREIGN KEY (business_id, endpoint_id) REFERENCES crm.endpoint (business_id, endpoint_id),
  CONSTRAINT post_waits_for_a_time CHECK ((state = 'waiting') = (next_at IS NOT NULL)),
  CONSTRAINT post_acknowledged_by_somebody
    CHECK ((acknowledged_at IS NULL) = (acknowledged_by IS NULL))
);

SELECT crm.place('crm.post');

SELECT crm.keep_apart('crm.post');

CREATE INDEX post_waiting ON crm.post (business_id, endpoint_id, number) WHERE state = 'waiting';

CREATE INDEX post_in_line ON crm.post (business_id, endpoint_id, customer_id, number)
  WHERE state = 'waiting';

CREATE INDEX post_of_event ON crm.post (business_id, event_id);

CREATE INDEX post_of_customer ON crm.post (business_id, customer_id, number)
  WHERE customer_id IS NOT NULL;

CREATE INDEX post_unacknowledged ON crm.post (business_id, endpoint_id, told_at)
  WHERE asks AND acknowledged_at IS NULL;

GRANT SELECT, INSERT, UPDATE, DELETE ON crm.post TO crm_app;

-- Each time that a post went out, and what came back: a number, and never what was said.
CREATE TABLE crm.post_try (
  business_id uuid NOT NULL,
  endpoint_id uuid NOT NULL,
  try_id      uuid NOT NULL,
  number      bigint NOT NULL,
  at          timestamptz NOT NULL,
  status      integer,
  trouble     text NOT NULL DEFAULT '' CHECK (trouble ~ '^[a-z_]*$'),
  millis      integer NOT NULL CHECK (millis >= 0),
  PRIMARY KEY (business_id, endpoint_id, try_id),
  FOREIGN KEY (business_id, endpoint_id, number)
    REFERENCES crm.post (business_id, endpoint_id, number)
);

SELECT crm.place('crm.post_try');

SELECT crm.keep_apart('crm.post_try');

CREATE INDEX post_try_of_post ON crm.post_try (business_id, endpoint_id, number);

GRANT SELECT, INSERT, DELETE ON crm.post_try TO crm_app;

-- With an event goes its place in the stream, and with one of long ago what became of it.
GRANT SELECT, DELETE ON crm.feed, crm.post, crm.post_try TO crm_eraser;

CREATE OR REPLACE FUNCTION crm.erase_events(_business uuid, _customer uuid) RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog AS $$
DECLARE
  gone integer;
BEGIN
  IF NOT EXISTS (SELECT FROM crm.customer c WHERE c.business_id = _business
                   AND c.customer_id = _customer AND c.erased_at IS NOT NULL) THEN
    RAISE EXCEPTION 'the customer is not erased' USING ERRCODE = 'insufficient_privilege';
  END IF;
  DELETE FROM crm.feed f
   WHERE f.business_id = _business
     AND f.event_id = ANY (ARRAY(SELECT e.event_id FROM crm.event e
                                  WHERE e.business_id = _business AND e.customer_id = _customer));
  DELETE FROM crm.event e WHERE e.business_id = _business AND e.customer_id = _customer;
  GET DIAGNOSTICS gone = ROW_COUNT;
  RETURN gone;
END
$$;

CREATE OR REPLACE FUNCTION crm.end_events(
  _business uuid, _after uuid, _limit integer, _before timestamptz)
RETURNS TABLE (deleted bigint, upto uuid)
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog AS $$
  WITH piece AS MATERIALIZED (
    SELECT e.event_id, e.customer_id, e.at FROM crm.event e
     WHERE e.business_id = _business AND e.event_id > _after
     ORDER BY e.event_id LIMIT _limit
  ), gone AS (
    DELETE FROM crm.event e
     WHERE e.business_id = _business
       AND e.event_id = ANY (ARRAY(
             SELECT p.event_id FROM piece p
              WHERE p.at < least(_before, now() - interval '1 year')
                AND NOT EXISTS (SELECT FROM crm.customer c
                                WHERE c.business_id = _business
                                  AND c.customer_id = p.customer_id
                                  AND c.restricted_at IS NOT NULL)))
    RETURNING e.event_id
  ), unread AS (
    DELETE FROM crm.feed f
     WHERE f.business_id = _business AND f.event_id = ANY (ARRAY(SELECT g.event_id FROM gone g))
  ), untold AS (
    DELETE FROM crm.post p
     WHERE p.business_id = _business AND p.event_id = ANY (ARRAY(SELECT g.event_id FROM gone g))
    RETURNING p.endpoint_id, p.number
  ), untried AS (
    DELETE FROM crm.post_try t USING untold u
     WHERE t.business_id = _business AND t.endpoint_id = u.endpoint_id AND t.number = u.number
  )
  SELECT (SELECT count(*) FROM gone),
         -- They lie in the order in which they happened: where none is old, no later one is.
         CASE WHEN (SELECT count(*) FROM piece) = _limit
               AND EXISTS (SELECT FROM piece p WHERE p.at < _before)
              THEN (SELECT p.event_id FROM piece p ORDER BY p.event_id DESC LIMIT 1) END
$$;

-- Above one business.
CREATE POLICY sweep ON crm.event_unread FOR SELECT TO crm_sweep USING (true);

GRANT SELECT (business_id) ON crm.event_unread TO crm_sweep;

CREATE FUNCTION crm.feeds_due() RETURNS TABLE (business_id uuid)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog AS $$
  SELECT DISTINCT u.business_id FROM crm.event_unread u
$$;

ALTER FUNCTION crm.feeds_due() OWNER TO crm_sweep;

REVOKE ALL ON FUNCTION crm.feeds_due() FROM PUBLIC;

GRANT EXECUTE ON FUNCTION crm.feeds_due() TO crm_app;

CREATE POLICY sweep ON crm.endpoint FOR SELECT TO crm_sweep USING (true);

GRANT SELECT (business_id, endpoint_id, next_at, leased_until) ON crm.endpoint TO crm_sweep;

CREATE FUNCTION crm.endpoints_due(_now timestamptz)
RETURNS TABLE (business_id uuid, endpoint_id uuid)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog AS $$
  SELECT e.business_id, e.endpoint_id FROM crm.endpoint e
   WHERE e.next_at <= _now AND (e.leased_until IS NULL OR e.leased_until <= _now)
   ORDER BY e.next_at
$$;

ALTER FUNCTION crm.endpoints_due(timestamptz) OWNER TO crm_sweep;

REVOKE ALL ON FUNCTION crm.endpoints_due(timestamptz) FROM PUBLIC;

GRANT EXECUTE ON FUNCTION crm.endpoints_due(timestamptz) TO crm_app;

REVOKE CREATE ON SCHEMA crm FROM crm_sweep, crm_eraser;
