-- Rhythm (promise 12): how much mail a customer wants.

-- One row for whoever said something; whoever did not has none, and costs a claim nothing.
CREATE TABLE crm.rhythm (
  business_id  uuid NOT NULL,
  customer_id  uuid NOT NULL,
  -- At most so many campaigns in one week of hers, over all purposes; null: no limit.
  budget       smallint CHECK (budget BETWEEN 1 AND 20),
  -- No campaign before this instant; null: no pause.
  paused_until timestamptz,
  changed_at   timestamptz NOT NULL,
  PRIMARY KEY (business_id, customer_id),
  FOREIGN KEY (business_id, customer_id) REFERENCES crm.customer (business_id, customer_id),
  CONSTRAINT rhythm_says_something CHECK (budget IS NOT NULL OR paused_until IS NOT NULL)
);

SELECT crm.place('crm.rhythm');

SELECT crm.keep_apart('crm.rhythm');

GRANT SELECT, INSERT, UPDATE, DELETE ON crm.rhythm TO crm_app;

-- The calendar week around an instant, from Monday to Monday by a clock; one that PostgreSQL does
-- not know counts as UTC.
CREATE FUNCTION crm.week_of(
  _at timestamptz, _zone text, OUT begins_at timestamptz, OUT ends_at timestamptz)
LANGUAGE plpgsql STABLE AS $$
DECLARE
  known text := _zone;
  monday timestamp;
BEGIN
  BEGIN
    monday := date_trunc('week', _at AT TIME ZONE known);
  EXCEPTION WHEN invalid_parameter_value THEN
    known := 'UTC';
    monday := date_trunc('week', _at AT TIME ZONE known);
  END;
  begins_at := monday AT TIME ZONE known;
  ends_at := (monday + interval '7 days') AT TIME ZONE known;
END
$$;

-- How many places of a customer's week are taken since an instant, by other campaigns than one: by
-- what was handed over or is on its way, and by what will be tried again. Counted from the
-- deliveries, so what fails for good gives its place back by that alone.
CREATE FUNCTION crm.places_taken(
  _business uuid, _customer uuid, _but uuid, _since timestamptz) RETURNS integer
LANGUAGE sql STABLE AS $$
  SELECT count(*)::integer
    FROM crm.delivery d
   WHERE d.business_id = _business AND d.customer_id = _customer
     AND d.campaign_id IS DISTINCT FROM _but
     AND d.claimed_at >= _since
     AND (d.state IN ('sending', 'sent', 'uncertain') OR (d.state = 'waiting' AND d.attempt > 0))
$$;
