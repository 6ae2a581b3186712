-- What customers ask under Chapter III of the GDPR, with the clock of Art. 12(3); and each step of it.

CREATE TABLE crm.privacy_request (
  business_id     uuid NOT NULL REFERENCES crm.business (business_id),
  request_id      uuid NOT NULL,
  kind            text NOT NULL CHECK (kind IN (
    'access', 'portability', 'rectification', 'erasure', 'restriction', 'objection')),
  state           text NOT NULL CHECK (state IN (
    'received', 'identity', 'in_progress', 'extended', 'done', 'refused')),
  -- How it came in.
  way             text NOT NULL CHECK (way IN (
    'portal', 'letter', 'phone', 'mail', 'person', 'api')),
  -- What the portal did by itself, at once.
  by_itself       boolean NOT NULL DEFAULT false,
  -- Whose it is; null once she is erased, or where nobody here has her address.
  customer_id     uuid,
  -- Of somebody who is no customer: where an answer goes. Her name, where it came on paper.
  address         text NOT NULL DEFAULT '' CHECK (length(address) <= 254),
  address_hash    bytea CHECK (length(address_hash) = 16),
  name            text NOT NULL DEFAULT '' CHECK (length(name) <= 200),
  words           text NOT NULL DEFAULT '' CHECK (length(words) <= 4000),
  -- Days as the business's own calendar has them.
  received_on     date NOT NULL,
  due_on          date NOT NULL,
  extended_on     date,
  extended_why    text NOT NULL DEFAULT '' CHECK (length(extended_why) <= 4000),
  -- How it was proved who asks. Copies of identity cards are no way.
  proof           text CHECK (proof IN ('session', 'mailbox', 'person')),
  proved_at       timestamptz,
  -- The link that proves a mailbox.
  link_hash       bytea CHECK (length(link_hash) = 32),
  link_expires_at timestamptz,
  -- Who works on it.
  member_id       uuid,
  -- What she was told at the end, and, of a refusal, on which ground.
  answer          text NOT NULL DEFAULT '' CHECK (length(answer) <= 20000),
  ground          text CHECK (ground IN (
    'expression', 'legal_duty', 'public_health', 'archive', 'legal_claims', 'not_identified',
    'excessive', 'others_rights', 'accurate', 'compelling', 'not_met')),
  -- How urgently staff were reminded last.
  reminded        smallint NOT NULL DEFAULT 0 CHECK (reminded BETWEEN 0 AND 4),
  created_at      timestamptz NOT NULL,
  closed_at       timestamptz,
  -- When the log of it goes too.
  keep_until      date,
  PRIMARY KEY (business_id, request_id),
  FOREIGN KEY (business_id, customer_id) REFERENCES crm.customer (business_id, customer_id),
  FOREIGN KEY (business_id, member_id) REFERENCES crm.member (business_id, member_id),
  -- Art. 12(3): one month from receipt, or three where that was said within the first.
  CONSTRAINT privacy_request_clock CHECK (
    due_on = (received_on + CASE WHEN extended_on IS NULL THEN interval '1 month'
                                 ELSE interval '3 months' END)::date),
  CONSTRAINT privacy_request_extended_in_time CHECK (
    extended_on BETWEEN received_on AND (received_on + interval '1 month')::date),
  CONSTRAINT privacy_request_extended CHECK (state <> 'extended' OR extended_on IS NOT NULL),
  CONSTRAINT privacy_request_proved CHECK ((proof IS NULL) = (proved_at IS NULL)),
  -- Nothing of hers is given out, changed or deleted before it is known who asks.
  CONSTRAINT privacy_request_identity CHECK (
    state NOT IN ('in_progress', 'done') OR proved_at IS NOT NULL),
  CONSTRAINT privacy_request_ended CHECK (
    (state IN ('done', 'refused')) = (closed_at IS NOT NULL)
    AND (closed_at IS NULL) = (keep_until IS NULL)),
  CONSTRAINT privacy_request_refused CHECK ((state = 'refused') = (ground IS NOT NULL)),
  -- Art. 17(3), and no other ground for keeping what she wants deleted once it is she who asks.
  CONSTRAINT privacy_request_erasure_refused CHECK (
    kind <> 'erasure' OR ground IN ('expression', 'legal_duty', 'public_health', 'archive',
                                    'legal_claims', 'not_identified', 'excessive')),
  CONSTRAINT privacy_request_by_itself CHECK (NOT by_itself OR state = 'done'),
  CONSTRAINT privacy_request_link CHECK ((link_hash IS NULL) = (link_expires_at IS NULL))
);

SELECT crm.place('crm.privacy_request');

SELECT crm.keep_apart('crm.privacy_request');

CREATE INDEX privacy_request_open ON crm.privacy_request (business_id, due_on, request_id)
  WHERE closed_at IS NULL;

CREATE INDEX privacy_request_of_customer ON crm.privacy_request (business_id, customer_id)
  WHERE customer_id IS NOT NULL;

CREATE INDEX privacy_request_of_address ON crm.privacy_request (business_id, address_hash)
  WHERE address_hash IS NOT NULL;

CREATE INDEX privacy_request_end ON crm.privacy_request (business_id, keep_until)
  WHERE keep_until IS NOT NULL;

CREATE UNIQUE INDEX privacy_request_link ON crm.privacy_request (business_id, link_hash)
  WHERE link_hash IS NOT NULL;

GRANT SELECT, INSERT, UPDATE ON crm.privacy_request TO crm_app;

GRANT SELECT, DELETE ON crm.privacy_request TO crm_eraser;

-- Which states follow which, that an extension is one, and that what was asked stays what it was.
CREATE FUNCTION crm.keep_request() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
  IF NEW.state <> OLD.state AND NOT (CASE OLD.state
       WHEN 'received' THEN true
       WHEN 'identity' THEN NEW.state <> 'received'
       WHEN 'in_progress' THEN NEW.state IN ('extended', 'done', 'refused')
       WHEN 'extended' THEN NEW.state IN ('done', 'refused')
       ELSE false END) THEN
    RAISE EXCEPTION 'a request does not go from % to %', OLD.state, NEW.state
      USING ERRCODE = 'check_violation', CONSTRAINT = 'privacy_request_state';
  END IF;
  IF (NEW.kind, NEW.way, NEW.received_on, NEW.created_at)
       IS DISTINCT FROM (OLD.kind, OLD.way, OLD.received_on, OLD.created_at)
     OR OLD.extended_on IS NOT NULL AND NEW.extended_on IS DISTINCT FROM OLD.extended_on
     OR OLD.closed_at IS NOT NULL AND NEW.extended_on IS DISTINCT FROM OLD.extended_on THEN
    RAISE EXCEPTION 'what was asked, and its clock, stay as they are'
      USING ERRCODE = 'check_violation', CONSTRAINT = 'privacy_request_stays';
  END IF;
  RETURN NEW;
END
$$;

CREATE TRIGGER privacy_request_stays BEFORE UPDATE ON crm.privacy_request
  FOR EACH ROW EXECUTE FUNCTION crm.keep_request();

-- What was done with a request, when and by whom; no word of hers, so that it may stay after her.
CREATE TABLE crm.privacy_request_step (
  business_id uuid NOT NULL,
  request_id  uuid NOT NULL,
  step_id     uuid NOT NULL,
  at          timestamptz NOT NULL,
  what        text NOT NULL CHECK (what IN (
    'received', 'link_sent', 'proved', 'vouched', 'taken', 'extended', 'reminded', 'answered',
    'refused', 'settled', 'erased')),
  actor_kind  text NOT NULL CHECK (actor_kind IN ('customer', 'member', 'key', 'system')),
  -- Of staff and programs only.
  actor_id    uuid,
  actor_name  text NOT NULL DEFAULT '' CHECK (length(actor_name) <= 200),
  PRIMARY KEY (business_id, request_id, step_id),
  FOREIGN KEY (business_id, request_id) REFERENCES crm.privacy_request (business_id, request_id),
  CHECK ((actor_kind IN ('member', 'key')) = (actor_id IS NOT NULL))
);

SELECT crm.place('crm.privacy_request_step');

SELECT crm.keep_apart('crm.privacy_request_step');

CREATE TRIGGER privacy_request_step_append_only
  BEFORE UPDATE OR DELETE ON crm.privacy_request_step
  FOR EACH ROW EXECUTE FUNCTION crm.append_only();

CREATE TRIGGER privacy_request_step_never_emptied BEFORE TRUNCATE ON crm.privacy_request_step
  FOR EACH STATEMENT EXECUTE FUNCTION crm.append_only();

GRANT SELECT, INSERT ON crm.privacy_request_step TO crm_app;

GRANT SELECT, DELETE ON crm.privacy_request_step TO crm_eraser;

-- Whoever objects (Art. 21(2) and (3)) is mailed no advertising until she consents again herself.
ALTER TABLE crm.suppression DROP CONSTRAINT suppression_reason_check;

ALTER TABLE crm.suppression ADD CONSTRAINT suppression_reason_check CHECK (reason IN (
  'left', 'erased', 'bounced', 'complained', 'staff', 'imported', 'objected'));

-- Where a customer can complain (Art. 77), besides its name and its page.
ALTER TABLE crm.business
  ADD COLUMN authority_address text NOT NULL DEFAULT '' CHECK (length(authority_address) <= 500);
