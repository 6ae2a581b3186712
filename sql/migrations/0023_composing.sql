-- What a campaign says to everybody, and what its text lacks for somebody.

-- Everybody may read it in the archive once it has started.
ALTER TABLE crm.campaign ADD COLUMN public boolean NOT NULL DEFAULT false;

-- The newest walk through all who would get a draft, looking for what its merge fields lack. The
-- row is the truth: a job that finds another version in it stops.
CREATE TABLE crm.value_check (
  business_id uuid NOT NULL,
  campaign_id uuid NOT NULL,
  -- Of the draft it is for.
  version     integer NOT NULL,
  purpose_id  uuid NOT NULL,
  state       text NOT NULL CHECK (state IN (
    'walking', -- customers are looked at, in the order of the key
    'done')),  -- walking -> done: all were
  walked_to   uuid NOT NULL,
  -- Everybody ever asked about the purpose when it began, and how many were looked at.
  audience    bigint NOT NULL CHECK (audience >= 0),
  looked      bigint NOT NULL DEFAULT 0 CHECK (looked >= 0),
  -- Of those, how many would get it, and how many of them lack something.
  getting     bigint NOT NULL DEFAULT 0 CHECK (getting >= 0),
  lacking     bigint NOT NULL DEFAULT 0 CHECK (lacking >= 0),
  -- Field, what is wrong, how many, and ids of a few: nothing of what is in the values.
  findings    jsonb NOT NULL DEFAULT '[]',
  began_at    timestamptz NOT NULL,
  beat_at     timestamptz NOT NULL,
  ended_at    timestamptz,
  PRIMARY KEY (business_id, campaign_id),
  FOREIGN KEY (business_id, campaign_id) REFERENCES crm.campaign (business_id, campaign_id),
  CHECK ((state = 'done') = (ended_at IS NOT NULL))
);

SELECT crm.place('crm.value_check');

SELECT crm.keep_apart('crm.value_check');

GRANT SELECT, INSERT, UPDATE, DELETE ON crm.value_check TO crm_app;

-- Above one business: checks that nobody works on.
GRANT CREATE ON SCHEMA crm TO crm_sweep;

CREATE POLICY sweep ON crm.value_check FOR SELECT TO crm_sweep USING (true);

GRANT SELECT (business_id, campaign_id, state, beat_at) ON crm.value_check TO crm_sweep;

CREATE FUNCTION crm.value_checks_waiting(_quiet_since timestamptz)
RETURNS TABLE (business_id uuid, campaign_id uuid)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog AS $$
  SELECT v.business_id, v.campaign_id FROM crm.value_check v
   WHERE v.state = 'walking' AND v.beat_at < _quiet_since
$$;

ALTER FUNCTION crm.value_checks_waiting(timestamptz) OWNER TO crm_sweep;

REVOKE ALL ON FUNCTION crm.value_checks_waiting(timestamptz) FROM PUBLIC;

GRANT EXECUTE ON FUNCTION crm.value_checks_waiting(timestamptz) TO crm_app;

REVOKE CREATE ON SCHEMA crm FROM crm_sweep;

-- How the newsletters of a business look; no row: as they come.
CREATE TABLE crm.mail_theme (
  business_id uuid PRIMARY KEY REFERENCES crm.business (business_id),
  band        text NOT NULL CHECK (band ~ '^#[0-9a-f]{6}$'),
  band_dark   text NOT NULL CHECK (band_dark ~ '^#[0-9a-f]{6}$'),
  link        text NOT NULL CHECK (link ~ '^#[0-9a-f]{6}$'),
  link_dark   text NOT NULL CHECK (link_dark ~ '^#[0-9a-f]{6}$'),
  face        text NOT NULL CHECK (face IN ('serif', 'sans')),
  corner      smallint NOT NULL CHECK (corner IN (0, 8, 16)),
  foot        text NOT NULL CHECK (length(foot) <= 300),
  changed_at  timestamptz NOT NULL
);

SELECT crm.place('crm.mail_theme');

SELECT crm.keep_apart('crm.mail_theme');

GRANT SELECT, INSERT, UPDATE ON crm.mail_theme TO crm_app;
