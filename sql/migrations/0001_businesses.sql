-- Businesses, and how their data are kept apart.
-- Roles exist before the first migration (the embedded server or deploy/roles.sql makes them):
-- crm_owner runs migrations, crm_app serves, crm_sweep and crm_eraser own a few functions.

CREATE SCHEMA IF NOT EXISTS crm;

GRANT USAGE ON SCHEMA crm TO crm_app, crm_sweep, crm_eraser;

-- Opens a transaction for one business. A function that executes SET LOCAL, not bare set_config,
-- keeps distribution by business_id possible; the uuid cast refuses anything else.
CREATE FUNCTION crm.begin_business(business uuid) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
  EXECUTE format('SET LOCAL crm.business_id = %L', business);
END
$$;

-- Where a table lives: nothing to do on one server; the place to distribute tables on several.
CREATE FUNCTION crm.place(_table regclass) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
END
$$;

-- Promise 14: rows of one business only, for the roles that serve, and for the owner none.
CREATE FUNCTION crm.keep_apart(_table regclass) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
  EXECUTE format('ALTER TABLE %s ENABLE ROW LEVEL SECURITY', _table);
  EXECUTE format('ALTER TABLE %s FORCE ROW LEVEL SECURITY', _table);
  EXECUTE format(
    'CREATE POLICY of_business ON %s TO crm_app, crm_eraser'
    ' USING (business_id = current_setting(''crm.business_id'')::uuid)', _table);
END
$$;

-- Refuses UPDATE, DELETE and TRUNCATE of what is only ever appended; only the eraser may delete.
CREATE FUNCTION crm.append_only() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
  IF TG_OP = 'DELETE' AND current_user = 'crm_eraser' THEN
    RETURN OLD;
  END IF;
  RAISE EXCEPTION '% is append-only', TG_TABLE_NAME USING ERRCODE = 'insufficient_privilege';
END
$$;

CREATE TABLE crm.business (
  business_id     uuid PRIMARY KEY,
  name            text NOT NULL CHECK (length(name) BETWEEN 1 AND 200),
  legal_name      text NOT NULL CHECK (length(legal_name) BETWEEN 1 AND 300),
  -- Empty until entered; without it no campaign starts.
  postal_address  text NOT NULL DEFAULT '' CHECK (length(postal_address) <= 500),
  sender_name     text NOT NULL CHECK (length(sender_name) BETWEEN 1 AND 200),
  sender_address  text NOT NULL CHECK (length(sender_address) BETWEEN 3 AND 254),
  privacy_contact text NOT NULL CHECK (length(privacy_contact) BETWEEN 3 AND 254),
  locale          text NOT NULL CHECK (locale ~ '^[a-z]{2,3}(-[A-Za-z0-9]{2,8})*$'),
  time_zone       text NOT NULL DEFAULT 'UTC',
  -- Where its pages are: scheme and host, no path.
  origin          text NOT NULL CHECK (origin ~ '^https?://[^/]+$'),
  created_at      timestamptz NOT NULL,
  changed_at      timestamptz NOT NULL
);

SELECT crm.place('crm.business');

SELECT crm.keep_apart('crm.business');

GRANT SELECT, INSERT, UPDATE ON crm.business TO crm_app;

-- Which business answers on a host; the one look-up made before the business is known.
CREATE TABLE crm.host (
  host        text PRIMARY KEY CHECK (host = lower(host)),
  business_id uuid NOT NULL REFERENCES crm.business (business_id)
);

SELECT crm.place('crm.host');

SELECT crm.keep_apart('crm.host');

CREATE INDEX host_of_business ON crm.host (business_id);

GRANT SELECT, INSERT, DELETE ON crm.host TO crm_app;

-- Above one business: the sweep role sees ids by explicit policies, and only through functions.
CREATE POLICY sweep ON crm.host FOR SELECT TO crm_sweep USING (true);

GRANT SELECT ON crm.host TO crm_sweep;

CREATE POLICY sweep ON crm.business FOR SELECT TO crm_sweep USING (true);

GRANT SELECT (business_id) ON crm.business TO crm_sweep;

CREATE FUNCTION crm.business_of_host(_host text) RETURNS TABLE (business_id uuid)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog AS $$
  SELECT h.business_id FROM crm.host h WHERE h.host = lower(_host)
$$;

GRANT CREATE ON SCHEMA crm TO crm_sweep, crm_eraser;

ALTER FUNCTION crm.business_of_host(text) OWNER TO crm_sweep;

REVOKE ALL ON FUNCTION crm.business_of_host(text) FROM PUBLIC;

GRANT EXECUTE ON FUNCTION crm.business_of_host(text) TO crm_app;

CREATE FUNCTION crm.businesses(_after uuid, _limit integer) RETURNS TABLE (business_id uuid)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog AS $$
  SELECT b.business_id FROM crm.business b
   WHERE b.business_id > _after ORDER BY b.business_id LIMIT _limit
$$;

ALTER FUNCTION crm.businesses(uuid, integer) OWNER TO crm_sweep;

REVOKE ALL ON FUNCTION crm.businesses(uuid, integer) FROM PUBLIC;

GRANT EXECUTE ON FUNCTION crm.businesses(uuid, integer) TO crm_app;
