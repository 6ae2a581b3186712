-- What a purpose is: versions that never change, with all that a notice has to say (Art. 13 GDPR).

-- Whom a customer can turn to besides the business itself.
ALTER TABLE crm.business
  ADD COLUMN country        text NOT NULL DEFAULT '' CHECK (country ~ '^([A-Z]{2})?$'),
  ADD COLUMN officer        text NOT NULL DEFAULT '' CHECK (length(officer) <= 300),
  ADD COLUMN representative text NOT NULL DEFAULT '' CHECK (length(representative) <= 500),
  ADD COLUMN authority      text NOT NULL DEFAULT '' CHECK (length(authority) <= 300),
  ADD COLUMN authority_url  text NOT NULL DEFAULT ''
    CHECK (length(authority_url) <= 500 AND authority_url ~ '^(https?://\S+)?$'),
  ADD COLUMN privacy_url    text NOT NULL DEFAULT ''
    CHECK (length(privacy_url) <= 500 AND privacy_url ~ '^(https?://\S+)?$'),
  -- May it have purposes on the basis of Art. 13(2) ePrivacy? Off unless it says so.
  ADD COLUMN soft_opt_in    boolean NOT NULL DEFAULT false,
  -- Are network address and browser kept with a decision, and for how many days?
  ADD COLUMN keeps_network  boolean NOT NULL DEFAULT false,
  ADD COLUMN network_days   integer NOT NULL DEFAULT 30 CHECK (network_days BETWEEN 1 AND 1095);

-- The row of a purpose says what holds now; the version it names says all of it, for ever.
ALTER TABLE crm.purpose
  ADD COLUMN version          integer NOT NULL DEFAULT 1 CHECK (version > 0),
  ADD COLUMN basis            text NOT NULL DEFAULT 'consent' CHECK (basis IN (
    'consent',           -- Art. 6(1)(a) GDPR
    'explicit_consent',  -- Art. 9(2)(a): special categories of data
    'soft_opt_in')),     -- Art. 13(2) ePrivacy; never called consent
  ADD COLUMN special_category boolean NOT NULL DEFAULT false;

-- Special categories ask for an explicit consent, and for the mailbox's own word.
ALTER TABLE crm.purpose ADD CONSTRAINT purpose_special_is_explicit CHECK (
  NOT special_category OR (basis = 'explicit_consent' AND double_opt_in));

CREATE TABLE crm.purpose_version (
  business_id      uuid NOT NULL,
  purpose_id       uuid NOT NULL,
  version          integer NOT NULL CHECK (version > 0),
  basis            text NOT NULL CHECK (basis IN ('consent', 'explicit_consent', 'soft_opt_in')),
  special_category boolean NOT NULL,
  -- How long a consent holds, an ISO 8601 duration such as P24M; empty for one without end.
  validity         text NOT NULL CHECK (validity ~ '^(P([0-9]+Y)?([0-9]+M)?([0-9]+D)?)?$'
                                        AND validity <> 'P'),
  -- Everything that was entered, as RFC 8785 JSON (crm.consent.terms), and its SHA-256.
  terms            bytea NOT NULL,
  sha256           bytea NOT NULL CHECK (sha256 = sha256(terms)),
  published_at     timestamptz NOT NULL,
  published_by     uuid,
  -- Another version took its place with another substance: consents to this one are stale since,
  -- and end where nobody renews them.
  stale_at         timestamptz,
  ends_at          timestamptz,
  PRIMARY KEY (business_id, purpose_id, version),
  FOREIGN KEY (business_id, purpose_id) REFERENCES crm.purpose (business_id, purpose_id),
  -- So that an event of one basis cannot rest on a version of another.
  CONSTRAINT purpose_version_basis UNIQUE (business_id, purpose_id, version, basis),
  CHECK ((stale_at IS NULL) = (ends_at IS NULL)),
  CHECK (ends_at >= stale_at)
);

SELECT crm.place('crm.purpose_version');

SELECT crm.keep_apart('crm.purpose_version');

GRANT SELECT, INSERT, UPDATE (stale_at, ends_at) ON crm.purpose_version TO crm_app;

-- A version that is stale stays so; its end can be put off by nobody, only drawn nearer.
CREATE FUNCTION crm.purpose_version_stays() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
  IF TG_OP <> 'UPDATE' OR NEW.stale_at IS NULL
     OR (OLD.stale_at IS NOT NULL AND (NEW.stale_at <> OLD.stale_at OR NEW.ends_at > OLD.ends_at))
  THEN
    RAISE EXCEPTION 'a version of a purpose stays as it is' USING ERRCODE = 'insufficient_privilege';
  END IF;
  RETURN NEW;
END
$$;

CREATE TRIGGER purpose_version_stays BEFORE UPDATE OR DELETE ON crm.purpose_version
  FOR EACH ROW EXECUTE FUNCTION crm.purpose_version_stays();

CREATE TRIGGER purpose_version_never_emptied BEFORE TRUNCATE ON crm.purpose_version
  FOR EACH STATEMENT EXECUTE FUNCTION crm.purpose_version_stays();

-- What is known of purposes added before: the owner sees rows while row security is not forced.
ALTER TABLE crm.business NO FORCE ROW LEVEL SECURITY;

ALTER TABLE crm.purpose NO FORCE ROW LEVEL SECURITY;

ALTER TABLE crm.purpose_version NO FORCE ROW LEVEL SECURITY;

ALTER TABLE crm.notice NO FORCE ROW LEVEL SECURITY;

INSERT INTO crm.purpose_version (business_id, purpose_id, version, basis, special_category,
                                 validity, terms, sha256, published_at)
SELECT p.business_id, p.purpose_id, 1, 'consent', false, '', t.terms, sha256(t.terms), p.created_at
  FROM crm.purpose p
  JOIN crm.business b ON b.business_id = p.business_id
 CROSS JOIN LATERAL (
   SELECT convert_to(
     '{"basis":"consent","channel":' || to_json(p.channel)
     || ',"double_opt_in":' || p.double_opt_in
     || ',"validity":"","wording":{' || to_json(b.locale)
     || ':{"description":' || to_json(p.description) || ',"name":' || to_json(p.name) || '}}}',
     'UTF8') AS terms) t;

-- Each version of a purpose exists, with the same basis and flag as its row says.
ALTER TABLE crm.purpose ADD CONSTRAINT purpose_names_its_version
  FOREIGN KEY (business_id, purpose_id, version, basis)
  REFERENCES crm.purpose_version (business_id, purpose_id, version, basis)
  DEFERRABLE INITIALLY DEFERRED;

-- A notice belongs to a version of its purpose, and carries what Art. 13 asks for besides.
ALTER TABLE crm.notice
  ADD COLUMN purpose_version integer NOT NULL DEFAULT 1,
  ADD COLUMN particulars     text NOT NULL DEFAULT '' CHECK (length(particulars) <= 20000);

ALTER TABLE crm.notice ALTER COLUMN purpose_version DROP DEFAULT;

ALTER TABLE crm.notice ADD CONSTRAINT notice_of_a_version
  FOREIGN KEY (business_id, purpose_id, purpose_version)
  REFERENCES crm.purpose_version (business_id, purpose_id, version);

ALTER TABLE crm.notice DROP CONSTRAINT notice_accepts_check;

ALTER TABLE crm.notice ADD CONSTRAINT notice_accepts_check CHECK (
  accepts <@ ARRAY['former_double_opt_in', 'former_single_opt_in', 'signed_form', 'own_form']);

-- So that an event cannot rest on a notice of another purpose or version.
ALTER TABLE crm.notice ADD CONSTRAINT notice_with_its_version
  UNIQUE (business_id, notice_id, purpose_id, purpose_version);

ALTER TABLE crm.business FORCE ROW LEVEL SECURITY;

ALTER TABLE crm.purpose FORCE ROW LEVEL SECURITY;

ALTER TABLE crm.purpose_version FORCE ROW LEVEL SECURITY;

ALTER TABLE crm.notice FORCE ROW LEVEL SECURITY;

-- A form as it was shown, whole, by its content: which boxes, which words, none ticked beforehand.
CREATE TABLE crm.form_shown (
  business_id uuid NOT NULL REFERENCES crm.business (business_id),
  sha256      bytea NOT NULL CHECK (sha256 = sha256(convert_to(text, 'UTF8'))),
  locale      text NOT NULL CHECK (length(locale) BETWEEN 2 AND 35),
  text        text NOT NULL CHECK (length(text) <= 200000),
  shown_at    timestamptz NOT NULL,
  PRIMARY KEY (business_id, sha256)
);

SELECT crm.place('crm.form_shown');

SELECT crm.keep_apart('crm.form_shown');

CREATE TRIGGER form_shown_append_only BEFORE UPDATE OR DELETE ON crm.form_shown
  FOR EACH ROW EXECUTE FUNCTION crm.append_only();

CREATE TRIGGER form_shown_never_emptied BEFORE TRUNCATE ON crm.form_shown
  FOR EACH STATEMENT EXECUTE FUNCTION crm.append_only();

GRANT SELECT, INSERT ON crm.form_shown TO crm_app;
